"""What the optimum of a run rests on: gradients, what holds it back and at which price, and how exactly it must be built.

Everything comes from what the search has compiled: the loss with its gradient, and the constraints with theirs.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Variable
from detopt.scoring.evaluate import constraint_rows
from detopt.search.stationarity import Multipliers, moves, multipliers
from detopt.search.tolerances import along_axes, reach, stencil
from detopt.study.evaluate import number
from detopt.study.studies import Study
from detopt.units import UnitError, parse_unit

if TYPE_CHECKING:
    from detopt.study.optimise import Search
    from detopt.study.optimise_sampled import JointSearch

__all__ = ["AT_BOUND", "Slopes", "expected_optimum", "sampled_optimum", "told", "unless_it_fails"]

AT_BOUND = 1e-3  # of the range
HOLDS = 1e-4  # a constraint that is met by less holds the design back
RISE = 0.01  # of the loss, for tolerances: 1 % of the weighted objectives
_SHIFT = 0.03  # of a limit or bound, about, that a price is quoted for
_LOOSER = 0.01  # the same, where a constraint has no limit
_NO_PENALTY = 1e-30  # the gradient of the loss alone
_SHARE = 0.1  # of a gradient: what is left of it, or holds it
_ROUNDING = 1e-8  # of a value: differences know no smaller change over the range
_NOTHING = 1e-3  # of the loss over the range of a variable: as good as flat


class Slopes(NamedTuple):
    """Derivatives at a design, per unit of the box."""

    loss: Float[np.ndarray, " n"]
    covariance: Float[np.ndarray, "n n"] | None  # of the same, where events are sampled
    objectives: Float[np.ndarray, "m n"] | None  # of each value
    objective_errors: Float[np.ndarray, "m n"] | None
    values: Float[np.ndarray, " m"]
    per_share: Float[np.ndarray, " m"]  # of the loss, to each relative change of a value
    excess: Float[np.ndarray, " rows"]
    limits: Float[np.ndarray, "rows n"]  # of the constraints
    curvature: Callable[[Float[np.ndarray, " rows"]], Float[np.ndarray, "n n"]] | None  # of the Lagrangian


class _Probe(NamedTuple):
    """Many designs, scored."""

    loss: Float[np.ndarray, " p"]
    slope: Float[np.ndarray, "p n"]
    values: Float[np.ndarray, "p m"]
    excess: Float[np.ndarray, "p rows"]
    limits: Float[np.ndarray, "p rows n"]


def expected_optimum(study: Study, search: "Search", final: Detector) -> dict[str, Any] | None:
    """What result.json says of the optimum in expected mode; None where its gradients are not finite."""
    started = time.monotonic()
    u = np.clip(np.array(study.space.coordinates(final), float), 0.0, 1.0)
    steps = stencil(u)
    points = u + steps[..., None] * np.eye(len(u))
    found = _probe(search, np.concatenate([u[None], points.reshape(-1, len(u))]))
    if not all(np.isfinite(part).all() for part in found):
        return None
    here = _Probe(*(part[0] for part in found))
    there = _Probe(*(part[1:].reshape(2, len(u), *part.shape[1:]) for part in found))

    def curvature(held: np.ndarray) -> np.ndarray:
        bends: np.ndarray = along_axes(here.slope + held @ here.limits, there.slope + held @ there.limits, steps)
        return bends

    objectives = along_axes(here.values, there.values, steps).T
    shares = search.problem.shares
    slopes = Slopes(here.slope, None, objectives, None, here.values, shares, here.excess, here.limits, curvature)
    bends = np.diag(curvature(np.zeros(len(here.excess))))
    free = np.zeros((search.size, len(here.excess)))
    distances = reach(lambda p: _losses(search, p, free), u, here.slope, bends, RISE)
    result = told(study, u, slopes, search.row_names())
    result["tolerances"] = [_tolerance(v, x, d) for v, x, d in zip(study.space.variables, u, distances.T, strict=True)]
    return result | {"seconds": time.monotonic() - started}


def sampled_optimum(
    study: Study, search: "JointSearch", final: Detector, score: dict[str, Any]
) -> dict[str, Any] | None:
    """The same in sampled mode, with statistical errors and without what takes second derivatives.

    The search differentiates the weighted objectives together; of a single one the gradient is known with that.
    """
    started = time.monotonic()
    u = np.clip(np.array(study.space.coordinates(final), float), 0.0, 1.0)
    each = search.slopes_at(u)
    limits, excess = (np.asarray(part[0], float) for part in search.searcher.inside.jacobian(jnp.asarray(u[None])))
    if len(each) < 2 or not all(np.isfinite(part).all() for part in (each, limits, excess)):
        return None
    slope, covariance = each.mean(axis=0), np.atleast_2d(np.cov(each.T)) / len(each)
    values = np.array([o["value"] for o in score["objectives"].values()], float)
    shares, objectives, errors = search.problem.shares, None, None
    if len(shares) == 1 and shares[0] != 0:
        objectives = values[0] / shares[0] * slope[None]
        errors = abs(values[0] / shares[0]) * np.sqrt(np.diag(covariance))[None]
    names = constraint_rows(study.constraints, study.prices, as_arrays(final))
    slopes = Slopes(slope, covariance, objectives, errors, values, shares, excess, limits, None)
    return told(study, u, slopes, names) | {"tolerances": None, "seconds": time.monotonic() - started}


def unless_it_fails(describe: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """{"optimum": …}, or nothing: a run that has found its design is not lost to what is said about it."""
    try:
        found = describe()
    except (ArithmeticError, RuntimeError, ValueError):  # no convergence of a small fit, a singular matrix, no memory
        return {}
    return {} if found is None else {"optimum": found}


def _batches(search: "Search", points: Float[np.ndarray, "p n"]) -> Iterator[tuple[slice, Array]]:
    """Points in the shape that is compiled: as many at a time as the search had starts."""
    padded = np.concatenate([points, np.repeat(points[:1], -len(points) % search.size, axis=0)])
    for i in range(0, len(points), search.size):
        yield slice(0, min(search.size, len(points) - i)), jnp.asarray(padded[i : i + search.size])


def _probe(search: "Search", points: Float[np.ndarray, "p n"]) -> _Probe:
    rows = []
    for kept, batch in _batches(search, points):
        limits, excess = search.searcher.inside.jacobian(batch)
        slope = search.searcher.slope(batch, jnp.zeros_like(excess), _NO_PENALTY)
        # A gradient that is not finite is 0 there: the loss tells.
        parts = slope.point.loss, slope.gradient, slope.point.values, excess, limits
        rows.append([np.asarray(part, float)[kept] for part in parts])
    return _Probe(*(np.concatenate(part) for part in zip(*rows, strict=True)))


def _losses(
    search: "Search", points: Float[np.ndarray, "p n"], free: Float[np.ndarray, "starts rows"]
) -> Float[np.ndarray, " p"]:
    """Constraints aside, whose multipliers are `free` of any weight."""
    each = [
        search.searcher.slope(b, jnp.asarray(free), _NO_PENALTY).point.loss[kept]
        for kept, b in _batches(search, points)
    ]
    return np.concatenate([np.asarray(loss, float) for loss in each])


def told(study: Study, u: Float[np.ndarray, " n"], slopes: Slopes, row_names: tuple[str, ...]) -> dict[str, Any]:
    """Gradients, what holds them, and prices, as plain data in base units."""
    active = slopes.excess > -HOLDS
    held = multipliers(slopes.loss, u, slopes.limits, active, AT_BOUND, slopes.covariance)
    length = float(np.linalg.norm(slopes.loss))
    noise = 0.0 if slopes.covariance is None else math.sqrt(np.trace(slopes.covariance))
    return {
        "loss": "weighted sum of logarithms of the objectives",
        "residual": number(np.linalg.norm(held.left) / max(length, _NOTHING)),
        "noise": number(noise / max(length, _NOTHING)),
        "unique": held.unique,
        "gradients": [_gradient(study, i, u, slopes, held, row_names) for i in range(len(u))],
        "prices": _prices(study, u, slopes, held, row_names),
    }


def _gradient(
    study: Study, i: int, u: Float[np.ndarray, " n"], slopes: Slopes, held: Multipliers, row_names: tuple[str, ...]
) -> dict[str, Any]:
    """Of one variable, per base unit of it."""
    variable = study.space.variables[i]
    width, slope = _width(variable, u[i]), slopes.loss[i]
    error = 0.0 if slopes.covariance is None else math.sqrt(max(slopes.covariance[i, i], 0.0))
    objectives = {}
    for j, name in enumerate(study.objectives) if slopes.objectives is not None else ():
        spread = 0.0 if slopes.objective_errors is None else slopes.objective_errors[j, i]
        assert slopes.objectives is not None
        change = slopes.objectives[j, i]
        change = 0.0 if abs(change) < _ROUNDING * abs(slopes.values[j]) else change
        objectives[name] = {"value": number(change / width), "error": number(spread / width)}
    forces = {"its bound": held.upper[i] - held.lower[i]}
    for row, name in enumerate(row_names):
        forces[name] = forces.get(name, 0.0) + held.limits[row] * slopes.limits[row, i]
    # What holds pushes along the gradient's other side.
    steep = abs(slope) > max(_NOTHING, 2 * error)
    by = [name for name, force in forces.items() if steep and -force * np.sign(slope) > _SHARE * abs(slope)]
    return {
        "variable": variable.name,
        "loss": {"value": number(slope / width), "error": number(error / width)},
        "per_range": {"value": number(slope), "error": number(error)},
        "objectives": objectives,
        "held_by": by,
        "free": bool(abs(held.left[i]) > max(_SHARE * abs(slope), 2 * error, _NOTHING)),
    }


def _width(variable: Variable, u: float) -> float:
    """Base units of a variable for each unit of the box."""
    if variable.log:
        return float(variable.value(u) * math.log(variable.upper / variable.lower))
    return variable.upper - variable.lower


def _tolerance(variable: Variable, u: float, distances: Float[np.ndarray, "2"]) -> dict[str, Any]:
    """How far down and up, in base units; None where the bound comes first, which is `room` away."""
    value, ends = variable.value(u), (variable.lower, variable.upper)
    moved = [variable.value(u + s * d) if math.isfinite(d) else None for s, d in zip((-1, 1), distances, strict=True)]
    minus, plus = (None if m is None else abs(m - value) for m in moved)
    room = [abs(end - value) for end in ends]
    return {"variable": variable.name, "minus": minus, "plus": plus, "room": room}


# -- prices ------------------------------------------------------------------------------------------------------------


def _prices(
    study: Study, u: Float[np.ndarray, " n"], slopes: Slopes, held: Multipliers, row_names: tuple[str, ...]
) -> list[dict[str, Any]]:
    """What the loss would gain if a limit or a bound gave way a little; those that are reached."""
    follow = _Follow(study, slopes, held)
    rows = []
    for name, term in study.constraints.items():
        mine = np.array([n == name for n in row_names])
        if not (slopes.excess[mine] > -HOLDS).any():
            continue
        sense = next((s for s in ("max", "min") if getattr(term, s, None) is not None), None)
        limit = getattr(term, sense) if sense else None
        step = _LOOSER if limit is None else _readable(_SHIFT * abs(limit), term.display_unit or term.unit)
        part = step if limit is None else step / abs(limit)
        about = {"kind": "constraint", "name": name, "title": term.title, "sense": sense, "limit": limit, "step": step}
        units = {"unit": term.unit, "display_unit": getattr(term, "display_unit", "")} if sense else {}
        rows.append(about | units | follow(np.zeros(2 * len(u)), part * mine))
    for i, v in enumerate(study.space.variables):
        for side, at, bound in (("lower", u[i] <= AT_BOUND, v.lower), ("upper", u[i] >= 1 - AT_BOUND, v.upper)):
            if not at:
                continue
            unit = v.display_unit or v.unit
            scale = min(v.upper - v.lower, abs(bound)) if bound else v.upper - v.lower
            step = _readable(_SHIFT * scale, unit)
            parts = np.zeros(2 * len(u))
            parts[i + (len(u) if side == "upper" else 0)] = step / _width(v, u[i])
            about = {"kind": "bound", "name": v.name, "sense": side, "limit": bound, "step": step}
            rows.append(about | {"unit": v.unit, "display_unit": unit} | follow(parts, np.zeros(len(row_names))))
    return rows


class _Follow:
    """What the loss and each objective do where bounds and constraints give way."""

    def __init__(self, study: Study, slopes: Slopes, held: Multipliers) -> None:
        self.names, self.slopes, self.held = list(study.objectives), slopes, held
        sizes = [np.linalg.norm(row) or 1.0 for row in slopes.limits]
        self._holds = [m > 0 for m in (held.lower, held.upper, held.limits)]
        n = len(slopes.loss)
        rows = [-np.eye(n), np.eye(n), slopes.limits]
        walls = np.concatenate([r[h] for r, h in zip(rows, self._holds, strict=True)])
        self._moves = None
        if slopes.curvature is not None and held.unique and sizes:
            self._moves = moves(slopes.curvature(held.limits), walls)

    def __call__(self, bounds: Float[np.ndarray, " both"], limits: Float[np.ndarray, " rows"]) -> dict[str, Any]:
        """Changes where lower and upper bounds, and constraints, give way by so much; relative for objectives."""
        n = len(self.slopes.loss)
        given = bounds[:n], bounds[n:], limits
        prices = self.held.lower, self.held.upper, self.held.limits
        change = 0.0 - sum(float(p @ g) for p, g in zip(prices, given, strict=True))
        error = math.sqrt(sum(float((e * g) @ (e * g)) for e, g in zip(self.held.errors, given, strict=True)))
        each: dict[str, float | None] | None = None
        if len(self.names) == 1:
            each = {self.names[0]: number(change / self.slopes.per_share[0])}
        elif self.slopes.objectives is not None and self._moves is not None:
            moved = np.concatenate([g[h] for g, h in zip(given, self._holds, strict=True)]) @ self._moves
            parts = self.slopes.objectives @ moved / self.slopes.values
            each = {name: number(part) for name, part in zip(self.names, parts, strict=True)}
        return {"loss": {"value": number(change), "error": number(error)}, "objectives": each}


def _readable(value: float, unit: str) -> float:
    """A round number near a value, 1, 2 or 5 times a power of ten, in a unit; in base units again."""
    try:
        factor = parse_unit(unit or "1").factor
    except UnitError:
        factor = 1.0
    if not value > 0:
        return 0.0
    shown = value / factor
    ten = 10.0 ** math.floor(math.log10(shown))
    return float(max(m for m in (1, 2, 5) if m * ten <= shown * (1 + 1e-9)) * ten * factor)
