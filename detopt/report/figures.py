"""The figures of a run, each drawn from its folder; None where the run holds nothing to draw."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from detopt.report.arrows import gradients, slopes
from detopt.report.drawing import draw_layout
from detopt.report.exposures import exposures
from detopt.report.head import head
from detopt.report.style import AFTER, BEFORE, FAINT, INK, PAPER, THIRD, WARNING, Drawing, log_ticks, plain, styled
from detopt.report.text import DESIGNS, has_prices, number, quantity

__all__ = ["FIGURES", "convergence", "cost", "layout", "layout_without", "resolution", "variables"]

_RESOLUTIONS = {
    "sigma_pt_over_pt": (r"σ($p_\mathrm{T}$) / $p_\mathrm{T}$ [%]", 100.0),
    "sigma_d0_um": (r"σ($d_\mathrm{0}$) [µm]", 1.0),
    "sigma_z0_um": (r"σ($z_\mathrm{0}$) [µm]", 1.0),
}
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)))
_POINTS: dict[str, Any] = {"linestyle": "", "markersize": 7.5}
_NOISE: dict[str, Any] = {"color": AFTER, "linewidth": 0.8, "alpha": 0.6}
_VALIDATED: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 6, "markerfacecolor": PAPER,
                              "markeredgecolor": AFTER, "markeredgewidth": 1.6}  # fmt: skip
_CROSS: dict[str, Any] = {**_POINTS, "marker": "x", "markeredgewidth": 0.8, "color": WARNING, "alpha": 0.8}


def layout(run: Any) -> Figure | None:
    """The detector before and after, side by side at the same scale."""
    layouts = run.result.get("layouts") or {}
    if not layouts.get("initial") or not layouts.get("final"):
        return None
    frame = run.result.get("frame", "barrel")
    return draw_layout(layouts["initial"], layouts["final"], run.result["study"], frame)


def layout_without(run: Any) -> Figure | None:
    """The detector that was found beside the one that is found without the head's loss."""
    layouts = run.result.get("layouts") or {}
    if not layouts.get("final") or not layouts.get("without"):
        return None
    names = ("after", "without the head's loss")
    return draw_layout(
        layouts["final"], layouts["without"], run.result["study"], run.result.get("frame", "barrel"), names
    )


def resolution(run: Any) -> Figure | None:
    """Track resolutions against momentum, before and after, with their ratio below; a line style for each angle."""
    before, after, third = ((run.result.get("curves") or {}).get(which) or [] for which in DESIGNS)
    rows = [*before, *after, *third]
    shown = [key for key in _RESOLUTIONS if any(number(row.get(key)) > 0 for row in rows)]
    if not shown:
        return None
    angles = sorted({number(row["theta_deg"]) for row in rows})
    with styled():
        figure = Drawing(max(4.55 * len(shown), 6.5) + 0.2, 5.2)
        width = (figure.get_figwidth() - 0.2) / len(shown) - 1.05
        ratios: list[Axes] = []
        for i, key in enumerate(shown):
            left = 0.85 + i * (width + 1.05)
            top, below = figure.panel(left, 1.85, width, 2.75), figure.panel(left, 0.65, width, 1.1)
            label, factor = _RESOLUTIONS[key]
            for angle, dash in zip(angles, _DASHES * len(angles), strict=False):
                x, y0 = _curve(before, angle, key, factor)
                line: dict[str, Any] = {"linestyle": dash, "markevery": max(1, len(x) // 14)}
                top.plot(x, y0, color=BEFORE, marker="o", markersize=4.5, markerfacecolor=PAPER, **line)
                for design, colour, marker in ((after, AFTER, "o"), (third, THIRD, "s")):
                    x1, y1 = _curve(design, angle, key, factor)
                    top.plot(x1, y1, color=colour, marker=marker, markersize=4.5, **line)
                    common = [(p, b / a) for p, a, b in zip(x, y0, y1, strict=False) if a > 0] if x == x1 else []
                    if common:
                        below.plot(*zip(*common, strict=True), color=colour, marker=marker, markersize=3.5, **line)
            below.axhline(1, color=FAINT, linewidth=1)
            below.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
            ratios += [below]
            log_ticks(top, "y")
            for ax in (top, below):
                ax.set_xlim(*_padded_log([number(row["p_GeV"]) for row in rows]))
                log_ticks(ax, "x")
            top.tick_params(labelbottom=False)
            top.set_ylabel(label)
            below.set(xlabel="$p$ [GeV]", ylabel="ratio to before [1]" if third else "after / before [1]")
            below.yaxis.label.set_fontsize("small")
        limits = [limit for ax in ratios for limit in ax.get_ylim()]
        for ax in ratios:  # one scale, so that the gains can be compared
            ax.set_ylim(min(*limits, 0.93) - 0.02, max(*limits, 1.07) + 0.02)
        _key(figure, 0.85, third=bool(third))
        beside = 5.2 if third else 2.9
        if len(angles) > 1:
            words = ", ".join(f"{angle:.4g}° {('solid', 'dashed', 'dotted', 'dash-dotted')[i % 4]}"
                              for i, angle in enumerate(angles[:8]))  # fmt: skip
            figure.say(beside, f"polar angle: {words}")
        elif math.isfinite(angles[0]):
            figure.say(beside, f"polar angle {angles[0]:.4g}°")
    return figure


def convergence(run: Any) -> Figure | None:
    """The best feasible loss so far and the largest violation against the step, for each restart and overall.

    Where steps see fresh events, the loss on events that no step has seen counts; that of the steps themselves is noise.
    """
    history = run.history
    if history.num_rows == 0:
        return None
    step, loss, best, violation = (_column(history, name) for name in ("step", "loss", "best", "violation"))
    restart, feasible = _column(history, "restart"), _column(history, "feasible") > 0
    constrained = np.isfinite(violation).any()
    validated = _column(history, "validated")
    seen = np.isfinite(validated)
    with styled():
        figure = Drawing(9.6, 5.6 if constrained else 4.2)
        floor = 2.1 if constrained else 0.65
        top = figure.panel(0.95, floor, 8.4, figure.get_figheight() - floor - 0.6)
        for one in np.unique(restart):
            mine = restart == one
            if seen.any():
                top.plot(step[mine], 100 * loss[mine], **_NOISE)
            else:
                top.plot(step[mine], 100 * best[mine], color=AFTER, linewidth=0.9, alpha=0.6, drawstyle="steps-post")
        if seen.any():  # what is best is known where it is validated
            steps, overall = _running_best(step[seen], best[seen])
            steps, overall = np.append(steps, 1.02 * step.max()), np.append(overall, overall[-1])
            top.plot(step[seen], 100 * validated[seen], **_VALIDATED, zorder=3, clip_on=False)
        else:
            small = {"markersize": 3, "alpha": 0.4, "zorder": 1.5, "rasterized": True}
            top.plot(step[~feasible], 100 * loss[~feasible], **_CROSS | small)
            steps, overall = _running_best(step, best)
        top.plot(steps, 100 * overall, color=AFTER, linewidth=3, drawstyle="steps-post")
        top.axhline(0, color=FAINT, linewidth=0.8)
        low, high = _robust(np.append(100 * best, [0.0, -1.0]))
        far = _robust(np.append(100 * loss, 0.0))  # what is not allowed gets some room, not all of it
        if seen.any():  # nearly all of the noise, and every validated loss
            inside = np.append(100 * validated[seen], [far[0], far[1], low, high])
            top.set_ylim(inside.min(), inside.max())
        else:
            top.set_ylim(max(far[0], low - 0.3 * (high - low)), min(max(far[1], high), high + 0.3 * (high - low)))
        top.set_ylabel("loss, change from the start [%]")
        panels = [top]
        if constrained:
            below = figure.panel(0.95, 0.65, 8.4, 1.3)
            for one in np.unique(restart):
                below.plot(step[restart == one], 100 * violation[restart == one], color=INK, linewidth=0.9, alpha=0.6)
            low, high = _robust(np.append(100 * violation, [3.0, -3.0]))
            below.axhspan(0, high, color=WARNING, alpha=0.13, linewidth=0)
            below.set_yscale("symlog", linthresh=1.0, linscale=0.7)
            below.set_yticks([v for v in (-100, -10, -1, 0, 1, 10, 100, 1000) if low < v < high])
            below.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
            below.minorticks_off()
            below.set_ylim(low, high)
            below.axhline(0, color=WARNING, linewidth=1)
            below.set_ylabel("violation [%]")
            box = {"facecolor": PAPER, "edgecolor": "none", "pad": 2.5}
            below.text(
                0.985, 0.86, "red: not allowed", transform=below.transAxes, ha="right", va="top", size=9.5, bbox=box
            )
            top.tick_params(labelbottom=False)
            panels.append(below)
        panels[-1].set_xlabel("step [count]")
        _phases(panels, step, np.asarray(history.column("phase").to_pylist()))
        if seen.any():
            _starts(panels, step, restart)
        for ax in panels:
            end = max(step.max(), step.min() + 1)
            ax.set_xlim(step.min(), end + (0.02 * (end - step.min()) if seen.any() else 0.0))
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if seen.any():
            entries = [("each step, on fresh events (noisy)", _NOISE),
                       ("validated, on events that no step has seen", _VALIDATED),
                       ("best so far", {"color": AFTER, "linewidth": 3})]  # fmt: skip
            figure.entries(entries, 0.95)
            return figure
        entries = [("best so far, all restarts", {"color": AFTER, "linewidth": 3}),
                   ("each restart", {"color": AFTER, "linewidth": 0.9, "alpha": 0.6}),
                   ("step outside the constraints", _CROSS)]  # fmt: skip
        figure.entries(entries[: 3 if (~feasible).any() else 2], 0.95)
    return figure


def cost(run: Any) -> Figure | None:
    """What the detector costs, by component and in total, before and after, and the budget where there is one."""
    if not has_prices(run.result["final"]):
        return None
    before, after = (run.result[which].get("cost") or {} for which in ("initial", "final"))
    parts = sorted((k for k in {**before, **after} if k != "total"), key=lambda k: -number(after.get(k, 0.0) or 0.0))
    rows = [("total", number(before.get("total")), number(after.get("total")))]
    rows += [(key.replace("_", " "), *(number(c.get(key, 0.0)) for c in (before, after))) for key in parts[:12]]
    if parts[12:]:
        rest = [np.nansum([number(c.get(key, 0.0)) for key in parts[12:]]) for c in (before, after)]
        rows.append((f"{len(parts[12:])} others", float(rest[0]), float(rest[1])))
    budget = _budget(run.result)
    longest = max([v for row in rows for v in row[1:] if math.isfinite(v)] + [budget or 0.0, 1e-9])
    with styled():
        figure = Drawing(9.6, 1.35 + 0.62 * len(rows))
        ax = figure.panel(2.3, 0.65, 6.9, 0.62 * len(rows), xlim=(0, 1.27 * longest), ylim=(len(rows) - 0.5, -0.5))
        for i, (_, old, new) in enumerate(rows):
            for y, value, face, edge in ((i - 0.19, old, PAPER, BEFORE), (i + 0.19, new, AFTER, AFTER)):
                bar = value if math.isfinite(value) else 0.0
                ax.barh(y, bar, height=0.27, facecolor=face, edgecolor=edge, linewidth=1.6)
                at = max(bar, 0.0)
                if budget is not None and i == 0 and at < budget < at + 0.2 * longest:
                    at = budget  # the number stands beyond the line
                ax.text(at + 0.012 * longest, y, quantity(value, "kEUR", digits=5), va="center", size=10)
        if budget is not None:
            ax.plot([budget, budget], [-0.5, 0.5], color=WARNING, linewidth=2)
            ax.plot([budget, budget], [0.5, len(rows) - 0.5], color=WARNING, linewidth=0.8, linestyle=(0, (4, 3)))
            words = f"budget {quantity(budget, 'kEUR', digits=5)}"
            _above(ax, budget, 5.0, words, "center")
        ax.set_yticks(range(len(rows)), [plain(row[0], 24) for row in rows])
        ax.tick_params(axis="y", which="both", left=False, right=False, labelsize=11)
        ax.minorticks_off()
        ax.get_yticklabels()[0].set_fontweight("bold")
        ax.axhline(0.5, color=FAINT, linewidth=0.7)
        ax.set_xlabel("cost [kEUR]")
        _key(figure, 0.25, bars=True)
    return figure


def variables(run: Any) -> Figure | None:
    """Each design variable between its bounds, from where it started to where it ended."""
    rows = run.result.get("variables") or []
    if not rows:
        return None
    start = _POINTS | {"marker": "o", "markerfacecolor": PAPER, "markeredgecolor": BEFORE, "markeredgewidth": 1.8}
    other = _POINTS | {
        "marker": "s",
        "markersize": 6,
        "markerfacecolor": "none",
        "markeredgecolor": THIRD,
        "markeredgewidth": 1.6,
    }
    third = any(math.isfinite(number(row.get("without"))) for row in rows)
    end, bound = _POINTS | {"marker": "o", "color": AFTER}, _POINTS | {"marker": "D", "color": WARNING}
    names = [plain(row["name"]) + (f" (and {len(row['tied'])} tied)" if row.get("tied") else "") for row in rows]
    changes = [" → ".join(quantity(row.get(key), row.get("display_unit", "")) for key in ("initial", "final"))
               for row in rows]  # fmt: skip
    with styled():
        height = 0.36 * len(rows)
        left, right = (1.25 + 0.09 * max(map(len, texts)) for texts in (names, changes))
        figure = Drawing(left + 5.1 + right, height + 1.25)
        ax = figure.panel(left, 0.65, 5.1, height, xlim=(-6, 106), ylim=(len(rows) - 0.5, -0.5))
        for y, row in enumerate(rows):
            low, high, *values = (number(row.get(key)) for key in ("lower", "upper", *DESIGNS))
            a, b, c = (100 * (v - low) / (high - low) if high > low else math.nan for v in values)
            ax.plot([0, 100], [y, y], color=FAINT, linewidth=1.2, marker="|", markersize=9)
            if abs(b - a) > 5:
                arrow = {"arrowstyle": "-|>,head_width=0.22,head_length=0.4", "color": AFTER, "linewidth": 1.6,
                         "shrinkA": 4, "shrinkB": 5}  # fmt: skip
                ax.annotate("", (b, y), (a, y), arrowprops=arrow)
            ax.plot([a], [y], zorder=3, **start)
            ax.plot([b], [y], zorder=4, **(bound if row.get("at_bound") else end))
            ax.plot([c], [y], zorder=5, **other)
            symbol = row.get("display_unit", "")
            for x, value, align in ((-7.5, low, "right"), (107.5, high, "left")):
                ax.text(x, y, quantity(value, symbol), ha=align, va="center", size=8.5, color=FAINT)
            ax.text(-28, y, names[y], ha="right", va="center", size=10.5)
            ax.text(128, y, changes[y], ha="left", va="center", size=10.5)
        ax.set_yticks([])
        ax.tick_params(which="both", top=False, right=False, left=False)
        ax.spines[["left", "right", "top"]].set_visible(False)
        ax.set_xlabel("place between the bounds [%]")
        entries = [("before", start), ("after", end), ("after, at a bound", bound)]
        entries += [(DESIGNS["without"], other)] if third else []
        figure.entries(entries, 0.25)
    return figure


FIGURES: dict[str, Callable[[Any], Figure | None]] = {
    "layout": layout,
    "layout_without": layout_without,
    "resolution": resolution,
    "head": head,
    "exposures": exposures,
    "gradients": gradients,
    "slopes": slopes,
    "variables": variables,
    "cost": cost,
    "convergence": convergence,
}


def _curve(rows: list[dict[str, Any]], angle: float, key: str, factor: float) -> tuple[list[float], list[float]]:
    mine = sorted((number(r["p_GeV"]), factor * number(r.get(key))) for r in rows if number(r["theta_deg"]) == angle)
    return [p for p, _ in mine], [value for _, value in mine]


def _padded_log(values: list[float]) -> tuple[float, float]:
    return min(values) / 1.25, max(values) * 1.25


def _column(table: Any, name: str) -> np.ndarray:
    """A column as floats; NaN for what is missing."""
    if name not in table.column_names:
        return np.full(table.num_rows, math.nan)
    return np.array([number(v) for v in table.column(name).to_pylist()])


def _running_best(step: np.ndarray, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest of all restarts up to each step."""
    steps = np.unique(step)
    lowest = np.full(len(steps), np.inf)
    np.minimum.at(lowest, np.searchsorted(steps, step), np.where(np.isfinite(best), best, np.inf))
    overall = np.minimum.accumulate(lowest)
    return steps, np.where(np.isfinite(overall), overall, math.nan)


def _robust(values: np.ndarray) -> tuple[float, float]:
    """Limits that show nearly all values, whatever a few wild ones do."""
    low, high = np.percentile(values[np.isfinite(values)], [1, 99])
    margin = 0.08 * max(high - low, 1e-6)
    return float(low - margin), float(high + margin)


def _phases(panels: list[Axes], step: np.ndarray, phase: np.ndarray) -> None:
    """A line where the search changes its method."""
    starts = sorted((float(step[phase == name].min()), str(name)) for name in set(phase.tolist()))
    for at, name in starts[1:]:
        for ax in panels:
            ax.axvline(at, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        word = {"lbfgs": "L-BFGS", "adam": "Adam"}.get(name, plain(name, 16))
        _above(panels[0], at, 3.0, f"{word} →", "right" if at > 0.85 * step.max() else "left")


def _starts(panels: list[Axes], step: np.ndarray, restart: np.ndarray) -> None:
    """A line where the search starts anew; a word where there is room."""
    starts = sorted((float(step[restart == one].min()), i) for i, one in enumerate(np.unique(restart), 1))
    for at, number_ in starts[1:]:
        for ax in panels:
            ax.axvline(at, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        if len(starts) <= 8:
            _above(panels[0], at, 3.0, f"start {number_} →", "left")


def _above(ax: Axes, x: float, points: float, text: str, align: str) -> None:
    """A word above the panel, at a place on its horizontal axis."""
    ax.annotate(text, (x, 1), (0, points), xycoords=("data", "axes fraction"), textcoords="offset points",
                ha=align, va="bottom", size=10)  # fmt: skip


def _budget(result: dict[str, Any]) -> float | None:
    """The limit of the constraint on money, if there is one."""
    constraints = (result["final"].get("constraints") or {}).values()
    limits = (number(c.get("limit")) for c in constraints if c.get("unit") == "kEUR")
    return next((limit for limit in limits if math.isfinite(limit)), None)


def _key(figure: Drawing, left: float, bars: bool = False, third: bool = False) -> None:
    """Which colour is before and which is after, at the top."""
    if bars:
        square = {"linestyle": "", "marker": "s", "markersize": 9, "markeredgewidth": 1.6}
        entries = [("before", {**square, "markerfacecolor": PAPER, "markeredgecolor": BEFORE}),
                   ("after", {**square, "color": AFTER})]  # fmt: skip
    else:
        entries = [("before", {"color": BEFORE, "marker": "o", "markersize": 4.5, "markerfacecolor": PAPER}),
                   ("after", {"color": AFTER, "marker": "o", "markersize": 4.5})]  # fmt: skip
    if third:
        entries.append(("without the head's loss", {"color": THIRD, "marker": "s", "markersize": 4.5}))
    figure.entries(entries, left)
