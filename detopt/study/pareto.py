"""`detopt pareto`: the designs of a study that no other design beats, scored again on fresh events, in a run folder."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from detopt.backend import jax, jnp
from detopt.runs import Run, new_run
from detopt.scoring.evaluate import View, score_terms
from detopt.search.belief import on_the_front, with_interval
from detopt.search.constraints import Inside
from detopt.search.fronts import best_subset, hypervolume, nondominated
from detopt.search.pareto import FrontSearcher, Plan, State
from detopt.search.problem import FEASIBLE
from detopt.search.stationarity import residuals
from detopt.simulation.streams import stream
from detopt.study.differentiable import check_differentiable
from detopt.study.edges import check_ranges
from detopt.study.evaluate import array_space, make_evaluator, make_sampler
from detopt.study.faults import BadInput, Fault
from detopt.study.optimise import Infeasible, Progress, manifest, write_inputs
from detopt.study.placement import radius_groups
from detopt.study.studies import Study

__all__ = ["pareto_study"]

BATCH = 32  # designs that are scored in one call
PILOT = 64  # random designs that tell how much the objectives vary
LEAST_SCALE = 0.05  # of a logarithm
ACTIVE = 1e-4  # a constraint that is met by less holds a design back
HARDLY = 0.05  # probability of being on the front below which a point is not published
CANDIDATES = 2  # times the published points are scored again where scores have errors


class _Scale(NamedTuple):
    """From values of objectives to what a search makes small: logarithms, 0 at the worst of interest."""

    signs: Float[np.ndarray, " m"]
    worst: Float[np.ndarray, " m"]
    width: Float[np.ndarray, " m"]

    def __call__(self, values: Any, log: Any = jnp.log) -> Any:
        return self.signs * (log(values) - np.log(self.worst)) / self.width

    def errors(self, values: Any, errors: Any) -> Any:
        """Errors of the same."""
        return errors / np.abs(values) / self.width


def pareto_study(
    study: Study,
    seed: int | None = None,
    out: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    time_limit: float | None = None,
    command: str | None = None,
) -> Run:
    """Search the front of a study's objectives.

    Args and errors as for `detopt.study.optimise.optimise_study`; besides, BadInput for a study with fewer than two
    objectives, with a head, or with limits on what tracks show.
    """
    study = study if seed is None else replace(study, seed=seed)
    _check(study)
    check_differentiable(study)
    started = time.monotonic()
    simulator = _Simulator(study)
    scale = simulator.scale()
    run = new_run(study.name, {**manifest(study, command), "kind": "front"}, out)
    write_inputs(run, study)
    sampled = study.mode == "sampled"
    # A noisy gradient costs as much as five noisy values, and tells the emulator hardly more.
    plan = Plan.of(study.front.evaluations, gradients=not sampled)
    searcher = FrontSearcher(
        lambda u, key: simulator.scaled(u, key, scale),
        None if sampled else lambda u, weights, key: simulator.slopes(u, weights, key, scale),
        simulator.inside,
        np.array([study.space.init]),
        plan,
        study.seed,
        noisy=sampled,
        shape=_ordered(radius_groups(study.space)),
    )
    history = _History(study, run, scale, progress, plan.evaluations)
    state, stopped = searcher.init(), f"it has spent its {plan.evaluations} evaluations"
    history.add(state)
    while not searcher.done(state):
        state = searcher.step(state)
        history.add(state)
        if time_limit is not None and time.monotonic() - started > time_limit:
            stopped = "the time limit was reached"
            break
    _publish(study, run, simulator, scale, searcher, state, stopped, started)
    from detopt.report.front import write_front_report

    write_front_report(run)
    return run


def _check(study: Study) -> None:
    """What a front needs. Raises BadInput."""

    def refuse(section: str, message: str) -> BadInput:
        place = study.document.position((section,)) if section in study.document.data else (None, None)
        return BadInput([Fault(str(study.path), *place, section, message)])

    if not study.space.variables:
        raise refuse(
            "variables", "nothing is free: give bounds to some numbers, as in L0.radius: {bounds: [20 mm, 40 mm]}"
        )
    if len(study.objectives) < 2:
        message = f"a front needs two objectives or more, got {len(study.objectives)}: `detopt optimise` is for one"
        raise refuse("objectives", message)
    if study.head is not None:
        raise refuse("head", "fronts with heads are not in this version: set head: none, or run `detopt optimise`")
    for name, term in study.constraints.items():
        if hasattr(term, "momentum"):
            message = (
                f"{name} limits what tracks show; for a front, make it an objective with this limit as its worst value "
                "of interest, as in {type: resolution, of: pt, worst: 2 %}"
            )
            raise refuse("constraints", message)


def _ordered(groups: list[list[int]]) -> Callable[[Any], Any]:
    """Random layers that may stand in any order are put in one."""

    def shape(u: Any) -> Any:
        u = np.array(u)
        for group in groups:
            u[:, group] = np.sort(u[:, group], axis=1)
        return u

    return shape


class _Simulator:
    """Scores and gradients of a study for many designs."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.space = array_space(study)
        self.key = jax.random.key(study.seed)
        if study.mode == "sampled":
            self.evaluate: Any = make_sampler(study, study.front.events)
        else:
            check_ranges(study)
            self.evaluate = make_evaluator(study)
        space, evaluate = self.space, self.evaluate
        prices, constraints = study.prices, study.constraints
        # One by one where each is a scan over many events, all at once where it is a few small matrices.
        many = jax.vmap if study.mode == "expected" else (lambda f: lambda *a: jax.lax.map(lambda x: f(*x), a))
        self.signs = np.array([1.0 if t.goal == "minimise" else -1.0 for t in study.objectives.values()])

        def values(u: Any, key: Any) -> Any:
            return evaluate(space.place(u), None, key).values

        def slope(u: Any, weights: Any, key: Any) -> Any:
            return jax.grad(lambda u: jnp.sum(weights * jnp.log(values(u, key))))(u)

        def excess(u: Any) -> Any:
            return score_terms({}, constraints, View(space.place(u), prices, None, {})).excess

        self._values = jax.jit(many(values))
        self._slopes = jax.jit(many(slope))
        self.excess = jax.jit(jax.vmap(excess))
        self.inside = Inside(excess) if study.constraints else None

    def values(self, u: Float[np.ndarray, "p n"], key: jax.Array) -> Float[np.ndarray, "p m"]:
        """The objectives of many designs; NaN where one cannot be scored or misses a constraint."""
        found = _batches(self._values, u, jax.random.split(key, len(u)))
        return np.where(self.meets(u)[:, None] & (found > 0) & np.isfinite(found), found, np.nan)

    def meets(self, u: Float[np.ndarray, "p n"]) -> np.ndarray:
        """Which designs meet the constraints."""
        return np.all(_batches(self.excess, u) <= FEASIBLE, axis=1)

    def scaled(self, u: Float[np.ndarray, "p n"], key: jax.Array, scale: _Scale) -> Float[np.ndarray, "p m"]:
        """As a search wants them."""
        return np.asarray(scale(self.values(u, key), np.log))

    def slopes(
        self, u: Float[np.ndarray, "p n"], weights: Float[np.ndarray, "p m"], key: jax.Array, scale: _Scale
    ) -> Float[np.ndarray, "p n"]:
        """Gradients of weighted sums of the same."""
        return _batches(self._slopes, u, weights * (scale.signs / scale.width), jax.random.split(key, len(u)))

    def gradients(self, u: Float[np.ndarray, "p n"], key: jax.Array, scale: _Scale) -> Float[np.ndarray, "p m n"]:
        """Of all objectives."""
        unit = np.eye(len(scale.signs))
        return np.stack([self.slopes(u, np.tile(row, (len(u), 1)), key, scale) for row in unit], axis=1)

    def limits(self, u: Float[np.ndarray, "p n"]) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of the constraints, and which are active."""
        if self.inside is None:
            return np.zeros((len(u), 0, u.shape[1])), np.zeros((len(u), 0), bool)
        slopes, excess = self.inside.jacobian(jnp.asarray(u))
        return np.asarray(slopes), np.asarray(excess) > -ACTIVE

    def scale(self) -> _Scale:
        """From the initial design, the worst values that the study names, and random designs."""
        study = self.study
        rng = np.random.default_rng([study.seed, *b"pilot"])
        u = rng.uniform(size=(PILOT, len(self.space)))
        u[0] = study.space.init
        if self.inside is not None:
            u[1:] = np.array(self.inside(jnp.asarray(u)))[1:]
        found = self.values(u, stream(self.key, "pilot"))
        named = [getattr(t, "worst", None) for t in study.objectives.values()]
        if not np.isfinite(found).all(axis=1).any():
            met = _batches(self.excess, u)
            if not (met <= FEASIBLE).all(axis=1).any():
                score = jax.eval_shape(lambda u: self.evaluate(self.space.place(u), None, self.key), jnp.asarray(u[0]))
                rows = [score.constraint_names[j] for j in np.flatnonzero((met > FEASIBLE).all(axis=0))]
                which = (
                    f"{', '.join(dict.fromkeys(rows))} cannot be met"
                    if rows
                    else "the constraints cannot hold together"
                )
                raise Infeasible(f"{which} by any of {PILOT} designs over the bounds: loosen it, or widen the bounds")
            message = (
                "no objective of the initial design or of random ones is a positive number; do enough layers measure?"
            )
            raise BadInput([Fault(str(study.path), *study.document.position(("objectives",)), "objectives", message)])
        start = np.where(np.isfinite(found[0]), found[0], np.nanmedian(found, axis=0))
        worst = np.array(
            [(v * 2 if s > 0 else v / 2) if w is None else w for v, s, w in zip(start, self.signs, named, strict=True)]
        )
        best = np.nanquantile(self.signs * np.log(found), 0.05, axis=0)
        return _Scale(self.signs, worst, np.maximum(self.signs * np.log(worst) - best, LEAST_SCALE))


def _batches(compiled: Callable[..., Any], *columns: Any) -> np.ndarray:
    """Call what is compiled for a fixed number of rows with any number of them."""
    found = []
    for first in range(0, len(columns[0]), BATCH):
        part = [c[first : first + BATCH] for c in columns]
        missing = BATCH - len(part[0])
        part = [jnp.concatenate([jnp.asarray(c), jnp.repeat(jnp.asarray(c)[:1], missing, axis=0)]) for c in part]
        found.append(np.asarray(compiled(*part))[: BATCH - missing])
    return np.concatenate(found)


class _History:
    """Every design that was scored, and the hypervolume after each round."""

    def __init__(
        self,
        study: Study,
        run: Run,
        scale: _Scale,
        progress: Callable[[Progress], None] | None,
        total: int,
    ) -> None:
        self.study, self.run, self.scale, self.progress, self.total = study, run, scale, progress, total
        self.rounds: list[dict[str, float]] = []
        self.round_of: list[int] = []
        self.started = time.monotonic()

    def add(self, state: State) -> None:
        """Write down what a round has found."""
        archive, scale = state.archive, self.scale
        self.round_of += [state.rounds] * (len(archive.u) - len(self.round_of))
        values = np.exp(archive.values * scale.width * scale.signs + np.log(scale.worst))
        columns: dict[str, Any] = {"round": np.array(self.round_of)}
        columns |= {name: values[:, i] for i, name in enumerate(self.study.objectives)}
        columns |= {v.name: np.asarray(v.value(archive.u[:, i])) for i, v in enumerate(self.study.space.variables)}
        self.run.write_table(columns)
        volume = hypervolume(archive.values, np.zeros(archive.values.shape[1]))
        seconds = time.monotonic() - self.started
        self.rounds.append({"evaluations": state.spent, "hypervolume": volume, "seconds": seconds})
        self.run.write_table({key: [r[key] for r in self.rounds] for key in self.rounds[0]}, "rounds")
        if self.progress is not None:
            self.progress(Progress(state.spent, self.total, "front", math.nan, f"hypervolume {volume:.4g}"))


def _publish(
    study: Study,
    run: Run,
    simulator: _Simulator,
    scale: _Scale,
    searcher: FrontSearcher,
    state: State,
    stopped: str,
    started: float,
) -> None:
    """Choose the points, score them again where scores have errors, and write the front."""
    archive, reference = state.archive, np.zeros(len(scale.signs))
    told = searcher.told(state)
    good = np.flatnonzero(np.isfinite(archive.values).all(axis=1) & (told < reference).all(axis=1))
    if not len(good):
        names = ", ".join(study.objectives)
        raise Infeasible(
            f"no design is better than the worst values of interest in all of {names}: name worse ones (worst: …), or "
            "search longer (search: evaluations)"
        )
    sampled = study.mode == "sampled"
    number = study.front.points * (CANDIDATES if sampled else 1)
    chosen = good[best_subset(told[good], number, reference)]
    u, values = archive.u[chosen], archive.values[chosen]
    if sampled:
        audit = _Audit(study, scale)
        chance = on_the_front(*audit(u, "choose"), study.seed)
        best = np.argsort(-chance, kind="stable")[: study.front.points]
        u = u[best[chance[best] > HARDLY]]
        values, errors = audit(u, "publish")  # what was chosen for its luck is scored once more
    else:
        best = nondominated(values)
        u, values = u[best], values[best]
        errors = np.zeros_like(values)
    chance = on_the_front(values, errors, study.seed)
    order = np.argsort(values[:, 0], kind="stable")
    u, values, errors, chance = u[order], values[order], errors[order], chance[order]
    volume = with_interval(values, errors, reference, study.seed)
    slopes = (
        searcher.gradients(state, u)
        if sampled
        else simulator.gradients(u, stream(simulator.key, "stationarity"), scale)
    )
    kkt = residuals(slopes, u, *simulator.limits(u))
    physical = np.exp(values * scale.width * scale.signs + np.log(scale.worst))
    columns: dict[str, Any] = {}
    for i, name in enumerate(study.objectives):
        columns[name] = physical[:, i]
        columns[f"{name}_error"] = errors[:, i] * scale.width[i] * physical[:, i]
    columns |= {"p_nondominated": chance, "kkt": kkt}
    columns |= {v.name: np.asarray(v.value(u[:, i])) for i, v in enumerate(study.space.variables)}
    run.write_table(columns, "front")
    seconds = time.monotonic() - started
    events = study.front.events * (state.spent + PILOT) if sampled else 0
    run.finish(
        {
            "study": study.name,
            "description": study.description,
            "detector": study.detector.name,
            "frame": study.detector.frame,
            "mode": study.mode,
            "seed": study.seed,
            "objectives": {
                name: {
                    "title": t.title,
                    "unit": t.unit,
                    "display_unit": t.display_unit,
                    "goal": t.goal,
                    "worst": float(w),
                }
                for (name, t), w in zip(study.objectives.items(), scale.worst, strict=True)
            },
            "constraints": {name: t.title for name, t in study.constraints.items()},
            "variables": [
                {
                    "name": v.name,
                    "unit": v.unit,
                    "display_unit": v.display_unit or v.unit,
                    "lower": v.lower,
                    "upper": v.upper,
                    "initial": v.init,
                }
                for v in study.space.variables
            ],
            "points": len(u),
            "hypervolume": volume._asdict(),
            "kkt_median": float(np.median(kkt)),
            "evaluations": state.spent + PILOT,
            "events": events,
            "failed": int((~np.isfinite(archive.values).all(axis=1)).sum()),
            "stopped": stopped,
            "seconds": seconds,
        },
        seconds,
    )


class _Audit:
    """Scores designs on events that no search has seen."""

    def __init__(self, study: Study, scale: _Scale) -> None:
        space, evaluate = array_space(study), make_sampler(study, study.audit.events)
        self.scale = scale
        self.key = stream(jax.random.key(study.seed), "audit")
        self._score = jax.jit(lambda u, key: evaluate(space.place(u), None, key))

    def __call__(
        self, u: Float[np.ndarray, "p n"], purpose: str
    ) -> tuple[Float[np.ndarray, "p m"], Float[np.ndarray, "p m"]]:
        """Scaled values and their errors; each purpose has events of its own."""
        keys = jax.random.split(stream(self.key, purpose), len(u))
        found = [self._score(jnp.asarray(point), key) for point, key in zip(u, keys, strict=True)]
        values = np.array([np.asarray(s.values) for s in found])
        errors = np.array([np.asarray(s.errors) for s in found])
        values = np.where(values > 0, values, np.nan)
        return np.asarray(self.scale(values, np.log)), self.scale.errors(values, errors)
