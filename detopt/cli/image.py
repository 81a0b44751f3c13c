"""`detopt image`."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from detopt.cli.options import (
    EnergyLossOption,
    EventsOption,
    ExposureOption,
    JsonOption,
    QuietOption,
    RandomSeedOption,
    StragglingOption,
    TailsOption,
    checked_figure,
    draw_to,
    figure_name,
    print_json,
)
from detopt.cli.progress import share_bar

__all__ = ["image"]


def image(
    detector: Annotated[
        Path, typer.Argument(help="A portal's YAML file, or the name of one in the library.", show_default=False)
    ],
    source: Annotated[str, typer.Option(help="A source's file, or gun | beam | cosmic.")] = "cosmic",
    momentum: Annotated[str | None, typer.Option(help='Instead of the source\'s: "1 GeV, 10 GeV" for a range.')] = None,
    exposure: ExposureOption = None,
    events: EventsOption = None,
    known: Annotated[
        bool, typer.Option("--momentum-known", help="Each muon's momentum is known, not only their spectrum.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The figure's file: .png, .pdf or .svg.", show_default="<name>_image.png")
    ] = None,
    seed: RandomSeedOption = 0,
    energy_loss: EnergyLossOption = True,
    straggling: StragglingOption = True,
    tails: TailsOption = True,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Look into the volume of a portal: simulate muons, and map X0 from how they scatter."""
    from detopt.simulation.physics import Physics
    from detopt.study.files import load_kind
    from detopt.study.source_option import source_from

    loaded = load_kind(detector, "detector")
    drawn = source_from(source, loaded.frame, momentum, exposure)
    path = checked_figure(out or figure_name(f"{loaded.name}_image"))
    from detopt.report.image_figure import draw_image
    from detopt.study.image import image_of

    physics = Physics(energy_loss=energy_loss, straggling=straggling, tails=tails)
    started = time.perf_counter()
    with share_bar(quiet or as_json, "looking") as progress:
        found = image_of(loaded, drawn, events, seed, physics, "known" if known else "spectrum", progress)
    draw_to(path, lambda: draw_image(found, loaded.name, path))
    result: dict[str, Any] = {
        "muons": found.muons,
        "seen": found.seen,
        "median_ratio": found.ratios(),
        "figure": str(path),
        "seconds": round(time.perf_counter() - started, 3),
    }
    if as_json:
        print_json(result)
        return
    if not known:
        print("note: of momenta only the spectrum is known (--momentum-known for each of them)", file=sys.stderr)
    print(f"{found.seen} of {found.muons} muons have tracks above and below, {result['seconds']:.1f} s")
    for name, words in (("likelihood", "most likely map"), ("poca", "points of closest approach")):
        ratio = result["median_ratio"][name]
        print(f"{words}: X0 is {'-' if ratio is None else f'{ratio:.3f}'} of the true one in the median voxel")
    print(f"drawn in {path}")
