"""`detopt resume`: go on with a search that was stopped, from the last round that it finished."""

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detopt.runs import Run, RunError
from detopt.study.cluster import joined
from detopt.study.front_history import read_checkpoint
from detopt.study.front_simulator import FrontSimulator
from detopt.study.interruption import TIME_IS_UP, asked, working_on
from detopt.study.optimise import Progress, has_begun, task_of
from detopt.study.pareto import search_front
from detopt.study.run_inputs import manifest
from detopt.study.settings import ParetoSearch
from detopt.study.studies import Study, load_study

__all__ = ["resume_run"]


def resume_run(
    folder: str | Path,
    progress: Callable[[Progress], None] | None = None,
    time_limit: float | None = None,
    cluster: str | None = None,
    tell: Callable[[str], None] = warnings.warn,
) -> Run:
    """Go on with a search, for an optimum or a front, to what it would have found without being stopped.

    One that its time limit ended goes on with the rest of its steps or evaluations.

    Args:
        folder: of the run.
        progress: called after every round.
        time_limit: in seconds from now; the search stops early after it.
        cluster: as for `detopt.study.pareto.pareto_study`, of a front; it may be another than the run began on.
        tell: called with what the user should know, such as versions that are not those the run began with.

    Returns:
        The finished run.

    Raises:
        RunError: nothing is left to do, another process works on it, or it cannot be gone on with.
        BadInput, Infeasible: as for `pareto_study` and `optimise_study`.
    """
    run, now = Run(folder), time.monotonic()
    if cluster is not None and not run.is_front:
        raise RunError(f"{run.folder} searched no front: --cluster is for fronts")
    with working_on(run):
        found = {} if not run.complete else run.front_result if run.is_front else run.result
        if run.complete and not found["stopped"].startswith(TIME_IS_UP):
            raise RunError(f"{run.folder} is finished: nothing is left to do")
        study = _study(run)
        if not has_begun(run):
            tell("there is no checkpoint: the search starts from the beginning")
        differences = _differences(run.manifest, manifest(study, None))
        if differences:
            tell(f"the numbers may differ from those of a run that was not stopped: {'; '.join(differences)}")
        note = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "differences": differences}
        deadline = None if time_limit is None else now + time_limit
        if not run.is_front:
            task = task_of(study, progress, deadline)
            run.reopen(note)
            return task(run, now)
        checkpoint = read_checkpoint(run)
        with joined(cluster, study) as processes:
            simulator = FrontSimulator(study, None if checkpoint is None else checkpoint.scale, processes)
            run.reopen(note)
            started = now if checkpoint is None else now - float(checkpoint.rounds["seconds"][-1])
            return search_front(study, run, simulator, progress, started, deadline, checkpoint)


def _study(run: Run) -> Study:
    """The study as the run began with it. Raises RunError."""
    path, began = run.folder / "study.yaml", run.manifest
    if not path.is_file():
        raise RunError(f"{path} is missing: the run was stopped before it began; start it again")
    if "asked" not in began:
        raise RunError(f"{run.folder} is of a version that could not resume: start it again")
    study = replace(load_study(path), seed=began["seed"])
    if run.is_front:
        study = replace(study, front=ParetoSearch(**began["search"]))
    if asked(study) != began["asked"]:
        raise RunError(
            f"{path} is not what the run began with: it was edited, the study was changed in Python, or this version of "
            "detopt reads it otherwise; start it again"
        )
    return study


def _differences(began: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is not as it was when the run began, of all that can change the last digits."""
    old, new = ({k: m.get(k) for k in ("detopt", "commit", "python", "platform")} | m["packages"] for m in (began, now))
    return [f"{k} was {old[k]} and is {new[k]}" for k in new if k in old and old[k] != new[k]]
