"""Particles to hits: the true path through every surface, then what the sensors make of it."""

from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import Surfaces, surfaces
from detopt.events import Deviation, Hits, Particles
from detopt.simulation.helix import particle_path
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import velocity
from detopt.simulation.streams import each, stream
from detopt.simulation.transport import transport

__all__ = ["simulate"]


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

    def normals(name: str) -> Float[Array, "n count 2"]:
        return jax.vmap(lambda k: jax.random.normal(k, (count, 2), dtype))(each(stream(key, name), names))

    scattering, smearing = normals("scattering"), normals("response")
    chance = jax.vmap(lambda k: jax.random.uniform(k, (count,), dtype))(each(stream(key, "efficiency"), names))
    fires = jnp.ones((count, len(names)), bool) if all_hits else stacked.efficiency[None, :] > chance.T
    noise = smearing * hit_resolution(stacked)[:, None, :]
    measured = jnp.asarray(stacked.measured)[:, 0]

    def one(
        p: Array, theta: Array, start: Deviation, kicks: Float[Array, "n 2"], noise: Float[Array, "n 2"], fires: Array
    ) -> Hits:
        path = particle_path(detector, p, theta, charge)
        crossed, moved = transport(stacked, path, start, p, velocity(p, physics), kicks)
        return Hits(crossed & fires & measured, moved + noise)

    kicks, noise = jnp.swapaxes(scattering, 0, 1), jnp.swapaxes(noise, 0, 1)
    return jax.vmap(one)(particles.momentum, particles.theta, particles.start, kicks, noise, fires)


def hit_resolution(stacked: Surfaces) -> Float[Array, "n 2"]:
    """Standard deviation of a hit in mm; 0 where nothing is measured."""
    present = jnp.asarray(stacked.measured)
    return jnp.where(present, 1 / jnp.sqrt(jnp.where(present, stacked.weight, 1.0)), 0.0)
