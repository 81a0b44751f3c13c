"""Is a gradient right? Reverse-mode derivatives against differences with common random numbers.

Between x - h and x + h the mean derivative is the difference (f(x + h) - f(x - h)) / 2h: exactly, however f bends, so h may
be as large as the noise of a difference wants it, and a wrong derivative has nowhere to hide. For each of at least 30
independent keys D = derivative - difference: the derivative at one of 30 points that are spread evenly over the step (so
that how it changes along the step is no error), the difference over all of it, both on the events of that key. All
parameters are moved together, so that one gradient serves all; a difference has all others where that gradient has them.

The scale is S = max(|difference|, 2 % of the score over the range of the parameter). A row passes where |mean D| + 2 SE <
5 % of S, fails where |mean D| - 2 SE > 5 % of S, and otherwise gets more keys until the budget is spent: then it is
undecided, which is not ok. What seems to fail is given more keys as well: few rare events can make an error look small.

A score that is not sampled has one key, central differences extrapolated to a step of zero, and |D| < 1e-6 S.

Everything is in the unit box of the parameters. A parameter at the end of its range is looked at inside it: beyond, an
efficiency, say, would not go on as it should.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jax

__all__ = ["Budget", "Row", "check", "inside"]

TOLERANCE, EXACT = 0.05, 1e-6  # of the scale
FLOOR = 0.02  # of the score
BATCH = 30  # keys
_SURE = 4 * BATCH
_STEPS = 2.0 ** -np.arange(7.0, 17.0)  # of differences of what is not sampled
_SCAN = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # steps at which the linear extrapolation is tried
_LINEAR, _SCANNED = 0.1, 4  # it may be wrong by so much; keys it is tried with

Evaluate = Callable[[Array, jax.Array], Array]  # (point in the unit box, key) -> values (objectives,)


@dataclass(frozen=True)
class Budget:
    """When to give up."""

    keys: int = 2000
    seconds: float = float("inf")
    step: float = 0.05  # of a parameter's range, to either side
    seed: int = 0


@dataclass(frozen=True)
class Row:
    """One objective and one parameter; all in units of the parameter's range."""

    objective: int
    parameter: int
    gradient: float
    gradient_error: float
    difference: float
    difference_error: float
    bias: float  # mean of D
    bias_error: float
    scale: float
    keys: int
    step: float
    low: float = 0.0  # between these steps a linear extrapolation holds to a tenth
    high: float = 0.0

    @property
    def verdict(self) -> str:
        """ok | fail | undecided."""
        if self.gradient == self.difference and self.bias_error == 0:
            return "ok"
        if self.keys == 1:
            return "ok" if abs(self.bias) < EXACT * self.scale else "fail"
        limit = TOLERANCE * self.scale
        if abs(self.bias) + 2 * self.bias_error < limit:
            return "ok"
        return "fail" if not abs(self.bias) - 2 * self.bias_error <= limit else "undecided"

    @property
    def settled(self) -> bool:
        """Whether more keys would not change the verdict."""
        sure = self.keys >= _SURE or abs(self.bias) > 8 * self.bias_error
        return self.verdict == "ok" or (self.verdict == "fail" and sure)


def inside(point: Float[np.ndarray, " n"], sampled: bool, step: float = Budget.step) -> Float[np.ndarray, " n"]:
    """Where the gradient is looked at: the point, but far enough from the ends of the box for differences."""
    room = step if sampled else _STEPS[0]
    return np.clip(point, room, 1 - room)


def check(
    evaluate: Evaluate,
    point: Float[np.ndarray, " n"],
    sampled: bool,
    budget: Budget | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """Compare the gradient of every value to every parameter.

    Args:
        evaluate: values at a point of the unit box, with the random numbers of a key.
        point: where; it is moved inwards from the ends of the box.
        sampled: whether `evaluate` depends on the key.
        budget: when to give up.
        progress: called with a line now and then.

    Returns:
        A row for each value and parameter, values first.
    """
    budget = Budget() if budget is None else budget
    return _Check(evaluate, inside(point, sampled, budget.step), sampled, budget, progress).rows()


class _Check:
    def __init__(
        self,
        evaluate: Evaluate,
        point: Float[np.ndarray, " n"],
        sampled: bool,
        budget: Budget,
        progress: Callable[[str], None] | None,
    ) -> None:
        self.point, self.sampled, self.budget = point, sampled, budget
        self.progress = progress or (lambda line: None)

        def slopes(u: Array, key: jax.Array) -> tuple[Array, Array]:
            def both(u: Array) -> tuple[Array, Array]:
                values = evaluate(u, key)
                return values, values

            slope, values = jax.jacrev(both, has_aux=True)(u)
            return values, slope

        self._slopes = jax.jit(slopes)
        # Always as many points, for one compilation.
        self._values = jax.jit(lambda points, key: jax.lax.map(lambda u: evaluate(u, key), points))
        self._scans: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._root = jax.random.key(budget.seed)

    def rows(self) -> list[Row]:
        if not self.sampled:
            return self._exact()
        started = time.monotonic()
        found: dict[int, list[Row]] = {}
        columns: list[list[tuple[np.ndarray, ...]]] = [[] for _ in self.point]  # of each parameter: a row for each key
        for first in range(0, max(self.budget.keys, BATCH), BATCH):
            late = time.monotonic() - started > self.budget.seconds
            open_ = [j for j in range(len(self.point)) if j not in found or not all(r.settled for r in found[j])]
            if not open_ or (first and late):
                break
            for number in range(first, first + BATCH):
                self.progress(f"{len(open_)} of {len(self.point)} parameters, set {number + 1} of the events")
                for j, row in self._pairs(open_, number).items():
                    columns[j].append(row)
            found |= {j: self._summary(j, columns[j]) for j in open_}
        rows = [row for j in sorted(found) for row in found[j]]
        return [self._with_range(r) for r in sorted(rows, key=lambda r: (r.objective, r.parameter))]

    def _key(self, number: int) -> jax.Array:
        return jax.random.fold_in(self._root, number)

    def _at(
        self, steps: Float[np.ndarray, " steps"], parameter: int, key: jax.Array, point: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "steps m"]:
        points = np.tile(point, (len(steps), 1))
        points[:, parameter] += steps
        return np.asarray(self._values(points, key), float)

    def _pairs(self, parameters: list[int], number: int) -> dict[int, tuple[np.ndarray, ...]]:
        """On the events of one key: value, derivatives somewhere within the step, difference over all of it (m,), and where.

        One gradient serves all parameters: each is somewhere within its own step, and its difference is taken with all
        others where they are.
        """
        h, key, n = self.budget.step, self._key(number), len(self.point)
        # A Latin hypercube: in every batch each parameter is once in each strip of its step, whatever the others do.
        batch, turn = divmod(number, BATCH)
        rng = np.random.default_rng([self.budget.seed, batch])
        strips = np.array([rng.permutation(BATCH)[turn] for _ in range(n)])
        where = self.point + h * (2 * (strips + rng.uniform(size=(BATCH, n))[turn]) / BATCH - 1)
        value, slope = (np.asarray(x, float) for x in self._slopes(where, key))
        found: dict[int, tuple[np.ndarray, ...]] = {}
        for j in parameters:
            ends = self._at(np.array([h, -h]) + self.point[j] - where[j], j, key, where)
            found[j] = value, slope[:, j], (ends[0] - ends[1]) / (2 * h), where[j]
        return found

    def _summary(self, parameter: int, columns: list[tuple[np.ndarray, ...]]) -> list[Row]:
        values, slopes, differences, where = (np.array(column) for column in zip(*columns, strict=True))
        order = np.argsort(where)
        rows = []
        for i, score in enumerate(values.mean(axis=0)):
            mean, error = _mean(differences[:, i])
            scale = max(abs(mean), FLOOR * abs(score))
            rows.append(
                Row(
                    i,
                    parameter,
                    *_mean(slopes[order, i], True),
                    mean,
                    error,
                    *_mean((slopes - differences)[order, i], True),
                    scale,
                    len(columns),
                    self.budget.step,
                )
            )
        return rows

    def _exact(self) -> list[Row]:
        """Of what is not sampled: differences with ever smaller steps, extrapolated, and the steadiest of them."""
        key = self._key(0)
        score, slope = (np.asarray(x, float) for x in self._slopes(self.point, key))
        found = []
        for j in range(len(self.point)):
            self.progress(f"parameter {j + 1} of {len(self.point)}")
            both = np.concatenate([_STEPS, -_STEPS])
            values = self._at(both, j, key, self.point)
            central = (values[: len(_STEPS)] - values[len(_STEPS) :]) / (2 * _STEPS[:, None])
            better = (4 * central[1:] - central[:-1]) / 3
            best = (16 * better[1:] - better[:-1]) / 15
            for i in range(len(score)):
                steady = int(np.argmin(np.abs(np.diff(best[:, i])))) + 1
                difference = float(best[steady, i])
                scale = max(abs(difference), FLOOR * abs(score[i]))
                step, gradient = float(_STEPS[steady + 1]), float(slope[i, j])
                row = Row(i, j, gradient, 0.0, difference, 0.0, gradient - difference, 0.0, scale, 1, step)
                found.append(self._with_range(row))
        return sorted(found, key=lambda r: (r.objective, r.parameter))

    def _with_range(self, row: Row) -> Row:
        """How far a linear extrapolation holds, to both sides."""
        if row.parameter not in self._scans:
            self._scans[row.parameter] = self._scan(row.parameter)
        change, error = (x[:, row.objective] for x in self._scans[row.parameter])
        steps = np.array([*_SCAN, *(-s for s in _SCAN)])
        off = np.abs(change - row.gradient * steps)
        good = off <= np.maximum(_LINEAR * np.abs(row.gradient * steps), 2 * error) + 1e-12 * row.scale
        ends = []
        for side in (good[: len(_SCAN)], good[len(_SCAN) :]):
            reach = int(np.argmin(side)) if not side.all() else len(side)
            ends.append(_SCAN[reach - 1] if reach else 0.0)
        here = self.point[row.parameter]
        return replace(row, low=-min(ends[1], here), high=min(ends[0], 1 - here))

    def _scan(self, parameter: int) -> tuple[np.ndarray, np.ndarray]:
        """By how much the values change over each step, and with which error (steps, m)."""
        here = self.point[parameter]
        steps = np.clip([0.0, *_SCAN, *(-s for s in _SCAN)], -here, 1 - here)
        keys = range(_SCANNED if self.sampled else 1)
        values = np.stack([self._at(steps, parameter, self._key(n), self.point) for n in keys])
        change = values[:, 1:] - values[:, :1]
        # Steps that were cut short at the end of the box count as what they should be.
        wanted = np.array([*_SCAN, *(-s for s in _SCAN)])
        ratio = wanted / np.where(steps[1:] == 0, 1.0, steps[1:])
        change = change * ratio[None, :, None]
        spread = change.std(axis=0, ddof=1) / np.sqrt(len(keys)) if self.sampled else np.zeros(change.shape[1:])
        return change.mean(axis=0), spread


def _mean(column: Float[np.ndarray, " keys"], along: bool = False) -> tuple[float, float]:
    """Mean and standard error; of a column in order along a step that it covers evenly, without what bends over it."""
    spread = np.sqrt(np.mean(np.diff(column) ** 2) / 2) if along else column.std(ddof=1)
    return float(column.mean()), float(spread / np.sqrt(len(column)))
