"""The gradient of the loss at the final design: arrows on its layers, and a row for each variable.

An arrow shows where the loss falls. Its length grows with the logarithm of the gradient, over three powers of ten below the
largest: by how many per cent the loss changes where the variable moves by a hundredth of its range.
"""

import math
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from detopt.report.drawing import Shape, draw_layout, size_in_inches
from detopt.report.style import AFTER, FAINT, INK, PAPER, Drawing, plain, styled
from detopt.report.text import number

__all__ = ["gradients", "slopes"]

_DECADES = 3
_LONGEST = 0.55  # inches
_SHORTEST = 0.14  # of arrows that can be told from their heads
_ALONG, _ACROSS = ("z", "position", "half_length", "length"), ("radius", "inner_radius", "outer_radius", "span")
_AT_THE_END = ("half_length", "length", "span", "inner_radius", "outer_radius")
_HEAD: dict[str, Any] = {
    "arrowstyle": "simple,head_length=0.55,head_width=0.7,tail_width=0.26",
    "shrinkA": 0,
    "shrinkB": 0,
}
_LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "free": ("free to go", {"facecolor": AFTER, "edgecolor": AFTER}),
    "constraint": ("held by constraints", {"facecolor": PAPER, "edgecolor": AFTER}),
    "bound": ("at its bound", {"facecolor": PAPER, "edgecolor": FAINT}),
}


class _Arrow(NamedTuple):
    """Where the loss falls with one variable."""

    variable: str
    names: tuple[str, ...]  # and what is tied to it
    slope: float  # of the loss, for the whole range
    error: float
    held_by: tuple[str, ...]
    part: float  # of the longest arrow; 0 for none

    @property
    def looks(self) -> str:
        if "its bound" in self.held_by:
            return "bound"
        return "constraint" if self.held_by else "free"

    @property
    def why(self) -> str:
        """Why nothing holds it."""
        return "nothing" if self.part else "within its error" if self.error > 0 else "flat"

    @property
    def down(self) -> int:
        """Which way the loss falls."""
        return -1 if self.slope > 0 else 1


def _arrows(run: Any) -> list[_Arrow]:
    tied = {v["name"]: tuple(v.get("tied") or ()) for v in run.result.get("variables") or []}
    rows = (run.result.get("optimum") or {}).get("gradients") or []
    known = [r for r in rows if math.isfinite(number((r.get("per_range") or {}).get("value")))]
    largest = max((abs(number(r["per_range"]["value"])) for r in known), default=0.0)
    found = []
    for r in known:
        slope, error = number(r["per_range"]["value"]), number(r["per_range"].get("error"))
        held = tuple(r.get("held_by") or ())
        shown = largest > 0 and (held or r.get("free"))  # else as good as flat, or not known better than its error
        part = _part(abs(slope) / largest) if shown else 0.0
        found.append(_Arrow(r["variable"], (r["variable"], *tied.get(r["variable"], ())), slope, error, held, part))
    return found


def _part(ratio: float) -> float:
    """Length of an arrow: 1 for the largest gradient, 0 for a thousandth of it."""
    return max(0.0, 1 + math.log10(ratio) / _DECADES) if ratio > 0 else 0.0


# -- on the layers -----------------------------------------------------------------------------------------------------


def gradients(run: Any) -> Figure | None:
    """The final layout with an arrow on each element that a variable moves; None where none does."""
    layout = (run.result.get("layouts") or {}).get("final")
    arrows = [a for a in _arrows(run) if a.part > 0 and any(_field(n) in (*_ALONG, *_ACROSS) for n in a.names)]
    if not layout or not arrows:
        return None

    def mark(ax: Axes, shapes: list[Shape]) -> None:
        marked = [(s, a, n) for s in shapes for a in arrows for n in a.names if plain(n.split(".")[0], 14) == s.name]
        moved = [m for m in marked if _field(m[2]) in (*_ALONG, *_ACROSS)]
        for i, (shape, arrow, name) in enumerate(moved):
            _on_shape(ax, shape, arrow, _field(name), 0.5 + 0.09 * ((i + 1) // 2) * (-1) ** i)

    with styled():
        figure = draw_layout(layout, None, "", run.result.get("frame", "barrel"), mark=mark)
        _legend(figure, arrows)
    return figure


def _field(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def _on_shape(ax: Axes, shape: Shape, arrow: _Arrow, field: str, place: float) -> None:
    """An arrow that starts on an element; `place` is where along it."""
    (a, b), (c, d) = shape.lines[0]
    length = arrow.down * max(_LONGEST * arrow.part, _SHORTEST)
    if shape.kind in ("slab", "volume", "magnet"):
        start = shape.anchor
    elif field == "inner_radius":
        start = a, b
    elif field in _AT_THE_END:  # the end without a label, where outwards is the other way
        start, length = (shape.lines[1][1] if shape.kind == "disk" else (a, b)), -length
    else:
        start = (a + place * (c - a), b + place * (d - b))
    horizontal = (field in _ALONG) != shape.upright
    (x0, x1), (y0, y1), (width, height) = ax.get_xlim(), ax.get_ylim(), size_in_inches(ax)
    step = (length * (x1 - x0) / width, 0.0) if horizontal else (0.0, length * (y1 - y0) / height)
    _draw(ax, start, (start[0] + step[0], start[1] + step[1]), arrow.looks)


def _draw(ax: Axes, start: tuple[float, float], end: tuple[float, float], looks: str) -> None:
    ax.add_patch(
        FancyArrowPatch(
            start, end, mutation_scale=13, linewidth=1.2, zorder=6, clip_on=False, **_HEAD, **_LOOKS[looks][1]
        )
    )


def _legend(figure: Drawing, arrows: list[_Arrow]) -> None:
    """What lengths and looks mean, above the drawing."""
    figure.heighten(0.62)
    width, height = figure.get_size_inches()
    ax = figure.panel(0, height - 0.78, width, 0.78, xlim=(0, width), ylim=(0, 0.78))
    ax.set_axis_off()
    largest = max(abs(a.slope) for a in arrows)
    ax.text(0.25, 0.55, "the loss falls, for 1 % of the range, by", va="center", size=9.5)
    for i in range(_DECADES):
        left, length = 2.85 + 1.2 * i, max(_LONGEST * (1 - i / _DECADES), _SHORTEST)
        _draw(ax, (left, 0.55), (left + length, 0.55), "free")
        ax.text(left + length + 0.08, 0.55, f"{largest * 10.0**-i:.2g} %", va="center", size=9.5)
    left = 0.25
    for looks in _LOOKS:
        if any(a.looks == looks for a in arrows):
            _draw(ax, (left, 0.2), (left + 0.3, 0.2), looks)
            ax.text(left + 0.4, 0.2, _LOOKS[looks][0], va="center", size=9.5)
            left += 0.75 + 0.075 * len(_LOOKS[looks][0])


# -- a row for each variable ---------------------------------------------------------------------------------------------


def slopes(run: Any) -> Figure | None:
    """A row for each variable: which way the loss falls, how steeply, and what holds it."""
    arrows = _arrows(run)
    largest = max((abs(a.slope) for a in arrows), default=0.0)
    if not largest > 0:
        return None
    names = [plain(a.variable) + (f" (and {len(a.names) - 1} tied)" if len(a.names) > 1 else "") for a in arrows]
    held = [plain(", ".join(a.held_by), 40) if a.held_by else a.why for a in arrows]
    with styled():
        height = 0.32 * len(arrows)
        left, right = (0.45 + 0.088 * max(map(len, texts)) for texts in (names, [*held, "held by"]))
        figure = Drawing(left + 5.4 + right, height + 1.35)
        ax = figure.panel(left, 0.7, 5.4, height, xlim=(-1.12, 1.12), ylim=(len(arrows) - 0.5, -0.5))
        ax.axvline(0, color=INK, linewidth=0.8)
        for y, arrow in enumerate(arrows):
            ax.axhline(y, color=FAINT, linewidth=0.4, alpha=0.6)
            if arrow.part > 0:
                _draw(ax, (0.0, y), (arrow.down * max(arrow.part, 0.09), y), arrow.looks)
            ax.text(-1.17, y, names[y], ha="right", va="center", size=10)
            ax.text(1.17, y, held[y], va="center", size=9.5, color=INK if arrow.held_by else FAINT)
        ax.text(1.17, -0.95, "held by", va="center", size=9.5, color=FAINT)
        ticks = [i / _DECADES for i in range(_DECADES + 1)]
        ax.xaxis.set_major_locator(FixedLocator([-t for t in reversed(ticks[1:])] + ticks))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _tick(at, largest)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_yticks([])
        ax.tick_params(which="both", top=False, right=False, left=False)
        ax.spines[["left", "right", "top"]].set_visible(False)
        ax.set_xlabel("the loss falls, for 1 % of the range, by [%]", loc="center", size=11)
        for x, align, word in ((-1.12, "left", "← smaller"), (1.12, "right", "larger →")):
            ax.annotate(word, (x, 0), (0, -32), xycoords=("data", "axes fraction"), textcoords="offset points",
                        ha=align, size=11)  # fmt: skip
        dots = {looks: {"linestyle": "", "marker": ">", "markersize": 9, "markerfacecolor": style["facecolor"],
                        "markeredgecolor": style["edgecolor"]} for looks, (_, style) in _LOOKS.items()}  # fmt: skip
        figure.entries([(_LOOKS[k][0], dots[k]) for k in _LOOKS if any(a.looks == k and a.part for a in arrows)], 0.25)
    return figure


def _tick(at: float, largest: float) -> str:
    return "0" if abs(at) < 1e-9 else f"{largest * 10.0 ** (_DECADES * (abs(at) - 1)):.2g}"
