"""Drawing particles in the laboratory: what `detopt simulate` sends through a detector.

Beam lines look along z, and their particles start in front of everything; in portals they come down from above everything;
in barrels they start at the origin.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.events import Rays
from detopt.simulation.cosmic_rays import cosmic_carriers, cosmic_muons, cosmic_numbers, expected_number
from detopt.simulation.draws import Aim, Carrier, Kind, Numbers, Start, draw_numbers, straight
from detopt.simulation.muon_pairs import draw_pairs, pair_carriers, pair_kinds, pairs
from detopt.simulation.source import Beam, Cosmic, Decay, Gun, Resonance, Source, check_frame

__all__ = [
    "Aim",
    "carriers_of",
    "expected_number",
    "fraction_through",
    "from_numbers",
    "normals_of",
    "numbers_of",
    "rays",
]


def rays(
    source: Source,
    key: jax.Array,
    number: int,
    frame: str,
    start_z: float = 0.0,
    aim: Aim | None = None,
    dtype: Any = jnp.float32,
) -> Rays:
    """Draw N events.

    Args:
        source: Gun, Beam, Cosmic, Resonance, or one with `numbers`, `draw` and `carriers` of its own.
        key: random key; each number of a particle has a stream of its own.
        number: of events N.
        frame: of the detector.
        start_z: where particles start, in mm: in front of a beam line, above a portal. Barrels do not use it.
        aim: the rectangle that cosmic muons are to cross.
        dtype: of all numbers.

    Raises:
        ValueError: the source does not go with the frame, or has no aim.
    """
    if wrong := check_frame(source, frame):
        raise ValueError(wrong)
    start = Start(frame, 0.0 if frame == "barrel" else start_z, aim)
    if isinstance(source, Resonance):
        return draw_pairs(source, key, number, frame, (0.0, 0.0, start.z), dtype)
    if isinstance(source, Decay):
        raise ValueError("Decay is drawn by detopt.simulation.generate")
    made = from_numbers(source, numbers_of(source, key, number, dtype), start)
    if isinstance(source, Cosmic):  # exactly what is expected, without the last fluctuations
        assert aim is not None
        made = made._replace(weight=made.weight / made.weight.sum() * expected_number(source, aim))
    return made


def numbers_of(source: Source, key: jax.Array, number: int, dtype: Any, evenly: bool = False) -> Numbers:
    """The random numbers of N events; see `draw_numbers`."""
    if isinstance(source, Cosmic):
        return cosmic_numbers(source, key, number, dtype, evenly)
    of_both = ("position", "slope") if isinstance(source, Beam) else ()
    return draw_numbers(_kinds(source), key, number, dtype, of_both, evenly)


def _kinds(source: Source) -> dict[str, Kind]:
    """How the random numbers of an event are spread."""
    if isinstance(source, Gun):
        return dict.fromkeys(("theta", "azimuth", "momentum"), "uniform")
    if isinstance(source, Resonance):
        return pair_kinds(source)
    return _BEAM if isinstance(source, Beam) else source.numbers()


_BEAM: dict[str, Kind] = {"position": "normal", "slope": "normal", "spread": "truncated", "momentum": "uniform"}


def from_numbers(source: Source, numbers: Numbers, start: Start) -> Rays:
    """The events that random numbers make: a smooth function of the numbers that carry a particle."""
    if isinstance(source, Cosmic):
        return cosmic_muons(source, numbers, start)
    ahead = -1 if start.frame == "portal" else 1  # sense of z along the flight
    if isinstance(source, Gun):
        return _gun(source, numbers, start, ahead)
    if isinstance(source, Beam):
        return _beam(source, numbers, start, ahead)
    if isinstance(source, Resonance):
        return pairs(source, numbers, start)
    return source.draw(numbers, start)


def carriers_of(source: Source, frame: str) -> dict[str, Carrier]:
    """What carries a particle along x, along y, or to another momentum, where a single number does.

    The normal numbers of a beam carry together with those of scattering (see `detopt.simulation.edges`), and stand here
    for the momentum alone.
    """
    if isinstance(source, Cosmic):
        return cosmic_carriers(source)
    found: dict[str, Carrier] = {}
    if isinstance(source, (Gun, Beam)) and source.momentum[0] < source.momentum[1]:
        found["momentum"] = straight("momentum", "uniform")
    if isinstance(source, Beam) and source.momentum_spread:
        found["momentum"] = straight("spread", "truncated")
    if isinstance(source, Gun):
        low, high = source.angles(frame)
        if low < high:
            found["x"] = found["y"] = _outwards(low, high)
    if not isinstance(source, (Gun, Beam)):
        kinds = _kinds(source)
        named = pair_carriers(source) if isinstance(source, Resonance) else source.carriers()
        found = {way: straight(name, kinds[name]) for way, name in named.items()}
    return found


def normals_of(source: Source) -> tuple[str, ...]:
    """The numbers that are normal, and so carry a particle together with those of scattering."""
    if isinstance(source, Cosmic):
        return ()
    return tuple(name for name, kind in _kinds(source).items() if kind == "normal")


def _outwards(first: float, last: float) -> Carrier:
    """The polar angle of a gun, flat in cos(theta), on the scale of tan(theta), which is straight."""
    low, high = _versine(first), _versine(last)

    def onto(u: Array) -> Array:
        less = low + u * (high - low)
        return jnp.sqrt(jnp.maximum(less * (2 - less), 1e-12)) / (1 - less)

    def back(t: Array) -> Array:
        root = jnp.sqrt(1 + t**2)
        return (t**2 / (root * (1 + root)) - low) / (high - low)

    def density(t: Array) -> Array:
        u = back(t)
        return jnp.where((t > 0) & (u >= 0) & (u <= 1), t / (1 + t**2) ** 1.5 / (high - low), 0.0)

    return Carrier("theta", density, onto, back, radial=True, ends=(math.tan(first), math.tan(last)))


def _gun(source: Gun, numbers: Numbers, start: Start, ahead: int) -> Rays:
    """From the axis, flat in log p, cos(theta) and azimuth."""
    low, high = source.angles(start.frame)
    # 1 - cos(theta) keeps small angles in float32, the cosine would not.
    less = _versine(low) + numbers["theta"] * (_versine(high) - _versine(low))
    sine, phi = jnp.sqrt(jnp.maximum(less * (2 - less), 0.0)), 2 * math.pi * numbers["azimuth"]
    if low == high:  # the root has no slope at zero
        sine = jnp.full_like(less, math.sin(low))
    direction = jnp.stack([sine * jnp.cos(phi), sine * jnp.sin(phi), ahead * (1 - less)], axis=-1)
    position = jnp.broadcast_to(jnp.asarray([0.0, 0.0, start.z], less.dtype), (len(less), 3))
    return _single(source.charge, position, direction, _flat_log(source.momentum, numbers["momentum"]))


def _beam(source: Beam, numbers: Numbers, start: Start, ahead: int) -> Rays:
    """Gaussian in position and slope, along both axes."""
    dtype, number = numbers["spread"].dtype, len(numbers["spread"])

    def normal(name: str, middle: Any, sigma: Any) -> Float[Array, "N 2"]:
        mean, width = (jnp.asarray(pair, dtype) for pair in (middle, sigma))
        return mean[None] + width[None] * numbers[name]

    begin, slope = normal("position", source.centre, source.spot), normal("slope", (0.0, 0.0), source.divergence)
    position = jnp.concatenate([begin, jnp.full((number, 1), start.z, dtype)], axis=-1)
    direction = jnp.concatenate([slope, jnp.full((number, 1), ahead, dtype)], axis=-1)
    direction = direction / jnp.sqrt((direction**2).sum(-1, keepdims=True))
    momentum = _flat_log(source.momentum, numbers["momentum"])
    return _single(source.charge, position, direction, momentum * (1 + source.momentum_spread * numbers["spread"]))


def _versine(theta: float) -> float:
    return 2 * math.sin(theta / 2) ** 2


def _flat_log(limits: tuple[float, float], u: Float[Array, " N"]) -> Float[Array, " N"]:
    low, high = map(float, limits)
    return jnp.clip(low * jnp.exp(u * math.log(high / low)), low, high)


def _single(
    charge: int, position: Float[Array, "N 3"], direction: Float[Array, "N 3"], momentum: Float[Array, " N"]
) -> Rays:
    """Events of one particle, of weight 1."""
    ones = jnp.ones_like(momentum)
    return Rays(position[:, None], direction[:, None], momentum[:, None], charge * ones[:, None], ones)


def fraction_through(made: Rays, aim: Aim) -> float:
    """Weighted fraction of the events of which a particle, flying straight on, crosses the rectangle."""
    position, direction = np.asarray(made.position, float), np.asarray(made.direction, float)
    with np.errstate(divide="ignore", invalid="ignore"):  # a particle that flies along the rectangle never crosses it
        path = (aim.z - position[..., 2]) / direction[..., 2]
        at = position[..., :2] + path[..., None] * direction[..., :2]
    slack = 1e-5 * (np.abs(position).max() + max(aim.span))  # rounding of float32
    inside: Bool[np.ndarray, "N m"] = (np.abs(at - aim.centre) <= np.array(aim.span) / 2 + slack).all(-1) & (path >= 0)
    weight = np.asarray(made.weight, float)
    return float(weight[inside.any(-1)].sum() / weight.sum())
