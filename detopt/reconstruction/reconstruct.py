"""Hits of many particles to their tracks."""

import equinox as eqx
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import surfaces
from detopt.events import Deviation, Hits, Particles, Tracks
from detopt.reconstruction.track_fit import fit_track, fitted_parameters
from detopt.simulation.helix import helix, particle_path
from detopt.simulation.kicks import kick_variance
from detopt.simulation.physics import Physics
from detopt.simulation.transport import deviations

__all__ = ["reconstruct"]


def reconstruct(
    detector: Detector,
    particles: Particles,
    hits: Hits,
    charge: int | Float[Array, " N"],
    physics: Physics,
    min_hits: int,
) -> Tracks:
    """Fit the hits of N particles, each with the scattering that its momentum implies.

    What a particle went through is known, as it is to a fit that has found its track: the reference may miss a surface that
    the particle just hits.
    """
    stacked, fitted = surfaces(detector), fitted_parameters(detector.field is not None)
    endless = eqx.tree_at(
        lambda s: (s.low, s.high),
        stacked,
        (jnp.full_like(stacked.low, -jnp.inf), jnp.full_like(stacked.high, jnp.inf)),
    )

    charges = jnp.broadcast_to(jnp.asarray(charge, stacked.position.dtype), particles.momentum.shape)

    def one(p: Array, theta: Array, start: Deviation, hits: Hits, charge: Array) -> Tracks:
        path = particle_path(detector, p, theta, charge)
        reached = helix(endless, path.kappa, path.cot_theta)
        crossings = reached._replace(crossed=reached.crossed & hits.crossed)
        scattering = kick_variance(stacked, crossings, p, physics)
        undisturbed = deviations(stacked, path, start, p, physics, hits.crossed)
        return fit_track(stacked, path, crossings, start, hits, scattering, undisturbed, fitted, min_hits)

    return jax.vmap(one)(particles.momentum, particles.theta, particles.start, hits, charges)
