"""`detopt optimise`: run the gradient search of a study and leave a run folder."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from detopt import __version__
from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.parameters import get
from detopt.runs import Run, new_run
from detopt.scoring.evaluate import Evaluator
from detopt.scoring.score import Score
from detopt.search.gradient import LBFGS_PENALTY, LBFGS_ROUNDS, GradientSearcher, State, Visit
from detopt.search.problem import FEASIBLE, Problem, random_starts
from detopt.study.combinations import Tried, try_combinations
from detopt.study.detectors import open_detector
from detopt.study.differentiable import check_differentiable
from detopt.study.edges import check_bounds, check_ranges
from detopt.study.evaluate import array_space, make_evaluator, score_as_dict
from detopt.study.faults import BadInput, Fault
from detopt.study.optimum import AT_BOUND, expected_optimum, unless_it_fails
from detopt.study.path import write_path
from detopt.study.placement import grid_start, radius_groups
from detopt.study.reach import check_reach
from detopt.study.resolution import resolution_table
from detopt.study.run_inputs import manifest, write_inputs
from detopt.study.studies import Study
from detopt.study.tidy import tidier
from detopt.study.write import detector_with, inline_detector

__all__ = [
    "Infeasible",
    "Progress",
    "Search",
    "check_free",
    "describe",
    "make_problem",
    "optimise_study",
]

CURVE_MOMENTA = np.geomspace(0.2, 200, 40)
TIME_LIMIT = "the time limit was reached"
BEST = 10  # combinations of choices that a report lists
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
    study = study if seed is None else replace(study, seed=seed)
    check_free(study)
    check_differentiable(study)
    if study.choices and study.mode == "sampled":
        place = study.document.position(("choices",), key=True)
        message = "combinations are tried in expected mode in this version: set mode: expected, or one study for each"
        raise BadInput([Fault(str(study.path), *place, "choices", message)])
    if study.mode == "sampled":
        from detopt.study.optimise_sampled import optimise_sampled

        return optimise_sampled(study, out, progress, time_limit, command)
    started = time.monotonic()
    check_ranges(study)
    check_reach(study)
    evaluate = make_evaluator(study)
    space = array_space(study)
    check_bounds(study, space, evaluate.particles)
    score = jax.jit(evaluate)
    key = jax.random.key(study.seed)
    initial = score(as_arrays(study.detector), None, key)
    bad = {n: float(v) for n, v in zip(initial.objective_names, initial.values, strict=True) if not 0 < v < math.inf}
    if bad:
        shown = ", ".join(f"{name} is {value:g}" for name, value in bad.items())
        message = f"{shown} for the initial design, and only positive values can be compared: do enough layers measure?"
        raise BadInput([Fault(str(study.path), *study.document.position(("objectives",)), "objectives", message)])

    run = new_run(study.name, manifest(study, command), out)
    detector_text, drawn, starts, choices = write_inputs(run, study), study, [], {}
    deadline = None if time_limit is None else started + time_limit
    if study.choices:
        tried = _try_choices(study, initial.values, run, progress, deadline)
        study, start = study.variant(tried[0].chosen), tried[0].values
        choices = {"choices": _told(drawn, tried)}
        detector_text = inline_detector(study.document.text)
        evaluate, space = make_evaluator(study), array_space(study)
        score = jax.jit(evaluate)
        starts = [[v.unit_interval(start[v.name]) for v in space.variables]]
    problem = make_problem(study, lambda u: evaluate(space.place(u), None, key), initial.values)
    search = Search(study, evaluate, problem, run, progress, deadline, starts)
    best, stopped = search.run()

    values = {n: float(v) for n, v in study.space.values(best.tolist()).items()}
    header = (f"Optimised by detopt {__version__}: study {study.name}, seed {study.seed}.",)
    run.write_text("detector.yaml", detector_with(detector_text, study.space, values, header, run.folder))
    # The answer is what the file says: it is read back and scored.
    final_detector, _ = open_detector(run.folder / "detector.yaml")
    final = score(as_arrays(final_detector), None, key)
    seconds = time.monotonic() - started
    scores = {"initial": score_as_dict(study, initial), "final": score_as_dict(study, final)}
    designs = {"initial": drawn.detector, "final": final_detector}
    rivals = {n: score_as_dict(study, score(as_arrays(study.space.at(v)), None, key)) for n, v in study.rivals.items()}
    found = describe(study, designs, scores, search.steps, seconds, stopped, rivals)
    if stopped != TIME_LIMIT:
        found |= unless_it_fails(lambda: expected_optimum(study, search, final_detector))
    write_path(run, study, found["layouts"], search.steps)
    run.finish({**found, **choices}, time.monotonic() - started)
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

    def report(tried: list[Tried]) -> None:
        columns: dict[str, Any] = {name: [t.chosen[name] for t in tried] for name in study.choices}
        columns |= {"loss": [t.loss for t in tried], "seconds": [t.seconds for t in tried]}
        run.write_table(columns, "choices")
        if progress is not None:
            progress(Progress(len(tried), total, "choices", min(t.loss for t in tried)))

    tried = try_combinations(study, lambda variant, score: make_problem(variant, score, reference), report, deadline)
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
        total = self.study.search.steps + LBFGS_ROUNDS
        stopped, starts = TIME_LIMIT, self.starts()
        self.size = len(starts)
        for round_ in self.searcher.rounds(jnp.asarray(starts)):
            self._record(round_.visits, round_.phase, total)
            stopped = round_.stopped or stopped
            if self.deadline is not None and time.monotonic() > self.deadline:
                break
        return self._tidy(self._choose(round_.state), round_.state), stopped

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

    def _record(self, visits: list[Visit], phase: str, total: int) -> None:
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
        if self.progress is not None:
            last = best[-1]
            self.progress(
                Progress(self.steps, total, phase, float(last.min()) if np.isfinite(last).any() else math.nan)
            )


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
        "curves": {name: _curves(study, design) for name, design in designs.items()},
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


def _curves(study: Study, detector: Detector) -> list[dict[str, Any]]:
    """Resolution against momentum at the source's central angle; nothing where there is no barrel."""
    if detector.frame != "barrel":
        return []
    low, high = study.source.theta
    theta = math.acos((math.cos(low) + math.cos(high)) / 2) if low != high else low
    return resolution_table(detector, CURVE_MOMENTA.tolist(), theta, study.physics)
