"""Sequential least squares in square-root form, for one track whose direction is disturbed on the way.

The unknowns are the parameters p where the track starts, and a kick t_j of unit variance at each surface j: what is
measured on surface i is linear in p_i = p + sum of g_j t_j over the surfaces before. The square-root information filter
(Bierman, Factorization Methods for Discrete Sequential Estimation, 1977, chapters V and VI) walks from the outside in with
an upper triangular R such that R p = z to unit errors: a measurement is one more row, a kick one more unknown that is
rotated away. Givens rotations only: where a filter of the information itself subtracts large numbers, nothing cancels here.
float32 keeps a track to 1e-4 of its resolution, and chi2 is a sum of squares.

Its derivative needs no reverse pass through the filter. At the minimum of F = chi2 / 2 over p and t the implicit function
theorem gives all of it from F itself, the kicks that go with the solution and with each parameter being found by walking
back out along the rows that were rotated away.
"""

from typing import Any

from jaxtyping import Array, Float

from detopt.backend import jax, jnp

__all__ = ["Row", "disturb", "least_squares", "measure"]

Row = list[Any]  # scalars: under vmap each is one long array, so that all arithmetic vectorises


def _rotate(first: Row, second: Row, column: int) -> tuple[Row, Row]:
    """Rotate two rows into each other until the second is zero in a column; both are zero before it."""
    a, b = first[column], second[column]
    square = a * a + b * b
    some = square > 0
    inverse = jax.lax.rsqrt(jnp.where(some, square, 1.0))
    cosine, sine = jnp.where(some, a * inverse, 1.0), b * inverse
    zero = jnp.zeros_like(a)
    pairs = list(zip(first, second, strict=True))[column + 1 :]
    up = [cosine * x + sine * y for x, y in pairs]
    down = [cosine * y - sine * x for x, y in pairs]
    return [zero] * column + [square * inverse, *up], [zero] * (column + 1) + down


def measure(rows: list[Row], chi2: Array, hit: Row) -> tuple[list[Row], Array]:
    """One more measurement: coefficients of the parameters, then the value, in units of its error."""
    added = []
    for i, row in enumerate(rows):
        row, hit = _rotate(row, hit, i)
        added.append(row)
    return added, chi2 + hit[-1] ** 2


def disturb(rows: list[Row], kick: Row) -> tuple[list[Row], Row]:
    """Let the parameters change by t * kick, seen from inside; also the row that tells t from the parameters inside."""
    k = len(rows)
    zero = jnp.zeros_like(kick[0])
    unknown = [zero + 1, *[zero] * (k + 1)]  # columns: t, the parameters, the value
    added: list[Row] = [[]] * k
    for i in reversed(range(k)):  # from the last row on, they stay triangular
        along = sum(rows[i][j] * kick[j] for j in range(i, k))
        unknown, row = _rotate(unknown, [along, *rows[i]], 0)
        added[i] = [*[zero] * i, *row[1 + i :]]
    return added, unknown


def _solve(rows: list[Row]) -> tuple[list[Row], Row]:
    """Inverse of R (upper triangular), and the parameters."""
    k = len(rows)
    inverse: list[Row] = [[jnp.zeros_like(rows[0][0])] * k for _ in range(k)]
    for j in range(k):
        inverse[j][j] = 1 / rows[j][j]
        for i in reversed(range(j)):
            inverse[i][j] = -sum(rows[i][m] * inverse[m][j] for m in range(i + 1, j + 1)) / rows[i][i]
    return inverse, [sum(inverse[i][j] * rows[j][k] for j in range(i, k)) for i in range(k)]


def _unstack(array: Float[Array, "n rows columns"]) -> list[Row]:
    """As lists of (n,) arrays."""
    return [[array[:, i, j] for j in range(array.shape[2])] for i in range(array.shape[1])]


def _filter(
    hits: Float[Array, "n 2 k1"], kicks: Float[Array, "n 2 k"], held: Float[Array, " k"]
) -> tuple[Float[Array, " k"], Float[Array, "k k"], Float[Array, ""], list[Row]]:
    """The solution, its covariance, chi2, and for each kick the row that was rotated away (lists of (n,))."""
    k = len(held)
    zero = jnp.zeros_like(held[0])

    def inwards(carry: tuple[list[Row], Array], surface: tuple[list[Row], list[Row]]) -> tuple[tuple, list[Row]]:
        rows, chi2 = carry
        away = []
        # Seen from outside, the scattering comes before the hit on the same surface.
        for kick in surface[1]:
            rows, row = disturb(rows, kick)
            away.append(row)
        for hit in surface[0]:
            rows, chi2 = measure(rows, chi2, hit)
        return (rows, chi2), away

    start = [[held[i] if i == j else zero for j in range(k)] + [zero] for i in range(k)]
    surfaces = jax.lax.optimization_barrier((_unstack(hits), _unstack(kicks)))
    (rows, chi2), away = jax.lax.scan(inwards, (start, zero), surfaces, reverse=True)
    inverse, solution = _solve(rows)
    covariance = [[sum(inverse[a][m] * inverse[b][m] for m in range(max(a, b), k)) for b in range(k)] for a in range(k)]
    return jnp.stack(solution), jnp.stack([jnp.stack(row) for row in covariance]), chi2, away


@jax.custom_vjp
def least_squares(
    hits: Float[Array, "n 2 k1"], kicks: Float[Array, "n 2 k"], held: Float[Array, " k"]
) -> tuple[Float[Array, " k"], Float[Array, "k k"], Float[Array, ""]]:
    """Fit k parameters.

    Args:
        hits: of n surfaces from the inside out, two measurements each: k coefficients and the value, over the error; zero
            where there is none.
        kicks: change of the parameters by a standard deviation of each of the two kicks on each surface.
        held: 1 / error of a measurement of zero of each parameter, beyond the last surface; positive where nothing else
            determines it.

    Returns:
        The parameters (k,), their covariance (k, k), and chi2.
    """
    return _filter(hits, kicks, held)[:3]


def _forward(hits: Array, kicks: Array, held: Array) -> tuple[Any, Any]:
    solution, covariance, chi2, away = _filter(hits, kicks, held)
    return (solution, covariance, chi2), (hits, kicks, held, solution, covariance, away)


def _dot(first: Row, second: Row) -> Array:
    return sum(x * y for x, y in zip(first, second, strict=True))


def _outwards(hits: list[Row], kicks: list[Row], away: list[Row], start: list[Row]) -> tuple[Any, Any]:
    """Walk back out with several states: the solution first, then others that answer to no measured value.

    Returns the states where they leave, and for each surface what each hit sees of each state, the states before the
    surface's kicks, and the kicks.
    """

    def step(states: list[Row], surface: tuple[list[Row], list[Row], list[Row]]) -> tuple[list[Row], tuple]:
        hit_rows, kick_rows, rows = surface
        before = states
        seen = [[_dot(hit[:-1], state) for hit in hit_rows] for state in states]
        turns: list[Row] = [[] for _ in states]
        # The kick that was filtered last comes first.
        for kick, row in zip(reversed(kick_rows), reversed(rows), strict=True):
            inverse = 1 / row[0]
            moved = []
            for i, state in enumerate(states):
                t = -_dot(row[1:-1], state) * inverse + (row[-1] * inverse if i == 0 else 0.0)
                moved.append([p + g * t for p, g in zip(state, kick, strict=True)])
                turns[i].insert(0, t)
            states = moved
        return states, (seen, before, turns)

    return jax.lax.scan(step, start, (hits, kicks, away))


def _backward(residuals: Any, cotangents: Any) -> tuple[Array, Array, Array]:
    hits, kicks, held, solution, covariance, away = residuals
    d_solution, d_covariance, d_chi2 = cotangents
    k = len(held)
    adjoint = jnp.sum(covariance * d_solution[None], axis=1)
    mixed = covariance @ ((d_covariance + d_covariance.T) / 2) @ covariance
    zero = jnp.zeros_like(d_chi2)
    units = [[zero + float(i == j) for j in range(k)] for i in range(k)]
    states = [[solution[j] for j in range(k)], [adjoint[j] for j in range(k)], *units]
    hit_rows, kick_rows = jax.lax.optimization_barrier((_unstack(hits), _unstack(kicks)))
    outside, (seen, before, turns) = _outwards(hit_rows, kick_rows, away, states)

    def pulled(values: Row, value: Any) -> Row:
        """Derivative, with respect to what a measurement sees of each state, of

        d_chi2 r^2 - r a - sum of mixed_ij u_i u_j

        summed over all measurements: r is the residual of the solution, a and u are what is seen of the other states.
        """
        residual, response, unit = values[0] - value, values[1], values[2:]
        pulls = [-2 * sum(mixed[i, j] * unit[j] for j in range(k)) for i in range(k)]
        return [2 * d_chi2 * residual - response, -residual, *pulls]

    def inwards(slope: list[Row], surface: tuple) -> tuple[list[Row], tuple]:
        """`slope`: the derivative with respect to each state outside of this surface."""
        hit, kick, seen, before, turns = surface
        d_kick = [[sum(turns[s][a] * slope[s][j] for s in range(k + 2)) for j in range(k)] for a in range(len(kick))]
        d_hit = []
        for a, row in enumerate(hit):
            pull = pulled([each[a] for each in seen], row[-1])
            d_hit.append([sum(pull[s] * before[s][j] for s in range(k + 2)) for j in range(k)] + [-pull[0]])
            slope = [[x + pull[s] * row[j] for j, x in enumerate(slope[s])] for s in range(k + 2)]
        return slope, (d_hit, d_kick)

    # The parameters that are held are measured beyond the last surface.
    pulls = [pulled([held[j] * state[j] for state in outside], 0.0) for j in range(k)]
    d_held = jnp.stack([sum(pulls[j][s] * outside[s][j] for s in range(k + 2)) for j in range(k)])
    slope = [[pulls[j][s] * held[j] for j in range(k)] for s in range(k + 2)]
    _, (d_hits, d_kicks) = jax.lax.scan(inwards, slope, (hit_rows, kick_rows, seen, before, turns), reverse=True)

    def stack(rows: list[Row]) -> Array:
        return jnp.stack([jnp.stack(row, -1) for row in rows], 1)

    return stack(d_hits), stack(d_kicks), d_held


least_squares.defvjp(_forward, _backward)
