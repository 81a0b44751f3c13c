"""`detopt pareto`: search the designs of a study that no other design beats, and leave a run folder."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from detopt.runs import Run, RunError, new_run
from detopt.search.pareto import Forgotten, FrontSearcher, Plan
from detopt.study.cluster import joined
from detopt.study.differentiable import check_differentiable
from detopt.study.faults import BadInput, Fault
from detopt.study.front_history import Checkpoint, History
from detopt.study.front_points import publish
from detopt.study.front_simulator import FrontSimulator, Scale
from detopt.study.interruption import TIME_IS_UP, asked, working_on
from detopt.study.optimise import Progress, check_free
from detopt.study.placement import radius_groups
from detopt.study.run_inputs import manifest, write_inputs
from detopt.study.studies import Study

__all__ = ["asked_of", "pareto_study", "search_front"]


def pareto_study(
    study: Study,
    seed: int | None = None,
    out: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    time_limit: float | None = None,
    command: str | None = None,
    cluster: str | None = None,
) -> Run:
    """Search the front of a study's objectives.

    Args and errors as for `detopt.study.optimise.optimise_study`, and `cluster`, see `detopt.study.cluster.Cluster`;
    besides, RunError where the cluster cannot be reached, and BadInput for a study with fewer than two
    objectives, with a head, or with limits on what tracks show.
    """
    study = study if seed is None else replace(study, seed=seed)
    check_free(study)
    _check(study)
    check_differentiable(study)
    started = time.monotonic()
    with joined(cluster, study) as processes:
        simulator = FrontSimulator(study, cluster=processes)
        began = {**manifest(study, command), "kind": "front", "search": asdict(study.front), "asked": asked(study)}
        run = new_run(study.name, began, out)
        with working_on(run):
            write_inputs(run, study)
            deadline = None if time_limit is None else started + time_limit
            return search_front(study, run, simulator, progress, started, deadline)


def search_front(
    study: Study,
    run: Run,
    simulator: FrontSimulator,
    progress: Callable[[Progress], None] | None,
    started: float,
    deadline: float | None,
    before: Checkpoint | None = None,
) -> Run:
    """Search, and publish what was found.

    Args:
        study: what was asked.
        run: whose folder is held.
        simulator: of the study.
        progress: called after every round.
        started: when, by `time.monotonic`; of a search that goes on, as if it had never been stopped.
        deadline: when the search stops early, by the same clock.
        before: what the search goes on from.
    """
    sampled = study.mode == "sampled"
    searcher = _searcher(study, simulator)
    history = History(study, run, simulator, searcher.believed, progress, started, before)
    stopped = f"it has spent its {study.front.evaluations} evaluations"
    if before is None:
        state = searcher.init()
        history.add(state)
    else:
        state = before.state
    while not searcher.done(state):
        try:
            state = searcher.step(state)
        except Forgotten as error:
            raise RunError(f"{run.folder} cannot be gone on with: {error}; start it again") from None
        history.add(state)
        if deadline is not None and time.monotonic() > deadline:
            stopped = TIME_IS_UP
            break
    emulator = searcher.learn(state) if sampled else None
    told = searcher.believed(state._replace(emulator=emulator))
    found = publish(study, run, simulator, state, told, emulator, progress)
    seconds = time.monotonic() - started
    run.finish({**asked_of(study, simulator.scale), **found, "stopped": stopped, "seconds": seconds}, seconds)
    from detopt.report.front import write_front_report

    write_front_report(run)
    return run


def _searcher(study: Study, simulator: FrontSimulator) -> FrontSearcher:
    """What the study asks for."""
    asked_for, sampled = study.front, study.mode == "sampled"
    if asked_for.algorithm != "detopt":
        from detopt.search.evolution import EvolutionSearcher

        excess = simulator.excess if study.constraints else None
        return EvolutionSearcher(
            asked_for.algorithm,
            excess,
            asked_for.evaluations,
            simulator.scores,
            simulator.box.start,
            study.seed,
            noisy=sampled,
            codes=simulator.box.codes,
        )
    steep = not sampled or asked_for.gradients == "always"
    return FrontSearcher(
        simulator.scores,
        simulator.slopes if steep else None,
        simulator.inside,
        simulator.box.start,
        Plan.of(asked_for.evaluations, gradients=steep, choices=bool(study.choices)),
        study.seed,
        noisy=sampled,
        # Layers of different technologies are not interchangeable.
        groups=[] if study.choices else radius_groups(study.space),
        codes=simulator.box.codes,
    )


def _check(study: Study) -> None:
    """What a front needs. Raises BadInput."""

    def refuse(section: str, message: str) -> BadInput:
        place = study.document.position((section,)) if section in study.document.data else (None, None)
        return BadInput([Fault(str(study.path), *place, section, message)])

    if len(study.objectives) < 2:
        message = f"a front needs two objectives or more, got {len(study.objectives)}: `detopt optimise` is for one"
        raise refuse("objectives", message)
    if study.front.algorithm != "detopt" and study.front.gradients == "always":
        raise refuse("search", f"{study.front.algorithm} takes no gradients: they go with algorithm: detopt")
    if study.head is not None:
        raise refuse("head", "fronts with heads are not in this version: set head: none, or run `detopt optimise`")
    for name, term in study.constraints.items():
        if hasattr(term, "momentum"):
            message = (
                f"{name} limits what tracks show; for a front, make it an objective with this limit as its worst value "
                "of interest, as in {type: resolution, of: pt, worst: 2 %}"
            )
            raise refuse("constraints", message)


def asked_of(study: Study, scale: Scale) -> dict[str, Any]:
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
        "choices": {name: list(options) for name, options in study.choices.items()},
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
