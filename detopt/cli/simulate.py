"""`detopt simulate`."""

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
    print_json,
)
from detopt.cli.progress import share_bar

__all__ = ["simulate"]


def simulate(
    detector: Annotated[
        Path, typer.Argument(help="A detector's YAML file, or the name of one in the library.", show_default=False)
    ],
    source: Annotated[str, typer.Option(help="A source's file, or gun | beam | cosmic | resonance | decay.")] = "gun",
    momentum: Annotated[
        str | None, typer.Option(help='Instead of the source\'s: "3 GeV"; "1 GeV, 10 GeV" for a range.')
    ] = None,
    exposure: ExposureOption = None,
    events: EventsOption = None,
    out: Annotated[
        Path, typer.Option(help="The table of truth, .parquet or .root; hits and tracks go beside it.")
    ] = Path("events.parquet"),
    seed: RandomSeedOption = 0,
    energy_loss: EnergyLossOption = True,
    straggling: StragglingOption = True,
    tails: TailsOption = True,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send particles through any detector, and write what they did, their hits and their tracks."""
    from detopt.simulation.physics import Physics
    from detopt.study.files import load_kind
    from detopt.study.source_option import source_from

    loaded = load_kind(detector, "detector")
    drawn = source_from(source, loaded.frame, momentum, exposure)
    if not quiet:
        for note in drawn.warnings():
            print(f"note: {note}", file=sys.stderr)
    from detopt.study.eventfiles import simulate_to_files

    physics = Physics(energy_loss=energy_loss, straggling=straggling, tails=tails)
    started = time.perf_counter()
    with share_bar(quiet or as_json, "simulating") as progress:
        result: dict[str, Any] = simulate_to_files(loaded, drawn, out, events, seed, physics, progress)
    result["seconds"] = round(time.perf_counter() - started, 3)
    if as_json:
        print_json(result)
        return
    for note in result["notes"]:
        print(f"note: {note}", file=sys.stderr)
    print(f"{result['events']} events in {result['seconds']:.1f} s")
    for name, file in (("truth", result["file"]), ("hits", result["hits"]), ("tracks", result["tracks"])):
        print(f"{name + ':':8}{file} ({result['rows'][name]} rows)")
    if "expected" in result:
        print(f"in {result['exposure_s']:g} s {result['expected']:.4g} muons are expected through what they aim at")
    if "association" in result:
        print(
            "association: {efficiency:.2%} efficient, {purity:.2%} pure, {fake_rate:.2%} fake tracks".format(
                **result["association"]
            )
        )
