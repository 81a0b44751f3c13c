"""Events moved onto an edge by one continuous draw, and which edges they are tried on."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp

__all__ = ["Landing", "land", "spread", "tried"]


class Landing(NamedTuple):
    """A muon that stands on an edge, or many."""

    draws: Any
    weight: Float[Array, "*batch"]  # density of the draw that was moved, over the slope of the distance from the edge
    landed: Bool[Array, "*batch"]  # whether it could be put there; otherwise the weight is 0


def tried(worth: Float[Array, "N E"], key: jax.Array, count: int) -> tuple[Array, Array, Array]:
    """Events and edges, as often as they are worth it, by systematic sampling; and how often that is, over the average.

    Returns:
        Indices of events and of edges, and the chance of each relative to one in N (count,).
    """
    flat = worth.T.reshape(-1).astype(float)
    ends = jnp.cumsum(flat)
    at = (jnp.arange(count) + jax.random.uniform(key, ())) / count * ends[-1]
    index = jnp.minimum(jnp.searchsorted(ends, at, side="right"), len(flat) - 1)
    chance = flat[index] / ends[-1] * len(worth)
    return index % len(worth), index // len(worth), chance.astype(worth.dtype)


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
    reverse: bool = False,
    steps: int = 3,
) -> Landing:
    """Solve inside(along(s)) = 0 for s, by Newton's method, for one event or each of many.

    `reverse` where only the reverse mode has a derivative; more steps where the search begins far away.
    """

    def value_and_slope(s: Array) -> tuple[Array, Array]:
        if reverse:
            return jax.value_and_grad(lambda s: inside(along(s)))(s)
        return jax.jvp(lambda s: inside(along(s)), (s,), (jnp.ones_like(s),))

    def step(_: Any, at: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        s, _, _ = at
        value, slope = value_and_slope(s)
        return s - value / jnp.where(slope == 0, 1.0, slope), value, slope

    # A loop, so that it is compiled once.
    s, value, slope = jax.lax.fori_loop(0, steps, step, (begin, jnp.zeros_like(begin), jnp.zeros_like(begin)))
    landed = (jnp.abs(value) < tolerance) & (slope != 0) & jnp.isfinite(s)
    s = jnp.where(landed, s, begin)
    weight = jnp.where(landed, density(s) / jnp.abs(jnp.where(slope == 0, 1.0, slope)), 0.0)
    return Landing(along(s), weight, landed)
