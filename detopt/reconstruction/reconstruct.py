"""Hits of many particles to their tracks."""

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
    """Fit the hits of N particles, each with the scattering that its momentum implies."""
    stacked, fitted = surfaces(detector), fitted_parameters(detector.field is not None)

    charges = jnp.broadcast_to(jnp.asarray(charge, stacked.position.dtype), particles.momentum.shape)

    def one(p: Array, theta: Array, start: Deviation, hits: Hits, charge: Array) -> Tracks:
        path = particle_path(detector, p, theta, charge)
        crossings = helix(stacked, path.kappa, path.cot_theta)
        scattering = kick_variance(stacked, crossings, p, physics)
        undisturbed = deviations(stacked, path, start, p, physics)
        return fit_track(stacked, path, crossings, start, hits, scattering, undisturbed, fitted, min_hits)

    return jax.vmap(one)(particles.momentum, particles.theta, particles.start, hits, charges)
