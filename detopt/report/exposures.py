"""Performance of a portal's head against exposure, before and after."""

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from detopt.report.markup import Markup, table, tag
from detopt.report.style import AFTER, BEFORE, FAINT, PAPER, Drawing, log_ticks, styled
from detopt.report.text import DESIGNS, MISSING, number, quantity

__all__ = ["exposure_table", "exposures"]

_LABELS = {  # measure: label of its axis, what one is in it, goal
    "area": ("1 − area under the ROC curve", 1.0),
    "found": ("missed [%]", 100.0),
    "rms": ("RMS error", 1.0),
}


def exposures(run: Any) -> Figure | None:
    """What the head gets wrong, against the exposure."""
    scans = _scans(run.result)
    if not scans:
        return None
    names = [name for name in _LABELS if any(name in scan for scan in scans.values())]
    seconds = _seconds(run.result)
    with styled():
        figure = Drawing(0.4 + 5.2 * len(names), 4.6)
        for i, name in enumerate(names):
            ax = figure.panel(0.95 + 5.2 * i, 0.65, 4.2, 3.2)
            label, factor = _LABELS[name]
            shown = []
            for which, scan in scans.items():
                x = np.array([number(m) for m in scan["muons"]]) * (seconds or 1.0)
                y, e = (np.array([number(v.get(k)) for v in scan[name]]) for k in ("value", "error"))
                y, e = factor * (y if name == "rms" else 1 - y), factor * e
                colour = AFTER if which == "final" else BEFORE
                face = AFTER if which == "final" else PAPER
                ax.errorbar(x, y, e, color=colour, marker="o", markersize=5, markerfacecolor=face, capsize=2)
                shown += [*(y - e)[y > 2 * e], *(y + e)]
                if name == "found" and (needed := scan.get("needed")):
                    at = number(needed["value"]) * (seconds or 1.0)
                    ax.plot([at, at], [1e-9, factor * (1 - scan["of_found"])], color=colour, linestyle=(0, (1, 1.4)))
            if name == "found":
                ax.axhline(factor * (1 - next(iter(scans.values()))["of_found"]), color=FAINT, linewidth=1)
                alarms = next(iter(scans.values()))["false_alarms"]
                label = f"missed at {100 * alarms:g} % false alarms [%]"
            ax.set_xscale("log", base=2)
            ax.set_ylim(0.8 * min(shown), 1.25 * max(shown))
            log_ticks(ax, "y")
            _plain_ticks(ax, x)
            unit = next((d.get("unit") for d in _designs(run.result).values() if d.get("unit")), "")
            ax.set_ylabel(f"{label} [{unit}]" if name == "rms" and unit else label)
            ax.set_xlabel("exposure [s]" if seconds else "muons in an exposure")
        entries = [
            (DESIGNS[w], {"color": AFTER if w == "final" else BEFORE, "marker": "o",
                          "markerfacecolor": AFTER if w == "final" else PAPER}) for w in scans
        ]  # fmt: skip
        figure.entries(entries, 0.95)
    return figure


def exposure_table(result: dict[str, Any]) -> Markup | None:
    """The exposure that is needed for a clear answer."""
    scans = _scans(result)
    some = next(iter(scans.values()), {})
    if "of_found" not in some:
        return None
    seconds = _seconds(result)
    caption = f"Exposure until {100 * some['of_found']:g} % are found at {100 * some['false_alarms']:g} % false alarms"
    row = [_needed(scan, seconds) for scan in scans.values()]
    ratio = ((result.get("after_minus") or {}).get("initial") or {}).get("exposure")
    change = MISSING
    if ratio:
        change = quantity(number(ratio["value"]) - 1, "%", ratio["error"])
    head = [*(DESIGNS[w] for w in scans), "change"]
    note = tag("p", "One more head for each design, trained on exposures of all lengths. Errors are from drawing scenes "
                    "again, the same ones for both designs.", class_="soft")  # fmt: skip
    return tag("div", table(caption, head, [[*row, change]]), note)


def _needed(scan: dict[str, Any], seconds: float | None) -> str:
    unit, factor = ("s", seconds) if seconds else ("muons", 1.0)
    if needed := scan.get("needed"):
        value, error = (number(needed[key]) * factor for key in ("value", "error"))
        return f"{quantity(value, '', error)} {unit}"
    (shortest, longest), found = (number(scan["muons"][i]) * factor for i in (0, -1)), scan["found"]
    if number(found[-1].get("value")) < scan["of_found"]:
        return f"longer than {longest:.3g} {unit}"
    if number(found[0].get("value")) >= scan["of_found"]:
        return f"shorter than {shortest:.3g} {unit}"
    return f"not decided between {shortest:.3g} and {longest:.3g} {unit}"


def _designs(result: dict[str, Any]) -> dict[str, Any]:
    return (result.get("inference") or {}).get("designs") or {}


def _scans(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    scans = {w: (_designs(result).get(w) or {}).get("exposures_scanned") for w in ("initial", "final")}
    return {w: scan for w, scan in scans.items() if scan}


def _seconds(result: dict[str, Any]) -> float | None:
    """That a muon takes on average; None where the study gives no exposure."""
    seconds = number((result.get("inference") or {}).get("seconds_per_muon"))
    return seconds if math.isfinite(seconds) else None


def _plain_ticks(ax: Any, x: np.ndarray) -> None:
    ax.set_xticks(x)
    ax.set_xticklabels([f"{v:.0f}" if v >= 10 else f"{v:.2g}" for v in x])
    ax.xaxis.set_minor_locator(NullLocator())
