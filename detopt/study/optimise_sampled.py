"""`detopt optimise` in sampled mode: geometry and head learn together; then every design is audited.

Three designs are audited, each with heads of its own: the initial one, the optimum, and the optimum of the other objectives
alone, which shows what the head's loss changed.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from detopt import __version__
from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.inference.heads import PortalHead
from detopt.inference.stored import leaves, with_leaves
from detopt.inference.training import train
from detopt.runs import Run, RunError
from detopt.search.joint import BATCHES, ROUND, JointRound, JointSearcher, JointState, is_better
from detopt.search.problem import FEASIBLE, random_starts
from detopt.simulation.streams import stream
from detopt.study.audit import Auditor, Pool
from detopt.study.detectors import open_detector
from detopt.study.edges import check_sampled_bounds
from detopt.study.evaluate import array_space, make_evaluator, make_sampler
from detopt.study.faults import BadInput, Fault
from detopt.study.interruption import TIME_IS_UP
from detopt.study.networks import make_head
from detopt.study.optimise import CHECKPOINT, DETECTOR, Infeasible, Progress, Search, Task, describe, make_problem
from detopt.study.optimum import sampled_optimum, unless_it_fails
from detopt.study.paired import difference
from detopt.study.path import write_path
from detopt.study.placement import radius_groups
from detopt.study.questions import asked_of_head, seconds_per_muon
from detopt.study.studies import Study
from detopt.study.write import detector_with
from detopt.units import format_quantity

__all__ = ["JointSearch", "SampledTask"]

VALIDATION = 4  # times the events of a step
BOX_DESIGNS = 64  # designs whose muons a conditioned head is warmed up with


class SampledTask(Task):
    """In sampled mode."""

    def __init__(self, study: Study, progress: Callable[[Progress], None] | None, deadline: float | None) -> None:
        self.study, self.progress, self.deadline = study, progress, deadline
        space = array_space(study)
        sampler = make_sampler(study, math.ceil(study.search.events / BATCHES))
        check_sampled_bounds(study, space, sampler)
        self.search = JointSearch(study, space, sampler, progress, deadline)

    def check(self) -> None:
        self.search.begin()

    def __call__(self, run: Run, started: float) -> Run:
        best, stopped = self.search.run(run)
        return _audited(self.study, run, self.search, best, stopped, self.progress, self.deadline, started)


def _audited(
    study: Study,
    run: Run,
    search: "JointSearch",
    best: np.ndarray | None,
    stopped: str,
    progress: Callable[[Progress], None] | None,
    deadline: float | None,
    started: float,
) -> Run:
    """Audit the designs, and write what was found."""

    def tell(line: str) -> None:
        if progress is not None:
            progress(Progress(0, 0, line, math.nan))

    detector_text = run.text(DETECTOR)
    audit = Auditor(study, tell)
    initial = audit(study.detector, "the initial design")

    def written(u: np.ndarray, name: str, what: str) -> Detector:
        found = {n: float(v) for n, v in study.space.values(u.tolist()).items()}
        header = (f"{what} by detopt {__version__}: study {study.name}, seed {study.seed}.",)
        run.write_text(name, detector_with(detector_text, study.space, found, header, run.folder))
        return open_detector(run.folder / name)[0]

    designs, audits = {"initial": study.detector}, {"initial": initial}
    start = np.array(study.space.init)
    if best is not None:
        designs["final"] = written(best, "detector.yaml", "Optimised")
        audits["final"] = audit(designs["final"], "the optimum")
        loss = search.loss(audits["final"].score) - search.loss(initial.score)
        if not loss <= 0 and search.starts_feasible:
            stopped += f"; the audit found its best design worse than the initial one (by {loss:.2g}), which is kept"
            best = None
    if best is None:
        if not search.starts_feasible:
            raise Infeasible("no design that meets all constraints was found: loosen these, or widen the bounds")
        designs["final"] = written(start, "detector.yaml", "Kept")
        audits["final"] = initial
    if (others := _without_head(study)) is not None:
        tell("searching without the head's loss")
        u = _expected_optimum(others, deadline)
        if u is not None:
            designs["without"] = written(u, "detector_without_head.yaml", "Optimised without the head's loss")
            audits["without"] = audit(designs["without"], "the optimum without the head")
    for name, audited in audits.items():
        if audited.networks is not None:
            run.write_arrays(f"heads/{name}.npz", leaves(audited.networks))
    rivals = {n: audit(study.space.at(values), n) for n, values in study.rivals.items()}
    seconds = time.monotonic() - started + search.before
    scores = {n: a.score for n, a in audits.items()}
    result = describe(study, designs, scores, search.steps, seconds, stopped, {n: a.score for n, a in rivals.items()})
    result["after_minus"] = {
        n: difference(a, audits["final"]) for n, a in {**audits, **rivals}.items() if a is not audits["final"]
    }
    if study.head is not None:
        result["inference"] = {
            "head": {"objective": asked_of_head(study), "name": next(iter(_of_head(study)))},
            "budget": vars(study.audit),
            "designs": {name: a.inference for name, a in audits.items()},
        }
        if isinstance(study.head, PortalHead):
            result["inference"]["seconds_per_muon"] = seconds_per_muon(study)
    if best is not None and not stopped.startswith(TIME_IS_UP):
        tell("gradients at the optimum")
        result |= unless_it_fails(lambda: sampled_optimum(study, search, designs["final"], scores["final"]))
    if best is not None:
        write_path(run, study, result["layouts"], search.steps)
    run.finish(result, time.monotonic() - started + search.before)
    from detopt.report.page import write_report

    write_report(run)
    return run


def _of_head(study: Study) -> list[str]:
    """Names of the objectives that the head works for."""
    return [n for n, t in study.objectives.items() if hasattr(t, "needs_head")]


def _without_head(study: Study) -> Study | None:
    """The study without what its head is asked for, in expected mode; None where nothing is left that it can do."""
    rest = {n: t for n, t in study.objectives.items() if n not in _of_head(study)}
    if study.head is None or study.detector.frame != "barrel" or not any(t.weight > 0 for t in rest.values()):
        return None
    if any(hasattr(t, "momentum") and t.momentum is None for t in rest.values()):
        return None
    return replace(study, mode="expected", objectives=rest, head=None)


def _expected_optimum(study: Study, deadline: float | None) -> np.ndarray | None:
    """The best design of a study in expected mode; None where it has none."""
    try:
        evaluate, space = make_evaluator(study), array_space(study)
        initial = jax.jit(evaluate)(as_arrays(study.detector), None, jax.random.key(study.seed))
        problem = make_problem(study, lambda u: evaluate(space.place(u), None, None), initial.values)
        return Search(study, evaluate, problem, None, None, deadline).run()[0]
    except (BadInput, Infeasible):
        return None


class _Position(NamedTuple):
    """Where a search stands between two rounds: all that it goes on from."""

    first: Any  # the warm head of the first start; None without one
    start: int
    network: Any  # with which this start began
    state: JointState | None  # None before its first round
    zero: float  # loss of the initial design on the validation events
    best_loss: float
    best: np.ndarray | None = None  # None where no design has met the constraints yet
    kept: tuple[JointState, Any] | None = (
        None  # where that was found: the state, and the head that its start began with
    )


class JointSearch:
    """Drives the joint searcher over all starts, keeps history and checkpoint, and remembers the best design."""

    def __init__(
        self,
        study: Study,
        space: Any,
        sampler: Any,
        progress: Callable[[Progress], None] | None,
        deadline: float | None,
    ) -> None:
        self.study, self.space, self.sampler = study, space, sampler
        self.progress, self.deadline = progress, deadline
        self.key = stream(jax.random.key(study.seed), "search")
        judge = make_sampler(study, VALIDATION * study.search.events)
        # Losses are told relative to that of the initial design; what it is comes out later.
        ones = np.ones(len(study.objectives))
        self.problem, judged = (
            make_problem(study, lambda u, head, key, evaluate=e: evaluate(space.place(u), head, key), ones)
            for e in (sampler, judge)
        )
        validation = stream(self.key, "validation")
        self.searcher = JointSearcher(
            self.problem,
            limits=lambda u: sampler.limits(space.place(u)),
            validation=lambda u, head: judged(u, head, validation),
            exposures=None if study.head is None else (lambda u, k, n: sampler.exposures(space.place(u), k, n)),
            head=study.head,
            learning_rate=study.search.learning_rate,
            steps=study.search.steps,
        )
        if study.head is not None:
            self._pool = Pool(sampler.exposures)
        self._train = eqx.filter_jit(self._trained)
        self.rows: list[dict[str, Any]] = []
        self.steps = 0
        self.shared = study.head is not None and study.head.conditioned  # one head serves all starts
        self.position: _Position | None = None
        self.started, self.before = time.monotonic(), 0.0  # seconds of the search before it was stopped
        limits = sampler.limits(space.place(jnp.asarray(study.space.init)))
        self.starts_feasible = bool(np.all(np.asarray(limits) <= FEASIBLE))

    def loss(self, score: dict[str, Any]) -> float:
        """Of an audited design; NaN where it has none."""
        values = [math.nan if e["value"] is None else e["value"] for e in score["objectives"].values()]
        return float(self.problem.loss(jnp.array(values)))

    def begin(self) -> None:
        """Warm up a head, and score the initial design with it. Raises BadInput where that has no positive score."""
        study, u = self.study, jnp.asarray(self.study.space.init)
        network = self._warm(None, "over the whole box") if self.shared else self._warm(u, "of start 1")
        initial = self.searcher.validate(u, network)
        values = dict(zip(study.objectives, np.asarray(initial.values).tolist(), strict=True))
        if bad := [n for n, v in values.items() if not 0 < v < math.inf]:
            message = (
                f"{', '.join(bad)} of the initial design cannot be compared: only positive numbers can. Do enough layers "
                "measure?"
            )
            raise BadInput([Fault(str(study.path), *study.document.position(("objectives",)), "objectives", message)])
        if self.progress is not None:
            shown = ", ".join(
                f"{n} {format_quantity(v, t.display_unit or t.unit, digits=4)}"
                for (n, v), t in zip(values.items(), study.objectives.values(), strict=True)
            )
            self.progress(Progress(0, 0, f"the initial design: {shown}, before any audit", math.nan))
        self.position = _Position(network, 0, network, None, float(initial.loss), math.inf)
        if is_better(initial, math.inf):
            kept = self.searcher.init(u, network)[0], network
            self.position = self.position._replace(
                best=np.array(study.space.init), best_loss=float(initial.loss), kept=kept
            )

    def run(self, folder: Run) -> tuple[np.ndarray | None, str]:
        """The best design on the validation events (None where none meets the constraints), and why it stopped."""
        study = self.study
        drawn = random_starts(
            [study.seed, *b"search"], study.search.restarts, radius_groups(self.space), len(self.space)
        )
        starts = [np.array(study.space.init), *drawn]
        if self.position is None:
            self.position = self._stored(folder)
        if self.position is None:
            self.begin()
        at = self.position
        assert at is not None
        for number in range(at.start, len(starts)):
            # Random starts begin inside the constraints, where heads are worth training.
            u = jnp.asarray(starts[number])
            if number > 0:
                u = self.searcher.inside(u[None])[0]
            if number > at.start:
                network = at.first if self.shared else self._warm(u, f"of start {number + 1}")
                at = at._replace(start=number, network=network, state=None)
            for round_ in self.searcher.rounds(u, at.network, stream(self.key, f"start {number}"), at.state):
                at = at._replace(state=round_.state)
                if is_better(round_.validated, at.best_loss):
                    at = at._replace(best=np.asarray(round_.candidate), best_loss=float(round_.validated.loss))
                    at = at._replace(kept=(round_.state, at.network))
                self.position = at
                self._record(folder, round_, at, len(starts))
                if self.deadline is not None and time.monotonic() > self.deadline:
                    return at.best, TIME_IS_UP
        return at.best, f"it has spent its {study.search.steps} steps from {len(starts)} starts"

    def _store(self, folder: Run, at: "_Position") -> None:
        """Write down all that the search goes on from."""
        seconds = time.monotonic() - self.started + self.before
        counts = {
            "start": at.start,
            "zero": at.zero,
            "best_loss": at.best_loss,
            "recorded": self.steps,
            "seconds": seconds,
        }
        arrays = {name: np.array(value) for name, value in counts.items()}
        trees = {"state": at.state, "first": at.first, "network": at.network}
        if at.best is not None and at.kept is not None:
            arrays["best"] = at.best
            trees |= {"best_state": at.kept[0], "best_network": at.kept[1]}
        for part, tree in trees.items():
            arrays |= {f"{part}.{name}": array for name, array in leaves(tree).items()}
        folder.write_arrays(CHECKPOINT, arrays)

    def _stored(self, folder: Run) -> "_Position | None":
        """Where the search of the run folder stands; None where it has not begun. Raises RunError."""
        if not (folder.folder / CHECKPOINT).is_file():
            return None
        arrays, history = folder.arrays(CHECKPOINT), folder.history
        try:

            def part(name: str) -> dict[str, np.ndarray]:
                return {key.removeprefix(f"{name}."): a for key, a in arrays.items() if key.startswith(f"{name}.")}

            bare = None if self.study.head is None else make_head(self.study, self.key)
            fresh = self.searcher.init(jnp.asarray(self.study.space.init), bare)[0]
            first, network = (with_leaves(bare, part(name)) for name in ("first", "network"))
            state, best, kept = with_leaves(fresh, part("state")), arrays.get("best"), None
            if best is not None:
                kept = with_leaves(fresh, part("best_state")), with_leaves(bare, part("best_network"))
            self.steps, self.before = int(arrays["recorded"]), float(arrays["seconds"])
            table = {name: np.asarray(history.column(name)) for name in history.column_names}
            self.rows = [{name: column[table["step"] < self.steps] for name, column in table.items()}]
            zero, best_loss = (float(arrays[name]) for name in ("zero", "best_loss"))
            return _Position(first, int(arrays["start"]), network, state, zero, best_loss, best, kept)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder.folder / CHECKPOINT} is damaged, or of another version: {error}") from None

    def slopes_at(self, u: np.ndarray) -> np.ndarray:
        """Gradients of the loss at the best design, each on events of its own; about a sixth of the search, or less."""
        assert self.position is not None
        assert self.position.kept is not None
        rounds = max(1, self.study.search.steps * (1 + self.study.search.restarts) // (10 * ROUND))
        return self.searcher.standing(jnp.asarray(u), *self.position.kept, stream(self.key, "optimum"), rounds)

    def _warm(self, u: jax.Array | None, where: str) -> Any:
        """A head trained alone, at one design or over the whole box."""
        head = self.study.head
        if head is None:
            return None
        if self.progress is not None:
            self.progress(Progress(self.steps, 0, f"warming up the head {where}", math.nan))
        key = stream(self.key, f"warm-up {where}")
        number = min(head.together * head.exposure * max(head.warm_up, 1), self.study.audit.head_events)
        if u is not None:
            pool = self._pool(self.space.place(u), stream(key, "events"), number)
        else:
            rng = np.random.default_rng([self.study.seed, *b"box"])
            points = [np.array(self.study.space.init), *rng.uniform(size=(BOX_DESIGNS - 1, len(self.space)))]
            parts = [
                self._pool(self.space.place(jnp.asarray(p)), stream(key, f"events {i}"), number // BOX_DESIGNS)
                for i, p in enumerate(points)
            ]
            pool = jax.tree.map(lambda *each: jnp.concatenate(each), *parts)
        network = make_head(self.study, stream(key, "weights"))
        return self._train(network.normalised(pool), pool, stream(key, "batches"))

    def _trained(self, network: Any, pool: Any, key: jax.Array) -> Any:
        head = self.study.head
        assert head is not None
        return train(network, pool, head, head.warm_up, key)[0]

    def _record(self, folder: Run, round_: JointRound, at: _Position, starts: int) -> None:
        """Append the steps to the history, losses relative to the initial design's, and write it and the position down."""
        zero, best = at.zero, at.best_loss - at.zero
        study, points = self.study, jax.tree.map(np.asarray, round_.points)
        steps, u = len(points.loss), np.asarray(round_.u)
        violation = points.excess.max(axis=-1) if points.excess.shape[-1] else np.full(steps, -np.inf)
        validated = np.full(steps, np.nan)
        validated[-1] = float(round_.validated.loss) - zero
        self.rows.append(
            {
                "step": self.steps + np.arange(steps),
                "restart": np.full(steps, at.start),
                "phase": np.full(steps, "joint"),
                "loss": points.loss - zero,
                "validated": validated,
                "best": np.full(steps, best if math.isfinite(best) else math.nan),
                "violation": violation,
                "feasible": violation <= FEASIBLE,
                "slope": np.linalg.norm(round_.slopes, axis=1),
                "slope_error": np.linalg.norm(round_.errors, axis=1),
                "events": np.full(steps, round_.batches * self.sampler.events),
                **{name: points.values[:, i] for i, name in enumerate(study.objectives)},
                "cost": points.cost,
                **{v.name: np.asarray(v.value(u[:, i])) for i, v in enumerate(study.space.variables)},
            }
        )
        self.steps += steps
        folder.write_table({name: np.concatenate([r[name] for r in self.rows]) for name in self.rows[0]})
        self._store(folder, at)
        if self.progress is not None:
            total = study.search.steps * starts
            self.progress(Progress(self.steps, total, "joint", best if math.isfinite(best) else math.nan))
