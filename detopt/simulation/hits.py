"""Hits in the laboratory: what the sensors of a detector of any frame saw of many particles."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.stops import Stops
from detopt.detector.surfaces import Surfaces
from detopt.events import Deviation
from detopt.simulation.flight import Leg
from detopt.simulation.simulate import BarrelFlight, hit_resolution, respond
from detopt.simulation.transport import points

__all__ = ["Candidates", "barrel_hits", "beam_hits"]


class Candidates(NamedTuple):
    """Hits on n sensors: of each, m that may belong to a particle. The first is its own, the others are noise."""

    valid: Bool[Array, "N n m"]
    local: Float[Array, "N n m 2"]  # measured along the two axes of the sensor, in mm
    position: Float[Array, "N n m 3"]  # in the laboratory, in mm


# -- beam lines and portals -----------------------------------------------------------------------------------------------


def beam_hits(
    listed: Stops,
    legs: Leg,
    sensors: tuple[int, ...],
    resolution: Float[Array, "n 2"],
    efficiency: Float[Array, " n"],
    noise: tuple[Float[Array, "N n m 2"], Bool[Array, "N n m"]] | None,
    key: jax.Array,
) -> Candidates:
    """What the planes saw.

    Args:
        listed: the stops.
        legs: of N particles.
        sensors: which n of the stops measure.
        resolution: standard deviation along the two sides in mm; 0 where nothing is measured.
        efficiency: probability of a hit.
        noise: where there are noise hits, along the two sides from the middle, and which of them exist.
        key: random key.
    """
    at = np.array(sensors)
    errors, fires = respond(tuple(listed.names[i] for i in sensors), resolution, efficiency, len(legs.crossed), key)
    local = (legs.local[:, at] + errors)[:, :, None]
    valid = (legs.crossed[:, at] & fires)[:, :, None]
    if noise is not None:
        local, valid = jnp.concatenate([local, noise[0]], 2), jnp.concatenate([valid, noise[1]], 2)
    sides = jnp.sum(local[..., None] * listed.axes[at, :2][None, :, None], axis=-2)
    return Candidates(valid, local, listed.middle[at][None, :, None] + sides)


# -- barrels -------------------------------------------------------------------------------------------------------------


def barrel_hits(
    stacked: Surfaces,
    flown: BarrelFlight,
    azimuth: Float[Array, " N"],
    noise: tuple[Float[Array, "N n m 2"], Bool[Array, "N n m"]] | None,
    key: jax.Array,
) -> tuple[Candidates, Float[Array, "N n m 2"]]:
    """What the surfaces of a barrel saw, r-phi and z or r; also less the reference of each particle, for its fit.

    The arguments are as for `beam_hits`; `azimuth` is the direction in which a particle starts.
    """
    cylinder = jnp.asarray(stacked.cylinder)[None]
    errors, fires = respond(stacked.names, hit_resolution(stacked), stacked.efficiency, len(azimuth), key)
    valid = flown.flight.crossed & fires & jnp.asarray(stacked.measured)[None, :, 0]
    nothing = Deviation(*(jnp.zeros_like(stacked.position),) * 5)
    reference = jax.vmap(lambda path: points(stacked, path, nothing).position)(flown.path)
    radius = jnp.sqrt(reference[..., 0] ** 2 + reference[..., 1] ** 2)
    phi = jnp.arctan2(reference[..., 1], reference[..., 0]) + azimuth[:, None]
    second = jnp.where(cylinder, reference[..., 2], radius)
    moved = flown.flight.moved + errors
    at = second + moved[..., 1]
    where = jnp.where(cylinder, radius, at)
    local = jnp.stack([where * (phi + moved[..., 0] / radius), at], -1)[:, :, None]
    deviation, seen = moved[:, :, None], valid[:, :, None]
    if noise is not None:
        local, seen = jnp.concatenate([local, noise[0]], 2), jnp.concatenate([seen, noise[1]], 2)
        where = jnp.where(cylinder[..., None], radius[..., None], noise[0][..., 1])
        turn = noise[0][..., 0] / jnp.where(where > 0, where, 1.0) - phi[..., None]
        turn = turn - 2 * jnp.pi * jnp.round(turn / (2 * jnp.pi))
        beside = jnp.stack([radius[..., None] * turn, noise[0][..., 1] - second[..., None]], -1)
        deviation = jnp.concatenate([deviation, beside], 2)
    where = jnp.where(cylinder[..., None], radius[..., None], local[..., 1])
    angle = local[..., 0] / jnp.where(where > 0, where, 1.0)
    z = jnp.where(cylinder[..., None], local[..., 1], stacked.position[None, :, None])
    position = jnp.stack([where * jnp.cos(angle), where * jnp.sin(angle), z], -1)
    return Candidates(seen, local, position), deviation
