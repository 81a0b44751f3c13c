"""What several commands share: arguments and options, figures' files, how they answer and how they fail."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

__all__ = [
    "EnergyLossOption",
    "EventsOption",
    "ExposureOption",
    "FigureOption",
    "FileArgument",
    "JsonOption",
    "OutOption",
    "QuietOption",
    "RandomSeedOption",
    "SeedOption",
    "StragglingOption",
    "TailsOption",
    "TimeLimitOption",
    "checked_figure",
    "draw_to",
    "fail",
    "figure_name",
    "print_json",
]

FileArgument = Annotated[
    Path, typer.Argument(help="A YAML file, or the name of one in the library.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]

# Of commands that work on a study.
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", help="Instead of the study's own seed.", min=0, max=2**63 - 1, show_default=False),
]
OutOption = Annotated[Path | None, typer.Option(help="Folder of the run.", show_default="runs/<study>/<time>")]
TimeLimitOption = Annotated[
    float | None,
    typer.Option(help="Stop after the first round beyond so many seconds.", min=0, show_default=False),
]

# Of commands that simulate.
ExposureOption = Annotated[str | None, typer.Option(help='Of cosmic muons, instead of the source\'s: "60 s".')]
EventsOption = Annotated[
    int | None, typer.Option(help="How many.", min=1, show_default="10000; of an exposure, as many as expected")
]
RandomSeedOption = Annotated[int, typer.Option(help="Of all random numbers.", min=0)]
EnergyLossOption = Annotated[bool, typer.Option(help="Ionisation in materials.")]
StragglingOption = Annotated[bool, typer.Option(help="Each muon loses its own energy; else all lose the median.")]
TailsOption = Annotated[bool, typer.Option(help="Single hard scatters; else Gaussian angles.")]

# Of commands that draw.
FigureOption = Annotated[
    Path | None, typer.Option(help="The figure's file: .png, .pdf or .svg.", show_default="<name>.png")
]


def figure_name(name: str) -> Path:
    """A file in this folder, called after what a YAML file calls itself."""
    return Path(re.sub(r"[^\w.+-]+", "_", name).lstrip(".") + ".png")


def checked_figure(path: Path, option: str = "--out") -> Path:
    """A path that a figure can be written to by its ending; otherwise the command leaves with exit code 2."""
    if path.suffix not in (".png", ".pdf", ".svg"):
        print(f"detopt: {option}: {path} must end in .png, .pdf or .svg", file=sys.stderr)
        raise typer.Exit(2)
    return path


def draw_to(path: Path, draw: Callable[[], Any]) -> None:
    """Draw a figure; where its file cannot be written, the command leaves with exit code 2."""
    try:
        draw()
    except OSError as error:
        print(f"detopt: cannot write {path}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(2) from None


def print_json(data: Any) -> None:
    """One JSON document; NaN is refused, since it is not JSON."""
    print(json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False))


def fail(message: str, code: int = 1) -> NoReturn:
    """Leave the command: exit code 1 where it failed, 2 for bad input."""
    print(f"detopt: {message}", file=sys.stderr)
    raise typer.Exit(code)
