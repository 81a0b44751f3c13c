"""What a track fit is expected to achieve, without sampling: variances summed over hit patterns."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import Surfaces, surfaces
from detopt.reconstruction.least_squares import track_covariance
from detopt.reconstruction.patterns import pattern_probability, probability_of_hits
from detopt.reconstruction.track_fit import fitted_parameters
from detopt.simulation.helix import helix, is_transverse, particle_path
from detopt.simulation.kicks import kick_variance
from detopt.simulation.physics import Physics

__all__ = ["ExpectedTracks", "crossed_surfaces", "expected_tracks", "fewest_hits"]


class ExpectedTracks(NamedTuple):
    """Mean variances of the tracks of N particles, and how often there is a track at all."""

    d0: Float[Array, " N"]  # mm^2
    phi: Float[Array, " N"]  # rad^2
    pt: Float[Array, " N"]  # variance of pT / pT; infinite without a field
    z0: Float[Array, " N"]  # mm^2
    theta: Float[Array, " N"]  # rad^2
    efficiency: Float[Array, " N"]  # of a track
    z_efficiency: Float[Array, " N"]  # of a track whose z0 and theta are measured
    hits: Float[Array, " N"]  # mean number, of a particle with or without a track


def fewest_hits(detector: Detector) -> int:
    """Hits that determine a track in the bending plane: a circle takes three, a line two."""
    return 2 if detector.field is None else 3


def expected_tracks(
    detector: Detector,
    particles: Float[np.ndarray, "N 2"],
    charge: int,
    physics: Physics,
    patterns: Bool[np.ndarray, "patterns n"],
    min_hits: int,
) -> ExpectedTracks:
    """Variances of the track parameters, averaged over the hit patterns that make a track.

    A track has at least `min_hits` hits that measure the first coordinate; z0 and theta also need two that measure the
    second, and patterns that have fewer do not count for these two.

    Args:
        detector: in a solenoid or without a field.
        particles: momentum in GeV and polar angle in rad of each particle; all start at the origin.
        charge: +1 or -1.
        physics: which effects are on.
        patterns: from `hit_patterns`.
        min_hits: at least `fewest_hits(detector)`.
    """
    stacked = surfaces(detector)
    fitted = fitted_parameters(detector.field is not None)
    transverse = bool(np.all(is_transverse(particles[:, 1])))

    def one(particle: Float[Array, " 2"]) -> ExpectedTracks:
        return _expected_track(detector, stacked, particle, charge, physics, patterns, min_hits, fitted, transverse)

    return jax.vmap(one)(jnp.asarray(particles, stacked.position.dtype))


def crossed_surfaces(
    detector: Detector, particles: Float[np.ndarray, "N 2"], charge: int, physics: Physics
) -> Bool[Array, "N n"]:
    """Which surfaces each particle crosses."""
    stacked = surfaces(detector)

    def one(particle: Float[Array, " 2"]) -> Bool[Array, " n"]:
        _, bent, cot_theta = _bending(detector, particle, charge, physics)
        return helix(stacked, bent, cot_theta).crossed

    return jax.vmap(one)(jnp.asarray(particles, stacked.position.dtype))


def _bending(
    detector: Detector, particle: Float[Array, " 2"], charge: int, physics: Physics
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Curvature, the curvature that the geometry is drawn with, and cot(theta)."""
    kappa, cot_theta = particle_path(detector, particle[0], particle[1], charge)
    return kappa, jnp.zeros_like(kappa) if physics.bending == "parabola" else kappa, cot_theta


def _expected_track(
    detector: Detector,
    stacked: Surfaces,
    particle: Float[Array, " 2"],
    charge: int,
    physics: Physics,
    patterns: Bool[np.ndarray, "patterns n"],
    min_hits: int,
    fitted: np.ndarray,
    transverse: bool,
) -> ExpectedTracks:
    momentum, theta = particle
    kappa, bent, cot_theta = _bending(detector, particle, charge, physics)
    crossings = helix(stacked, bent, cot_theta)
    scattering = kick_variance(stacked, crossings, momentum, physics)

    measured = np.asarray(stacked.measured)
    hits = patterns[:, :, None] & measured[None] & crossings.crossed[None, :, None]  # (patterns, n, 2)
    count = jnp.sum(hits, axis=1)
    is_track = count[:, 0] >= min_hits
    has_z = is_track & (count[:, 1] >= 2)
    probability = pattern_probability(patterns, stacked.efficiency)
    # A pattern that makes no track is fitted with all hits, and counts for nothing.
    used = jnp.where(is_track[:, None, None], hits, measured[None])
    covariance = jax.vmap(
        lambda u: track_covariance(crossings, jnp.where(u, stacked.weight, 0.0), scattering, fitted, transverse)
    )(used)
    variance = dict(zip(fitted.tolist(), jnp.diagonal(covariance, axis1=1, axis2=2).T, strict=True))

    def mean(parameter: int, counted: Bool[Array, " patterns"]) -> Float[Array, ""]:
        weight = jnp.where(counted, probability, 0.0)
        return jnp.sum(weight * variance[parameter]) / jnp.sum(weight)

    return ExpectedTracks(
        d0=mean(0, is_track),
        phi=mean(1, is_track),
        pt=mean(2, is_track) / kappa**2 if 2 in variance else jnp.full_like(momentum, jnp.inf),
        z0=mean(3, has_z),
        theta=mean(4, has_z) * jnp.sin(theta) ** 4,
        efficiency=probability_of_hits(stacked.efficiency, crossings.crossed & measured[:, 0], min_hits),
        z_efficiency=jnp.sum(jnp.where(has_z, probability, 0.0)),
        hits=jnp.sum(jnp.where(crossings.crossed & measured[:, 0], stacked.efficiency, 0.0)),
    )
