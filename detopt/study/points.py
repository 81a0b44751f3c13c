"""Single designs: a point of a front, which `RUN:INDEX` names, the result of a run, or a study as it stands."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from detopt.detector.detector import Detector
from detopt.runs import Run, RunError
from detopt.study.files import load_kind
from detopt.study.front_box import at_row
from detopt.study.studies import Study, load_study
from detopt.study.write import detector_with, inline_detector

__all__ = ["at_point", "design_of", "point_yaml", "read_point"]


def read_point(point: str) -> tuple[Run, dict[str, Any]]:
    """The run and all columns of a point's row. Raises RunError."""
    folder, _, index = point.rpartition(":")
    if not folder or not index.isdigit():
        raise RunError(f"{point} is no point of a front: expected RUN:INDEX, as in runs/tracker/2026-01-31T12-00-00:17")
    run = Run(folder)
    front = run.front()
    if int(index) >= front.num_rows:
        raise RunError(f"{folder} has points 0 to {front.num_rows - 1}, got {index}")
    return run, {name: front.column(name)[int(index)].as_py() for name in front.column_names}


def at_point(study: Study, point: str) -> Study:
    """The study with its free numbers, and options, at a point's. Raises RunError where the point does not have them."""
    _, row = read_point(point)
    missing = [name for name in (*study.choices, *study.space.names) if name not in row]
    if missing:
        raise RunError(f"{point} has no {', '.join(missing)}: it is of another study")
    variant, values = at_row(study, row)
    moved = tuple(replace(v, init=values[v.name]) for v in variant.space.variables)
    return replace(variant, space=replace(variant.space, variables=moved))


def _of_point(point: str) -> tuple[Run, Study, dict[str, float]]:
    """The run of a point, the combination that it is of, and the values of its variables. Raises RunError, BadInput."""
    run, row = read_point(point)
    return run, *at_row(load_study(run.folder / "study.yaml"), row)


def point_yaml(point: str, folder: Path) -> str:
    """The detector of a point as YAML, for a file in this folder."""
    _, study, values = _of_point(point)
    header = (f"Point {point} of the front of {study.name}.",)
    return detector_with(inline_detector(study.document.text), study.space, values, header, folder)


def design_of(name: str) -> tuple[Study, Detector]:
    """A design and the study that it is of, from a run's folder, `RUN:INDEX`, or a study. Raises RunError, BadInput."""
    folder, _, index = name.rpartition(":")
    if Path(name).is_dir():
        run = Run(name)
        if run.is_front:
            raise RunError(f"{name} has a front: name one of its points, as in {name}:0")
        values = {v["name"]: v["final"] for v in run.result["variables"]}
        study = load_study(run.folder / "study.yaml")
    elif folder and index.isdigit():
        run, study, values = _of_point(name)
    else:
        study = load_kind(Path(name), "study")
        return study, study.detector
    return replace(study, seed=run.manifest["seed"]), study.space.at(values)
