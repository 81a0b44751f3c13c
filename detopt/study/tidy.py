"""Small changes that make a design easier to read and do not change its score."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from detopt.parameters import Space, quantities

__all__ = ["tidier"]

_SNAP = 1e-3  # of the range


def tidier(space: Space, u: Float[np.ndarray, " n"]) -> Iterator[Float[np.ndarray, " n"]]:
    """Candidates, each a tidier form of `u`: layers that could be swapped in rising order; numbers on their bounds.

    Whether a candidate scores as well is for the caller to find out.
    """
    yield _ordered(space, u)
    for distance in (_SNAP, _SNAP / 30):
        yield _snapped(u, distance)
        yield _snapped(_ordered(space, u), distance)


def _snapped(u: np.ndarray, distance: float) -> np.ndarray:
    return np.where(u < distance, 0.0, np.where(u > 1 - distance, 1.0, u))


def _ordered(space: Space, u: np.ndarray) -> np.ndarray:
    """Among layers that differ in nothing but their free numbers, the first named has the smallest radius."""
    groups: dict[tuple, list[list[int]]] = {}
    for element in space.detector.elements:
        own = [i for i, v in enumerate(space.variables) if v.name.split(".")[0] == element.name]
        if not any(space.variables[i].name.endswith(".radius") for i in own):
            continue
        free = {space.variables[i].name.split(".")[1] for i in own}
        fixed = tuple((f, getattr(element, f)) for f in quantities(type(element)) if f not in free)
        bounds = tuple(
            (v.name.partition(".")[2], v.lower, v.upper, len(v.names)) for v in (space.variables[i] for i in own)
        )
        groups.setdefault((type(element), fixed, bounds), []).append(own)
    result = u.copy()
    for members in groups.values():
        at = next(k for k, i in enumerate(members[0]) if space.variables[i].name.endswith(".radius"))
        rising = sorted(members, key=lambda own: u[own[at]])
        for target, source in zip(members, rising, strict=True):
            result[target] = u[source]
    return result
