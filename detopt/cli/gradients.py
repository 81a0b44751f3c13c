"""`detopt gradients`: are they right, how noisy are they, how far do they reach."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from detopt.cli.options import JsonOption, QuietOption, SeedOption, checked_figure, draw_to, print_json

__all__ = ["gradients"]

_COLOURS = {"ok": "green", "fail": "bold red", "undecided": "yellow"}


def gradients(
    study: Annotated[Path, typer.Argument(help="A study's file, or its name in the library.", show_default=False)],
    seed: SeedOption = None,
    keys: Annotated[int, typer.Option(help="At most so many independent sets of events.", min=30, max=100_000)] = 2000,
    time_limit: Annotated[float, typer.Option(help="Add no more events after so many seconds.", min=0)] = 300,
    out: Annotated[
        Path | None, typer.Option(help="Also draw a figure: .png, .pdf or .svg.", show_default=False)
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the gradient of each free parameter with central differences on the same events.

    Exit code 1 when one is not right, or could not be decided.
    """
    from detopt.study.files import load_kind
    from detopt.study.gradients import check_gradients

    if out is not None:
        checked_figure(out)
    loaded = load_kind(study, "study")

    def tell(line: str) -> None:
        if not quiet:
            print(line, file=sys.stderr)

    found = check_gradients(loaded, seed, keys, time_limit, progress=tell)
    if out is not None:
        from detopt.report.gradient_figure import draw_gradients

        draw_to(out, lambda: draw_gradients(found, loaded.name, out))
    if as_json:
        print_json(found)
    else:
        _print(loaded.name, found)
        if out is not None:
            print(f"drawn in {out}")
    if not found["ok"]:
        raise typer.Exit(1)


def _print(name: str, found: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=f"{name}: gradients", title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    headings = (
        "parameter",
        "gradient",
        "difference",
        "bias / %",
        "z",
        "estimator",
        "events for 10 %",
        "linear within",
        "",
    )
    for i, column in enumerate(headings):
        drawn.add_column(column, justify="left" if i in (0, 5) else "right", no_wrap=True)
    shown = None
    for row in found["parameters"]:
        if row["objective"] != shown:
            shown = row["objective"]
            drawn.add_row(f"[bold]{shown}[/bold]")
        drawn.add_row(*_cells(row), f"[{_COLOURS[row['verdict']]}]{row['verdict']}[/]")
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(drawn)
    for name, value in found["values"].items():
        if not value["ok"]:
            text = f"{value['value']:.4g} on few events, {value['reference']:.4g} ± {value['error']:.2g} on many"
            print(f"fail: the value of {name} is {text}: give the search more events")
    for note in found["notes"]:
        print(f"note: {note}")


def _cells(row: dict[str, Any]) -> list[str]:
    from detopt.units import format_quantity

    def slope(value: float, error: float) -> str:
        text = f"{value:.4g}" if not error else f"{value:.4g} ± {error:.1g}"
        return f"{text} /{row['unit']}" if row["unit"] else text

    if row["bias_percent"] is None or abs(row["difference"]) < 2 * row["difference_error"]:
        bias = f"{100 * row['bias_of_scale']:.2g} of scale"
    else:
        size = abs(100 * row["bias_of_scale_error"] / row["bias_of_scale"]) if row["bias_of_scale"] else 0.0
        bias = f"{row['bias_percent']:.2g}" + (f" ± {abs(row['bias_percent']) * size / 100:.1g}" if size else "")
    events = row["events_for_10_percent"]
    needed = "exact" if row["events"] is None else "compatible with 0" if events is None else f"{events:.2g}"
    unit = row["display_unit"] or row["unit"]
    low, high = (format_quantity(x, unit, digits=2) for x in row["linear_range"])
    z = "" if row["z"] is None else f"{row['z']:.1f}"
    return [
        f"  {row['name']}",
        slope(row["gradient"], row["gradient_error"]),
        slope(row["difference"], row["difference_error"]),
        bias,
        z,
        row["estimator"],
        needed,
        f"{low} .. {high}",
    ]
