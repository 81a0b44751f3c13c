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

# Small matrices are lists of scalars here. Under vmap each scalar is one long array, so that all arithmetic vectorises;
# batched 5 x 5 matrix products are ten times slower on a CPU, and two independent batched LAPACK calls of 1 000 or more in
# one jit can hang on two cores (jaxlib 0.10.2).
Matrix = list[list[Array]]


def invert(matrix: Matrix) -> Matrix:
    """Inverse of a small symmetric positive matrix by an unrolled Cholesky decomposition."""
    k = len(matrix)
    lower: Matrix = [[] for _ in range(k)]
    for i in range(k):
        for j in range(i):
            lower[i].append((matrix[i][j] - sum(lower[i][m] * lower[j][m] for m in range(j))) / lower[j][j])
        lower[i].append(jnp.sqrt(matrix[i][i] - sum(lower[i][m] ** 2 for m in range(i))))
    root: Matrix = [[] for _ in range(k)]  # inverse of `lower`
    for i in range(k):
        for j in range(i):
            root[i].append(-sum(lower[i][m] * root[m][j] for m in range(j, i)) / lower[i][i])
        root[i].append(1 / lower[i][i])
    return [[sum(root[m][i] * root[m][j] for m in range(max(i, j), k)) for j in range(k)] for i in range(k)]


def _blurred(information: Matrix, kick: Matrix, variance: Array) -> Matrix:
    """(I^-1 + g q g^T)^-1 without inverting I: what scattering leaves of the information gathered behind it."""
    k = len(information)
    ig = [[sum(information[i][m] * kick[m][c] for m in range(k)) for c in range(2)] for i in range(k)]
    m00, m01, m11 = (
        sum(kick[m][a] * ig[m][b] for m in range(k)) * variance + float(a == b) for a, b in ((0, 0), (0, 1), (1, 1))
    )
    over = variance / (m00 * m11 - m01**2)
    h = [[over * (m11 * x - m01 * y), over * (m00 * y - m01 * x)] for x, y in ig]
    lower = [[information[i][j] - h[i][0] * ig[j][0] - h[i][1] * ig[j][1] for j in range(i + 1)] for i in range(k)]
    return [[lower[max(i, j)][min(i, j)] for j in range(k)] for i in range(k)]


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
    k = len(parameters)
    # In units of the track's length all parameters are of one size.
    length = jnp.maximum(jnp.max(jnp.where(crossings.crossed, crossings.path, 0.0)), 1.0)
    scale = [(1.0, length, length**2, 1.0, length)[i] for i in parameters]
    order = jnp.argsort(-crossings.path)

    def sorted_column(column: Array) -> Array:
        return jnp.where(crossings.crossed, column, 0.0)[order]

    hit = [[sorted_column(crossings.hit[:, a, i]) / s for i, s in zip(parameters, scale, strict=True)] for a in (0, 1)]
    kick = [[sorted_column(crossings.kick[:, i, c]) * s for c in (0, 1)] for i, s in zip(parameters, scale, strict=True)]
    weights = [sorted_column(weight[:, a]) for a in (0, 1)]

    def inwards(information: Matrix, surface: tuple[Matrix, list[Array], Matrix, Array]) -> tuple[Matrix, None]:
        a, w, g, q = surface
        # Seen from outside, the scattering comes before the hit on the same surface.
        blurred = _blurred(information, g, q)
        wa = [[w[axis] * x for x in a[axis]] for axis in (0, 1)]
        return [
            [blurred[i][j] + (wa[0][i] * a[0][j] + wa[1][i] * a[1][j]) for j in range(k)] for i in range(k)
        ], None

    few = (jnp.sum(jnp.where(crossings.crossed, weight[:, 1], 0.0) > 0) < 2).astype(weight.dtype)
    nothing = jnp.zeros_like(few)
    start = [[few if i == j and parameters[i] >= 3 else nothing for j in range(k)] for i in range(k)]
    information, _ = jax.lax.scan(inwards, start, (hit, weights, kick, sorted_column(scattering)))
    inverse = invert(information)
    return jnp.stack([jnp.stack([inverse[i][j] / (scale[i] * scale[j]) for j in range(k)]) for i in range(k)])
