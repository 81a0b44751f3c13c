"""Particles to hits: the true path through every surface, then what the sensors make of it."""

from dataclasses import replace

from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import Surfaces, surfaces
from detopt.events import Deviation, Hits, Particles
from detopt.simulation.helix import particle_path
from detopt.simulation.matter import Dice, dice
from detopt.simulation.physics import Physics
from detopt.simulation.streams import each, stream
from detopt.simulation.transport import transport

__all__ = ["roll", "simulate"]


def simulate(
    detector: Detector, particles: Particles, charge: int, physics: Physics, key: jax.Array, all_hits: bool = False
) -> Hits:
    """Send N particles through a detector.

    Each surface has random numbers of its own, by its name. They do not depend on the design, so that a hit moves
    smoothly with it; a hit that an efficiency decides on does not, in the efficiency.

    Args:
        detector: its numbers are arrays.
        particles: N of them.
        charge: +1 or -1.
        physics: which effects are on.
        key: random key.
        all_hits: every sensor that is crossed gives a hit.
    """
    stacked, count = surfaces(detector), len(particles.momentum)
    dtype, names = stacked.position.dtype, stacked.names
    rolled = roll(stacked, key, count, physics)
    smearing = jax.vmap(lambda k: jax.random.normal(k, (count, 2), dtype))(each(stream(key, "response"), names))
    chance = jax.vmap(lambda k: jax.random.uniform(k, (count,), dtype))(each(stream(key, "efficiency"), names))
    fires = jnp.ones((count, len(names)), bool) if all_hits else stacked.efficiency[None, :] > chance.T
    noise = jnp.swapaxes(smearing, 0, 1) * hit_resolution(stacked)[None]
    measured = jnp.asarray(stacked.measured)[:, 0]

    def one(p: Array, theta: Array, start: Deviation, rolled: Dice, noise: Float[Array, "n 2"], fires: Array) -> Hits:
        path = particle_path(detector, p, theta, charge)
        flight = transport(stacked, path, start, p, rolled, physics)
        return Hits(flight.crossed & fires & measured, flight.moved + noise)

    return jax.vmap(one)(particles.momentum, particles.theta, particles.start, rolled, noise, fires)


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
