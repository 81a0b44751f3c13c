"""`detopt pareto` and `detopt point`: search a front, and take a design from it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from detopt.cli.options import (
    FileArgument,
    JsonOption,
    OutOption,
    QuietOption,
    SeedOption,
    TimeLimitOption,
    fail,
    print_json,
)
from detopt.cli.progress import progress_bar
from detopt.cli.tables import table

__all__ = ["pareto", "point"]


def pareto(
    study: FileArgument,
    seed: SeedOption = None,
    out: OutOption = None,
    evaluations: Annotated[
        int | None, typer.Option(help="Instead of the study's own.", min=200, show_default=False)
    ] = None,
    time_limit: TimeLimitOption = None,
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
        fail(str(error))
    result = run.front_result
    if as_json:
        keys = ("points", "hypervolume", "evaluations", "events", "seconds")
        print_json({"run": str(run.folder), **{k: result[k] for k in keys}})
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
        fail(f"{out} exists: choose another file with --out", 2)
    text = point_yaml(point, out.resolve().parent)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"cannot write {out}: {error.strerror}", 2)
    print(f"{out}, from {point}")
