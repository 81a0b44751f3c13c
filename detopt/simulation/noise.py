"""Noise hits: what sensors report that no particle left, uniform over their area and Poisson in number.

How many there are at most is fixed before anything is compiled: so many that hardly ever one is left out.
"""

import math

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.surfaces import Surfaces
from detopt.simulation.streams import each, stream

__all__ = [
    "Patches",
    "area",
    "barrel_patches",
    "expected_noise",
    "most_noise_hits",
    "noise_hits",
    "plane_patches",
    "truncation",
]

MOST = 1000  # noise hits of one sensor in one event; beyond, no search among them would end


class Patches(eqx.Module):
    """The areas of n sensors, between `low` and `high` in the two coordinates that they measure, in mm.

    Cylinders measure r-phi, counted from phi = 0 between -pi r and pi r, and z; planes x and y along their sides, from
    the middle; disks r-phi and r, where the limits of the first are those of phi in rad.
    """

    low: Float[Array, "n 2"]
    high: Float[Array, "n 2"]
    disk: tuple[bool, ...] = eqx.field(static=True)


def barrel_patches(stacked: Surfaces) -> Patches:
    """Cylinders and disks, all around the beam."""
    around = jnp.pi * jnp.where(jnp.asarray(stacked.cylinder), stacked.position, 1.0)
    high = jnp.maximum(stacked.low, stacked.high)  # what ends before it begins has no area
    return Patches(
        jnp.stack([-around, stacked.low], -1),
        jnp.stack([around, high], -1),
        tuple(not cylinder for cylinder in stacked.cylinder),
    )


def plane_patches(half: Float[Array, "n 2"]) -> Patches:
    """Planes, by half of their two spans."""
    return Patches(-half, half, (False,) * len(half))


def area(patches: Patches) -> Float[Array, " n"]:
    """In mm2."""
    width = patches.high - patches.low
    mean_radius = (patches.high[:, 1] + patches.low[:, 1]) / 2
    return width[:, 0] * width[:, 1] * jnp.where(jnp.asarray(patches.disk), mean_radius, 1.0)


def expected_noise(patches: Patches, density: Float[Array, " n"]) -> Float[Array, " n"]:
    """Mean number of noise hits in a readout window, from their number per mm2: rate x window x area."""
    return jnp.where(density > 0, density * jnp.where(density > 0, area(patches), 0.0), 0.0)


def truncation(expected: Float[Array, " n"], most: int) -> Float[Array, ""]:
    """Probability that any of n sensors has more than `most` noise hits, to first order."""
    return jnp.sum(jax.scipy.special.gammainc(jnp.full_like(expected, most + 1), expected))


def most_noise_hits(expected: Float[np.ndarray, " n"], lost: float = 1e-4) -> int:
    """So many noise hits a sensor that an event has more with a probability below `lost`. Not to be traced.

    Args:
        expected: mean number on each sensor; where a design moves, the largest that it can get.
        lost: of all events.

    Raises:
        ValueError: a sensor has more noise than can be searched.
    """
    if not np.all(expected <= MOST / 2):  # or is not a number: noise on a plane that does not end
        many = float(np.max(expected))
        raise ValueError(
            f"{many:g} noise hits are expected on a sensor in a readout window, at most {MOST // 2} can be"
        )
    return next(most for most in range(MOST + 1) if sum(_more(float(mean), most) for mean in expected) < lost)


def _more(mean: float, most: int) -> float:
    """Probability that a Poisson number exceeds `most`."""
    if mean <= 0:
        return 0.0
    logs = (i * math.log(mean) - mean - math.lgamma(i + 1) for i in range(most + 1))
    return max(1 - math.fsum(map(math.exp, logs)), 0.0)


def noise_hits(
    names: tuple[str, ...],
    patches: Patches,
    expected: Float[Array, " n"],
    most: int,
    count: int,
    key: jax.Array,
) -> tuple[Float[Array, "count n most 2"], Bool[Array, "count n most"]]:
    """Noise hits on n sensors in so many events.

    Each sensor has random numbers of its own, by its name. In the same event there are the more hits the more are
    expected, and those there were stay.

    Args:
        names: of the sensors.
        patches: where they can be hit.
        expected: mean number of hits, from `expected_noise`.
        most: hits a sensor, from `most_noise_hits`.
        count: number of events.
        key: random key.

    Returns:
        Where the hits are, in the coordinates that a sensor measures, and which of them exist.
    """
    dtype = expected.dtype

    def on_one(key: jax.Array) -> tuple[Array, Array]:
        number, place = jax.random.split(key)
        return jax.random.uniform(number, (count,), dtype), jax.random.uniform(place, (count, most, 2), dtype)

    number, place = jax.vmap(on_one)(each(stream(key, "noise"), names))
    # There are more than j hits with the probability P(j + 1, mean), a regularised gamma function.
    reach = jnp.broadcast_to(jnp.arange(1, most + 1, dtype=dtype)[None], (len(names), most))
    exists = jax.scipy.special.gammainc(reach, jnp.broadcast_to(expected[:, None], reach.shape))
    valid = number[:, :, None] < exists[:, None, :]
    low, high = patches.low[:, None, None], patches.high[:, None, None]
    flat = low + place * (high - low)
    # On a disk the square of the radius is uniform.
    disk = jnp.asarray(patches.disk)[:, None, None]
    square = low[..., 1] ** 2 + place[..., 1] * (high[..., 1] ** 2 - low[..., 1] ** 2)
    radius = jnp.sqrt(jnp.where(disk, square, 1.0))
    at = jnp.stack([flat[..., 0] * radius, jnp.where(disk, radius, flat[..., 1])], -1)
    return jnp.swapaxes(at, 0, 1), jnp.swapaxes(valid, 0, 1)
