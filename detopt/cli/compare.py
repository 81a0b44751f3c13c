"""`detopt compare`: two designs, or two fronts, side by side."""

from pathlib import Path
from typing import Annotated, Any

import typer

from detopt.cli.options import JsonOption, checked_figure, draw_to, fail, print_json
from detopt.cli.tables import table

__all__ = ["compare"]


def compare(
    first: Annotated[str, typer.Argument(help="A run folder, or a point of a front as RUN:INDEX.", show_default=False)],
    second: Annotated[str, typer.Argument(help="The same.", show_default=False)],
    figure: Annotated[
        Path | None, typer.Option(help="Draw two fronts into this file: .png, .pdf or .svg.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Set two designs, or two fronts, side by side.

    Of a run of `detopt optimise`, its final design is meant. Errors of differences are as if both were independent.
    """
    from detopt.study.side_by_side import compare as compared

    target = None if figure is None else checked_figure(figure, "--figure")
    found = compared(first, second)
    if target is not None:
        if found["kind"] == "designs":
            fail("--figure is for two fronts", 2)
        if len(found["objectives"]) < 2:
            fail("--figure: the two fronts share one objective, and there is no plane to draw", 2)
        draw_to(target, lambda: _draw(found, target))
    if as_json:
        print_json(found)
    elif found["kind"] == "designs":
        _tell_designs(found)
    else:
        _tell_fronts(found)
    if target is not None and not as_json:
        print(f"drawn in {target}")


def _draw(found: dict[str, Any], target: Path) -> None:
    from detopt.report.front import two_fronts_figure
    from detopt.runs import Run

    runs = Run(found["first"]["run"]), Run(found["second"]["run"])
    two_fronts_figure(runs, list(found["objectives"])).savefig(target)


def _tell_designs(found: dict[str, Any]) -> None:
    from detopt.report.text import percent, quantity, sigmas

    rows = []
    for name, e in found["objectives"].items():
        sides = [{"value": e[s], "error": e[f"{s}_error"]} for s in ("first", "second")]
        shown = [quantity(s["value"], e["display_unit"], s["error"]) for s in sides]
        ratio = e["change"] / abs(e["first"]) if e["first"] and e["change"] is not None else float("nan")
        gain = (e["change"] or 0.0) * (-1 if e["goal"] == "minimise" else 1)
        word = "the second" if gain > 0 else "the first" if gain < 0 else "neither"
        rows.append([f"{name}: {e['title']}", *shown, percent(ratio), sigmas(*sides), word])
    table("", ["objective", "first", "second", "change", "", "better"], rows)
    rows = [
        [name, *(quantity(e[s], e["display_unit"]) for s in ("first", "second", "change"))]
        for name, e in found["variables"].items()
    ]
    rows += [[name, e["first"] or "–", e["second"] or "–", ""] for name, e in found["choices"].items()]
    table("", ["variable", "first", "second", "change"], rows)
    print(f"first:  {found['first']}\nsecond: {found['second']}")


def _tell_fronts(found: dict[str, Any]) -> None:
    from detopt.report.text import count, quantity

    rows = []
    for which in ("first", "second"):
        side = found[which]
        volume = side["hypervolume"]
        interval = f" ({volume['low']:.4g} to {volume['high']:.4g})" if volume["high"] > volume["low"] else ""
        share = f"{100 * volume['value'] / found['both']:.1f} %" if found["both"] > 0 else "–"
        rows.append([which, count(side["points"], "point"), f"{volume['value']:.4g}{interval}", share,
                     f"{side['beaten']}"])  # fmt: skip
    table("", ["front", "", "hypervolume", "of both together", "points that the other beats"], rows)
    worst = ", ".join(f"{n} {quantity(o['worst'], o['display_unit'])}" for n, o in found["objectives"].items())
    print(f"The hypervolume is in logarithms, up to {worst}.")
    print(f"first:  {found['first']['run']}\nsecond: {found['second']['run']}")
