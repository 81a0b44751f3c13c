"""Muons of a barrel moved onto the ends of its cylinders and disks, by the polar angle that they are born with."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from detopt.backend import jnp
from detopt.detector.surfaces import Surfaces
from detopt.simulation.landing import Landing, land

__all__ = ["Ends", "ends_of", "onto_end", "straight_to"]

_MISSED = 0.01  # of the radius or z of a surface: what is further from the end before the last step has not landed


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


def onto_end(
    room: Callable[[Any], Float[Array, " M"]],
    born: Callable[[Float[Array, " M"]], Any],
    begin: Float[Array, " M"],
    cosines: Float[np.ndarray, "M 2"],
    size: Float[Array, " M"],
) -> Landing:
    """Move M muons, each onto the end of a surface.

    Args:
        room: how far inside its end each muon is, in mm.
        born: muons from the uniform numbers that their polar angles come from.
        begin: cot(theta) to begin with.
        cosines: cos(theta) for the numbers 0 and 1.
        size: radius or z of the surfaces in mm.
    """
    first, last = (jnp.asarray(c, begin.dtype) for c in cosines.T)
    width = last - first

    def number(cot: Array) -> Array:
        return (cot / jnp.sqrt(1 + cot**2) - first) / width

    def density(cot: Array) -> Array:
        u = number(cot)
        return jnp.where((u >= 0) & (u <= 1), (1 + cot**2) ** -1.5 / jnp.abs(width), 0.0)

    return land(room, lambda cot: born(number(cot)), begin, density, _MISSED * size)
