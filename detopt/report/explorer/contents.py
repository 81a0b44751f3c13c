"""What the page of a front knows: one mapping that JSON can hold, numbers in the units that people read."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from detopt.report.front import front_rows, price_rows, question
from detopt.report.text import number, quantity, scale, unit

__all__ = ["CURVES", "ShownDesign", "contents"]

CLOUD = 1500  # designs in the background, of all that were scored
CURVES = {  # columns of a resolution table: name, unit, factor
    "sigma_d0_um": ("σ(d0)", "µm", 1.0),
    "sigma_z0_um": ("σ(z0)", "µm", 1.0),
    "sigma_pt_over_pt": ("σ(pT) / pT", "%", 100.0),
}
_DIGITS = 7  # of a number: the screen shows four

Columns = dict[str, list[Any]]


class ShownDesign(NamedTuple):
    """What the tables of a run folder do not hold of a design."""

    layout: list[dict[str, Any]]  # as `detopt.report.drawing` draws it
    curves: Sequence[dict[str, Any]]  # resolution against momentum; empty where there is no barrel
    yaml: str


def contents(run: Any, designs: Sequence[ShownDesign]) -> dict[str, Any]:
    """All that the page shows.

    Args:
        run: of a front.
        designs: the initial design, then every point of the front.
    """
    result, front, seen = run.front_result, run.front().to_pydict(), run.history.slice(0).to_pydict()
    shown = [*result["objectives"].items()]
    first = {name: [column[0]] for name, column in seen.items()}  # the search begins with the initial design
    start = {v["name"]: [v["initial"]] for v in result["variables"]}
    options = {name: [listed[0]] for name, listed in (result.get("choices") or {}).items()}
    points = _points(run)
    tables = [{**first, **start, **options}, front]
    entries = [_entry(result, table, row) for table in tables for row in range(len(table[shown[0][0]]))]
    layouts, rows = _shared([design.layout for design in designs])
    files = _patches([design.yaml.split("\n") for design in designs])
    for entry, design, layout, file in zip(entries, designs, layouts, files, strict=True):
        entry |= {"layout": layout, "curves": _curves(design.curves), "file": file}
    for entry, point in zip(entries[1:], points, strict=True):
        entry |= point
    return {
        "study": result["study"],
        "description": (result.get("description") or "").strip(),
        "question": question(result),
        "detector": result["detector"],
        "run": run.folder.name,
        "frame": result.get("frame", "barrel"),
        "exact": result["mode"] == "expected",
        "knee": result.get("knee"),
        "objectives": [
            {"name": name, "title": o["title"], "goal": o["goal"], "unit": unit(o["display_unit"]),
             "log": _spans(front[name])} for name, o in shown
        ],
        "variables": [
            {"name": v["name"], "unit": unit(v["display_unit"]), "tied": list(v.get("tied") or []),
             **{key: _short(number(v[key]) / scale(v["display_unit"])) for key in ("lower", "upper")}}
            for v in result["variables"]
        ],
        "choices": [{"name": name, "options": [*listed]} for name, listed in (result.get("choices") or {}).items()],
        "curves": [[*CURVES[key][:2]] for key in CURVES],
        "initial": {"name": "the initial design", **entries[0]},
        "designs": entries[1:],
        "cloud": _cloud(seen, result),
        "rows": rows,
    }  # fmt: skip


def _entry(result: dict[str, Any], table: Columns, row: int) -> dict[str, Any]:
    """The numbers of one design, and how they read."""
    values, errors, words = [], [], []
    for name, o in result["objectives"].items():
        value, error = number(table[name][row]), number(table.get(f"{name}_error", [0.0] * (row + 1))[row])
        values.append(_short(value / scale(o["display_unit"])))
        errors.append(_short(error / scale(o["display_unit"])))
        words.append(quantity(value, o["display_unit"], error))
    variables = [(number(table[v["name"]][row]), v["display_unit"]) for v in result["variables"]]
    return {
        "values": values,
        "errors": errors,
        "words": words,
        "variables": [_short(value / scale(symbol)) for value, symbol in variables],
        "variableWords": [quantity(value, symbol, digits=5) for value, symbol in variables],
        "options": [table[name][row] for name in result.get("choices") or {}],
    }


def _points(run: Any) -> list[dict[str, Any]]:
    """What only the points of a front have: a name, how sure they are, what they cost in each other."""
    number_of = run.front().num_rows
    _, rows = front_rows(run, number_of)
    head, prices = price_rows(run, number_of)
    priced: Iterable[list[str]] = (row[1:] for row in prices) if prices else ([] for _ in rows)
    return [
        {"name": f"point {row[0]}", "stays": row[-2], "stationarity": row[-1],
         "prices": [*zip(head[1:], costs, strict=False)]}
        for row, costs in zip(rows, priced, strict=True)
    ]  # fmt: skip


def _curves(table: Sequence[dict[str, Any]]) -> list[list[float | None]]:
    """Momenta, then the resolutions of `CURVES`."""
    if not table:
        return []
    factors = [1.0, *(factor for *_, factor in CURVES.values())]
    keys = ["p_GeV", *CURVES]
    return [[_short(factor * number(row.get(key))) for row in table] for key, factor in zip(keys, factors, strict=True)]


def _cloud(seen: Columns, result: dict[str, Any]) -> list[list[float | None]]:
    """A column for each objective: all designs that were scored, or evenly many of them."""
    total = len(next(iter(seen.values()), []))
    picked = np.unique(np.linspace(0, total - 1, min(total, CLOUD)).round().astype(int))
    return [
        [_short(number(seen[name][i]) / scale(o["display_unit"])) for i in picked]
        for name, o in result["objectives"].items()
    ]


def _shared(layouts: list[list[dict[str, Any]]]) -> tuple[list[list[int]], list[dict[str, Any]]]:
    """Layouts as numbers of rows: most rows are those of many designs."""
    rows: dict[str, int] = {}
    kept: list[dict[str, Any]] = []

    def place(row: dict[str, Any]) -> int:
        short = {key: _shortened(value) for key, value in row.items()}
        at = rows.setdefault(repr(short), len(kept))
        if at == len(kept):
            kept.append(short)
        return at

    return [[place(row) for row in layout] for layout in layouts], kept


def _patches(texts: list[list[str]]) -> list[Any]:
    """The first text as its lines; of every other the lines that differ, or all where there are more or fewer."""
    base = texts[0]
    return [
        lines
        if i == 0 or len(lines) != len(base)
        else {str(n): line for n, line in enumerate(lines) if line != base[n]}
        for i, lines in enumerate(texts)
    ]


def _shortened(value: Any) -> Any:
    if isinstance(value, float):
        return _short(value)
    return [_shortened(one) for one in value] if isinstance(value, list | tuple) else value


def _short(value: float) -> float | None:
    """Not all the digits of a float; None for what is no number."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _spans(values: Sequence[Any]) -> bool:
    """Whether a logarithmic scale shows them better: more than a factor of three."""
    low, high = min(map(number, values)), max(map(number, values))
    return bool(low > 0 and high > 3 * low)
