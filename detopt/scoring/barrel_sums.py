"""What the muons of a barrel add to the statistics that its score is read from."""

from typing import NamedTuple

from jaxtyping import Array, Float

from detopt.backend import jnp
from detopt.detector.detector import Detector
from detopt.events import Particles, Tracks
from detopt.scoring.core import core_weight
from detopt.simulation.helix import particle_path

__all__ = ["Columns", "Sums", "columns_of"]


class Columns(NamedTuple):
    """Of single muons, or their means for each of G groups."""

    tracks: Float[Array, "*batch"]
    z_tracks: Float[Array, "*batch"]
    hits: Float[Array, "*batch"]
    squares: Float[Array, "*batch 5"]  # weighted, of the residuals of tracks, kappa relative; 0 for what is not found
    weights: Float[Array, "*batch 5"]


class Sums(NamedTuple):
    """Means over the muons of each of G groups, and over exposures for the head."""

    muons: Columns  # (G,)
    head: Float[Array, "*batch 2"]


def columns_of(design: Detector, particles: Particles, tracks: Tracks, charge: int) -> Columns:
    """What each of N muons adds."""
    residual = jnp.stack([f - t for f, t in zip(tracks.fitted, particles.start, strict=True)], -1)
    kappa = particle_path(design, particles.momentum, particles.theta, charge).kappa
    kappa = jnp.where(kappa == 0, 1.0, kappa)  # without a field pT is not measured, and must not spoil the rest
    sine2 = jnp.sin(particles.theta) ** 2
    pull2 = residual**2 / jnp.maximum(jnp.diagonal(tracks.covariance, axis1=1, axis2=2), 1e-30)
    residual = residual.at[:, 2].divide(kappa).at[:, 4].multiply(sine2)
    counted = jnp.stack([tracks.found] * 3 + [tracks.z_found] * 2, -1)
    weight = jnp.where(counted, core_weight(pull2), 0.0)
    return Columns(
        tracks.found.astype(weight.dtype),
        tracks.z_found.astype(weight.dtype),
        tracks.hits,
        weight * jnp.where(counted, residual, 0.0) ** 2,
        weight,
    )
