"""`detopt pareto` and `detopt point`: search a front, and take a design from it."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from detopt.cli.options import FileArgument, JsonOption, QuietOption
from detopt.cli.progress import progress_bar
from detopt.cli.tables import table

__all__ = ["pareto", "point"]


def pareto(
    study: FileArgument,
    seed: Annotated[
        int | None, typer.Option(help="Instead of the study's own seed.", min=0, max=2**63 - 1, show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.", show_default="runs/<study>/<time>")] = None,
    evaluations: Annotated[
        int | None, typer.Option(help="Instead of the study's own.", min=200, show_default=False)
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(help="Stop after the first round beyond so many seconds.", min=0, show_default=False),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Search the front of a study's objectives: the designs that no other design beats in all of them."""
    from dataclasses import replace

    from detopt.study.files import load_kind

    loaded = load_kind(study, "study")
    if evaluations is not None:
        loaded = replace(loaded, front=replace(loaded.front, evaluations=evaluations))
    from detopt.report.front import front_rows
    from detopt.study.optimise import Infeasible
    from detopt.study.pareto import pareto_study

    command = "detopt " + " ".join(sys.argv[1:])
    try:
        with progress_bar(quiet) as progress:
            run = pareto_study(loaded, seed=seed, out=out, progress=progress, time_limit=time_limit, command=command)
    except Infeasible as error:
        print(f"detopt: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    result = run.front_result
    if as_json:
        keys = ("points", "hypervolume", "evaluations", "events", "seconds")
        print(json.dumps({"run": str(run.folder), **{k: result[k] for k in keys}}, indent=1))
        return
    table(f"{result['points']} designs that no other beats; some of them", *front_rows(run))
    if result["points"] == 1:
        print("The front is one point: these objectives do not conflict within the bounds.")
    found = result["hypervolume"]
    interval = f" ({found['low']:.4g} to {found['high']:.4g})" if found["high"] > found["low"] else ""
    print(
        f"The search stopped after {result['evaluations']} evaluations and {result['seconds']:.0f} s: {result['stopped']}."
        f" Hypervolume {found['value']:.4g}{interval}."
    )
    print(f"the points: {run.folder / 'front.parquet'}\nthe report: {run.folder / 'report.html'}")


def point(
    point: Annotated[str, typer.Argument(help="A point of a front, as RUN:INDEX.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The detector's file.")] = Path("detector.yaml"),
) -> None:
    """Write the detector of one point of a front as YAML."""
    from detopt.study.points import point_yaml

    if out.exists():
        print(f"detopt: {out} exists: choose another file with --out", file=sys.stderr)
        raise typer.Exit(2)
    text = point_yaml(point, out.resolve().parent)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"detopt: cannot write {out}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(2) from None
    print(f"{out}, from {point}")
