"""`detopt optimise`: run the gradient search of a study and leave a run folder."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from detopt import __version__
from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.inference.stored import leaves, with_leaves
from detopt.parameters import get
from detopt.runs import Run, RunError, new_run
from detopt.scoring.evaluate import Evaluator
from detopt.scoring.score import Score
from detopt.search.gradient import LBFGS_PENALTY, LBFGS_ROUNDS, GradientSearcher, Position, State, Visit
from detopt.search.problem import FEASIBLE, Problem, random_starts
from detopt.study.combinations import Tried, try_combinations
from detopt.study.detectors import open_detector
from detopt.study.differentiable import check_differentiable
from detopt.study.edges import check_bounds, check_ranges
from detopt.study.evaluate import array_space, make_evaluator, score_as_dict
from detopt.study.faults import BadInput, Fault
from detopt.study.interruption import TIME_IS_UP, asked, working_on
from detopt.study.optimum import AT_BOUND, expected_optimum, unless_it_fails
from detopt.study.path import write_path
from detopt.study.placement import grid_start, radius_groups
from detopt.study.reach import check_reach
from detopt.study.resolution import resolution_curves
from detopt.study.run_inputs import manifest, write_inputs
from detopt.study.studies import Study
from detopt.study.tidy import tidier
from detopt.study.write import detector_with, inline_detector

__all__ = [
    "CHECKPOINT",
    "DETECTOR",
    "Infeasible",
    "Progress",
    "Search",
    "Task",
    "check_free",
    "describe",
    "has_begun",
    "make_problem",
    "optimise_study",
    "task_of",
]

BEST = 10  # combinations of choices that a report lists
CHECKPOINT = "checkpoint/state.npz"  # where a search stands
DETECTOR = "checkpoint/detector.yaml"  # as written by who asks
_TRIED = "checkpoint/choices.json"
READABLE = 1e-5  # of loss that may be given for a design with its numbers on their bounds


class Infeasible(Exception):
    """The search found no design that meets all constraints; the message says which could not be met."""


@dataclass(frozen=True)
class Progress:
    """What a progress bar shows."""

    done: int
    total: int
    phase: str
    loss: float  # best feasible loss so far, NaN before any
    note: str = ""  # what is shown instead of the loss


def optimise_study(
    study: Study,
    seed: int | None = None,
    out: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    time_limit: float | None = None,
    command: str | None = None,
) -> Run:
    """Optimise a study.

    Args:
        study: from `detopt.load`.
        seed: instead of the study's own.
        out: folder of the run; a fresh one below runs/ by default.
        progress: called after every round.
        time_limit: in seconds; the search stops early after it.
        command: how the run was started, for the manifest.

    Returns:
        The finished run.

    Raises:
        BadInput: nothing is free, or the initial design has no finite score.
        Infeasible: no design that meets the constraints was found.
        RunError: the run folder cannot be written.
    """
    started = time.monotonic()
    study = study if seed is None else replace(study, seed=seed)
    check_free(study)
    check_differentiable(study)
    task = task_of(study, progress, None if time_limit is None else started + time_limit)
    task.check()
    run = new_run(study.name, {**manifest(study, command), "kind": "optimum", "asked": asked(study)}, out)
    with working_on(run):
        run.write_text(DETECTOR, write_inputs(run, study))
        return task(run, started)


def has_begun(run: Run) -> bool:
    """Whether a run folder holds something to go on from."""
    return any((run.folder / name).is_file() for name in (CHECKPOINT, _TRIED))


def task_of(study: Study, progress: Callable[[Progress], None] | None, deadline: float | None) -> "Task":
    """What optimises a study in its mode. Raises BadInput where that cannot be done."""
    if study.choices and study.mode == "sampled":
        place = study.document.position(("choices",), key=True)
        message = "combinations are tried in expected mode in this version: set mode: expected, or one study for each"
        raise BadInput([Fault(str(study.path), *place, "choices", message)])
    if study.mode == "sampled":
        from detopt.study.optimise_sampled import SampledTask

        return SampledTask(study, progress, deadline)
    return ExpectedTask(study, progress, deadline)


class Task(ABC):
    """A study that is optimised, from its beginning or from where its run folder says that it stands."""

    @abstractmethod
    def check(self) -> None:
        """Raises BadInput where the initial design has no score that others can be compared with."""

    @abstractmethod
    def __call__(self, run: Run, started: float) -> Run:
        """Search, and write what was found. Raises Infeasible where no design meets the constraints.

        Args:
            run: whose folder is held; it has the study and the text of the detector.
            started: when, by `time.monotonic`.
        """


class ExpectedTask(Task):
    """In `expected` mode."""

    def __init__(self, study: Study, progress: Callable[[Progress], None] | None, deadline: float | None) -> None:
        self.study, self.progress, self.deadline = study, progress, deadline
        check_ranges(study)
        check_reach(study)
        self.evaluate = make_evaluator(study)
        self.space = array_space(study)
        check_bounds(study, self.space, self.evaluate.particles)
        self.score, self.key = jax.jit(self.evaluate), jax.random.key(study.seed)
        self.initial = self.score(as_arrays(study.detector), None, self.key)

    def check(self) -> None:
        values = zip(self.initial.objective_names, self.initial.values, strict=True)
        bad = {n: float(v) for n, v in values if not 0 < v < math.inf}
        if bad:
            study, shown = self.study, ", ".join(f"{name} is {value:g}" for name, value in bad.items())
            message = (
                f"{shown} for the initial design, and only positive values can be compared: do enough layers measure?"
            )
            raise BadInput([Fault(str(study.path), *study.document.position(("objectives",)), "objectives", message)])

    def __call__(self, run: Run, started: float) -> Run:
        study, drawn, initial, key = self.study, self.study, self.initial, self.key
        evaluate, space, score = self.evaluate, self.space, self.score
        detector_text, starts, choices = run.text(DETECTOR), [], {}
        if study.choices:
            tried = _try_choices(study, initial.values, run, self.progress, self.deadline)
            study, start = study.variant(tried[0].chosen), tried[0].values
            choices = {"choices": _told(drawn, tried)}
            detector_text = inline_detector(study.document.text)
            evaluate, space = make_evaluator(study), array_space(study)
            score = jax.jit(evaluate)
            starts = [[v.unit_interval(start[v.name]) for v in space.variables]]
        problem = make_problem(study, lambda u: evaluate(space.place(u), None, key), initial.values)
        search = Search(study, evaluate, problem, run, self.progress, self.deadline, starts)
        best, stopped = search.run()

        values = {n: float(v) for n, v in study.space.values(best.tolist()).items()}
        header = (f"Optimised by detopt {__version__}: study {study.name}, seed {study.seed}.",)
        run.write_text("detector.yaml", detector_with(detector_text, study.space, values, header, run.folder))
        # The answer is what the file says: it is read back and scored.
        final_detector, _ = open_detector(run.folder / "detector.yaml")
        final = score(as_arrays(final_detector), None, key)
        seconds = time.monotonic() - started + search.before
        scores = {"initial": score_as_dict(study, initial), "final": score_as_dict(study, final)}
        designs = {"initial": drawn.detector, "final": final_detector}
        rivals = {
            n: score_as_dict(study, score(as_arrays(study.space.at(v)), None, key)) for n, v in study.rivals.items()
        }
        found = describe(study, designs, scores, search.steps, seconds, stopped, rivals)
        if stopped != TIME_IS_UP:
            found |= unless_it_fails(lambda: expected_optimum(study, search, final_detector))
        write_path(run, study, found["layouts"], search.steps)
        run.finish({**found, **choices}, time.monotonic() - started + search.before)
        from detopt.report.page import write_report

        write_report(run)
        return run


def _try_choices(
    study: Study,
    reference: Any,
    run: Run,
    progress: Callable[[Progress], None] | None,
    deadline: float | None,
) -> list[Tried]:
    """Combinations of choices, the best first; a table of them is written. Raises Infeasible where none is good."""
    total = min(study.search.combinations, study.combinations)
    known = [Tried(**row) for row in run.stored(_TRIED)] if (run.folder / _TRIED).is_file() else []

    def report(tried: list[Tried]) -> None:
        columns: dict[str, Any] = {name: [t.chosen[name] for t in tried] for name in study.choices}
        columns |= {"loss": [t.loss for t in tried], "seconds": [t.seconds for t in tried]}
        run.write_table(columns, "choices")
        run.store(_TRIED, [t._asdict() for t in tried])
        if progress is not None:
            progress(Progress(len(tried), total, "choices", min(t.loss for t in tried)))

    tried = try_combinations(
        study, lambda variant, score: make_problem(variant, score, reference), report, deadline, known
    )
    if not np.isfinite([t.loss for t in tried]).any():
        raise Infeasible(
            f"none of the {len(tried)} combinations of choices that were tried has a design that meets all constraints. "
            "Loosen these, widen the bounds, or try more (search: combinations)."
        )
    return sorted(tried, key=lambda t: t.loss)


def _told(study: Study, tried: list[Tried]) -> dict[str, Any]:
    """What result.json says of the combinations."""
    good = [t for t in tried[:BEST] if np.isfinite(t.loss)]
    return {
        "chosen": tried[0].chosen,
        "tried": len(tried),
        "combinations": study.combinations,
        "best": [{"chosen": t.chosen, "loss": t.loss} for t in good],
    }


def check_free(study: Study) -> None:
    """Raises BadInput where nothing can be moved."""
    if not study.space.variables:
        message = "nothing is free to optimise: give bounds to some numbers, as in L0.radius: {bounds: [20 mm, 40 mm]}"
        raise BadInput([Fault(str(study.path), None, None, "variables", message)])


def make_problem(study: Study, score: Callable[..., Score], reference: Any) -> Problem:
    """What a search of the study works on; losses are relative to the reference's values of the objectives."""
    return Problem(
        score,
        goals={n: t.goal for n, t in study.objectives.items()},
        weights={n: t.weight for n, t in study.objectives.items()},
        reference=np.asarray(reference),
    )


class Search:
    """Drives the rounds of the searcher, keeps the history, and decides when to stop."""

    def __init__(
        self,
        study: Study,
        evaluate: Evaluator,
        problem: Problem,
        run: Run | None,
        progress: Callable[[Progress], None] | None,
        deadline: float | None,
        more_starts: Sequence[Sequence[float]] = (),
    ) -> None:
        """`more_starts` are points of the unit box."""
        self.more_starts = more_starts
        self.study, self.evaluate, self.problem, self.folder = study, evaluate, problem, run
        self.progress, self.deadline = progress, deadline
        self.searcher = GradientSearcher(problem, study.search.learning_rate, study.search.steps)
        self.rows: list[dict[str, Any]] = []
        self.steps = 0
        self.started, self.before = time.monotonic(), 0.0  # seconds of the search before it was stopped
        self.size = 1  # designs that are scored together: all starts

    def starts(self) -> np.ndarray:
        """The initial design first, then random ones, then the one from weights on a grid."""
        space, search = self.study.space, self.study.search
        drawn = random_starts([self.study.seed, *b"search"], search.restarts, radius_groups(space), len(space))
        starts = [np.array(space.init), *map(np.array, self.more_starts), *drawn]
        if search.placement == "grid":
            starts.append(grid_start(self.evaluate, space, self.problem))
        return np.stack(starts)

    def run(self) -> tuple[np.ndarray, str]:
        """The best design and why the search stopped."""
        total, position = self.study.search.steps + LBFGS_ROUNDS, self._stored()
        if position is None:
            position = Position(self.searcher.init(jnp.asarray(self.starts())))
        self.size = len(position.state.u)
        for round_ in self.searcher.rounds(position):
            position = round_.position
            self._record(round_.visits, round_.phase)
            self._store(position)
            if self.progress is not None:
                loss = float(np.min(np.asarray(position.state.best_loss)))
                self.progress(Progress(self.steps, total, round_.phase, loss if math.isfinite(loss) else math.nan))
            if self.deadline is not None and time.monotonic() > self.deadline:
                break
        best = self._tidy(self._choose(position.state), position.state)
        return best, self.searcher.stopped(position.best) or TIME_IS_UP

    def _store(self, position: Position) -> None:
        """Write down all that the search goes on from."""
        if self.folder is None:
            return
        state, seconds = position.state, time.monotonic() - self.started + self.before
        counts = {"steps": state.steps, "recorded": self.steps, "seconds": seconds, "losses": position.best}
        self.folder.write_arrays(CHECKPOINT, leaves(state) | {k: np.array(v) for k, v in counts.items()})

    def _stored(self) -> Position | None:
        """Where the search of the run folder stands; None where it has not begun. Raises RunError."""
        if self.folder is None or not (self.folder.folder / CHECKPOINT).is_file():
            return None
        arrays, history = self.folder.arrays(CHECKPOINT), self.folder.history
        try:
            state = with_leaves(self.searcher.init(jnp.asarray(arrays["u"])), arrays)._replace(
                steps=int(arrays["steps"])
            )
            self.steps, self.before = int(arrays["recorded"]), float(arrays["seconds"])
            table = {name: np.asarray(history.column(name)) for name in history.column_names}
            self.rows = [{name: column[table["step"] < self.steps] for name, column in table.items()}]
            return Position(state, tuple(arrays["losses"].tolist()))
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.folder.folder / CHECKPOINT} is damaged, or of another version: {error}") from None

    def _tidy(self, u: np.ndarray, state: State) -> np.ndarray:
        """The most readable form of the design that meets the constraints and scores as well, to 1e-5."""
        candidates = np.stack([u, *tidier(self.study.space, u)])
        count, shape = len(candidates), state.u.shape
        # In the shape that is compiled: as many at a time as there were starts.
        padded = np.concatenate([candidates, np.repeat(candidates[:1], -count % shape[0], axis=0)])
        scored: list[tuple] = []
        for batch in padded.reshape(-1, *shape):
            moved = self.searcher.inside(jnp.asarray(batch), jnp.asarray((batch > 0) & (batch < 1)))
            point = self.searcher.slope(moved, state.multipliers, LBFGS_PENALTY).point
            scored += zip(np.asarray(moved), point.loss, np.asarray(point.excess), strict=True)
        # Never more than that, and never worse than the initial design, whose loss is 0.
        loss = float(np.min(np.asarray(state.best_loss)))
        limit = max(loss, min(loss + READABLE, 0.0))
        good = [row for row, value, excess in scored[:count] if value <= limit and (excess <= FEASIBLE).all()]
        return good[-1] if good else u

    def _choose(self, state: State) -> np.ndarray:
        losses = np.asarray(state.best_loss)
        if not np.isfinite(losses).any():
            worst = np.asarray(self.searcher.slope(state.u, state.multipliers, LBFGS_PENALTY).point.excess)
            i = int(np.argmin(np.maximum(worst, 0).max(axis=1)))
            names = self.row_names()
            missed = sorted({f"{names[j]} by {100 * e:.3g} %" for j, e in enumerate(worst[i]) if e > FEASIBLE})
            raise Infeasible(
                f"no design that meets all constraints was found; the closest misses {', '.join(missed)}. "
                "Loosen these constraints, widen the bounds, or search longer (search: steps, restarts)."
            )
        return np.asarray(state.best_u[int(np.argmin(losses))])

    def row_names(self) -> tuple[str, ...]:
        """The constraint that each row of the excess belongs to."""
        return jax.eval_shape(self.problem.score, jnp.asarray(self.study.space.init)).constraint_names

    def _record(self, visits: list[Visit], phase: str) -> None:
        """Append some steps to the history, and write it down."""
        steps, starts = len(visits), len(visits[0].u)
        u, point, best = jax.tree.map(lambda *each: np.stack(each), *visits)
        violation = point.excess.max(axis=-1) if point.excess.shape[-1] else np.full((steps, starts), -np.inf)
        columns: dict[str, Any] = {
            "step": np.broadcast_to(self.steps + np.arange(steps)[:, None], (steps, starts)),
            "restart": np.broadcast_to(np.arange(starts), (steps, starts)),
            "phase": np.full((steps, starts), phase),
            "loss": point.loss,
            "best": np.where(np.isfinite(best), best, np.nan),
            "violation": violation,
            "feasible": violation <= FEASIBLE,
            **{name: point.values[..., i] for i, name in enumerate(self.study.objectives)},
            "cost": point.cost,
            **{v.name: np.asarray(v.value(u[..., i])) for i, v in enumerate(self.study.space.variables)},
        }
        self.rows.append({name: column.ravel() for name, column in columns.items()})
        self.steps += steps
        if self.folder is not None:
            self.folder.write_table({name: np.concatenate([r[name] for r in self.rows]) for name in self.rows[0]})


def describe(
    study: Study,
    designs: dict[str, Detector],
    scores: dict[str, dict[str, Any]],
    steps: int,
    seconds: float,
    stopped: str,
    rivals: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """What result.json holds of the designs of a run: "initial", "final", and others; and the scores of its rivals."""
    return {
        "study": study.name,
        "description": study.description,
        "detector": study.detector.name,
        "frame": study.detector.frame,
        "mode": study.mode,
        "seed": study.seed,
        **scores,
        "variables": _variables(study, designs),
        "layouts": {name: design.layout() for name, design in designs.items()},
        "curves": {name: resolution_curves(study, design) for name, design in designs.items()},
        "rivals": rivals,
        "steps": steps,
        "seconds": seconds,
        "stopped": stopped,
    }


def _variables(study: Study, designs: dict[str, Detector]) -> list[dict[str, Any]]:
    rows = []
    for v in study.space.variables:
        value = get(designs["final"], v.name)
        others = {name: get(d, v.name) for name, d in designs.items() if name not in ("initial", "final")}
        u = v.unit_interval(value)
        rows.append(
            {
                "name": v.name,
                "unit": v.unit,
                "display_unit": v.display_unit or v.unit,
                "initial": v.init,
                "final": value,
                **others,
                "lower": v.lower,
                "upper": v.upper,
                "at_bound": "lower" if u < AT_BOUND else "upper" if u > 1 - AT_BOUND else None,
                "tied": list(v.names[1:]),
            }
        )
    return rows
