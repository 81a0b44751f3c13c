"""`detopt optimise` in sampled mode: geometry and head learn together; then every design is audited.

Three designs are audited, each with heads of its own: the initial one, the optimum, and the optimum of the other objectives
alone, which shows what the head's loss changed.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from detopt import __version__
from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.inference.heads import PortalHead
from detopt.inference.stored import leaves
from detopt.inference.training import train
from detopt.runs import Run, new_run
from detopt.search.joint import BATCHES, ROUND, JointRound, JointSearcher, JointState, is_better
from detopt.search.problem import FEASIBLE, Point, random_starts
from detopt.simulation.streams import stream
from detopt.study.audit import Auditor, Pool
from detopt.study.detectors import open_detector
from detopt.study.edges import check_sampled_bounds
from detopt.study.evaluate import array_space, make_evaluator, make_sampler
from detopt.study.faults import BadInput, Fault
from detopt.study.networks import make_head
from detopt.study.optimise import TIME_LIMIT, Infeasible, Progress, Search, describe, make_problem
from detopt.study.optimum import sampled_optimum, unless_it_fails
from detopt.study.paired import difference
from detopt.study.path import write_path
from detopt.study.placement import radius_groups
from detopt.study.questions import asked_of_head, seconds_per_muon
from detopt.study.run_inputs import manifest, write_inputs
from detopt.study.studies import Study
from detopt.study.write import detector_with
from detopt.units import format_quantity

__all__ = ["JointSearch", "optimise_sampled"]

VALIDATION = 4  # times the events of a step
BOX_DESIGNS = 64  # designs whose muons a conditioned head is warmed up with


def optimise_sampled(
    study: Study,
    out: str | Path | None,
    progress: Callable[[Progress], None] | None,
    time_limit: float | None,
    command: str | None,
) -> Run:
    """Optimise a study in sampled mode; arguments and errors as for `optimise_study`."""
    started = time.monotonic()
    space = array_space(study)
    sampler = make_sampler(study, math.ceil(study.search.events / BATCHES))
    check_sampled_bounds(study, space, sampler)

    def tell(line: str) -> None:
        if progress is not None:
            progress(Progress(0, 0, line, math.nan))

    deadline = None if time_limit is None else started + time_limit
    search = JointSearch(study, space, sampler, progress, deadline)
    begun = search.begin()
    run = new_run(study.name, manifest(study, command), out)
    detector_text = write_inputs(run, study)
    best, stopped = search.run(run, begun)
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
    seconds = time.monotonic() - started
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
    if best is not None and stopped != TIME_LIMIT:
        tell("gradients at the optimum")
        result |= unless_it_fails(lambda: sampled_optimum(study, search, designs["final"], scores["final"]))
    if best is not None:
        write_path(run, study, result["layouts"], search.steps)
    run.finish(result, time.monotonic() - started)
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


class _Begun(NamedTuple):
    """Before the first step."""

    network: Any  # a warm head; None without
    shared: bool  # whether it serves all starts
    initial: Point  # the initial design with it, on the validation events


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
        self.kept: tuple[JointState, Any] | None = (
            None  # where the best design was found: the state, and its first head
        )
        limits = sampler.limits(space.place(jnp.asarray(study.space.init)))
        self.starts_feasible = bool(np.all(np.asarray(limits) <= FEASIBLE))

    def loss(self, score: dict[str, Any]) -> float:
        """Of an audited design; NaN where it has none."""
        values = [math.nan if e["value"] is None else e["value"] for e in score["objectives"].values()]
        return float(self.problem.loss(jnp.array(values)))

    def begin(self) -> "_Begun":
        """A warm head, and how good the initial design is with it. Raises BadInput where that has no positive score."""
        study, u = self.study, jnp.asarray(self.study.space.init)
        shared = study.head is not None and study.head.conditioned
        network = self._warm(None, "over the whole box") if shared else self._warm(u, "of start 1")
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
        return _Begun(network, shared, initial)

    def run(self, folder: Run, begun: "_Begun") -> tuple[np.ndarray | None, str]:
        """The best design on the validation events (None where none meets the constraints), and why it stopped."""
        study = self.study
        drawn = random_starts(
            [study.seed, *b"search"], study.search.restarts, radius_groups(self.space), len(self.space)
        )
        starts = [np.array(study.space.init), *drawn]
        zero, best_loss = float(begun.initial.loss), math.inf
        best: np.ndarray | None = None
        if is_better(begun.initial, best_loss):
            best, best_loss = starts[0], zero
            self.kept = self.searcher.init(jnp.asarray(best), begun.network)[0], begun.network
        for number, start in enumerate(starts):
            # Random starts begin inside the constraints, where heads are worth training.
            u = jnp.asarray(start) if number == 0 else self.searcher.inside(jnp.asarray(start)[None])[0]
            warm = number == 0 or begun.shared
            network = begun.network if warm else self._warm(u, f"of start {number + 1}")
            for round_ in self.searcher.rounds(u, network, stream(self.key, f"start {number}")):
                if is_better(round_.validated, best_loss):
                    best, best_loss = np.asarray(round_.candidate), float(round_.validated.loss)
                    self.kept = round_.state, network
                self._record(folder, round_, number, best_loss, zero, len(starts))
                if self.deadline is not None and time.monotonic() > self.deadline:
                    return best, TIME_LIMIT
        return best, f"it has spent its {study.search.steps} steps from {len(starts)} starts"

    def slopes_at(self, u: np.ndarray) -> np.ndarray:
        """Gradients of the loss at the best design, each on events of its own; about a sixth of the search, or less."""
        assert self.kept is not None
        rounds = max(1, self.study.search.steps * (1 + self.study.search.restarts) // (10 * ROUND))
        return self.searcher.standing(jnp.asarray(u), *self.kept, stream(self.key, "optimum"), rounds)

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

    def _record(self, folder: Run, round_: JointRound, start: int, best: float, zero: float, starts: int) -> None:
        """Append the steps to the history, losses relative to `zero`, and write history and checkpoint down."""
        best -= zero
        study, points = self.study, jax.tree.map(np.asarray, round_.points)
        steps, u = len(points.loss), np.asarray(round_.u)
        violation = points.excess.max(axis=-1) if points.excess.shape[-1] else np.full(steps, -np.inf)
        validated = np.full(steps, np.nan)
        validated[-1] = float(round_.validated.loss) - zero
        self.rows.append(
            {
                "step": self.steps + np.arange(steps),
                "restart": np.full(steps, start),
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
        folder.write_arrays("checkpoint/state.npz", {**leaves(round_.state), "start": np.array(start)})
        if self.progress is not None:
            total = study.search.steps * starts
            self.progress(Progress(self.steps, total, "joint", best if math.isfinite(best) else math.nan))
