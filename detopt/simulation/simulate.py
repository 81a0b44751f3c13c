"""Particles to hits in a barrel: the true path through every surface, then what the sensors make of it."""

from dataclasses import replace
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import Surfaces, surfaces
from detopt.events import Deviation, Hits, Particles
from detopt.simulation.helix import Path, particle_path
from detopt.simulation.matter import Dice, dice
from detopt.simulation.physics import Physics
from detopt.simulation.streams import each, stream
from detopt.simulation.transport import Flight, transport

__all__ = [
    "BarrelDecided",
    "BarrelDraws",
    "BarrelFlight",
    "barrel_flight",
    "draw_barrel",
    "hit_resolution",
    "hits_in_barrel",
    "respond",
    "roll",
    "simulate",
]


class BarrelFlight(NamedTuple):
    """N muons in a barrel: their references, and how they fly past n surfaces."""

    path: Path  # (N,)
    flight: Flight  # (N, n)


class BarrelDraws(NamedTuple):
    """All that is random on the way of N muons past n surfaces. It does not depend on the design."""

    dice: Dice  # (N, n, 5)
    errors: Float[Array, "N n 2"]  # of the hits, in units of the resolution
    chance: Float[Array, "N n"]  # there is a hit where it is below the efficiency


class BarrelDecided(NamedTuple):
    """Decisions taken beforehand: +1 yes, -1 no, 0 as it comes."""

    within: Int[Array, "N n 2"]  # the lower and the upper end of a surface
    fires: Int[Array, "N n"]  # a sensor that is crossed gives a hit


def barrel_flight(
    detector: Detector,
    stacked: Surfaces,
    particles: Particles,
    charge: Float[Array, " N"],
    physics: Physics,
    rolled: Dice,
    within: Int[Array, "N n 2"] | None = None,
) -> BarrelFlight:
    """Fly N muons outwards through all surfaces.

    Args:
        detector: its numbers are arrays.
        stacked: its n surfaces.
        particles: N of them.
        charge: of each, +1 or -1.
        physics: which effects are on.
        rolled: random numbers (N, n, 5), see `roll`.
        within: decisions taken beforehand, see `BarrelDecided`.
    """

    def one(
        p: Array, theta: Array, start: Deviation, charge: Array, rolled: Dice, within: Array | None
    ) -> BarrelFlight:
        path = particle_path(detector, p, theta, charge)
        return BarrelFlight(path, transport(stacked, path, start, p, rolled, physics, within))

    return jax.vmap(one)(particles.momentum, particles.theta, particles.start, charge, rolled, within)


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
    smoothly with it.

    Args:
        detector: its numbers are arrays.
        particles: N of them.
        charge: +1 or -1, of all or of each.
        physics: which effects are on.
        key: random key.
        all_hits: every sensor that is crossed gives a hit.
    """
    draws = draw_barrel(surfaces(detector), key, len(particles.momentum), physics)
    if all_hits:
        draws = draws._replace(chance=jnp.full_like(draws.chance, -jnp.inf))
    return hits_in_barrel(detector, particles, charge, physics, draws)


def draw_barrel(stacked: Surfaces, key: jax.Array, count: int, physics: Physics) -> BarrelDraws:
    """The random numbers of so many muons."""
    return BarrelDraws(
        roll(stacked, key, count, physics), *_response(stacked.names, count, key, stacked.position.dtype)
    )


def hits_in_barrel(
    detector: Detector,
    particles: Particles,
    charge: int | Float[Array, " N"],
    physics: Physics,
    draws: BarrelDraws,
    decided: BarrelDecided | None = None,
) -> Hits:
    """What the sensors of a barrel see of N particles, for given random numbers."""
    stacked = surfaces(detector)
    charges = jnp.broadcast_to(jnp.asarray(charge, stacked.position.dtype), particles.momentum.shape)
    within, taken = (None, 0) if decided is None else decided
    flight = barrel_flight(detector, stacked, particles, charges, physics, draws.dice, within).flight
    fires = jnp.where(taken == 0, stacked.efficiency[None] > draws.chance, taken > 0)
    seen = flight.crossed & fires & jnp.asarray(stacked.measured)[None, :, 0]
    return Hits(seen, flight.moved + draws.errors * hit_resolution(stacked)[None], flight.crossed)


def respond(
    names: tuple[str, ...],
    resolution: Float[Array, "n 2"],
    efficiency: Float[Array, " n"],
    count: int,
    key: jax.Array,
) -> tuple[Float[Array, "count n 2"], Bool[Array, "count n"]]:
    """What n sensors make of so many muons: errors of the hits in mm, and whether there is a hit."""
    errors, chance = _response(names, count, key, resolution.dtype)
    return errors * resolution[None], efficiency[None] > chance


def _response(
    names: tuple[str, ...], count: int, key: jax.Array, dtype: Any
) -> tuple[Float[Array, "count n 2"], Float[Array, "count n"]]:
    errors = jax.vmap(lambda k: jax.random.normal(k, (count, 2), dtype))(each(stream(key, "response"), names))
    chance = jax.vmap(lambda k: jax.random.uniform(k, (count,), dtype))(each(stream(key, "efficiency"), names))
    return jnp.swapaxes(errors, 0, 1), chance.T


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
