"""The covariance of a track fit: weighted least squares with resolution and multiple scattering.

The full covariance of the hits, V = R + L L^T with L the displacements by scattering in every surface before, gives the
covariance (A^T V^-1 A)^-1 of the track parameters. The same matrix follows without a large inverse from an information
filter that walks from the outside in (Wolin and Ho, NIM A 329 (1993) 493; Billoir, NIM 225 (1984) 352): a hit adds its
information, a scattering surface blurs what was gathered beyond it.
"""

from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int

from detopt.backend import jax, jnp
from detopt.simulation.helix import Crossings

__all__ = ["invert", "track_covariance"]

# Small matrices are lists of scalars here. Under vmap each scalar is one long array, so that all arithmetic vectorises;
# batched 5 x 5 matrix products are ten times slower on a CPU, and two independent batched LAPACK calls of 1 000 or more in
# one jit can hang on two cores (jaxlib 0.10.2).
Matrix = list[list[Any]]


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


def _times(matrix: Matrix, vector: list[Array]) -> list[Array]:
    return [sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix]


def _add(matrix: Matrix, factor: Array, vector: list[Array]) -> Matrix:
    """matrix + factor vector vector^T, symmetric."""
    k = len(vector)
    scaled = [factor * v for v in vector]
    lower = [[matrix[i][j] + scaled[i] * vector[j] for j in range(i + 1)] for i in range(k)]
    return [[lower[max(i, j)][min(i, j)] for j in range(k)] for i in range(k)]


def track_covariance(
    crossings: Crossings,
    weight: Float[Array, "n 2"],
    scattering: Float[Array, " n"],
    parameters: Int[np.ndarray, " k"],
    transverse: bool = False,
) -> Float[Array, "k k"]:
    """Covariance of the chosen helix parameters.

    Args:
        crossings: where the track meets the n surfaces.
        weight: 1 / resolution^2 in 1/mm^2 of each hit and axis, 0 for no hit.
        scattering: variance in rad^2 of the projected scattering angle in each surface.
        parameters: which of d0, phi, kappa, z0, cot theta are fitted (kappa is not, without a field).
        transverse: the track has cot theta = 0, so that the bending plane and z do not mix (four times faster).

    Returns:
        Covariance (k, k) in units of mm, rad, 1/mm, mm, 1. Where fewer than two hits measure the second coordinate, z0
        and cot theta are held with a weight that leaves the others as they are; their own variance means nothing.
    """
    # In units of the track's length all parameters are of one size.
    length = jnp.maximum(jnp.max(jnp.where(crossings.crossed, crossings.path, 0.0)), 1.0)
    scale = [(1.0, length, length**2, 1.0, length)[i] for i in range(5)]
    order = jnp.argsort(-crossings.path)

    def from_outside(column: Array) -> Array:
        return jnp.where(crossings.crossed, column, 0.0)[order]

    hit = [[from_outside(crossings.hit[:, axis, i]) / scale[i] for i in range(5)] for axis in range(2)]
    kick = [[from_outside(crossings.kick[:, i, angle]) * scale[i] for i in range(5)] for angle in range(2)]
    weights = [from_outside(weight[:, axis]) for axis in range(2)]
    variance = from_outside(scattering)
    hit, kick, weights, variance = jax.lax.optimization_barrier((hit, kick, weights, variance))
    few = (jnp.sum(jnp.where(crossings.crossed, weight[:, 1], 0.0) > 0) < 2).astype(weight.dtype)
    nothing = jnp.zeros_like(few)
    # A single hit cannot tell z0 from cot theta; against their held weight it would pretend to.
    weights = [weights[0], weights[1] * (1 - few)]

    def covariance(block: list[int], planes: tuple[int, ...]) -> Matrix:
        """Of the parameters in `block`, from the measured axes and scattering angles in `planes`."""

        def inwards(information: Matrix, surface: tuple) -> tuple[Matrix, None]:
            hits, weights, kicks, q = surface
            # Seen from outside, the scattering comes before the hit on the same surface. It leaves (I^-1 + g q g^T)^-1.
            for g in kicks:
                ig = _times(information, g)
                information = _add(information, -q / (1 + q * sum(x * y for x, y in zip(g, ig, strict=True))), ig)
            for a, w in zip(hits, weights, strict=True):
                information = _add(information, w, a)
            return information, None

        surfaces = (
            [[hit[p][i] for i in block] for p in planes],
            [weights[p] for p in planes],
            [[kick[p][i] for i in block] for p in planes],
            variance,
        )
        start = [[few if i == j and i >= 3 else nothing for j in block] for i in block]
        inverse = invert(jax.lax.scan(inwards, start, surfaces)[0])
        return [
            [c / (scale[i] * scale[j]) for j, c in zip(block, row, strict=True)]
            for i, row in zip(block, inverse, strict=True)
        ]

    fitted = [int(i) for i in parameters]
    if not transverse:
        return jnp.stack([jnp.stack(row) for row in covariance(fitted, (0, 1))])
    bending, along = [i for i in fitted if i < 3], [i for i in fitted if i >= 3]
    first, second = covariance(bending, (0,)), covariance(along, (1,))
    rows = [[*row, *(nothing for _ in along)] for row in first] + [
        [*(nothing for _ in bending), *row] for row in second
    ]
    return jnp.stack([jnp.stack(row) for row in rows])
