"""Drawings of a detector from the side and along the beam, one design or two beside each other at the same scale.

A layout is a list of mappings, as a run folder stores it: `name`, `kind` (cylinder, disk, plane, slab, volume or magnet),
`position`, `low`, `high`, `x_over_X0` and `resolution` (None where nothing is measured), in mm. Planes may have `centre`,
`span` and `tilt` (radian, about x and about y), each a pair; without, they are centred, and `high` is half of their width.
A slab has its `material`, lies between `low` and `high` along the beam, and `position` is half of its width, if it has no
`span` (None: as wide as the rest). A volume has `densest_x` and `densest_y`, the largest 1 / X0 on lines of sight, as rows
across the beam of values along it. A magnet has its field `B` in tesla `along` x or y.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import FuncFormatter

from detopt.report.style import AFTER, FAINT, Drawing, plain, styled
from detopt.report.text import number

__all__ = ["Shape", "draw_detector", "draw_layout", "draw_shapes", "side_view", "size_in_inches", "spread"]

LABEL = 9.5  # font size
ROW, LETTER = 0.19, 0.076  # inches that a label takes: its height, and its width a letter
TITLE = 0.105  # inches that a letter of a title takes
THICKNESS = LinearSegmentedColormap.from_list("thickness", ["#3b8bdf", "#a263c9", "#e0503a"])  # on light and on dark

Layout = Sequence[dict[str, Any]]
Point = tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """An element as it is drawn from the side, in the unit of the axes."""

    name: str
    text: str  # below or behind the name: where it stands, or what it is
    kind: str
    lines: tuple[tuple[Point, Point], ...]
    anchor: Point  # where its label points
    beside: bool  # the label stands to the right of the panel, else above it
    position: float
    thickness: float  # x/X0
    measures: bool
    field: str = ""  # of a magnet, as a marker: out of the page, into it, up or down
    image: Any = None  # of a volume: rows across the beam, of values along it
    upright: bool = False  # the beam goes down the page

    def style(self, thickest: float, room: float) -> dict[str, Any]:
        """Colour and width, in points, grow with thickness; what measures nothing is grey and dashed."""
        part = self.thickness / thickest if self.thickness > 0 and thickest > 0 else 0.0
        if not self.measures:
            return {"color": FAINT, "linewidth": min(1.2, room), "linestyle": (0, (4, 2))}
        return {"color": THICKNESS(part), "linewidth": min(1.5 + 2.7 * part, room)}


class SideView(NamedTuple):
    """Layouts as they are seen from the side, at the same scale."""

    designs: list[list[Shape]]
    ranges: tuple[Point, Point]
    labels: tuple[str, str]
    unit: str


def side_view(layouts: Sequence[Layout], frame: str = "barrel") -> SideView:
    """Shapes, what the view shows, and the labels of its axes."""
    rows = [row for layout in layouts for row in layout]
    unit, factor = ("m", 1e3) if _reach(rows) >= (5e3 if frame == "barrel" else 2e3) else ("mm", 1.0)
    across = int(not _eventful(rows, 0) and _eventful(rows, 1))
    designs = [_shapes(layout, across, frame == "portal", factor, unit) for layout in layouts]
    shapes = [s for design in designs for s in design] or [_nothing()]
    round_ = any(s.kind in ("cylinder", "disk") for s in shapes)
    side = f"{'xy'[across]} [{unit}]"
    labels = (side, f"z [{unit}]") if frame == "portal" else (f"z [{unit}]", f"r [{unit}]" if round_ else side)
    return SideView(designs, _ranges(shapes), labels, unit)


def draw_layout(
    before: Layout,
    after: Layout | None = None,
    title: str = "",
    frame: str = "barrel",
    names: tuple[str, str] = ("before", "after"),
    mark: Callable[[Axes, list[Shape]], None] | None = None,
) -> Drawing:
    """Draw a layout, or two at the same scale: the side view, the view along the beam, and a crowded inside enlarged.

    In the frame "portal" z points up; otherwise it points to the right. Planes are seen in x, or in y where only there
    anything is displaced, slanted or bent. `mark` draws on elements, each in the panel that shows it best.
    """
    view = side_view([layout for layout in (before, after) if layout is not None], frame)
    designs, (x, y), unit = view.designs, view.ranges, view.unit
    shapes = [s for design in designs for s in design] or [_nothing()]
    width, height = 5.0 if after is not None else 8.2, 5.5
    scale = min(width / (x[1] - x[0]), height / (y[1] - y[0]))
    to_scale = scale * (x[1] - x[0]) > 1.8 and scale * (y[1] - y[0]) > 1.3
    width, height = (scale * (x[1] - x[0]), scale * (y[1] - y[0])) if to_scale else (width, 3.2)
    inside = _crowded_inside(designs, ROW * (y[1] - y[0]) / height)
    crossing = [[s for s in design if not s.beside] for design in designs]
    top = max((0.45 if _row(c) < width else _word(c, 1)) for c in crossing) if any(crossing) else 0.0
    round_ = any(s.kind in ("cylinder", "disk") for s in shapes)
    second = 2.2 if inside else 3.0 if round_ else 0.0
    margin = max(_word([s for s in shapes if s.beside], 1), 0.4)
    thickest = max((s.thickness for s in shapes if s.measures and s.thickness > 0), default=0.0)
    beside = 5.4 if thickest else 0.5  # the title: its colours
    title = plain(title)
    column = max(0.9 + width + margin, 6.6 / len(designs), (beside + TITLE * (len(title) + 1)) / len(designs))
    floor = 0.6 + (second + 0.95 if round_ else 0.0)
    heading = 0.75 if after is None and to_scale else 1.0

    with styled():
        figure = Drawing(column * len(designs), floor + height + top + heading)
        total = figure.get_size_inches()[1]
        figure.text(0.25 / figure.get_figwidth(), 1 - 0.2 / total, title, va="top", size=13, weight="bold")
        _thickness_scale(figure, thickest, total)
        shown = names if after is not None else ("",)
        for i, (name, design) in enumerate(zip(shown, designs, strict=True)):
            left = column * i + 0.75 + 0.5 * (column - 0.9 - width - margin)
            side = figure.panel(left, floor, width, height, xlim=x, ylim=y)
            side.set(xlabel=view.labels[0], ylabel=view.labels[1])
            side.set_title(name + ("" if to_scale else "  (not to scale)"), pad=6 + 72 * top, weight="bold")
            (side.axvline if frame == "portal" else side.axhline)(0, color=FAINT, linewidth=0.6)
            side.minorticks_off()
            draw_shapes(side, design, thickest)
            _labels(side, [s for s in design if s.beside and not (inside and s.position <= inside)])
            _labels(side, [s for s in design if not s.beside])
            if mark is not None:
                mark(side, [s for s in design if s.kind != "cylinder" or s.position > inside])
            if not round_:
                continue
            side.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))  # r on both sides
            edge = left + width + margin - 0.1 - second if inside else left + 0.5 * (width - second)
            along = figure.panel(edge, 0.6, second, second, xlim=y, ylim=y)
            along.set(xlabel=f"x [{unit}]", ylabel=f"y [{unit}]")
            along.set_title("along the beam", size="small")
            along.minorticks_off()
            _draw_along(along, design, thickest)
            if inside:
                inner = [s for s in design if s.kind == "cylinder" and s.position <= inside]
                reach = max(s.anchor[0] for d in designs for s in d if s.measures and s.position <= inside)
                zoom = figure.panel(left, 0.6, width - second - 0.85, second)
                zoom.set(xlim=(-1.15 * reach, 1.15 * reach), ylim=(0, 1.2 * inside))
                zoom.set(xlabel=f"z [{unit}]", ylabel=f"r [{unit}]")
                zoom.set_title("inside, r stretched", size="small")
                zoom.minorticks_off()
                draw_shapes(zoom, inner, thickest)
                _labels(zoom, inner)
                if mark is not None:
                    mark(zoom, inner)
    return figure


def draw_detector(detector: Any, path: str | Path | None = None) -> Drawing:
    """Draw a detector that has a name, a frame and a layout; save the figure where `path` says."""
    figure = draw_layout(detector.layout(), None, detector.name, detector.frame)
    if path is not None:
        with styled():
            figure.savefig(path, dpi=150)
    return figure


def spread(wanted: Sequence[float], gaps: float | Sequence[float], low: float, high: float) -> list[float]:
    """Move sorted positions as little as possible (least squares) so that neighbours are `gaps` apart, within limits."""
    between = [gaps] * (len(wanted) - 1) if isinstance(gaps, int | float) else gaps
    offsets = list(itertools.accumulate(between, initial=0.0))
    blocks: list[list[float]] = []  # [sum, count] of wanted - offset: must not decrease
    for w, offset in zip(wanted, offsets, strict=False):
        blocks.append([w - offset, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, n = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += n
    level = [total / n for total, n in blocks for _ in range(int(n))]
    last = high - offsets[-1]
    return [min(max(z, low), last) + offset for z, offset in zip(level, offsets, strict=False)]


def _reach(rows: Layout) -> float:
    """How far anything is, in mm: in a barrel from the origin, otherwise along z."""
    keys = {"plane": ("position",), "slab": ("low", "high"), "volume": ("low", "high"), "magnet": ("low", "high")}
    values = [abs(number(s[key])) for s in rows for key in keys.get(s["kind"], ("position", "high"))]
    return max((v for v in values if math.isfinite(v)), default=1.0)


def _eventful(rows: Layout, across: int) -> bool:
    """Whether a side view in x (0) or y (1) shows what the other does not: planes aside or slanted, tracks bent."""
    return any(
        (s["along"] == "yx"[across])
        if s["kind"] == "magnet"
        else _pair(s, "centre", 0.0)[across] != 0 or _pair(s, "tilt", 0.0)[1 - across] != 0
        for s in rows
    )


def _pair(row: dict[str, Any], key: str, default: float) -> tuple[float, float]:
    first, second = row.get(key) or (default, default)
    return number(first), number(second)


def _shapes(layout: Layout, across: int, upright: bool, factor: float, unit: str) -> list[Shape]:
    widest = max(
        (_pair(s, "span", 2 * number(s["high"]))[across] / 2 for s in layout if s["kind"] == "plane"), default=0
    )
    shapes = []
    for row in layout:
        kind = row["kind"]
        at, low, high = (number(row[key]) / factor for key in ("position", "low", "high"))
        lines: tuple[tuple[Point, Point], ...]
        field, image = "", None
        text = f"{_value(at)} {unit}"
        if kind == "slab":
            half = _pair(row, "span", 2 * number(row["position"]))[across] / 2 / factor
            half = half if half > 0 else widest / factor if widest > 0 else high - low
            lines, anchor = (((low, -half), (high, half)),), (0.5 * (low + high), half)
            text = f"{_value(high - low)} {unit} {plain(row['material'], 14)}"
            at = 0.5 * (low + high)
        elif kind == "volume":
            half, middle = (_pair(row, key, 0.0)[across] / factor for key in ("span", "centre"))
            lines = (((low, middle - half / 2), (high, middle + half / 2)),)
            at, anchor = 0.5 * (low + high), (0.5 * (low + high), middle + half / 2)
            text, image = f"{_value(high - low)} {unit}", row["densest_" + "xy"[across]]
        elif kind == "magnet":
            lines, anchor = (((low, 0.0), (high, 0.0)),), (at, 0.0)
            text, field = f"{_value(number(row['B']))} T", _direction(number(row["B"]), row["along"], across)
        elif kind == "cylinder":
            lines, anchor = (((low, at), (high, at)), ((low, -at), (high, -at))), (high, at)
        elif kind == "disk":
            lines, anchor = (((at, low), (at, high)), ((at, -low), (at, -high))), (at, high)
        else:
            half, middle = _pair(row, "span", 2 * high * factor)[across] / 2 / factor, _pair(row, "centre", 0.0)[across]
            tilt = _pair(row, "tilt", 0.0)[1 - across] * (1 if across else -1)  # about y, x turns away from z
            dz, dx, middle = half * math.sin(tilt), half * math.cos(tilt), middle / factor
            lines = (((at - dz, middle - dx), (at + dz, middle + dx)),)
            anchor = lines[0][1]
        if upright:
            lines = tuple(((a[1], a[0]), (b[1], b[0])) for a, b in lines)
            anchor = (anchor[1], anchor[0])
        if all(math.isfinite(c) for line in lines for point in line for c in point):
            shapes.append(
                Shape(plain(row["name"], 14), text, kind, lines, anchor, (kind == "cylinder") != upright, at,
                       number(row["x_over_X0"]), row["resolution"] is not None, field, image, upright)
            )  # fmt: skip
    return shapes


def _value(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def _direction(B: float, along: str, across: int) -> str:
    """A field as textbooks draw it: a dot comes out of the page, a cross goes in; z points to the right, x or y up."""
    if along == "xy"[across]:
        return "^" if B > 0 else "v"
    return "." if (B > 0) == (across == 0) else "x"


def _nothing() -> Shape:
    return Shape("", "", "plane", (((-1.0, -1.0), (1.0, 1.0)),), (0.0, 0.0), False, 0.0, 0.0, False)


def _row(shapes: list[Shape]) -> float:
    """Inches that labels beside each other take, name above position."""
    return sum(_word([s], 2) for s in shapes)


def _word(shapes: list[Shape], lines: int) -> float:
    """Inches that the longest label takes on one line or on two."""
    longest = max(
        (max(len(s.name), len(s.text)) if lines == 2 else len(s.name + s.text) + 2 for s in shapes), default=0
    )
    return LETTER * (longest + 1)


def _ranges(shapes: list[Shape]) -> tuple[Point, Point]:
    """What the side view shows. A beam pipe may leave it: only sensors and what stands across the beam count."""
    long = [s for s in shapes if s.measures or s.kind != "cylinder"] or shapes
    xs = [point[0] for s in long for line in s.lines for point in line]
    ys = [point[1] for s in shapes for line in s.lines for point in line]
    (x0, x1), (y0, y1) = (min(xs), max(xs)), (min(ys), max(ys))
    size = max(x1 - x0, y1 - y0, 1e-9)
    mx, my = (0.06 * max(v, 0.05 * size) for v in (x1 - x0, y1 - y0))
    return (x0 - mx, x1 + mx), (y0 - my, y1 + my)


def _crowded_inside(designs: list[list[Shape]], gap: float) -> float:
    """The radius up to which cylinders are too close to be labelled, though what follows is far out; 0 for none."""
    radii = sorted({s.position for design in designs for s in design if s.kind == "cylinder"})
    ratios = [b / a for a, b in itertools.pairwise(radii)]
    if not ratios or max(ratios) < 1.8:
        return 0.0
    limit = radii[ratios.index(max(ratios))]
    sensors = [sorted(s.position for s in d if s.measures and s.kind == "cylinder") for d in designs]
    crowded = any(b - a < gap for d in sensors for a, b in itertools.pairwise(d) if b <= limit)
    return limit if crowded and limit < 0.35 * radii[-1] else 0.0


def size_in_inches(ax: Axes) -> tuple[float, float]:
    """Width and height of a panel."""
    return ax.bbox.width / ax.figure.dpi, ax.bbox.height / ax.figure.dpi


def _room(shapes: list[Shape], points: float) -> dict[int, float]:
    """The widest line for each shape that leaves a gap to its neighbours, given points per unit of length."""
    room = {}
    for s in shapes:
        others = [abs(o.position - s.position) for o in shapes if o is not s and o.kind == s.kind and o.measures]
        room[id(s)] = max(0.6 * points * min((d for d in others if d > 0), default=math.inf), 0.9)
    return room


def draw_shapes(ax: Axes, shapes: list[Shape], thickest: float) -> None:
    """Draw elements into a panel; the thickest, in x/X0, is the reddest."""
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    width, height = size_in_inches(ax)
    across, along = 72 * height / (y1 - y0), 72 * width / (x1 - x0)
    beside, above = (_room(shapes, points) for points in (across, along))
    for s in sorted(shapes, key=lambda s: s.measures):
        if s.kind == "magnet":
            _draw_field(ax, s)
            continue
        if s.kind == "volume":
            _draw_voxels(ax, s)
            continue
        if s.kind == "slab":
            (a, b), (c, d) = s.lines[0]
            block = Rectangle((a, b), c - a, d - b, facecolor="none", edgecolor=FAINT, hatch="////", linewidth=0.8)
            ax.add_patch(block)
            continue
        for (a, b), (c, d) in s.lines:
            style = s.style(thickest, (beside if s.beside else above)[id(s)])
            ax.plot([a, c], [b, d], solid_capstyle="butt", dash_capstyle="butt", **style)


_THIN, _DENSE = 1e-4, 0.3  # 1 / X0 in 1/mm that are drawn as nothing, and as dark as can be: light plastic, tungsten


def _draw_voxels(ax: Axes, volume: Shape) -> None:
    """The densest voxel on each line of sight, on a logarithmic scale of 1 / X0."""
    (a, b), (c, d) = volume.lines[0]
    dark = np.log(np.maximum(np.array(volume.image), _THIN) / _THIN) / math.log(_DENSE / _THIN)
    shade = np.empty((*dark.shape, 4))
    shade[...] = to_rgba(FAINT)
    shade[..., 3] = np.clip(dark, 0, 1)
    pixels = shade.transpose(1, 0, 2) if volume.upright else shade  # rows upwards on the page
    ax.imshow(pixels, extent=(a, c, b, d), origin="lower", aspect="auto", interpolation="nearest", zorder=0.5)
    ax.add_patch(Rectangle((a, b), c - a, d - b, facecolor="none", edgecolor=FAINT, linewidth=0.8))


def _draw_field(ax: Axes, magnet: Shape) -> None:
    """A region of a field over the whole aperture, behind all else: light, with the direction of the field."""
    (low, _), (high, _) = magnet.lines[0]
    (y0, y1), (width, height) = ax.get_ylim(), size_in_inches(ax)
    ax.add_patch(Rectangle((low, y0), high - low, y1 - y0, color=AFTER, alpha=0.13, linewidth=0, zorder=0))
    across = (high - low) * width / (ax.get_xlim()[1] - ax.get_xlim()[0])
    marks = [[(i + 0.5) / n for i in range(n)] for n in (max(round(across / 0.3), 1), max(round(height / 0.3), 1))]
    points = [(low + u * (high - low), y0 + v * (y1 - y0)) for u in marks[0] for v in marks[1]]
    ax.plot(*zip(*points, strict=True), magnet.field, color=AFTER, markersize=3.5, alpha=0.5, zorder=0.1)


def _draw_along(ax: Axes, shapes: list[Shape], thickest: float) -> None:
    round_ = [s for s in shapes if s.kind in ("cylinder", "disk")]
    (low, high), (width, _) = ax.get_xlim(), size_in_inches(ax)
    room = _room(round_, 72 * width / (high - low))
    for s in sorted(round_, key=lambda s: (s.kind == "cylinder", s.measures)):
        style = s.style(thickest, room[id(s)] if s.kind == "cylinder" else 0.8)
        for radius in {abs(point[1]) for line in s.lines for point in line} - {0.0}:
            ax.add_patch(Circle((0, 0), radius, fill=False, **style))


def _labels(ax: Axes, shapes: list[Shape]) -> None:
    """Names with positions outside the panel, moved apart where they are close; with too many, only every so many."""
    if not shapes:
        return
    (x0, x1), (y0, y1), (width, height) = ax.get_xlim(), ax.get_ylim(), size_in_inches(ax)
    beside, two_lines = shapes[0].beside, not shapes[0].beside and _row(shapes) < width
    inches = height if beside else width
    axis = 1 if beside else 0
    anchors = [(((s.anchor[0] - x0) / (x1 - x0), (s.anchor[1] - y0) / (y1 - y0)), s) for s in shapes]
    anchors = [((x, 1.0) if s.kind == "magnet" else (x, y), s) for (x, y), s in anchors]  # as high as the picture
    anchors.sort(key=lambda anchor: anchor[0][axis])
    gap = ROW / inches
    gaps: float | list[float] = gap
    if two_lines:
        gaps = [0.5 * _row([s, other]) / inches for (_, s), (_, other) in itertools.pairwise(anchors)]
    else:
        reach = anchors[-1][0][axis] - anchors[0][0][axis]
        most = min(max(int(reach / gap) + 2, 8), int(1.04 / gap) + 1)
        anchors = anchors[:: math.ceil(len(anchors) / most)]
    places = spread([point[axis] for point, _ in anchors], gaps, -0.02, 1.02)
    for ((x, y), s), place in zip(anchors, places, strict=True):
        end = (1 + 0.13 / width, place) if beside else (place, 1 + 0.11 / height)
        path = [(min(x, 1), y), (1, y), end] if beside else [(x, y), (x, 1), end]
        ax.plot(*zip(*path, strict=True), transform=ax.transAxes, clip_on=False, color=FAINT, linewidth=0.7, zorder=0)
        text = s.name + ("\n" if two_lines else "  ") + f"{s.text}"
        at = (end[0] + 0.05 / width, end[1]) if beside else (end[0], end[1] + 0.03 / height)
        ax.text(*at, text, transform=ax.transAxes, size=LABEL, rotation=0 if beside or two_lines else 90,
                ha="left" if beside else "center", va="center" if beside else "bottom")  # fmt: skip


def _thickness_scale(figure: Drawing, thickest: float, total: float) -> None:
    """The colours of the sensors, at the upper right; nothing where no thickness is known."""
    if thickest <= 0:
        return
    bar = figure.panel(figure.get_figwidth() - 2.35, total - 0.34, 1.9, 0.1, xlim=(0, 100 * thickest), ylim=(0, 1))
    bar.imshow([[i / 99 for i in range(100)]], cmap=THICKNESS, aspect="auto", extent=(0, 100 * thickest, 0, 1))
    bar.set_yticks([])
    bar.tick_params(which="both", top=False, right=False, left=False, length=2, labelsize=LABEL - 1, pad=2)
    bar.locator_params(axis="x", nbins=4)
    label = r"$x$/$X_\mathrm{0}$ [%]   (grey, dashed: not a sensor)"
    bar.text(-0.04, 0.5, label, transform=bar.transAxes, ha="right", va="center", size=LABEL)
