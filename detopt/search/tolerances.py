"""How far each variable may move by itself until a loss has risen by so much."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

__all__ = ["along_axes", "reach", "stencil"]

STEP = 1e-4  # of the range, for differences of what is not sampled
_CLOSE = 0.02  # of the rise
_MOST = 40  # points that are tried on each line


def stencil(u: Float[np.ndarray, " n"], step: float = STEP) -> Float[np.ndarray, "2 n"]:
    """Two steps along each axis that stay inside the unit box: to both sides, or twice away from a bound."""
    return np.where(u < step, [[step], [2 * step]], np.where(u > 1 - step, [[-2 * step], [-step]], [[-step], [step]]))


def along_axes(
    here: Float[np.ndarray, "*k"], there: Float[np.ndarray, "2 n *k"], steps: Float[np.ndarray, "2 n"]
) -> Float[np.ndarray, "n *k"]:
    """Derivatives along each axis, of the parabola through the values here and after both steps."""
    a, b = (s.reshape(-1, *np.ones(here.ndim, int)) for s in steps)
    return -(a + b) / (a * b) * here + b / (a * (b - a)) * there[0] - a / (b * (b - a)) * there[1]


def reach(
    loss: Callable[[Float[np.ndarray, "p n"]], Float[np.ndarray, " p"]],
    u: Float[np.ndarray, " n"],
    slope: Float[np.ndarray, " n"],
    curvature: Float[np.ndarray, " n"],
    rise: float,
) -> Float[np.ndarray, "2 n"]:
    """Distances down and up along each axis at which the loss has risen; infinite where it has not at the bound.

    Slope and curvature say where to look first. Then the loss itself is evaluated, until it has risen by what was asked, to
    2 %. What is not finite has risen.

    Args:
        loss: at many points of the unit box.
        u: where from.
        slope: of the loss along each axis.
        curvature: likewise.
        rise: of the loss.
    """
    n = len(u)
    sign, room = np.repeat([-1.0, 1.0], n), np.concatenate([u, 1 - u])
    axis, origin = np.tile(np.arange(n), 2), float(loss(u[None])[0])
    at = np.minimum(_parabola(sign * np.tile(slope, 2), np.tile(curvature, 2), rise), room)
    low, below = np.zeros(2 * n), np.full(2 * n, -rise)  # the last distance that is too small, and by how much
    high, above = np.full(2 * n, np.inf), np.full(2 * n, np.inf)
    open_ = room > 0
    found = np.where(open_, np.nan, np.inf)
    for _ in range(_MOST):
        lines = np.flatnonzero(open_)
        if not len(lines):
            break
        points = np.tile(u, (len(lines), 1))
        points[np.arange(len(lines)), axis[lines]] += sign[lines] * at[lines]
        short = loss(np.clip(points, 0.0, 1.0)) - origin - rise
        for i, value in zip(lines, np.where(np.isfinite(short), short, np.inf), strict=True):
            if value < 0:
                low[i], below[i] = at[i], value
            else:
                high[i], above[i] = at[i], value
            if abs(value) < _CLOSE * rise:
                found[i], open_[i] = at[i], False
            elif low[i] >= room[i]:
                found[i], open_[i] = np.inf, False
            else:
                at[i] = _next(low[i], below[i], high[i], above[i], room[i])
    return np.where(open_, 0.5 * (low + np.minimum(high, room)), found).reshape(2, n)


def _parabola(slope: np.ndarray, curvature: np.ndarray, rise: float) -> np.ndarray:
    """Where a parabola has risen; infinite where it never does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(slope**2 + 2 * curvature * rise)
        t = 2 * rise / (slope + root)
    return np.where(np.isfinite(t) & (t > 0), t, np.inf)


def _next(low: float, below: float, high: float, above: float, room: float) -> float:
    """The next distance to try: further out while nothing is too far, then between, off the ends."""
    if not np.isfinite(high):
        return min(2 * low, room)
    if not np.isfinite(above):
        return 0.5 * (low + high)
    part = below / (below - above)
    return low + (high - low) * min(max(part, 0.1), 0.9)
