"""Hits to a track: the least-squares fit with the full covariance of resolution and scattering."""

import numpy as np
from jaxtyping import Array, Float, Int

from detopt.backend import jnp
from detopt.detector.surfaces import Surfaces
from detopt.events import Deviation, Hits, Tracks
from detopt.reconstruction.square_root import least_squares
from detopt.simulation.helix import Crossings, Path
from detopt.simulation.transport import outward_order

__all__ = ["fit_track", "fitted_parameters"]


def fit_track(
    surfaces: Surfaces,
    path: Path,
    crossings: Crossings,
    start: Deviation,
    hits: Hits,
    scattering: Float[Array, " n"],
    undisturbed: Float[Array, "n 2"],
    parameters: Int[np.ndarray, " k"],
    min_hits: int,
) -> Tracks:
    """Fit one track.

    The measured positions are linear in the parameters about the particle's true helix, which is where a fit that
    iterates ends up to second order in its own errors.

    Args:
        surfaces: n thin surfaces.
        path: the reference of the particle.
        crossings: where the reference meets the surfaces.
        start: its true helix.
        hits: what was seen.
        scattering: variance in rad^2 of the projected scattering angle in each surface.
        undisturbed: how far from the reference that helix meets the surfaces, in mm.
        parameters: which of d0, phi, kappa, z0, cot theta are fitted (kappa is not, without a field).
        min_hits: hits that make a track.

    Returns:
        The track. Where it is not `found`, its numbers are finite and mean nothing; where only `z_found` fails, z0 and
        cot theta do.
    """
    seen = hits.seen & crossings.crossed
    weight = jnp.where(seen[:, None], surfaces.weight, 0.0)
    measured = jnp.sum(weight > 0, axis=0)
    found = measured[0] >= min_hits
    z_found = found & (measured[1] >= 2)
    # In units of the track's length all parameters are of one size.
    length = jnp.maximum(jnp.max(jnp.where(crossings.crossed, crossings.path, 0.0)), 1.0)
    one = jnp.ones_like(length)
    scale = jnp.stack([one, length, length**2, one, length])[parameters]
    residual = hits.deviation - undisturbed
    # A single hit cannot tell z0 from cot theta: both are held, as is all of what is no track.
    used = (weight > 0) & jnp.stack([found, z_found])[None]
    root = jnp.where(used, jnp.sqrt(jnp.where(used, weight, 1.0)), 0.0)
    jacobian = crossings.hit[:, :, parameters] / scale[None, None]
    rows = jnp.concatenate([jacobian, residual[:, :, None]], -1) * root[:, :, None]
    width = jnp.where(scattering > 0, jnp.sqrt(jnp.where(scattering > 0, scattering, 1.0)), 0.0)
    kicks = jnp.swapaxes(crossings.kick[:, parameters, :] * scale[None, :, None] * width[:, None, None], 1, 2)
    present = crossings.crossed[:, None, None]
    order = outward_order(surfaces, path)
    held = jnp.where(jnp.where(parameters < 3, found, z_found), 0.0, one)
    solved, covariance, chi2 = least_squares(
        jnp.where(present, rows, 0.0)[order], jnp.where(present, kicks, 0.0)[order], held
    )
    change = jnp.zeros(5, one.dtype).at[parameters].set(solved / scale)
    covariance = covariance / (scale[:, None] * scale[None])
    k = len(parameters)
    fitted_number = jnp.where(z_found, k, jnp.where(found, k - 2, 0))
    fitted = Deviation(*(s + c for s, c in zip(start, change, strict=True)))
    return Tracks(
        fitted=fitted,
        kappa=path.kappa + fitted.kappa,
        cot_theta=path.cot_theta + fitted.cot_theta,
        covariance=jnp.zeros((5, 5), one.dtype).at[np.ix_(parameters, parameters)].set(covariance),
        chi2=chi2,
        freedom=(jnp.sum(used) - fitted_number).astype(chi2.dtype),
        found=found,
        z_found=z_found,
        hits=measured[0].astype(chi2.dtype),
    )


def fitted_parameters(has_field: bool) -> Int[np.ndarray, " k"]:
    """Indices of the helix parameters that a fit determines."""
    return np.array([0, 1, 2, 3, 4] if has_field else [0, 1, 3, 4])
