"""Tables on the terminal: of anything, and of scores before and after."""

from typing import Any

__all__ = ["result_tables", "score_tables", "table"]


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table, its first column to the left and all others to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for i, column in enumerate(columns):
        drawn.add_column(column, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    console = Console()
    # Piped output is not cut to 80 columns.
    (console if console.is_terminal else Console(width=200)).print(drawn)


def result_tables(result: dict[str, Any]) -> None:
    """Print what a search changed, and how its optimum compares with its rivals."""
    from detopt.report.text import pairs

    score_tables(result["initial"], result["final"], pairs(result, "initial"))
    rows = []
    for rival, score in (result.get("rivals") or {}).items():
        missed = [n for n, c in score["constraints"].items() if _met(c) != "met"]
        limits = "misses " + ", ".join(missed) if missed else "met"
        for name, entry in score["objectives"].items():
            new = result["final"]["objectives"][name]
            change = _change(entry, new, pairs(result, rival).get(name))
            rows.append([rival, name, _show(entry), _show(new), change, limits])
    if rows:
        table("", ["rival", "objective", "its score", "optimum", "change", "constraints"], rows)


def score_tables(
    before: dict[str, Any], after: dict[str, Any] | None, paired: dict[str, dict[str, float]] | None = None
) -> None:
    """Print a score, or two and how they differ; `paired` has the differences and their errors, where these are known."""
    from detopt.report.text import has_prices

    rows = []
    for name, entry in before["objectives"].items():
        row = [f"{name}: {entry['title']}", _show(entry)]
        if after is not None:
            new = after["objectives"][name]
            row += [_show(new), _change(entry, new, (paired or {}).get(name))]
        rows.append(row)
        if entry.get("statistics_only") is not None:
            rows.append(_statistics_only(entry, None if after is None else after["objectives"][name]))
    for name, entry in before["constraints"].items():
        states = [entry] if after is None else [entry, after["constraints"][name]]
        rows.append([f"{name}: {entry['title']}", *(_met(s) for s in states), *([""] if after else [])])
    if has_prices(before):
        row = ["total cost", f"{before['cost']['total']:.1f} kEUR"]
        if after is not None:
            ratio = after["cost"]["total"] / before["cost"]["total"] if before["cost"]["total"] else 1.0
            row += [f"{after['cost']['total']:.1f} kEUR", f"{100 * (ratio - 1):+.1f} %"]
        rows.append(row)
    table("", ["", "score"] if after is None else ["", "before", "after", "change"], rows)


def _statistics_only(old: dict[str, Any], new: dict[str, Any] | None) -> list[str]:
    """The same measurement if nothing were uncertain but what data fluctuate by."""
    both = [{**e, "value": e.get("statistics_only"), "error": 0.0} for e in (old, new) if e is not None]
    row = ["  with statistics alone", *map(_show, both)]
    return row if new is None else [*row, _change(*both)]


def _change(old: dict[str, Any], new: dict[str, Any], paired: dict[str, float] | None = None) -> str:
    """Relative change, and how many standard errors that is."""
    from detopt.report.text import difference

    if not old["value"] or not new["value"]:
        return ""
    text = f"{100 * (new['value'] / old['value'] - 1):+.1f} %"
    change, error = difference(old, new, paired)
    return f"{text} ({abs(change) / error:.1f} sigma)" if error else text


def _met(entry: dict[str, Any]) -> str:
    value = entry["value"]
    return "not defined" if value is None else "met" if value <= 0 else f"missed by {100 * value:.3g} %"


def _show(entry: dict[str, Any]) -> str:
    from detopt.units import format_quantity

    if entry["value"] is None:
        return "not defined"
    shown = format_quantity(entry["value"], entry["display_unit"], digits=4)
    if not entry["error"]:
        return shown
    return f"{shown} ± {format_quantity(entry['error'], entry['display_unit'], digits=2)}"
