"""Reading the scene of a volume: which material each of its voxels has."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from detopt.detector.scenes import SCENES, SHAPES, Filling, Shapes, fill
from detopt.detector.voxel_map import FROM_FILE, VoxelFile
from detopt.materials import Material
from detopt.study.document import Document, Place
from detopt.study.scene_files import read_voxels
from detopt.study.schema import read_choice

__all__ = ["read_scene"]


def read_scene(
    data: Any, volume: Mapping[str, Any], document: Document, place: Place, materials: Mapping[str, Material]
) -> Filling | None:
    """Read the scene of a volume and cut it into voxels; faults are noted in the document.

    Args:
        data: as written.
        volume: its fields `corner`, `size` and `voxels`.
        document: that it stands in.
        place: where.
        materials: that may be named.
    """
    chosen = _chosen(SCENES, data, document, place, "scene", materials)
    if chosen is None:
        return None
    cls, fields = chosen
    if cls is Shapes:
        fields["shapes"] = _shapes(fields["shapes"], document, (*place, "shapes"), materials)
        if fields["shapes"] is None:
            return None
    corner, size = np.array(volume["corner"]), np.array(volume["size"])
    for i, shape in enumerate(fields.get("shapes", ())):
        low, high = np.array(shape.centre) - shape.reach(), np.array(shape.centre) + shape.reach()
        out = np.maximum(corner - low, high - (corner + size)) > _TOUCH
        if out.any():
            axis = "xyz"[int(np.argmax(out))]
            k = "xyz".index(axis)
            document.fault(
                (*place, "shapes", i),
                f"it reaches from {low[k]:g} mm to {high[k]:g} mm along {axis}, and the volume from {corner[k]:g} mm to "
                f"{corner[k] + size[k]:g} mm: keep it inside",
            )
            return None
    voxels, scene = volume["voxels"], cls(**fields)
    if isinstance(scene, VoxelFile):
        given = None if voxels == FROM_FILE else voxels
        scene = read_voxels(scene.path, given, document, place, materials)
        if scene is None:
            return None
        voxels = scene.index.shape
    filling, lost = fill(scene, volume["corner"], volume["size"], voxels)
    for i in lost:
        document.fault((*place, "shapes", i), "no voxel has its middle inside: make it larger, or the voxels smaller")
    return None if lost else filling


_TOUCH = 1e-6  # mm


def _shapes(data: Any, document: Document, place: Place, materials: Mapping[str, Material]) -> list[Any] | None:
    if not isinstance(data, list) or not data:
        document.fault(place, "shapes must be a list of at least one: - {type: box, material: …, centre: …, size: …}")
        return None
    read = [_chosen(SHAPES, entry, document, (*place, i), "shape", materials) for i, entry in enumerate(data)]
    made = [cls(**fields) for cls, fields in filter(None, read)]
    return made if len(made) == len(data) else None


def _chosen(
    kinds: dict[str, type], data: Any, document: Document, place: Place, what: str, materials: Mapping[str, Material]
) -> tuple[type, dict[str, Any]] | None:
    chosen = read_choice(kinds, data, document, place, what, materials=materials)
    if chosen is None or chosen[1] is None:
        return None
    if chosen[0] not in kinds.values():
        document.fault((*place, "type"), f"a {what} cannot come from outside in this version: {', '.join(kinds)}")
        return None
    return chosen[0], dict(chosen[1])
