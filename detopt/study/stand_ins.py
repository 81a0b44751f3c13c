"""Stand-ins for what a term looks at: made-up tracks of a barrel, made-up muons of a beam line or portal.

They are as good as real ones to find out whether a term follows them smoothly, and take no simulation.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.arms import Arm, arms_of
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Space
from detopt.reconstruction.arms import ArmTrack, Reconstructed
from detopt.reconstruction.expected import ExpectedTracks
from detopt.scoring.evaluate import HeadLoss, View

__all__ = ["muons_between", "view_between"]

_NODES, _MUONS = 5, 12
_VARIANCES = (1e-3, 1e-6, 1e-3, 1e-3, 1e-6)  # of d0, phi, pt, z0 and theta


def view_between(
    term: Any, space: Space, prices: Prices, seed: int, dtype: Any = jnp.float64
) -> Callable[[Array], View]:
    """A view as a smooth function of a number in [0, 1]: from the initial design to another, with tracks that change.

    Args:
        term: the objective or constraint that will look at it.
        space: the design variables, around a detector of floats; without any, all lengths stay.
        prices: for the cost.
        seed: which design and which tracks.
        dtype: of the design.
    """
    random = np.random.default_rng(seed)
    fixed = Space(as_arrays(space.detector, dtype), space.variables)
    first, last = np.array(space.init), random.uniform(size=len(space))
    swing = random.uniform(0.3, 1.5, (7, _NODES)) * random.choice([-1.0, 1.0], (7, _NODES))
    beam = hasattr(term, "statistics")
    muons = muons_between(space.detector, seed, dtype) if beam else None

    def view(t: Array) -> View:
        t = jnp.asarray(t, dtype)
        design = fixed.place([jnp.asarray(a + t * (b - a), dtype) for a, b in zip(first, last, strict=True)])
        head = HeadLoss(0.3 + 0.2 * t, 0.01 + 0.02 * t)
        if muons is not None:
            mean = jnp.mean(jax.vmap(lambda m: jnp.atleast_1d(term.statistics(m)))(muons(t)), axis=0)
            return View(design, prices, None, {}, head, {term: mean})
        columns = [s * jnp.exp(t * jnp.asarray(w, dtype)) for s, w in zip(_VARIANCES, swing[:5], strict=True)]
        columns += [0.55 + 0.44 * (jnp.sin(3 * t * jnp.asarray(w, dtype)) ** 2) for w in swing[5:]]
        columns.append(4 * columns[5])
        weight = np.arange(1.0, _NODES + 1)
        rows = {
            (getattr(term, "momentum", None), getattr(term, "theta", None)): (np.arange(_NODES), weight / weight.sum())
        }
        return View(design, prices, ExpectedTracks(*columns), rows, head)

    return view


def muons_between(detector: Detector, seed: int, dtype: Any = jnp.float64) -> Callable[[Array], Reconstructed]:
    """Some muons as a smooth function of a number in [0, 1]: hits and tracks move, what is seen stays."""
    random = np.random.default_rng(seed)
    sensors, arms = detector.sensors(), arms_of(detector) or (Arm((0,), False, 1),)
    heights = np.array([s.position for s in sensors], float)
    resolution = np.array([[0.0 if r is None else float(r) for r in s.resolution or ()] for s in sensors])
    seen = random.uniform(size=(_MUONS, len(sensors))) < 0.9
    found = random.uniform(size=(_MUONS, len(arms))) < 0.9

    def population() -> dict[str, Any]:
        at, slope = random.normal(0, 100, (_MUONS, 2)), random.normal(0, 0.05, (_MUONS, 2))
        across = at[:, None] + slope[:, None] * heights[None, :, None]
        across = across + random.normal(size=across.shape) * np.maximum(resolution, 0.1)
        tracks = []
        for arm in arms:
            k = 5 if arm.bends else 4
            sigma = np.array([0.1, 0.1, 1e-3, 1e-3, 1e-2][:k])
            truth = np.concatenate([at, slope, random.uniform(0.1, 1, (_MUONS, 1))], 1)[:, :k]
            tracks.append((truth, random.normal(size=(_MUONS, k)) * sigma, np.diag(sigma**2)))
        return {"across": across, "tracks": tracks, "momentum": random.uniform(1, 20, _MUONS)}

    begin, end = population(), population()

    def muons(t: Array) -> Reconstructed:
        def between(a: np.ndarray, b: np.ndarray) -> Float[Array, "..."]:
            return jnp.asarray(a, dtype) + jnp.asarray(t, dtype) * jnp.asarray(b - a, dtype)

        across = between(begin["across"], end["across"])
        z = jnp.broadcast_to(jnp.asarray(heights, dtype)[None, :, None], (*across.shape[:2], 1))
        tracks = []
        for i, (arm, a, b) in enumerate(zip(arms, begin["tracks"], end["tracks"], strict=True)):
            truth, off = between(a[0], b[0]), between(a[1], b[1])
            tracks.append(
                ArmTrack(
                    found=jnp.asarray(found[:, i]),
                    z=jnp.full(_MUONS, heights[arm.sensors[0]], dtype),
                    parameters=truth + off,
                    truth=truth,
                    covariance=jnp.broadcast_to(jnp.asarray(a[2], dtype), (_MUONS, *a[2].shape)),
                    **{name: jnp.ones(_MUONS, dtype) for name in ArmTrack._fields[5:]},
                )
            )
        return Reconstructed(
            weight=jnp.ones(_MUONS, dtype),
            momentum=between(begin["momentum"], end["momentum"]),
            charge=jnp.asarray(np.where(np.arange(_MUONS) % 2, 1.0, -1.0), dtype),
            seen=jnp.asarray(seen),
            hits=jnp.concatenate([across, z], -1),
            resolution=jnp.broadcast_to(jnp.asarray(resolution, dtype), (_MUONS, *resolution.shape)),
            tracks=tuple(tracks),
            passes=jnp.asarray(found.all(1)),
        )

    return muons
