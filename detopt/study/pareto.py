"""`detopt pareto`: search the designs of a study that no other design beats, and leave a run folder."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from detopt.runs import Run, new_run
from detopt.search.fronts import hypervolume
from detopt.search.pareto import FrontSearcher, Plan, State
from detopt.study.differentiable import check_differentiable
from detopt.study.faults import BadInput, Fault
from detopt.study.front_points import publish
from detopt.study.front_simulator import FrontSimulator, Scale
from detopt.study.optimise import Progress, check_free, manifest, write_inputs
from detopt.study.placement import radius_groups
from detopt.study.studies import Study

__all__ = ["pareto_study"]


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
    check_free(study)
    _check(study)
    check_differentiable(study)
    started = time.monotonic()
    simulator = FrontSimulator(study)
    run = new_run(study.name, {**manifest(study, command), "kind": "front"}, out)
    write_inputs(run, study)
    sampled = study.mode == "sampled"
    # Gradients through flips take minutes to compile, and noisy ones have not been shown to pay.
    plan = Plan.of(study.front.evaluations, gradients=not sampled)
    searcher = FrontSearcher(
        simulator.scores,
        None if sampled else simulator.slopes,
        simulator.inside,
        np.array([study.space.init]),
        plan,
        study.seed,
        noisy=sampled,
        groups=radius_groups(study.space),
    )
    history = _History(study, run, simulator.scale, progress, plan.evaluations)
    state, stopped = searcher.init(), f"it has spent its {plan.evaluations} evaluations"
    history.add(state)
    while not searcher.done(state):
        state = searcher.step(state)
        history.add(state)
        if time_limit is not None and time.monotonic() - started > time_limit:
            stopped = "the time limit was reached"
            break
    emulator = searcher.learn(state) if sampled else None
    told = state.archive.values if emulator is None else searcher.told(emulator, state.archive)
    found = publish(study, run, simulator, state, told, emulator)
    seconds = time.monotonic() - started
    run.finish({**_asked(study, simulator.scale), **found, "stopped": stopped, "seconds": seconds}, seconds)
    from detopt.report.front import write_front_report

    write_front_report(run)
    return run


def _check(study: Study) -> None:
    """What a front needs. Raises BadInput."""

    def refuse(section: str, message: str) -> BadInput:
        place = study.document.position((section,)) if section in study.document.data else (None, None)
        return BadInput([Fault(str(study.path), *place, section, message)])

    if len(study.objectives) < 2:
        message = f"a front needs two objectives or more, got {len(study.objectives)}: `detopt optimise` is for one"
        raise refuse("objectives", message)
    if study.choices:
        raise refuse("choices", "fronts over choices are not in this version: `detopt optimise` tries combinations")
    if study.head is not None:
        raise refuse("head", "fronts with heads are not in this version: set head: none, or run `detopt optimise`")
    for name, term in study.constraints.items():
        if hasattr(term, "momentum"):
            message = (
                f"{name} limits what tracks show; for a front, make it an objective with this limit as its worst value "
                "of interest, as in {type: resolution, of: pt, worst: 2 %}"
            )
            raise refuse("constraints", message)


class _History:
    """Every design that was scored, and the hypervolume after each round."""

    def __init__(
        self,
        study: Study,
        run: Run,
        scale: Scale,
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
        values = scale.back(archive.values)
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


def _asked(study: Study, scale: Scale) -> dict[str, Any]:
    """What result.json says of the question."""
    return {
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
    }
