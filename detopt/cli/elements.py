"""What `detopt show` lists: a row for each surface, slab, volume and magnet."""

import math
from collections.abc import Iterable
from typing import Any

__all__ = ["element_rows"]

# Planes have no ends but a middle and sides; what no element has is left out.
_BARREL = {
    "name": "name",
    "kind": "kind",
    "position": "r or z / mm",
    "ends": "ends / mm",
    "x/X0": "x/X0 / %",
    "resolution": "resolution / um",
    "efficiency": "efficiency / %",
}
_PLANES = {
    "name": "name",
    "kind": "kind",
    "position": "z / mm",
    "centre": "centre / mm",
    "span": "span / mm",
    "tilt": "tilt / deg",
    "material": "material",
    "x/X0": "x/X0 / %",
    "resolution": "resolution / mm",
    "efficiency": "efficiency / %",
    "field": "B / T",
}


def element_rows(detector: Any) -> tuple[list[str], list[list[str]]]:
    """Titles of columns, and rows: those of a barrel in the order of the file, others along the flight."""
    layout = detector.layout()
    if detector.frame == "barrel":
        cells = [_sensor(row, 1e3) | _cylinder(row) for row in layout]
        return list(_BARREL.values()), [[row[key] for key in _BARREL] for row in cells]
    layout.sort(key=_middle, reverse=detector.frame == "portal")
    cells = [_CELLS[row["kind"]](row) for row in layout]
    used = [key for key in _PLANES if any(row.get(key) for row in cells)]
    return [_PLANES[key] for key in used], [[row.get(key, "") for key in used] for row in cells]


def _middle(row: dict[str, Any]) -> float:
    return row["position"] if row["kind"] == "plane" else (row["low"] + row["high"]) / 2


def _sensor(row: dict[str, Any], per_mm: float) -> dict[str, str]:
    cells = {"name": row["name"], "kind": row["kind"], "x/X0": f"{100 * row['x_over_X0']:.3g}"}
    if row["resolution"] is None:
        return cells | {"resolution": "", "efficiency": ""}
    resolution = " x ".join("-" if r is None else f"{per_mm * r:.3g}" for r in row["resolution"])
    return cells | {"resolution": resolution, "efficiency": f"{100 * row['efficiency']:g}"}


def _cylinder(row: dict[str, Any]) -> dict[str, str]:
    return {"position": f"{row['position']:.5g}", "ends": _ends(row)}


def _plane(row: dict[str, Any]) -> dict[str, str]:
    cells = _sensor(row, 1.0) | {"position": f"{row['position']:.5g}", "span": _pair(row["span"], " x ")}
    if any(row["centre"]):
        cells["centre"] = _pair(row["centre"], ", ")
    if any(row["tilt"]):
        cells["tilt"] = _pair(map(math.degrees, row["tilt"]), ", ")
    if row["material"] is not None:
        cells["material"] = f"{row['thickness']:.4g} mm {row['material']}"
    return cells


def _slab(row: dict[str, Any]) -> dict[str, str]:
    return {
        "name": row["name"],
        "kind": "slab",
        "position": _ends(row),
        "span": "" if row["span"] is None else _pair(row["span"], " x "),
        "material": f"{row['high'] - row['low']:.4g} mm {row['material']}",
        "x/X0": f"{100 * row['x_over_X0']:.4g}",
    }


def _volume(row: dict[str, Any]) -> dict[str, str]:
    cells = {
        "name": row["name"],
        "kind": "volume",
        "position": _ends(row),
        "span": _pair(row["span"], " x "),
        "material": f"{' x '.join(f'{n:g}' for n in row['voxels'])} voxels of {row['material']}",
        "x/X0": f"{100 * row['x_over_X0']:.4g}",
    }
    return cells | ({"centre": _pair(row["centre"], ", ")} if any(row["centre"]) else {})


def _magnet(row: dict[str, Any]) -> dict[str, str]:
    field = f"{row['B']:g} along {row['along']}"
    return {"name": row["name"], "kind": "magnet", "position": _ends(row), "field": field}


_CELLS = {"plane": _plane, "slab": _slab, "volume": _volume, "magnet": _magnet}


def _ends(row: dict[str, Any]) -> str:
    return f"{row['low']:.5g} .. {row['high']:.5g}"


def _pair(values: Iterable[float], between: str) -> str:
    return between.join(f"{v:.4g}" for v in values)
