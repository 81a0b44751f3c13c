"""Slices of X0 maps: truth, head and baseline, before and after."""

from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from detopt.report.style import Drawing
from detopt.report.text import DESIGNS

__all__ = ["draw_maps"]

_ROWS = {"truth": "truth", "head": "head", "baseline": "closest points"}


def draw_maps(designs: dict[str, Any]) -> Figure | None:
    """One scene of each design, in the layer in which its radiation lengths differ most."""
    maps = {which: design["maps"] for which, design in designs.items() if design.get("maps")}
    if not maps:
        return None
    figure = Drawing(0.9 + 2.9 * len(_ROWS) + 1.3, 0.3 + 3.0 * len(maps))
    every = np.concatenate([np.ravel(m[row][0]) for m in maps.values() for row in _ROWS])
    norm = LogNorm(max(every.min(), 1e-3), every.max())
    for i, (which, found) in enumerate(reversed(maps.items())):
        truth = np.asarray(found["truth"][0])
        layer = int(np.log(truth).std(axis=(1, 2)).argmax())
        for j, (row, title) in enumerate(_ROWS.items()):
            ax = figure.panel(0.9 + 2.9 * j, 0.6 + 3.0 * i, 2.5, 2.3)
            shown = np.asarray(found[row][0])[layer].T
            image = ax.imshow(shown, origin="lower", norm=norm, cmap="viridis", aspect="auto")
            ax.set_title(f"{DESIGNS[which]}: {title}", fontsize="medium")
            ax.set(xlabel="voxel along x", ylabel="voxel along y" if j == 0 else "")
    bar = figure.panel(0.9 + 2.9 * len(_ROWS), 0.6, 0.15, 2.3)
    figure.figure.colorbar(image, cax=bar, label="X0 [mm]")
    return figure
