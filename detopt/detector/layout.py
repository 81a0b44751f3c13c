"""What a detector's drawing needs, as plain mappings: run folders store them, so keys are added and never change."""

from typing import Any

import numpy as np

from detopt.detector.bodies import Slab, Volume
from detopt.detector.magnets import Dipole, Magnet
from detopt.detector.sensor import Surface

__all__ = ["layout"]

_MOST_NAMES = 8


def layout(
    surfaces: tuple[Surface, ...], elements: tuple[Any, ...], magnets: tuple[Dipole | Magnet, ...]
) -> list[dict]:
    """A row for each surface, slab, volume and magnet, in mm, tesla and radian (see `detopt.report.drawing`)."""
    slabs = [e for e in elements if isinstance(e, Slab)]
    volumes = [e for e in elements if isinstance(e, Volume)]
    rows = [*map(_surface, surfaces), *map(_slab, slabs), *map(_volume, volumes), *map(_magnet, magnets)]
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    """A number as JSON has it: an element from outside may have computed it as an array."""
    if value is None or isinstance(value, str):
        return value
    return [_plain(v) for v in value] if isinstance(value, list) else float(value)


def _surface(s: Surface) -> dict[str, Any]:
    row = {
        "name": s.name,
        "kind": s.kind,
        "position": s.position,
        "low": s.low,
        "high": s.high,
        "x_over_X0": s.x_over_X0,
        "resolution": None if s.resolution is None else list(s.resolution),
        "efficiency": s.efficiency,
    }
    if s.span is not None:
        material = None if s.material is None else str(s.material)
        row |= {"centre": list(s.centre), "span": list(s.span), "tilt": list(s.tilt)}
        row |= {"material": material, "thickness": s.thickness}
    return row


def _slab(slab: Slab) -> dict[str, Any]:
    (low, high), span = slab.z, slab.span
    return {
        "name": slab.name,
        "kind": "slab",
        "position": None if span is None else 0.5 * min(span),
        "low": low,
        "high": high,
        "x_over_X0": (high - low) / slab.material.X0,
        "resolution": None,
        "material": str(slab.material),
        "span": None if span is None else list(span),
    }


def _volume(volume: Volume) -> dict[str, Any]:
    scene, (low, high) = volume.scene, volume.z
    per_mm = np.array([1 / m.X0 for m in scene.materials])[scene.index]
    return {
        "name": volume.name,
        "kind": "volume",
        "position": 0.5 * min(volume.span),
        "low": low,
        "high": high,
        "x_over_X0": per_mm.mean() * (high - low),  # straight down, on average
        "resolution": None,
        "centre": list(volume.centre),
        "span": list(volume.span),
        "material": _listed([str(m) for m in scene.materials]),
        "voxels": list(volume.voxels),
        # 1 / X0 of the densest voxel on the line of sight, along y and along x: rows along x or y, of values along z.
        "densest_x": per_mm.max(1).tolist(),
        "densest_y": per_mm.max(0).tolist(),
    }


def _listed(names: list[str]) -> str:
    """A map of X0 has hundreds."""
    return ", ".join(names) if len(names) <= _MOST_NAMES else f"{', '.join(names[:_MOST_NAMES])} and others"


def _magnet(magnet: Dipole | Magnet) -> dict[str, Any]:
    low, high = magnet.z
    return {
        "name": magnet.name,
        "kind": "magnet",
        "position": 0.5 * (low + high),
        "low": low,
        "high": high,
        "x_over_X0": 0.0,
        "resolution": None,
        "B": magnet.B,
        "along": magnet.along,
    }
