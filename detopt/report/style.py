"""The look that every figure shares: mplhep's, at sizes that suit both a page and a projector.

Figures are plain `Figure` objects, never pyplot's, so drawing one neither picks a backend nor touches the figures
that a user has open. Two colours, `INK` and `PAPER`, become CSS variables in `svg`: in a page, a figure follows the
reader's light or dark theme.
"""

import functools
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

__all__ = ["AFTER", "BEFORE", "FAINT", "INK", "PAPER", "THIRD", "WARNING", "Drawing", "save", "styled", "svg"]

# Petroff's colours (arXiv:2107.02270), told apart with any colour vision and on light and dark paper alike.
BEFORE, AFTER, WARNING, FAINT = "#f89c20", "#5790fc", "#e42536", "#8c9299"
THIRD = "#a263c9"  # one more design beside these two
INK, PAPER = "#1b1f24", "#fefefe"


@functools.cache
def _settings() -> dict[str, Any]:
    from mplhep import style  # brings its fonts; takes more than a second, hence here

    installed = {font.name for font in fontManager.ttflist}
    ticks = {
        f"{axis}tick.{key}": value
        for axis in "xy"
        for key, value in {
            "color": INK, "labelsize": "small", "major.size": 6, "minor.size": 3, "major.pad": 5,
            "major.width": 0.9, "minor.width": 0.7,
        }.items()
    }  # fmt: skip
    return {
        **style.ROOT,
        **ticks,
        "font.family": [name for name in ("TeX Gyre Heros", "DejaVu Sans") if name in installed],
        "mathtext.fontset": "custom" if "TeX Gyre Heros" in installed else "dejavusans",
        "mathtext.default": "it",
        "font.size": 12,
        "axes.titlesize": "medium",
        "axes.titlelocation": "left",
        "axes.linewidth": 0.9,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "text.color": INK,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "legend.handlelength": 2,
        "lines.linewidth": 2,
        "figure.dpi": 100,
        "pdf.fonttype": 42,  # text stays text
        "svg.fonttype": "path",  # the reader may not have the font
        "svg.hashsalt": "detopt",  # the same figure gives the same file
    }


@contextmanager
def styled() -> Iterator[None]:
    """Draw inside this; what was set before returns on leaving. A glyph that no font has is a box, not a warning."""
    settings: Any = _settings()
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        yield


class Drawing(Figure):
    """A figure that shows itself at the end of a notebook cell, whatever the backend."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(self)

    def panel(self, left: float, bottom: float, width: float, height: float, **kwargs: Any) -> Axes:
        """Axes placed in inches, so that neither text nor scale depends on the size of the figure."""
        w, h = self.get_size_inches()
        return self.add_axes((left / w, bottom / h, width / w, height / h), **kwargs)

    def entries(self, listed: list[tuple[str, dict[str, Any]]], left: float) -> None:
        """A legend in a row at the top."""
        handles = [Line2D([], [], label=label, **style) for label, style in listed]
        place = (left / self.get_figwidth(), 1 - 0.3 / self.get_figheight())
        self.legend(handles=handles, ncols=len(handles), loc="center left", bbox_to_anchor=place, borderpad=0,
                    borderaxespad=0, columnspacing=1.6, handletextpad=0.6)  # fmt: skip

    def heighten(self, inches: float) -> None:
        """Make room at the top; what is drawn keeps its size."""
        width, height = self.get_size_inches()
        part = height / (height + inches)
        places = [ax.get_position().bounds for ax in self.axes]
        self.set_size_inches(width, height + inches)
        for ax, (left, bottom, w, h) in zip(self.axes, places, strict=True):
            ax.set_position((left, bottom * part, w, h * part))
        for text in self.texts:
            text.set_y(text.get_position()[1] * part)

    def say(self, left: float, text: str) -> None:
        """Words in the row of the legend."""
        self.text(left / self.get_figwidth(), 1 - 0.3 / self.get_figheight(), text, va="center", size="small")

    def _repr_png_(self) -> bytes:
        return _render(self, "png", dpi=100)


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write `<name>.png` for slides and `<name>.pdf` for papers into a folder; returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, metadata in (("pdf", {"CreationDate": None}), ("png", {})):
        path = folder / f"{name}.{suffix}"
        path.write_bytes(_render(figure, suffix, dpi=150, metadata=metadata))
    return path


def svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an inline SVG element with a transparent background, in the colours of the page.

    `name` sets its ids apart from those of other figures in the page; `alt` must be escaped already.
    """
    # Without a date and a creator, matplotlib writes no metadata, and so no address.
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    text = _render(figure, "svg", transparent=True, metadata=nothing).decode()
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text[text.index("<svg") :])
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = text.replace(INK, "var(--ink)").replace(PAPER, "var(--paper)")
    return text.replace("<svg", f'<svg role="img" aria-label="{alt}"', 1)


def _render(figure: Figure, suffix: str, **kwargs: Any) -> bytes:
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format=suffix, **kwargs)
    return buffer.getvalue()


def plain(text: Any, length: int = 28) -> str:
    """A name as a label: one line, not too long, and no dollar starts a formula."""
    line = " ".join(str(text).split())
    return (line if len(line) <= length else line[: length - 1] + "…").replace("$", r"\$")


def log_ticks(ax: Axes, which: str) -> None:
    """Logarithmic axis with numbers that are read aloud (0.5, 1, 2, 5, 10), as many as there is room for."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    getattr(ax, f"set_{which}scale")("log")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 2000 * low else (1,), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=100))
    axis.set_minor_formatter(NullFormatter())
