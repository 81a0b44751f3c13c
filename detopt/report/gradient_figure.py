"""Gradients against differences, a row for each parameter: what `detopt gradients --out` draws."""

from pathlib import Path
from typing import Any

from matplotlib.ticker import FuncFormatter

from detopt.report.style import AFTER, BEFORE, FAINT, INK, WARNING, Drawing, plain, styled

__all__ = ["draw_gradients"]

_COLOURS = {"ok": AFTER, "undecided": BEFORE, "fail": WARNING}
_MARKS = {"ok": "o", "undecided": "D", "fail": "X"}
_ROW, _WIDTH, _LEFT, _TOP, _BOTTOM = 0.28, 8.6, 2.5, 0.95, 0.75  # inches
_BAND, _MOST = 5.0, 12.0  # per cent of the scale: what passes, and how much of the axis is shown at least


def draw_gradients(found: dict[str, Any], title: str, path: Path | None = None) -> Drawing:
    """Draw what `detopt.study.gradients.check_gradients` returned; saved where `path` says."""
    rows = found["parameters"]
    objectives = list(dict.fromkeys(r["objective"] for r in rows))
    lines: list[dict[str, Any] | str] = []  # the name of an objective, then its parameters
    for name in objectives:
        lines += [name, *(r for r in rows if r["objective"] == name)]
    height = _TOP + _BOTTOM + _ROW * len(lines)
    with styled():
        figure = Drawing(_WIDTH, height)
        right = 1.75 if any(r["z"] is not None for r in rows) else 0.35
        ax = figure.panel(_LEFT, _BOTTOM, _WIDTH - _LEFT - right, _ROW * len(lines))
        exact = all(r["z"] is None for r in rows)
        # What is not sampled agrees to parts in a billion: there is no band to see then.
        factor = 100.0 if not exact else 1e9
        size = [abs(r["bias_of_scale"] or 0) + (r["bias_of_scale_error"] or 0) for r in rows]
        reach = max(
            _MOST if not exact else 1.0, min(1.15 * factor * max(size, default=0.0), 120.0 if not exact else 1e4)
        )
        if not exact:
            ax.axvspan(-_BAND, _BAND, color=AFTER, alpha=0.12, linewidth=0)
        ax.axvline(0, color=INK, linewidth=0.8)
        for y, line in enumerate(lines):
            if isinstance(line, str):
                words = plain(line, 40)
                ax.text(-0.02, y, words, transform=ax.get_yaxis_transform(), ha="right", va="center", weight="bold")
                ax.axhline(y + 0.5 - 1, color=FAINT, linewidth=0.5, alpha=0.6 if y else 0)
                continue
            _row(ax, y, line, factor, reach)
        ax.set_ylim(len(lines) - 0.5, -0.5)
        ax.set_xlim(-reach, reach)
        ax.set_yticks([])
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        unit = "% of its scale" if not exact else "parts in a billion of its scale"
        ax.set_xlabel(f"gradient minus difference, {unit}", loc="right")
        counts = [
            f"{sum(r['verdict'] == v for r in rows)} {v}" for v in _COLOURS if any(r["verdict"] == v for r in rows)
        ]
        figure.text(_LEFT / _WIDTH, 1 - 0.32 / height, f"{plain(title, 60)}: {', '.join(counts)}", va="center")
        if not exact:
            ax.text(
                1.02, -0.5 - 0.4, "events for 10 %", transform=ax.get_yaxis_transform(), fontsize="x-small", va="bottom"
            )
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with styled():
            figure.savefig(path, dpi=150)
    return figure


def _row(ax: Any, y: int, row: dict[str, Any], factor: float, reach: float) -> None:
    side = ax.get_yaxis_transform()
    ax.text(-0.02, y, plain(row["name"]), transform=side, ha="right", va="center", fontsize="small")
    value, error = (factor * (row[k] or 0.0) for k in ("bias_of_scale", "bias_of_scale_error"))
    shown = min(max(value, -reach), reach)
    colour = _COLOURS[row["verdict"]]
    ax.errorbar(shown, y, xerr=2 * error, fmt=_MARKS[row["verdict"]], color=colour, markersize=6, elinewidth=1.5)
    if row["z"] is None:
        return
    events = row["events_for_10_percent"]
    text = "compatible with 0" if events is None else _short(events)
    ax.text(1.02, y, text, transform=side, va="center", fontsize="small", color=INK)


def _short(events: float) -> str:
    """4300 is 4.3 k."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if events >= size:
            return f"{events / size:.2g} {letter}" if events < 99.5 * size else f"{events / size:.0f} {letter}"
    return f"{events:.0f}"
