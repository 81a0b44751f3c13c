"""Hits to a track: the least-squares fit with the full covariance of resolution and scattering.

The square-root form of the information filter behind `track_covariance` (Bierman, Factorization Methods for Discrete
Sequential Estimation, 1977, chapters V and VI): R is upper triangular with R^T R the information, and R p = z. A hit is one
more row; a kick is one more unknown with a measurement of zero, rotated away. Givens rotations only: nothing is subtracted,
so float32 keeps a track to 1e-4 of its resolution (the plain filter loses 10 % at 1 GeV), and chi2 is a sum of squares.
"""

from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int

from detopt.backend import jax, jnp
from detopt.detector.surfaces import Surfaces
from detopt.events import Deviation, Hits, Tracks
from detopt.simulation.helix import Path, helix
from detopt.simulation.transport import deviations

__all__ = ["fit_track", "fitted_parameters"]

Row = list[Any]  # scalars: under vmap each is one long array


def _rotate(first: Row, second: Row, column: int) -> tuple[Row, Row]:
    """Rotate two rows into each other until the second is zero in a column; both are zero before it."""
    a, b = first[column], second[column]
    square = a * a + b * b
    some = square > 0
    length = jnp.sqrt(jnp.where(some, square, 1.0))
    cosine, sine = jnp.where(some, a / length, 1.0), b / length
    zero = jnp.zeros_like(length)
    pairs = list(zip(first, second, strict=True))[column:]
    up = [cosine * x + sine * y for x, y in pairs]
    down = [cosine * y - sine * x for x, y in pairs]
    return [zero] * column + [length * some, *up[1:]], [zero] * (column + 1) + down[1:]


def _add_hit(rows: list[Row], chi2: Array, hit: Row) -> tuple[list[Row], Array]:
    """One more measurement, as a row over the parameters and the measured value, in units of its error."""
    added = []
    for i, row in enumerate(rows):
        row, hit = _rotate(row, hit, i)
        added.append(row)
    return added, chi2 + hit[-1] ** 2


def _add_kick(rows: list[Row], kick: Row) -> list[Row]:
    """The parameters change by t * kick, with t of unit variance. Rows from the last to the first stay triangular."""
    k = len(rows)
    zero = jnp.zeros_like(kick[0])
    unknown = [zero + 1, *[zero] * (k + 1)]  # columns: t, the parameters, the value
    added: list[Row] = [[]] * k
    for i in reversed(range(k)):
        along = -sum(rows[i][j] * kick[j] for j in range(i, k))
        unknown, row = _rotate(unknown, [along, *rows[i]], 0)
        added[i] = [*[zero] * i, *row[1 + i :]]
    return added


def _solve(rows: list[Row]) -> tuple[list[Row], Row]:
    """Inverse of R (upper triangular), and the parameters."""
    k = len(rows)
    inverse: list[Row] = [[jnp.zeros_like(rows[0][0])] * k for _ in range(k)]
    for j in range(k):
        inverse[j][j] = 1 / rows[j][j]
        for i in reversed(range(j)):
            inverse[i][j] = -sum(rows[i][m] * inverse[m][j] for m in range(i + 1, j + 1)) / rows[i][i]
    return inverse, [sum(inverse[i][j] * rows[j][k] for j in range(i, k)) for i in range(k)]


def fit_track(
    surfaces: Surfaces,
    path: Path,
    start: Deviation,
    hits: Hits,
    scattering: Float[Array, " n"],
    parameters: Int[np.ndarray, " k"],
    min_hits: int,
) -> Tracks:
    """Fit one track.

    The measured positions are linear in the parameters about the particle's true helix, which is where a fit that
    iterates ends up to second order in its own errors.

    Args:
        surfaces: n thin surfaces.
        path: the reference of the particle.
        start: its true helix.
        hits: what was seen.
        scattering: variance in rad^2 of the projected scattering angle in each surface.
        parameters: which of d0, phi, kappa, z0, cot theta are fitted (kappa is not, without a field).
        min_hits: hits that make a track.

    Returns:
        The track. Where it is not `found`, its numbers are finite and mean nothing; where only `z_found` fails, z0 and
        cot theta do.
    """
    crossings = helix(surfaces, path.kappa, path.cot_theta)
    seen = hits.seen & crossings.crossed
    weight = jnp.where(seen[:, None], surfaces.weight, 0.0)
    measured = jnp.sum(weight > 0, axis=0)
    found = measured[0] >= min_hits
    z_found = found & (measured[1] >= 2)
    # In units of the track's length all parameters are of one size.
    length = jnp.maximum(jnp.max(jnp.where(crossings.crossed, crossings.path, 0.0)), 1.0)
    one = jnp.ones_like(length)
    scale = [(one, length, length**2, one, length)[i] for i in parameters.tolist()]
    residual = hits.deviation - deviations(surfaces, path, start)
    # A single hit cannot tell z0 from cot theta: both are held, as is all of what is no track.
    root = jnp.sqrt(weight * jnp.stack([found, z_found]).astype(weight.dtype))
    order = jnp.argsort(-crossings.path)

    def from_outside(column: Array) -> Array:
        present = crossings.crossed.reshape(-1, *(1,) * (column.ndim - 1))
        return jnp.where(present, column, 0.0)[order]

    rows = [
        [*(crossings.hit[:, axis, i] / s * root[:, axis] for i, s in zip(parameters.tolist(), scale, strict=True)),
         residual[:, axis] * root[:, axis]]
        for axis in range(2)
    ]  # fmt: skip
    width = jnp.sqrt(jnp.where(scattering > 0, scattering, 1.0)) * (scattering > 0)
    kicks = [
        [crossings.kick[:, i, angle] * s * width for i, s in zip(parameters.tolist(), scale, strict=True)]
        for angle in range(2)
    ]
    in_order = jax.tree.map(from_outside, (rows, kicks))

    def inwards(carry: tuple[list[Row], Array], surface: tuple[list[Row], list[Row]]) -> tuple[tuple, None]:
        state, chi2 = carry
        hit_rows, kick_rows = surface
        # Seen from outside, the scattering comes before the hit on the same surface.
        for kick in kick_rows:
            state = _add_kick(state, kick)
        for row in hit_rows:
            state, chi2 = _add_hit(state, chi2, row)
        return (state, chi2), None

    zero = jnp.zeros_like(length)
    held = [jnp.where(found if i < 3 else z_found, zero, one) for i in parameters.tolist()]
    k = len(parameters)
    state: list[Row] = [[held[i] if i == j else zero for j in range(k)] + [zero] for i in range(k)]
    (state, chi2), _ = jax.lax.scan(inwards, (state, zero), in_order)
    inverse, solved = _solve(state)
    change, covariance = [zero] * 5, [[zero] * 5 for _ in range(5)]
    for a, i in enumerate(parameters.tolist()):
        change[i] = solved[a] / scale[a]
        for b, j in enumerate(parameters.tolist()):
            products = [inverse[a][m] * inverse[b][m] for m in range(max(a, b), k)]
            covariance[i][j] = sum(products) / (scale[a] * scale[b])
    used = jnp.where(found, measured[0], 0) + jnp.where(z_found, measured[1], 0)
    fitted_number = jnp.where(z_found, k, jnp.where(found, k - 2, 0))
    return Tracks(
        fitted=Deviation(*(s + c for s, c in zip(start, change, strict=True))),
        covariance=jnp.stack([jnp.stack(row) for row in covariance]),
        chi2=chi2,
        freedom=(used - fitted_number).astype(chi2.dtype),
        found=found,
        z_found=z_found,
    )


def fitted_parameters(has_field: bool) -> Int[np.ndarray, " k"]:
    """Indices of the helix parameters that a fit determines."""
    return np.array([0, 1, 2, 3, 4] if has_field else [0, 1, 3, 4])
