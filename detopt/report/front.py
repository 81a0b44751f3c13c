"""Figures and page of a front: what can be had together, which designs have it, and how the search got there."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from detopt.report.markup import Markup, table, tag
from detopt.report.page import figure_of, provenance, write_page
from detopt.report.style import AFTER, BEFORE, FAINT, WARNING, Drawing, log_ticks, save, styled
from detopt.report.text import MISSING, count, number, percent, quantity, scale, unit

__all__ = [
    "front_figure",
    "front_rows",
    "price_rows",
    "question",
    "two_fronts_figure",
    "variables_figure",
    "volume_figure",
    "write_front_report",
]

_ACROSS = 3  # panels in a row
_SHOWN = 12  # designs in the table


def front_figure(run: Any) -> Figure:
    """Every pair of objectives: all designs that were scored, and those of the front with their errors."""
    result, seen = run.front_result, run.history
    names = list(result["objectives"])
    pairs = list(itertools.combinations(names, 2))
    rows = -(-len(pairs) // _ACROSS)
    with styled():
        wide = 3.0 if len(pairs) == 1 else 0.0  # one panel has room for the legend above it
        figure = Drawing(0.3 + wide + 4.3 * min(len(pairs), _ACROSS), 0.6 + 3.9 * rows)
        for i, (first, second) in enumerate(pairs):
            left, bottom = 1.0 + 4.3 * (i % _ACROSS), 0.75 + 3.9 * (rows - 1 - i // _ACROSS)
            ax = figure.panel(left, bottom, 3.3 + wide, 2.9)
            x, y = (_values(seen, n, result) for n in (first, second))
            ax.plot(x, y, ".", color=FAINT, markersize=2, alpha=0.35, rasterized=True)
            x, y = _front(ax, run, (first, second), AFTER, "o")
            start = [_values(seen, n, result)[0] for n in (first, second)]
            ax.plot(*start, "D", color=BEFORE, markersize=6)
            for axis, name, values in (("x", first, x), ("y", second, y)):
                _frame(ax, axis, values)
                getattr(ax, f"set_{axis}label")(_label(name, result))
        figure.entries(
            [("the front", {"color": AFTER, "marker": "o", "linestyle": ""}),
             ("the initial design", {"color": BEFORE, "marker": "D", "linestyle": ""}),
             ("all designs scored", {"color": FAINT, "marker": ".", "linestyle": ""})], 1.0,
        )  # fmt: skip
    return figure


def _front(ax: Axes, run: Any, pair: tuple[str, str], color: str, marker: str) -> tuple[np.ndarray, np.ndarray]:
    """The points of a front with their errors, and where they are."""
    front, result = run.front(), run.front_result
    x, y = (_values(front, n, result) for n in pair)
    across, up = (_values(front, f"{n}_error", result, n) for n in pair)
    ax.errorbar(x, y, up, across, color=color, linestyle="", marker=marker, markersize=4, linewidth=0.8)
    return x, y


def two_fronts_figure(runs: tuple[Any, Any], names: list[str]) -> Figure:
    """Two fronts in one picture, for every pair of the objectives that they share."""
    pairs = list(itertools.combinations(names, 2))
    rows = -(-len(pairs) // _ACROSS)
    with styled():
        figure = Drawing(0.6 + 5.4 * min(len(pairs), _ACROSS), 0.5 + 4.0 * rows)
        for i, pair in enumerate(pairs):
            left, bottom = 1.0 + 5.4 * (i % _ACROSS), 0.75 + 4.0 * (rows - 1 - i // _ACROSS)
            ax, seen = figure.panel(left, bottom, 4.3, 3.1), []
            for run, color, marker in zip(runs, (BEFORE, AFTER), "Do", strict=True):
                seen.append(_front(ax, run, pair, color, marker))
            for axis, name, values in zip("xy", pair, zip(*seen, strict=True), strict=True):
                _frame(ax, axis, np.concatenate(values))
                getattr(ax, f"set_{axis}label")(_label(name, runs[0].front_result))
        figure.entries(
            [(f"{which}: {run.folder.name}", {"color": color, "marker": marker, "linestyle": ""})
             for which, run, color, marker in zip(("first", "second"), runs, (BEFORE, AFTER), "Do", strict=True)], 1.0,
        )  # fmt: skip
    return figure


def variables_figure(run: Any) -> Figure | None:
    """Where along the front each variable stands, between its bounds."""
    result, front = run.front_result, run.front()
    listed, first = result["variables"], next(iter(result["objectives"]))
    x = _values(front, first, result)
    rows = -(-len(listed) // _ACROSS)
    with styled():
        figure = Drawing(0.3 + 4.3 * min(len(listed), _ACROSS), 0.5 + 2.3 * rows)
        for i, v in enumerate(listed):
            left, bottom = 1.0 + 4.3 * (i % _ACROSS), 0.7 + 2.3 * (rows - 1 - i // _ACROSS)
            ax = figure.panel(left, bottom, 3.3, 1.5)
            factor = scale(v["display_unit"])
            ax.plot(x, np.asarray(front.column(v["name"])) / factor, "o", color=AFTER, markersize=3.5)
            for bound in ("lower", "upper"):
                ax.axhline(number(v[bound]) / factor, color=FAINT, linewidth=0.8)
            ax.axhline(number(v["initial"]) / factor, color=BEFORE, linewidth=0.8, linestyle=(0, (5, 2)))
            _frame(ax, "x", x)
            shown = unit(v["display_unit"])
            ax.set_ylabel(f"{v['name']} [{shown}]" if shown else v["name"], fontsize="small")
            if i + _ACROSS >= len(listed):
                ax.set_xlabel(_label(first, result), fontsize="small")
    return figure


def volume_figure(run: Any) -> Figure | None:
    """The hypervolume against the evaluations."""
    rounds = run.rounds
    if rounds.num_rows < 2:
        return None
    with styled():
        figure = Drawing(7.6, 3.9)
        ax = figure.panel(0.95, 0.65, 6.4, 2.8)
        x, y = (np.asarray(rounds.column(n)) for n in ("evaluations", "hypervolume"))
        ax.plot(x, y, color=AFTER, linewidth=2.5, drawstyle="steps-post")
        ax.set_xlim(0, 1.02 * x.max())
        ax.set_xlabel("evaluations")
        ax.set_ylabel("hypervolume")
        found = run.front_result["hypervolume"]
        low, high = min(y.min(), found["low"]), max(y.max(), found["high"])
        ax.set_ylim(low - 0.08 * (high - low or 1.0), high + 0.08 * (high - low or 1.0))
        if found["high"] > found["low"]:
            ax.axhspan(found["low"], found["high"], color=WARNING, alpha=0.25, linewidth=0)
            figure.say(0.95, "band: hypervolume of the front that is published, 95 % interval")
    return figure


def front_rows(run: Any, number_of: int = _SHOWN) -> tuple[list[str], list[list[str]]]:
    """Some designs from one end of the front to the other: head and rows of a table."""
    result, front = run.front_result, run.front()
    names, choices = list(result["objectives"]), list(result.get("choices") or {})
    rows = []
    for i, point in _picked(run, number_of):
        row = {n: front.column(n)[i].as_py() for n in front.column_names}
        shown = [quantity(row[n], result["objectives"][n]["display_unit"], row[f"{n}_error"]) for n in names]
        stays = percent(row["p_nondominated"]).lstrip("+")
        rows.append([point, *shown, *(row[name] for name in choices), stays, f"{row['kkt']:.2g}"])
    return ["point", *names, *choices, "on the front", "stationarity"], rows


def price_rows(run: Any, number_of: int = _SHOWN) -> tuple[list[str], list[list[str]]]:
    """What objectives cost in each other at the same designs."""
    result, front, rates = run.front_result, run.front(), _rates(run)
    pairs = [pair for pair in itertools.combinations(result["objectives"], 2) if any(r[1:] == pair for r in rates)]
    rows = []
    for i, point in _picked(run, number_of):
        row = {name: front.column(name)[i].as_py() for name in result["objectives"]}
        rows.append([point, *(_price(rates.get((i, a, b)), b, row, result) for a, b in pairs)])
    return ["point", *(f"1 % better {a} costs" for a, _ in pairs)], rows if pairs else []


def _picked(run: Any, number_of: int) -> list[tuple[int, str]]:
    """Points that tables show, and what they are called there."""
    last, knee = run.front().num_rows - 1, run.front_result.get("knee")
    picked = {round(x) for x in np.linspace(0, last, min(number_of, last + 1))} | ({knee} - {None})
    return [(i, f"{i}, the knee" if i == knee else str(i)) for i in sorted(picked)]


def _rates(run: Any) -> dict[tuple[int, str, str], tuple[float, float]]:
    """Rate and error by point, what gets better, and what pays for it; where they stand out of their errors."""
    rows = run.rates().to_pylist()
    return {
        (r["point"], r["better"], r["of"]): (r["rate"], r["rate_error"])
        for r in rows
        if np.isfinite(r["rate"]) and r["rate"] > 1.5 * r["rate_error"]
    }


def _price(rate: tuple[float, float] | None, of: str, row: dict[str, Any], result: dict[str, Any]) -> str:
    """What a per cent costs, in the unit of what pays."""
    if rate is None:
        return MISSING
    sign = 1.0 if result["objectives"][of]["goal"] == "minimise" else -1.0
    value, error = (0.01 * x * row[of] for x in rate)
    return f"{of} {'+' if sign > 0 else '−'}{quantity(value, result['objectives'][of]['display_unit'], error, 2)}"


def question(result: dict[str, Any]) -> str:
    """What was asked, as a sentence."""
    goals = " and ".join(f"{o['goal']} {o['title']}" for o in result["objectives"].values())
    limits = ", ".join(result["constraints"].values())
    asked = f"Which designs of {result['detector']} {goals}, so that none is better in all?"
    return f"{asked} With {limits}." if limits else asked


def write_front_report(run: Any) -> Path:
    """Write `figures/` and `report.html` into the folder of a run; returns the path of the page."""
    result = run.front_result
    drawn = {"front": front_figure(run), "variables": variables_figure(run), "hypervolume": volume_figure(run)}
    for name, figure in drawn.items():
        if figure is not None:
            save(figure, run.folder / "figures", name)
    found, exact = result["hypervolume"], result["mode"] == "expected"
    volume = f"{found['value']:.4g}" + ("" if exact else f" (95 % interval {found['low']:.4g} to {found['high']:.4g})")
    worst = ", ".join(f"{n} {quantity(o['worst'], o['display_unit'])}" for n, o in result["objectives"].items())
    (head, rows), (price_head, prices) = front_rows(run), price_rows(run)
    by = "" if exact else ", by the slopes of the emulator"
    notes = [
        f"{count(result['points'], 'point')} of {result['evaluations']} evaluations (a score with its gradient is five).",
        f"Hypervolume {volume}, of logarithms in units of their extent among random designs, up to the worst values of "
        f"interest: {worst}.",
        "Scores are exact." if exact else "Every point was scored again on events that the search has not seen; errors are "
        "one standard deviation, and the hypervolume is without what luck adds to it.",
        "What a per cent costs: the slope of the front, from a plane through a point and its neighbours, all other "
        "objectives held; – where it does not stand out of its error. The knee lies farthest below the plane through the "
        "ends of the front.",
        "Stationarity: the shortest convex combination of the gradients, in units of their mean length; 0 where no small "
        f"step improves all objectives. Median {result['kkt_median']:.2g}{by}.",
    ]  # fmt: skip
    if result.get("failed"):
        notes.append(f"{count(result['failed'], 'design')} could not be scored or missed a constraint.")
    words = {
        "front": ("Each pair of objectives", "Grey: every design scored. Blue: the front. A point that lies inside in one "
                  "panel is ahead in another."),
        "variables": ("Each variable along the front", "Grey lines: bounds. Dashed: the initial design."),
        "hypervolume": ("Hypervolume against evaluations", None),
    }  # fmt: skip
    sections = [
        tag("section", tag("h2", words[name][0]), figure_of(name, figure, *words[name]))
        for name, figure in drawn.items()
        if figure is not None
    ]
    how = Markup(
        "To walk along the front: <code>detopt explore RUN</code>. The detector of a point: <code>detopt point RUN:INDEX "
        "--out detector.yaml</code>."
    )
    answer = tag(
        "section",
        tag("h2", "The answer"),
        tag("ul", *(tag("li", note) for note in notes)),
        table("From one end of the front to the other", head, [[*row] for row in rows]),
        table("What a per cent costs", price_head, [[*row] for row in prices]) if prices else None,
        tag("p", how, " All points are in front.parquet.", class_="soft"),
        class_="answer",
    )
    title = tag("header", tag("h1", result["study"]), tag("p", question(result), class_="asked"),
                tag("p", (result.get("description") or "").strip(), class_="soft"))  # fmt: skip
    search = f"{result['evaluations']} evaluations"
    body = tag("main", title, answer, *sections, provenance(run, result, search, "pareto"))
    return write_page(run, f"{result['study']}: front", body)


def _values(rows: Any, column: str, result: dict[str, Any], objective: str | None = None) -> np.ndarray:
    factor = scale(result["objectives"][objective or column]["display_unit"])
    return np.asarray(rows.column(column), float) / factor


def _label(name: str, result: dict[str, Any]) -> str:
    shown = unit(result["objectives"][name]["display_unit"])
    better = "↓" if result["objectives"][name]["goal"] == "minimise" else "↑"
    return f"{name} [{shown}] {better}" if shown else f"{name} {better}"


def _frame(ax: Axes, axis: str, values: np.ndarray) -> None:
    """A scale that the front fills; logarithmic where it spans more than a factor of three."""
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 3 * low:
        pad = (high / low) ** 0.12
        getattr(ax, f"set_{axis}scale")("log")
        getattr(ax, f"set_{axis}lim")(low / pad, high * pad)
        log_ticks(ax, axis)
    else:
        pad = 0.12 * (high - low) or 0.05 * abs(high) or 1.0
        getattr(ax, f"set_{axis}lim")(low - pad, high + pad)
