"""Does a source from outside move particles as it says? Only then is the gradient right of the edges they are moved onto."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from detopt.backend import jax, jnp
from detopt.events import Rays
from detopt.simulation.draws import DENSITIES, draw_numbers
from detopt.simulation.source import Source
from detopt.simulation.start import Aim, Start
from detopt.study.findings import Findings
from detopt.study.scans import Scan, scan, untraceable

__all__ = ["faults_of_source"]

_EVENTS, _SOME = 64, 8


def faults_of_source(source: Source, frame: str | None = None) -> list[str]:
    """All that is wrong with a source for beam lines and portals (see `detopt.testing.check_source`)."""
    found = Findings(type(source).__name__)
    found.of_class(type(source), "source")
    if found.lines:
        return found.lines
    frames = [f for f in source.frames if f != "barrel"]
    if not frames:
        return [
            "a source from outside is for beam lines and portals; barrels take a Gun or a Decay, or what derives from them"
        ]
    start = Start(frame or frames[0], 1000.0 if (frame or frames[0]) == "portal" else -1000.0, _AIM)
    found.attempt("hash", lambda: found.of_value(source))
    found.attempt("numbers", lambda: _check_numbers(source, found))
    if not found.lines:
        found.attempt("draw", lambda: _check_draw(source, start, found))
    if not found.lines:
        found.attempt("carriers", lambda: _check_carriers(source, start, found))
    return found.lines


_AIM = Aim(0.0, (0.0, 0.0), (1000.0, 1000.0))


def _check_numbers(source: Source, found: Findings) -> None:
    kinds = source.numbers()
    if not isinstance(kinds, dict) or not kinds:
        found.add(f"numbers() must name the random numbers of an event: {{name: kind}}, got {kinds!r:.60}")
    elif wrong := {k for k in kinds.values() if k not in DENSITIES}:
        found.add(f"numbers() are spread {' | '.join(DENSITIES)}, got {', '.join(map(repr, wrong))}")
    elif source.numbers() != kinds:
        found.add("numbers() answers differently when it is asked again")


def _check_draw(source: Source, start: Start, found: Findings) -> None:
    kinds = source.numbers()
    first, second = (draw_numbers(kinds, jax.random.key(i), _EVENTS, jnp.float64) for i in (0, 1))
    made = source.draw(dict(first), start)
    if not isinstance(made, Rays):
        found.add(f"draw must give detopt.events.Rays, got {type(made).__name__}")
        return
    plain = _arrays(made)
    m = plain["momentum"].shape[-1] if plain["momentum"].ndim == 2 else 0
    shapes = {"position": (m, 3), "direction": (m, 3), "momentum": (m,), "charge": (m,), "weight": ()}
    for name, shape in shapes.items():
        if plain[name].shape != (_EVENTS, *shape) or not m:
            found.add(
                f"{name} of N events of m particles must be (N{''.join(f', {s}' for s in shape)}), got {plain[name].shape}"
            )
            return
        if not np.isfinite(plain[name]).all():
            found.add(f"{name} must be finite")
    if not np.allclose((plain["direction"] ** 2).sum(-1), 1, atol=1e-6):
        found.add("direction must be a unit vector")
    ahead = -1 if start.frame == "portal" else 1
    if not (ahead * plain["direction"][..., 2] > 0).all():
        found.add(f"particles must fly {'down' if ahead < 0 else 'along z'} in a {start.frame}")
    if not (plain["momentum"] > 0).all():
        found.add("momentum must be positive")
    if not (np.abs(plain["charge"]) == 1).all():
        found.add("charge must be +1 or -1")
    if not (plain["weight"] > 0).all():
        found.add("weight must be positive")
    if not _equal(_arrays(source.draw(dict(first), start)), plain):
        found.add(
            "the same numbers give other events when they are drawn again: something else is random, or remembered"
        )
        return
    half = {name: values[: _EVENTS // 2] for name, values in first.items()}
    if not _equal(_arrays(source.draw(half, start)), {n: v[: _EVENTS // 2] for n, v in plain.items()}):
        found.add("an event depends on how many others are drawn: each has to follow from its own numbers")
    if _equal(_arrays(source.draw(dict(second), start)), plain):
        found.add("other numbers give the same events: they do not follow the random key")
    compiled = _arrays(jax.jit(lambda numbers: source.draw(numbers, start))(first))
    if not _equal(compiled, plain, 1e-9):
        found.add("with jit it draws other events than without")
    small = source.draw(draw_numbers(kinds, jax.random.key(0), _EVENTS, jnp.float32), start)
    if wide := [n for n, v in zip(Rays._fields, small, strict=True) if jnp.asarray(v).dtype == jnp.float64]:
        found.add(f"of numbers of 32 bits, {wide[0]} has 64: a NumPy number or a float64 array is inside")


def _arrays(made: Rays) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in zip(Rays._fields, made, strict=True)}


def _equal(one: dict[str, np.ndarray], two: dict[str, np.ndarray], rtol: float = 1e-12) -> bool:
    return all(np.allclose(one[n], two[n], rtol=rtol, atol=rtol * max(1.0, np.abs(two[n]).max())) for n in two)


_WAYS = {"x": 0, "y": 1, "momentum": 2}
_AHEAD = (100.0, 1000.0, 5000.0)  # mm from the start, where a particle has to move steadily


def _check_carriers(source: Source, start: Start, found: Findings) -> None:
    kinds, carriers = source.numbers(), source.carriers()
    numbers = draw_numbers(kinds, jax.random.key(0), _SOME, jnp.float64)
    for way, name in carriers.items():
        if way not in _WAYS:
            found.add(f"carriers() move a particle along {', '.join(_WAYS)}, got {way!r}")
        elif name not in kinds:
            found.add(f"carriers() name {name!r}, which is none of its numbers: {', '.join(kinds)}")
        else:
            found.add(*_carried(source, start, way, name, numbers))
    if not {"x", "y"} <= carriers.keys():  # then all normal numbers carry together, as those of scattering do
        for name in (n for n, kind in kinds.items() if kind == "normal"):
            found.add(*(fault for way in ("x", "y") for fault in _followed(source, start, way, name, numbers)[0]))


def _followed(
    source: Source, start: Start, way: str, name: str, numbers: Mapping[str, Any]
) -> tuple[list[str], Scan | None, Any]:
    """Whether the first particle of some events follows one number, how, and where it flies for each value of it."""
    low, high = _ends(source, name)

    def moved(value: Any) -> Any:
        made = source.draw({**numbers, name: jnp.full(_SOME, value)}, start)
        if way == "momentum":
            return made.momentum[:, 0]
        slope = made.direction[:, 0, :2] / jnp.abs(made.direction[:, 0, 2:])
        places = [made.position[:, 0, :2] + ahead * slope for ahead in _AHEAD]
        return jnp.concatenate([place[:, _WAYS[way]] for place in places])

    if why := untraceable(moved, (low + high) / 2, type(source)):
        return [f"its number {name!r} {why}, and is to carry a particle along {way}"], None, moved
    seen = scan(moved, low, high)
    if not seen.finite.all():
        return [f"where a particle flies, or its derivative, is not finite for all values of {name!r}"], seen, moved
    if seen.jumps.any():
        jump = float(np.abs(seen.step).max())
        return [f"{way} does not follow {name!r} as its derivative says: it jumps by {jump:.3g}"], seen, moved
    return [], seen, moved


def _carried(source: Source, start: Start, way: str, name: str, numbers: Mapping[str, Any]) -> list[str]:
    """What is wrong with how one number carries particles."""
    faults, seen, moved = _followed(source, start, way, name, numbers)
    if faults or seen is None:
        return faults
    path = np.stack([np.asarray(moved(v)) for v in np.linspace(*_ends(source, name), 65)])
    if (seen.change <= 1e-9 * np.abs(path).max()).any():
        return [f"{name!r} does not move every particle along {way}, which it is said to carry"]
    steps = np.diff(path, axis=0)
    back = np.minimum(np.clip(steps, 0, None).sum(0), np.clip(-steps, 0, None).sum(0))
    if (back > 1e-9 * seen.change).any():
        return [f"{name!r} moves a particle along {way} forth and back: it has to be steady, or an edge is met twice"]
    return []


def _ends(source: Source, name: str) -> tuple[float, float]:
    return (0.001, 0.999) if source.numbers()[name] == "uniform" else (-3.0, 3.0)
