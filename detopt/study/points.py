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


def point_yaml(point: str, folder: Path) -> str:
    """The detector of a point as YAML, for a file in this folder."""
    run, row = read_point(point)
    study, values = at_row(load_study(run.folder / "study.yaml"), row)
    header = (f"Point {point} of the front of {study.name}.",)
    return detector_with(inline_detector(study.document.text), study.space, values, header, folder)


def design_of(name: str) -> tuple[Study, Detector]:
    """A design and the study that it is of, from a run's folder, `RUN:INDEX`, or a study. Raises RunError, BadInput."""
    if Path(name).is_dir():
        run = Run(name)
        if run.is_front:
            raise RunError(f"{name} has a front: name one of its points, as in {name}:0")
        result = run.result  # not before there is one
        study = load_study(run.folder / "study.yaml")
        values = {v["name"]: v["final"] for v in result["variables"]}
        return replace(study, seed=run.manifest["seed"]), study.space.at(values)
    if name.rpartition(":")[2].isdigit() and name.rpartition(":")[0]:
        run, row = read_point(name)
        study, values = at_row(load_study(run.folder / "study.yaml"), row)
        return replace(study, seed=run.manifest["seed"]), study.space.at(values)
    study = load_kind(Path(name), "study")
    return study, study.detector
