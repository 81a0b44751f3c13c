"""Drawing cosmic muons through a rectangle, from a table of their flux.

The flux through a horizontal plane, dI/dp/dOmega cos(zenith), is integrated over the cells of a fine grid in log p and
cos(zenith), once for each source. A muon draws its interval of momentum, then in that row its interval of zenith, then its
place in the cell: the contents of all cells are exact, and so are both marginals.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from detopt.backend import jax, jnp
from detopt.events import Rays
from detopt.simulation.bits import circle
from detopt.simulation.cosmic import Cosmic
from detopt.simulation.draws import Aim, Carrier, Numbers, Start, draw_numbers, straight
from detopt.simulation.flux import flux
from detopt.simulation.streams import stream

__all__ = [
    "Parts",
    "cosmic_carriers",
    "cosmic_muons",
    "cosmic_numbers",
    "cosmic_parts",
    "equal_shares",
    "expected_number",
]

_MOMENTA, _COSINES, _POINTS = 512, 256, 3  # cells of the grid, and Gauss-Legendre points in each, along each axis
# Cosine of 89.9 deg: muons that are still flatter, 2 in 100 million, come in at that angle, so that all start somewhere.
_FLATTEST = 1e-3


class _Table(NamedTuple):
    """Muons through a horizontal plane, in n x m cells of log p and cos(zenith)."""

    rate: float  # 1/(cm2 s), of all cells
    momenta: Float[np.ndarray, "1 n"]  # cumulated shares of the intervals of momentum
    cosines: Float[np.ndarray, "n m"]  # in each, cumulated shares of the intervals of zenith
    relative: Float[np.ndarray, " n"]  # share of an interval of momentum, times their number


def expected_number(source: Cosmic, aim: Aim) -> float:
    """Of muons in the exposure, through the rectangle."""
    return _table(source).rate * source.seconds * aim.span[0] * aim.span[1] / 100  # cm2


def equal_shares(source: Cosmic, number: int) -> Float[np.ndarray, " n"]:
    """Momenta in GeV, each amid an equal share of the muons: quantiles of the spectrum."""
    cumulated = np.concatenate([[0.0], _table(source).momenta[0]])
    low, high = _logs(source)
    along = np.interp((np.arange(number) + 0.5) / number, cumulated, np.linspace(0, 1, len(cumulated)))
    return np.exp(low + along * (high - low))


def cosmic_numbers(source: Cosmic, key: jax.Array, number: int, dtype: Any, evenly: bool = False) -> Numbers:
    """The random numbers of N muons. "along" is the place on the axis of log p, from 0 to 1."""
    names = ("momentum", "interval", "zenith", "cosine", "azimuth", "x", "y", "charge")
    found = draw_numbers(dict.fromkeys(names, "uniform"), key, number, dtype, evenly=evenly)
    fine, interval = found.pop("momentum"), found.pop("interval")
    if source.sampling == "flat_log":
        # One muon in each of N equal steps, so that the sum of the weights hardly fluctuates; shuffled, so that any of
        # them are as good as any others.
        along = (jax.random.permutation(stream(key, "order"), number).astype(dtype) + fine) / number
    else:
        row = _pick(jnp.asarray(_table(source).momenta, dtype), jnp.zeros(number, jnp.int32), interval)
        along = (row.astype(dtype) + fine) / _MOMENTA
    return {**found, "along": along}


def cosmic_carriers(source: Cosmic) -> dict[str, Carrier]:
    """The place on the rectangle moves a muon sideways, the place on the axis of log p makes it faster."""

    def density(along: Array) -> Array:
        inside = (along >= 0) & (along <= 1)
        if source.sampling == "flat_log":
            return jnp.where(inside, jnp.ones_like(along), 0.0)
        return jnp.where(inside, jnp.asarray(_table(source).relative, along.dtype)[_row(along)], 0.0)

    return {"x": straight("x", "uniform"), "y": straight("y", "uniform"), "momentum": Carrier("along", density)}


def _row(along: Array) -> Array:
    return jnp.clip((along * _MOMENTA).astype(jnp.int32), 0, _MOMENTA - 1)


class Parts(NamedTuple):
    """Muons in components, each (*n): what is used one by one need not be moved about in memory."""

    position: tuple[Array, Array, Array]
    direction: tuple[Array, Array, Array]
    momentum: Array
    charge: Array
    weight: Array  # times the number of muons


def cosmic_muons(source: Cosmic, numbers: Numbers, start: Start) -> Rays:
    """Muons through the rectangle, from where they were at the height of the start; see `Cosmic`."""
    made, number = cosmic_parts(source, numbers, start), len(numbers["along"])
    return Rays(
        position=jnp.stack(made.position, axis=-1)[:, None],
        direction=jnp.stack(made.direction, axis=-1)[:, None],
        momentum=made.momentum[:, None],
        charge=made.charge[:, None],
        weight=made.weight / number,
    )


def cosmic_parts(source: Cosmic, numbers: Numbers, start: Start) -> Parts:
    """The same of any number of muons, or of one."""
    aim = start.aim
    if aim is None:
        raise ValueError("cosmic muons need a rectangle to aim at")
    table, along = _table(source), numbers["along"]
    dtype, row = along.dtype, _row(along)
    weight = jnp.ones_like(along)
    if source.sampling == "flat_log":
        weight = jnp.asarray(table.relative, dtype)[row]
    column = _pick(jnp.asarray(table.cosines, dtype), row, numbers["zenith"])
    along_c = column.astype(dtype) + numbers["cosine"]

    low, high = _logs(source)
    momentum = jnp.clip(jnp.exp(low + along * (high - low)), *map(float, source.momentum))
    least, most = _cosines(source)
    cosine = jnp.clip(least + along_c / _COSINES * (most - least), max(least, _FLATTEST), most)
    sine = jnp.sqrt((1 - cosine) * (1 + cosine))
    along_x, along_y = circle(numbers["azimuth"])

    x = aim.centre[0] + aim.span[0] * (numbers["x"] - 0.5)
    y = aim.centre[1] + aim.span[1] * (numbers["y"] - 0.5)
    back = (aim.z - start.z) / cosine  # negative: against the flight
    plus = numbers["charge"] < source.charge_ratio / (1 + source.charge_ratio)
    ux, uy = sine * along_x, sine * along_y
    return Parts(
        position=(x + back * ux, y + back * uy, jnp.full_like(along, start.z)),
        direction=(ux, uy, -cosine),
        momentum=momentum,
        charge=jnp.where(plus, 1.0, -1.0).astype(dtype),
        weight=weight * expected_number(source, aim),
    )


def _pick(cumulated: Float[Array, "rows columns"], row: Int[Array, "*N"], u: Float[Array, "*N"]) -> Int[Array, "*N"]:
    """The first column of a row whose cumulated share is beyond u, by bisection."""

    def halve(_: Any, between: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = between
        middle = (low + high) // 2
        beyond = cumulated[row, middle] > u
        return jnp.where(beyond, low, middle + 1), jnp.where(beyond, middle, high)

    ends = jnp.zeros_like(row), jnp.full_like(row, cumulated.shape[1] - 1)
    # A loop: written out, the compiler would look it up again wherever it is used.
    return jax.lax.fori_loop(0, math.ceil(math.log2(cumulated.shape[1])), halve, ends)[1]


def _logs(source: Cosmic) -> tuple[float, float]:
    low, high = source.momentum
    return math.log(low), math.log(high)


def _cosines(source: Cosmic) -> tuple[float, float]:
    low, high = source.zenith
    return max(math.cos(high), 0.0), math.cos(low)


@functools.lru_cache(maxsize=16)
def _table(source: Cosmic) -> _Table:
    nodes, weights = np.polynomial.legendre.leggauss(_POINTS)

    def points(low: float, high: float, cells: int) -> tuple[np.ndarray, np.ndarray]:
        """Where to evaluate along an axis, and with which weight."""
        width = (high - low) / cells
        at = low + width * (np.arange(cells)[:, None] + (nodes + 1) / 2)
        return at.ravel(), np.tile(weights * width / 2, cells)

    log_p, p_weights = points(*_logs(source), _MOMENTA)
    cosine, c_weights = points(*_cosines(source), _COSINES)
    momentum = np.exp(log_p)
    with jax.ensure_compile_time_eval():  # the table is a constant, also while a caller is being traced
        density = np.asarray(flux(source.flux, jnp.asarray(momentum)[:, None], jnp.asarray(cosine)[None, :]))
    fine = density * np.outer(p_weights * momentum, 2 * math.pi * c_weights * cosine)
    cells = fine.reshape(_MOMENTA, _POINTS, _COSINES, _POINTS).sum((1, 3))
    row = cells.sum(1)
    shares = row / row.sum()
    return _Table(
        rate=float(row.sum()),
        momenta=_cumulated(shares[None]),
        cosines=_cumulated(cells / row[:, None]),
        relative=shares * _MOMENTA,
    )


def _cumulated(shares: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Sums along each row, of which the last is 1."""
    sums = np.cumsum(shares, axis=1)
    return sums / sums[:, -1:]
