"""Slices through the image of a volume: the truth, what is reconstructed, and by which factor they differ."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from detopt.report.style import INK, Drawing, plain, styled

__all__ = ["draw_image"]

_SIDE, _GAP, _LEFT, _TOP, _BOTTOM, _BAR = 1.9, 0.16, 1.25, 0.95, 0.75, 1.25  # inches
_SLICES = 4  # at most
_THINNEST = 2000.0  # mm
_COLOURS, _RATIO, _FACTOR = "viridis_r", "RdBu_r", 4.0


def draw_image(image: Any, title: str, path: Path | None = None) -> Drawing:
    """Draw horizontal slices of X0, from above, of what `detopt.study.image.image_of` returned; saved where `path` says."""
    z = image.box.voxels[2]
    corner, size = image.box.corner, image.box.size
    layers = np.unique(np.linspace(0, z - 1, min(z, _SLICES)).round().astype(int))
    tall = _SIDE * min(max(size[1] / size[0], 0.4), 2.0)
    width = _LEFT + len(layers) * (_SIDE + _GAP) + _BAR
    height = _TOP + 3 * (tall + _GAP) + _BOTTOM
    # What is thinner than the lightest solid is all the same: nothing.
    with np.errstate(divide="ignore", invalid="ignore"):
        known, found = (np.minimum(1 / values, _THINNEST) for values in (image.truth, image.likely))
    norm = LogNorm(min(known.min(), 5.0), _THINNEST)
    rows = (("true", known, _COLOURS, norm), ("reconstructed", found, _COLOURS, norm),
            ("their ratio", found / known, _RATIO, LogNorm(1 / _FACTOR, _FACTOR)))  # fmt: skip
    with styled():
        figure = Drawing(width, height)
        for row, (name, values, colours, scale) in enumerate(rows):
            bottom = height - _TOP - (row + 1) * (tall + _GAP) + _GAP
            for column, layer in enumerate(layers[::-1]):
                ax = figure.panel(_LEFT + column * (_SIDE + _GAP), bottom, _SIDE, tall)
                extent = (corner[0], corner[0] + size[0], corner[1], corner[1] + size[1])
                drawn = ax.imshow(values[:, :, layer].T, origin="lower", extent=extent, cmap=colours, norm=scale,
                                  aspect="auto", interpolation="nearest")  # fmt: skip
                ax.set_facecolor("#d8dbde")
                ax.minorticks_off()
                ax.xaxis.set_major_locator(MaxNLocator(4, prune="both"))
                ax.tick_params(labelbottom=row == 2, labelleft=column == 0, labelsize="x-small")
                if row == 0:
                    middle = corner[2] + size[2] * (layer + 0.5) / z
                    ax.set_title(f"z = {middle:.4g} mm".replace("-", "−"), fontsize="small")
                if row == 2:
                    ax.set_xlabel("x [mm]", fontsize="small", loc="right")
                if column == 0:
                    ax.set_ylabel(f"{name}\ny [mm]", fontsize="small", loc="center")
            if row != 1:
                low_end, length = (
                    (bottom, tall - 0.12) if row == 2 else (bottom - tall - _GAP + 0.2, 2 * tall + _GAP - 0.2)
                )
                bar = figure.panel(width - _BAR + 0.12, low_end, 0.14, length)
                figure.colorbar(drawn, cax=bar)
                bar.set_title("X0 [mm]" if row == 0 else "factor", fontsize="x-small", loc="left")
                bar.tick_params(labelsize="x-small")
                if row == 2:
                    bar.yaxis.set_major_locator(FixedLocator([0.25, 0.5, 1, 2, 4]))
                    bar.yaxis.set_minor_locator(NullLocator())
                    bar.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        figure.text(0.02, 1 - 0.3 / height, plain(title, 40), weight="bold", va="center", color=INK)
        note = f"{image.seen} of {image.muons} muons have tracks above and below; seen from above; grey: no muon"
        figure.text(0.02, 1 - 0.55 / height, note, fontsize="x-small", va="center", color=INK)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with styled():
            figure.savefig(path, dpi=150)
    return figure
