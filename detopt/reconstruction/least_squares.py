"""The covariance of a track fit: weighted least squares with resolution and multiple scattering.

The full covariance of the hits, V = R + L L^T with L the displacements by scattering in every surface before, gives the
covariance (A^T V^-1 A)^-1 of the track parameters. The same matrix follows without a large inverse from an information
filter that walks from the outside in (Wolin and Ho, NIM A 329 (1993) 493; Billoir, NIM 225 (1984) 352): a hit adds its
information, a scattering surface blurs what was gathered beyond it.
"""

import numpy as np
from jaxtyping import Array, Float, Int

from detopt.backend import jax, jnp
from detopt.simulation.helix import Crossings

__all__ = ["invert", "track_covariance"]


def invert(matrix: Float[Array, "k k"]) -> Float[Array, "k k"]:
    """Inverse of a small symmetric positive matrix by an unrolled Cholesky decomposition.

    Unrolled because batched LAPACK calls are slow for 5 x 5, and two independent ones of 1 000 or more in one jit can
    hang on two CPU cores (jaxlib 0.10.2).
    """
    k = matrix.shape[0]
    lower: list[list[Array]] = [[] for _ in range(k)]
    for i in range(k):
        for j in range(i):
            lower[i].append((matrix[i, j] - sum(lower[i][m] * lower[j][m] for m in range(j))) / lower[j][j])
        lower[i].append(jnp.sqrt(matrix[i, i] - sum(lower[i][m] ** 2 for m in range(i))))
    zero = jnp.zeros_like(matrix[0, 0])
    inverse = [[zero] * k for _ in range(k)]
    for j in range(k):
        inverse[j][j] = 1 / lower[j][j]
        for i in range(j + 1, k):
            inverse[i][j] = -sum(lower[i][m] * inverse[m][j] for m in range(j, i)) / lower[i][i]
    half = jnp.stack([jnp.stack(row) for row in inverse])
    return half.T @ half


def track_covariance(
    crossings: Crossings,
    weight: Float[Array, "n 2"],
    scattering: Float[Array, " n"],
    parameters: Int[np.ndarray, " k"],
) -> Float[Array, "k k"]:
    """Covariance of the chosen helix parameters.

    Args:
        crossings: where the track meets the n surfaces.
        weight: 1 / resolution^2 in 1/mm^2 of each hit and axis, 0 for no hit.
        scattering: variance in rad^2 of the projected scattering angle in each surface.
        parameters: which of d0, phi, kappa, z0, cot theta are fitted (kappa is not, without a field).

    Returns:
        Covariance (k, k) in units of mm, rad, 1/mm, mm, 1. Where fewer than two hits measure the second coordinate, z0
        and cot theta are held with a weight that leaves the others as they are; their own variance means nothing.
    """
    dtype = weight.dtype
    length = jnp.maximum(jnp.max(jnp.where(crossings.crossed, crossings.path, 0.0)), 1.0)
    # In units of the track's length all parameters are of one size.
    scale = jnp.stack([jnp.ones_like(length), length, length**2, jnp.ones_like(length), length])[parameters]
    hit = crossings.hit[:, :, parameters] / scale
    kick = crossings.kick[:, parameters, :] * scale[:, None]
    weight = jnp.where(crossings.crossed[:, None], weight, 0.0)
    scattering = jnp.where(crossings.crossed, scattering, 0.0)

    def inwards(information: Array, surface: tuple) -> tuple[Array, None]:
        a, w, g, q = surface
        # Scattering happens behind the hit: (I^-1 + g q g^T)^-1, without inverting I.
        ig = information @ g
        (m00, m01), (m10, m11) = jnp.eye(2, dtype=dtype) + q * (g.T @ ig)
        inverse = jnp.stack([jnp.stack([m11, -m01]), jnp.stack([-m10, m00])]) / (m00 * m11 - m01 * m10)
        information = information - q * (ig @ inverse @ ig.T)
        return information + a.T @ (w[:, None] * a), None

    order = jnp.argsort(-crossings.path)
    held = jnp.asarray(np.isin(parameters, (3, 4)), dtype)
    few = (jnp.sum(weight[:, 1] > 0) < 2).astype(dtype)
    start = jnp.diag(few * held)
    surfaces = jax.tree.map(lambda leaf: leaf[order], (hit, weight, kick, scattering))
    information, _ = jax.lax.scan(inwards, start, surfaces)
    information = (information + information.T) / 2
    return invert(information) / scale[:, None] / scale
