"""Events moved onto an edge by one continuous draw, and which edges they are tried on."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.simulation.draws import DENSITIES

__all__ = ["Landing", "land", "land_anywhere", "onto_circle", "spread", "tried"]

_GRID, _HALVED = 16, 8
_NOTHING = 1e-30


class Landing(NamedTuple):
    """A muon that stands on an edge, or many."""

    draws: Any
    weight: Float[Array, "*batch"]  # density of the draw that was moved, over the slope of the distance from the edge
    landed: Bool[Array, "*batch"]  # whether it could be put there; otherwise the weight is 0


def tried(
    worth: Float[Array, "N E"],
    along: Float[Array, "N A"] | None,
    key: jax.Array,
    count: int,
    lane: Int[np.ndarray, " E"] | None = None,
) -> tuple[Array, Array, Array]:
    """Events and edges, as often as they are worth it, by systematic sampling; and how often that is, over the average.

    Where `along` is given, the events of an edge are taken in the order of it: all its values come as often as they should.
    `lane` tells which column of it that is; each edge has its own where it is not given.

    Returns:
        Indices of events and of edges, and the chance of each relative to one in N (count,).
    """
    number = len(worth)
    if along is None:
        order = jnp.broadcast_to(jnp.arange(number)[:, None], worth.shape)
    else:
        order = jnp.argsort(along, axis=0)
        order = order if lane is None else order[:, lane]
    flat = jnp.take_along_axis(worth, order, axis=0).T.reshape(-1).astype(float)
    ends = jnp.cumsum(flat)
    at = (jnp.arange(count) + jax.random.uniform(key, ())) / count * ends[-1]
    index = jnp.minimum(jnp.searchsorted(ends, at, side="right"), len(flat) - 1)
    chance = flat[index] / ends[-1] * number
    return order.T.reshape(-1)[index], index // number, chance.astype(worth.dtype)


def spread(probability: Float[Array, " E"], key: jax.Array, count: int) -> Int[Array, " count"]:
    """Which of some choices each of N events takes: systematic sampling, so that all are taken as often as they should."""
    at = (jnp.arange(count) + jax.random.uniform(key, ())) / count
    return jnp.minimum(jnp.searchsorted(jnp.cumsum(probability), at), len(probability) - 1).astype(jnp.int32)


def land(
    inside: Callable[[Any], Array],
    along: Callable[[Array], Any],
    begin: Float[Array, "*batch"],
    density: Callable[[Array], Array],
    tolerance: Float[Array, "*batch"] | float,
    steps: int = 3,
) -> Landing:
    """Solve inside(along(s)) = 0 for s, by Newton's method, for one event or each of many."""

    def step(_: Any, at: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        s, _, _ = at
        value, slope = jax.jvp(lambda s: inside(along(s)), (s,), (jnp.ones_like(s),))
        return s - value / jnp.where(slope == 0, 1.0, slope), value, slope

    # A loop, so that it is compiled once.
    s, value, slope = jax.lax.fori_loop(0, steps, step, (begin, jnp.zeros_like(begin), jnp.zeros_like(begin)))
    landed = (jnp.abs(value) < tolerance) & (slope != 0) & jnp.isfinite(s)
    s = jnp.where(landed, s, begin)
    weight = jnp.where(landed, density(s) / jnp.abs(jnp.where(slope == 0, 1.0, slope)), 0.0)
    return Landing(along(s), weight, landed)


def land_anywhere(
    inside: Callable[[Any], Float[Array, ""]],
    along: Callable[[Array], Any],
    ends: tuple[float, float],
    density: Callable[[Array], Array],
    key: jax.Array,
    dtype: Any,
) -> Landing:
    """Solve inside(along(s)) = 0 for one event that may be far away, once, never or several times, for s between two ends.

    On a grid the sign changes where there are solutions (two in one of its intervals are not seen). One of these intervals
    is chosen and counts for all, and is halved; the last step is Newton's, by the reverse mode.
    """
    grid = jnp.asarray(np.linspace(*ends, _GRID + 1), dtype)
    value = jax.lax.map(lambda s: inside(along(s)), grid)
    changes = (value[1:] > 0) != (value[:-1] > 0)
    number = jnp.sum(changes)
    which = jnp.argmax(jnp.cumsum(changes) > jnp.floor(jax.random.uniform(key) * number))

    def halve(_: Any, between: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = between
        middle = (low + high) / 2
        before = (inside(along(middle)) > 0) == (value[which] > 0)
        return jnp.where(before, middle, low), jnp.where(before, high, middle)

    low, high = jax.lax.fori_loop(0, _HALVED, halve, (grid[which], grid[which + 1]))
    middle = (low + high) / 2
    last, slope = jax.value_and_grad(lambda s: inside(along(s)))(middle)
    some = jnp.where(slope == 0, 1.0, slope)
    s = middle - last / some
    # A sign that changes in a jump is no solution: Newton's step would lead far away.
    landed = (number > 0) & (slope != 0) & (jnp.abs(s - middle) < high - low)
    s = jnp.where(landed, s, middle)
    weight = jnp.where(landed, number.astype(s.dtype) * density(s) / jnp.abs(some), 0.0)
    return Landing(along(s), weight, landed)


def onto_circle(
    plane: Callable[[Float[Array, "*n"]], Float[Array, " 2"]], normal: Float[Array, "*n"], radius: Float[Array, ""]
) -> Landing:
    """Move independent normal numbers to where a point of a plane, linear in them, stands on a circle about its origin.

    Along a unit vector w of all numbers the point is k + t d, and meets the circle at two t or none; the density of ln |k|
    there is that of a normal number over |k.d| / radius^2. Two such w are taken, of the largest change of either coordinate,
    and each place of the circle is counted in shares (k.d)^2 by both, so that no weight grows without bound where the point
    moves along the circle.

    Returns:
        Four places with their weights: draws (4, *n), weight and landed (4,). The sum over all of them is wanted.
    """
    change = jax.jacrev(plane)(jnp.zeros_like(normal)).reshape(2, -1)
    length = jnp.sqrt(jnp.sum(change**2, axis=1))
    some = length > 0
    way = change / jnp.where(some, length, 1.0)[:, None]
    along = way @ change.T  # d of each way
    k, here = plane(normal), way @ normal.ravel()
    square, middle = jnp.sum(along**2, axis=1), along @ k
    left = middle**2 - square * (jnp.sum(k**2) - radius**2)
    met = some & (left > 0)
    root = jnp.sqrt(jnp.where(met, left, 1.0))
    t = jnp.stack([root - middle, -root - middle]) / jnp.where(some, square, 1.0)[None]  # (2 roots, 2 ways)
    there = k[None, None] + t[..., None] * along[None]
    turned = there @ along.T  # k.d of both ways, where one has brought the point
    own = jnp.diagonal(turned, axis1=1, axis2=2)
    share = jnp.abs(own) / jnp.maximum(jnp.sum(turned**2, axis=-1), _NOTHING)
    weight = jnp.where(met[None], DENSITIES["normal"](here[None] + t) * share * radius**2, 0.0).reshape(4)
    moved = normal.reshape(1, 1, -1) + t[..., None] * way[None]
    return Landing(moved.reshape(4, *normal.shape), weight, weight > 0)
