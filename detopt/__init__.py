"""detopt: an optimiser for particle detectors.

Everything the command line does is two lines of Python:

    study = detopt.load("studies/its2_upgrade.yaml")
    run = study.optimise()
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detopt.runs import Run

__version__ = "0.1.0"

__all__ = ["compare", "explore", "load", "open_run", "resume"]


def load(path: str | Path) -> Any:
    """Read a detector, a study, an objective or a source; which one it is, its keys tell.

    Args:
        path: a YAML file; where there is none, one of that name in the library that ships with detopt.

    Returns:
        A `Detector` (`.draw()`, `.resolution(momentum, theta)`), a `Study` (`.evaluate(seed)`, `.optimise()`), an
        objective or a source.

    Raises:
        BadInput: with every fault that was found: file, line, column, place and reason.
    """
    from detopt.study.files import load_file

    return load_file(Path(path))


def open_run(folder: str | Path) -> "Run":
    """Open a run folder (`.result`, `.history`, `.manifest`). Raises RunError."""
    from detopt.runs import Run

    return Run(folder)


def resume(
    folder: str | Path, progress: Any = None, time_limit: float | None = None, cluster: str | None = None
) -> "Run":
    """Go on with a search for a front that was stopped; see `detopt.study.resume.resume_run`."""
    from detopt.study.resume import resume_run

    return resume_run(folder, progress=progress, time_limit=time_limit, cluster=cluster)


def compare(first: str | Path, second: str | Path) -> dict[str, Any]:
    """What differs between two runs, or two points of fronts; see `detopt.study.side_by_side.compare`."""
    from detopt.study.side_by_side import compare as compared

    return compared(str(first), str(second))


def explore(run: str | Path, out: str | Path | None = None) -> Path:
    """Write one page to walk along a front with, and return its path; see `detopt.study.explore.explore`."""
    from detopt.study.explore import explore as explored

    return explored(run, out)
