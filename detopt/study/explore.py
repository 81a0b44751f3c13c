"""The page of a front: what it shows of each design, beyond what the run folder has in its tables."""

from collections.abc import Callable
from pathlib import Path

from detopt.report.explorer import ShownDesign, write_explorer
from detopt.runs import Run, RunError
from detopt.study.front_box import at_row
from detopt.study.resolution import resolution_curves
from detopt.study.studies import Study, load_study
from detopt.study.write import detector_with, inline_detector

__all__ = ["explore"]


def explore(folder: str | Path, out: str | Path | None = None, progress: Callable[[float], None] | None = None) -> Path:
    """Write one page to walk along a front with: it needs neither a server nor a network.

    Args:
        folder: of a run of `detopt pareto`.
        out: the page; explorer.html in the run folder where it is not given.
        progress: called with the share of the designs that are ready.

    Returns:
        The path of the page.

    Raises:
        RunError: there is no front, or its folder is damaged.
        BadInput: the study in the folder cannot be read.
    """
    run = Run(folder)
    if not run.is_front:
        raise RunError(f"{folder} has one optimum and no front to walk along: see {run.folder / 'report.html'}")
    front = run.front()
    study = load_study(run.folder / "study.yaml")
    designs = [_shown(study, {v.name: v.init for v in study.space.variables}, "The initial design.")]
    for i, row in enumerate(front.to_pylist()):
        designs.append(_shown(*at_row(study, row), f"Point {i} of the front of {study.name}, {run.folder.name}."))
        if progress is not None:
            progress((i + 1) / front.num_rows)
    return write_explorer(run, designs, Path(out) if out is not None else run.folder / "explorer.html")


def _shown(study: Study, values: dict[str, float], words: str) -> ShownDesign:
    detector = study.space.at(values)
    text = detector_with(inline_detector(study.document.text), study.space, values, (words,))
    return ShownDesign(detector.layout(), resolution_curves(study, detector), text)
