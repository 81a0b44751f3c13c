"""Muons of a barrel moved onto the ends of its cylinders and disks, by the polar angle that they are born with."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from detopt.backend import jax, jnp
from detopt.detector.surfaces import Surfaces
from detopt.simulation.helix import curvature
from detopt.simulation.landing import Landing, land

__all__ = ["Ends", "OnEnd", "ends_of", "onto_end", "reach", "straight_to"]

_STEPS = 8  # of Newton's method
_BESIDE = 0.05  # of cot(theta), or of one: where it begins, to both sides of a straight line
_NEARLY = 0.999  # of the angle at which a muon just gets to a radius: there it begins at most
_SAME = 1e-5  # numbers that differ by less are one muon
_MISSED = 1e-4  # of the radius or z of a surface: what is further from the end before the last step has not landed


class Ends(NamedTuple):
    """All E ends that muons may be moved onto, and how often each is tried relative to others."""

    surface: Int[np.ndarray, " E"]
    upper: Int[np.ndarray, " E"]  # 0 for the lower end, 1 for the upper one
    share: Float[np.ndarray, " E"]


def ends_of(stacked: Surfaces, share: Float[np.ndarray, "n 2"]) -> Ends:
    """The lower and the upper end of every surface that a muon from the origin may pass by."""
    slopes = np.asarray(straight_to(stacked))
    surface, upper = np.nonzero(np.isfinite(slopes) & (share > 0))
    return Ends(surface.astype(np.int32), upper.astype(np.int32), share[surface, upper])


def straight_to(stacked: Surfaces) -> Float[Array, "n 2"]:
    """cot(theta) of straight lines from the origin to the two ends."""
    ends = jnp.stack([stacked.low, stacked.high], -1)
    cylinder, along = jnp.asarray(stacked.cylinder)[:, None], stacked.position[:, None]
    return jnp.where(cylinder, ends / along, along / ends)


def reach(B: Float[Array, ""] | None, momentum: Float[Array, " M"], radius: Float[Array, " M"]) -> Float[Array, " M"]:
    """|cot(theta)| up to which muons get to a transverse radius before they curl up, nearly."""
    if B is None:
        return jnp.full_like(momentum, jnp.inf)
    half = jnp.abs(curvature(B, momentum, jnp.full_like(momentum, jnp.pi / 2))) * radius / 2  # over sin(theta): below 1
    return _NEARLY * jnp.sqrt(jnp.maximum(1 / jnp.maximum(half, 1e-9) ** 2 - 1, 0.0))


class OnEnd(NamedTuple):
    """M muons on ends."""

    number: Float[Array, " M"]  # that the polar angle comes from
    weight: Float[Array, " M"]  # density of that number over the slope of `room`; 0 where no muon stands on the end


def onto_end(
    room: Callable[[Float[Array, " M"]], Float[Array, " M"]],
    begin: Float[Array, " M"],
    cosines: Float[np.ndarray, "M 2"],
    size: Float[Array, " M"],
    most: Float[Array, " M"],
    key: jax.Array,
) -> OnEnd:
    """Move M muons, each onto the end of a surface.

    Where an inner layer ends at the same angle, a muon that it scatters and one that misses it may both stand on the end: it
    is looked for from both sides, and one of two counts twice.

    Args:
        room: how far inside its end each muon is, in mm, by the uniform number that its polar angle comes from.
        begin: cot(theta) to begin with.
        cosines: cos(theta) for the numbers 0 and 1.
        size: radius or z of the surfaces in mm.
        most: |cot(theta)| up to which the muons get to the end's radius, see `reach`.
        key: random key.
    """
    first, last = (jnp.asarray(c, begin.dtype) for c in cosines.T)
    width = last - first

    def number(cot: Array) -> Array:
        return (cot / jnp.sqrt(1 + cot**2) - first) / width

    def density(cot: Array) -> Array:
        u = number(cot)
        return jnp.where((u >= 0) & (u <= 1), (1 + cot**2) ** -1.5 / jnp.abs(width), 0.0)

    def search(begin: Array) -> Landing:
        return land(room, number, begin, density, _MISSED * size, steps=_STEPS)

    # Which side comes first is drawn: what is found from one side only is found every other time, and counts twice.
    beside = _BESIDE * (1 + jnp.abs(begin)) * jax.random.rademacher(key, begin.shape, begin.dtype)
    found = jax.lax.map(search, jnp.clip(begin[None] + jnp.stack([beside, -beside]), -most[None], most[None]))
    one, other = (jax.tree.map(lambda x, i=i: x[i], found) for i in range(2))
    grain = jnp.maximum(_SAME, 32 * float(jnp.finfo(begin.dtype).eps) / jnp.abs(width))
    alone = other.landed & (jnp.abs(one.draws - other.draws) < grain)
    return OnEnd(one.draws, jnp.where(alone, 1.0, 2.0).astype(begin.dtype) * one.weight)
