"""The design on its way from the first to the last: figures/animation.gif, and what the page shows of it."""

import base64
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.ticker import FuncFormatter, MaxNLocator

from detopt.report.drawing import draw_shapes, side_view
from detopt.report.markup import Markup, tag
from detopt.report.style import AFTER, FAINT, Drawing, styled
from detopt.report.text import MISSING, count, number, percent

__all__ = ["animation", "shown", "write_animation"]

_FEWEST = 3  # designs that are worth a film
_EACH, _LAST = 110, 2500  # ms
_COLOURS = 48
_PAPER = 250  # what is nearly white is white
_EMBEDDED = 400_000  # bytes of a file that the page holds itself
_RESOLUTION = 110  # pixels an inch


def animation(run: Any) -> tuple[bytes, bytes] | None:
    """A film as GIF, and its last picture as PNG; None where nothing that can be seen moves."""
    path, result = getattr(run, "path", {}), run.result
    layouts, frames = result.get("layouts") or {}, (path.get("frames") or [])
    if not layouts.get("final") or sum(bool(f.get("changed")) for f in frames) < _FEWEST:
        return None
    told = _designs(frames, layouts["final"])
    pictures = _pictures([rows for _, _, rows in told], [(step, loss) for step, loss, _ in told], result)
    return _gif(pictures), _png(pictures[-1])


def write_animation(run: Any, film: bytes) -> Path:
    """Write figures/animation.gif."""
    path = Path(run.folder) / "figures" / "animation.gif"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(film)
    return path


def shown(film: bytes, still: bytes) -> Markup:
    """The film behind a line to click on; who wants no motion sees its last picture."""
    said = tag(
        "figcaption",
        Markup("The best design of all restarts so far, step by step. Also as <code>figures/animation.gif</code>."),
    )
    moving = film if len(film) <= _EMBEDDED else still
    picture = tag(
        "picture",
        tag("source", media="(prefers-reduced-motion: reduce)", srcset=_data(still, "png")),
        tag("img", src=_data(moving, "gif" if moving is film else "png"), alt="The design as the search moves it"),
    )
    return tag("details", tag("summary", "Watch the search move the design"), tag("figure", picture, said))


def _designs(frames: list[dict[str, Any]], final: list[dict[str, Any]]) -> list[tuple[float, float, Any]]:
    """Step, loss and whole layout of each design, the final one last."""
    told = []
    for frame in frames:
        changed = {row["name"]: row for row in frame.get("changed") or []}
        told.append((number(frame.get("step")), number(frame.get("loss")), [changed.get(r["name"], r) for r in final]))
    return [*told, (told[-1][0], told[-1][1], final)]


def _pictures(
    layouts: list[list[dict[str, Any]]], points: list[tuple[float, float]], result: dict[str, Any]
) -> list[np.ndarray]:
    """What stays is drawn once."""
    frame = result.get("frame", "barrel")
    view = side_view(layouts, frame)
    thickest = max((s.thickness for d in view.designs for s in d if s.measures and s.thickness > 0), default=0.0)
    steps, losses = (np.array(column) for column in zip(*points, strict=True))
    with styled():
        figure = Drawing(9.0, 4.6)
        figure.set_dpi(_RESOLUTION)
        side = figure.panel(0.8, 0.65, 5.0, 3.4, xlim=view.ranges[0], ylim=view.ranges[1])
        side.set(xlabel=view.labels[0], ylabel=view.labels[1])
        side.minorticks_off()
        if view.labels[1].startswith("r"):
            side.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))  # r on both sides
        (side.axvline if frame == "portal" else side.axhline)(0, color=FAINT, linewidth=0.6)
        curve = figure.panel(6.75, 0.65, 2.0, 3.4)
        curve.plot(steps, 100 * losses, color=FAINT, linewidth=1, drawstyle="steps-post")
        curve.set(xlabel="step [count]", ylabel="loss [%]")
        curve.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        curve.minorticks_off()
        figure.draw_without_rendering()
        figure.canvas.draw()
        still = figure.canvas.copy_from_bbox(figure.bbox)  # type: ignore[attr-defined]
        pictures = []
        for design, (step, loss) in zip(view.designs, points, strict=True):
            figure.canvas.restore_region(still)  # type: ignore[attr-defined]
            for ax, artist in _moving(figure, side, curve, design, thickest, step, loss):
                ax.draw_artist(artist)
                artist.remove()
            pictures.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())  # type: ignore[attr-defined]
    return pictures


def _moving(
    figure: Drawing, side: Any, curve: Any, design: Any, thickest: float, step: float, loss: float
) -> list[tuple[Any, Artist]]:
    """What one picture adds."""
    known = {id(child) for child in side.get_children()}
    draw_shapes(side, design, thickest)
    new = [(side, child) for child in side.get_children() if id(child) not in known]
    (point,) = curve.plot([step], [100 * loss], color=AFTER, marker="o", markersize=8, zorder=5)
    said = MISSING if not math.isfinite(loss) else percent(loss) if abs(loss) >= 5e-5 else "0 %"
    word = side.text(0.0, 1.04, f"after {count(int(step) if math.isfinite(step) else 0, 'step')}: loss {said}",
                     transform=side.transAxes, va="bottom", size=11)  # fmt: skip
    return [*sorted(new, key=lambda pair: pair[1].get_zorder()), (curve, point), (side, word)]


def _quantised(picture: np.ndarray) -> Any:
    """In a few colours, on paper that is white."""
    from PIL import Image

    image = Image.fromarray(picture).quantize(_COLOURS)
    colours = np.array(image.getpalette()).reshape(-1, 3)
    colours[colours.min(axis=1) >= _PAPER] = 255
    image.putpalette(colours.ravel().tolist())
    return image


def _gif(pictures: list[np.ndarray]) -> bytes:
    from PIL import Image

    last = _quantised(pictures[-1])
    frames = [Image.fromarray(p).quantize(palette=last, dither=Image.Dither.NONE) for p in pictures]
    for frame in frames:
        frame.putpalette(last.getpalette())
    sink = io.BytesIO()
    frames[0].save(sink, "GIF", save_all=True, append_images=frames[1:], loop=0, optimize=True,
                   duration=[_EACH] * (len(frames) - 1) + [_LAST])  # fmt: skip
    return sink.getvalue()


def _png(picture: np.ndarray) -> bytes:
    sink = io.BytesIO()
    _quantised(picture).save(sink, "PNG", optimize=True)
    return sink.getvalue()


def _data(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
