"""What one objective costs in another along a front, and where its knee is. NumPy only.

All that is here works on objectives that are to be small, in logarithms: the front is a surface, and the plane that fits it
around a point tells by how much one objective gets worse where another is made better by a little, the others held.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["Exchange", "exchange_rates", "knee"]

_FLATTEST = 1e-9


class Exchange(NamedTuple):
    """d(log of objective j) / d(log of objective i) along the front: negative, where they conflict; NaN on the diagonal."""

    rate: Float[np.ndarray, "p m m"]  # [point, i, j]
    error: Float[np.ndarray, "p m m"]


def exchange_rates(logs: Float[np.ndarray, "p m"], errors: Float[np.ndarray, "p m"]) -> Exchange:
    """Rates at every point, from a plane through it and its neighbours.

    Args:
        logs: of the points of a front, all to be small.
        errors: of these; 0 where scores are exact.

    Returns:
        Rates and their standard errors, from the scatter of the neighbours about the plane or their own errors, whichever is
        larger; NaN where a front has too few points. Where points are hardly farther apart than that, planes are too flat.
    """
    points, m = logs.shape
    rate, error = np.full((points, m, m), np.nan), np.full((points, m, m), np.nan)
    near = 2 * m + 1
    if points <= near:
        return Exchange(rate, error)
    width = np.ptp(logs, axis=0)
    scaled = logs / np.where(width > 0, width, 1.0)
    for i in range(points):
        rows = np.argsort(((scaled - scaled[i]) ** 2).sum(axis=1), kind="stable")[: near + 1]
        away = logs[rows] - logs[i]
        for j in range(m):
            others = np.delete(np.arange(m), j)
            slope, spread = _plane(away[:, others], away[:, j], errors[rows, j])
            rate[i, others, j], error[i, others, j] = slope, spread
    return Exchange(rate, error)


def _plane(
    x: Float[np.ndarray, "k d"], y: Float[np.ndarray, " k"], noise: Float[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Slopes of y with x, by least squares with an offset, and their errors."""
    size = np.abs(x).max(axis=0)
    if (size < _FLATTEST).any():
        return np.full(x.shape[1], np.nan), np.full(x.shape[1], np.nan)
    columns = np.column_stack([np.ones(len(x)), x / size])
    if np.linalg.matrix_rank(columns) < columns.shape[1]:
        return np.full(x.shape[1], np.nan), np.full(x.shape[1], np.nan)
    inverse = np.linalg.pinv(columns)
    found = inverse @ y
    scatter = ((y - columns @ found) ** 2).sum() / max(len(y) - columns.shape[1], 1)
    variance = (inverse**2) @ np.maximum(noise**2, scatter)
    return found[1:] / size, np.sqrt(variance[1:]) / size


def knee(logs: Float[np.ndarray, "p m"]) -> int | None:
    """The point that lies farthest below the plane through the ends of the front: there most is had of everything.

    The ends are the points that are best in one objective each; distances are in units of the front's extent along each
    objective (Das, Struct. Optim. 18 (1999) 107). None where the front is too small, or nothing lies below.
    """
    points, m = logs.shape
    if points <= m:
        return None
    low, high = logs.min(axis=0), logs.max(axis=0)
    if (high - low < _FLATTEST).any():
        return None
    scaled = (logs - low) / (high - low)
    ends = scaled[scaled.argmin(axis=0)]
    try:
        normal = np.linalg.solve(ends, np.ones(m))  # the plane is normal @ x = 1
    except np.linalg.LinAlgError:
        return None
    if not (normal > 0).all():
        return None
    below = (1 - scaled @ normal) / np.linalg.norm(normal)
    best = int(np.argmax(below))
    return best if below[best] > _FLATTEST else None
