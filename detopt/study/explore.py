"""The page of a front: what it shows of each design, beyond what the run folder has in its tables."""

from collections.abc import Callable
from pathlib import Path

from detopt.report.explorer import ShownDesign, write_explorer
from detopt.runs import Run, RunError
from detopt.study.front_box import values_of, variant_of
from detopt.study.resolution import resolution_curves
from detopt.study.studies import Study, load_study
from detopt.study.write import DetectorText, inline_detector

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
    front, study = run.front(), load_study(run.folder / "study.yaml")
    start = {v.name: v.init for v in study.space.variables}
    designs = [_Combination(study, run.folder).shown(start, "The initial design.")]
    combinations: dict[tuple[str, ...], _Combination] = {}
    for i, row in enumerate(front.to_pylist()):
        options = tuple(row[name] for name in study.choices)
        if options not in combinations:
            combinations[options] = _Combination(variant_of(study, row), run.folder)
        one = combinations[options]
        designs.append(
            one.shown(values_of(study, one.study, row), f"Point {i} of the front of {study.name}, {folder}.")
        )
        if progress is not None:
            progress((i + 1) / front.num_rows)
    return write_explorer(run, designs, Path(out) if out is not None else run.folder / "explorer.html")


class _Combination:
    """All designs with the same options: their detectors differ in numbers."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.study, self.text = study, DetectorText(inline_detector(study.document.text), study.space, folder)

    def shown(self, values: dict[str, float], words: str) -> ShownDesign:
        detector = self.study.space.at(values)
        return ShownDesign(detector.layout(), resolution_curves(self.study, detector), self.text.at(values, (words,)))
