"""`detopt pareto`, `detopt explore` and `detopt point`: search a front, walk along it, and take a design from it."""

import sys
from pathlib import Path
from typing import Annotated, Any

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
from detopt.cli.progress import progress_bar, share_bar
from detopt.cli.stopping import stoppable
from detopt.cli.tables import table

__all__ = ["ClusterOption", "explore", "pareto", "point", "tell_front"]

ClusterOption = Annotated[
    str | None,
    typer.Option(
        help="Score designs by a Dask cluster: its scheduler's address, or so many processes on this machine.",
        show_default=False,
    ),
]


def pareto(
    study: FileArgument,
    seed: SeedOption = None,
    out: OutOption = None,
    evaluations: Annotated[
        int | None, typer.Option(help="Instead of the study's own.", min=200, show_default=False)
    ] = None,
    time_limit: TimeLimitOption = None,
    cluster: ClusterOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Search the front of a study's objectives: the designs that no other design beats in all of them.

    Stop it at any time, with Ctrl-C for instance, and go on with `detopt resume RUN`.
    """
    from dataclasses import replace

    from detopt.study.files import load_kind

    loaded = load_kind(study, "study")
    if evaluations is not None:
        loaded = replace(loaded, front=replace(loaded.front, evaluations=evaluations))
    from detopt.study.optimise import Infeasible
    from detopt.study.pareto import pareto_study

    command = "detopt " + " ".join(sys.argv[1:])
    try:
        with stoppable(), progress_bar(quiet) as progress:
            run = pareto_study(
                loaded,
                seed=seed,
                out=out,
                progress=progress,
                time_limit=time_limit,
                command=command,
                cluster=cluster,
            )
    except Infeasible as error:
        fail(str(error))
    tell_front(run, as_json)


def tell_front(run: Any, as_json: bool) -> None:
    """What a finished search has found."""
    result = run.front_result
    if as_json:
        keys = ("points", "hypervolume", "evaluations", "events", "seconds")
        print_json({"run": str(run.folder), **{k: result[k] for k in keys}})
        return
    from detopt.report.front import front_rows

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
    print(f"to walk along it: detopt explore {run.folder}")


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


def explore(
    run: Annotated[Path, typer.Argument(help="The folder of a run of `detopt pareto`.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The page; explorer.html in the run folder by default.", show_default=False)
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    quiet: QuietOption = False,
) -> None:
    """Walk along a front: one page with every design, drawn beside the initial one, with its numbers and its YAML.

    The page needs neither a server nor a network: it can be sent to others, and opened from disk.
    """
    from detopt.study.explore import explore as explored

    with share_bar(quiet, "designs") as progress:
        page = explored(run, out, progress)
    print(page)
    if show and sys.stdout.isatty():
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
