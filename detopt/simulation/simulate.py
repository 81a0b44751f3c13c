"""Particles to hits in a barrel: the true path through every surface, then what the sensors make of it."""

from dataclasses import replace
from typing import NamedTuple

from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import Surfaces, surfaces
from detopt.events import Deviation, Hits, Particles
from detopt.simulation.helix import Path, particle_path
from detopt.simulation.matter import Dice, dice
from detopt.simulation.physics import Physics
from detopt.simulation.streams import each, stream
from detopt.simulation.transport import Flight, transport

__all__ = ["BarrelFlight", "barrel_flight", "hit_resolution", "respond", "simulate"]


class BarrelFlight(NamedTuple):
    """N muons in a barrel: their references, and how they fly past n surfaces."""

    path: Path  # (N,)
    flight: Flight  # (N, n)


def barrel_flight(
    detector: Detector,
    stacked: Surfaces,
    particles: Particles,
    charge: Float[Array, " N"],
    physics: Physics,
    key: jax.Array,
) -> BarrelFlight:
    """Fly N muons outwards through all surfaces."""
    rolled = roll(stacked, key, len(charge), physics)

    def one(p: Array, theta: Array, start: Deviation, charge: Array, rolled: Dice) -> BarrelFlight:
        path = particle_path(detector, p, theta, charge)
        return BarrelFlight(path, transport(stacked, path, start, p, rolled, physics))

    return jax.vmap(one)(particles.momentum, particles.theta, particles.start, charge, rolled)


def simulate(
    detector: Detector,
    particles: Particles,
    charge: int | Float[Array, " N"],
    physics: Physics,
    key: jax.Array,
    all_hits: bool = False,
) -> Hits:
    """Send N particles through a barrel.

    Each surface has random numbers of its own, by its name. They do not depend on the design, so that a hit moves
    smoothly with it; a hit that an efficiency decides on does not, in the efficiency.

    Args:
        detector: its numbers are arrays.
        particles: N of them.
        charge: +1 or -1, of all or of each.
        physics: which effects are on.
        key: random key.
        all_hits: every sensor that is crossed gives a hit.
    """
    stacked = surfaces(detector)
    charges = jnp.broadcast_to(jnp.asarray(charge, stacked.position.dtype), particles.momentum.shape)
    flight = barrel_flight(detector, stacked, particles, charges, physics, key).flight
    noise, fires = respond(stacked.names, hit_resolution(stacked), stacked.efficiency, len(charges), key)
    fires = fires | all_hits
    return Hits(flight.crossed & fires & jnp.asarray(stacked.measured)[None, :, 0], flight.moved + noise)


def respond(
    names: tuple[str, ...],
    resolution: Float[Array, "n 2"],
    efficiency: Float[Array, " n"],
    count: int,
    key: jax.Array,
) -> tuple[Float[Array, "count n 2"], Bool[Array, "count n"]]:
    """What n sensors make of so many muons: errors of the hits in mm, and whether there is a hit."""
    dtype = resolution.dtype
    errors = jax.vmap(lambda k: jax.random.normal(k, (count, 2), dtype))(each(stream(key, "response"), names))
    chance = jax.vmap(lambda k: jax.random.uniform(k, (count,), dtype))(each(stream(key, "efficiency"), names))
    return jnp.swapaxes(errors, 0, 1) * resolution[None], efficiency[None, :] > chance.T


def roll(stacked: Surfaces, key: jax.Array, count: int, physics: Physics) -> Dice:
    """Random numbers (count, n, 5) of so many muons on each surface."""
    if not stacked.slow:
        physics = replace(physics, energy_loss=False)
    dtype = stacked.position.dtype
    rolled = jax.vmap(lambda k: dice(k, count, dtype, physics, True))(each(stream(key, "scattering"), stacked.names))
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), rolled)


def hit_resolution(stacked: Surfaces) -> Float[Array, "n 2"]:
    """Standard deviation of a hit in mm; 0 where nothing is measured."""
    present = jnp.asarray(stacked.measured)
    return jnp.where(present, 1 / jnp.sqrt(jnp.where(present, stacked.weight, 1.0)), 0.0)
