"""Reading the scene of a volume: which material each of its voxels has."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from detopt.detector.random_scenes import RANDOM_SHAPES, RandomScene, fill_at_random
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
    chosen = _chosen(_KINDS, data, document, place, "scene", materials)
    if chosen is None:
        return None
    cls, fields = chosen
    kinds = SHAPES if cls is Shapes else RANDOM_SHAPES if cls is RandomScene else None
    if kinds is not None:
        fields["shapes"] = _shapes(kinds, fields["shapes"], document, (*place, "shapes"), materials)
        if fields["shapes"] is None:
            return None
    if cls is RandomScene:
        return _at_random(RandomScene(**fields), volume, document, place)
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


_KINDS = {**SCENES, "random": RandomScene}


def _at_random(scene: RandomScene, volume: Mapping[str, Any], document: Document, place: Place) -> Filling | None:
    """A distribution of scenes; nothing may reach out of the volume in any of them."""
    corner, size = volume["corner"], volume["size"]
    names = [s.name for s in scene.shapes if s.name]
    for i, shape in enumerate(scene.shapes):
        at: Place = (*place, "shapes", i)
        if shape.name and (names.count(shape.name) > 1 or not re.fullmatch(r"\w[\w-]*", shape.name)):
            document.fault((*at, "name"), f"name {shape.name!r} must be a word of its own: no other shape may have it")
            return None
        for k, (low, high) in enumerate(shape.box()):
            if low < corner[k] - _TOUCH or high > corner[k] + size[k] + _TOUCH:
                document.fault(
                    at,
                    f"it may reach from {low:g} mm to {high:g} mm along {'xyz'[k]}, and the volume from {corner[k]:g} mm "
                    f"to {corner[k] + size[k]:g} mm: keep it inside",
                )
                return None
        if getattr(shape, "afloat", 0.0) and shape.floating is None:
            document.fault(at, "what floats needs a material: floating: …")
            return None
    return fill_at_random(scene, corner, size, volume["voxels"])


def _shapes(
    kinds: dict[str, type], data: Any, document: Document, place: Place, materials: Mapping[str, Material]
) -> tuple[Any, ...] | None:
    if not isinstance(data, list) or not data:
        document.fault(place, "shapes must be a list of at least one: - {type: box, material: …, …}")
        return None
    read = [_chosen(kinds, entry, document, (*place, i), "shape", materials) for i, entry in enumerate(data)]
    made = [cls(**fields) for cls, fields in filter(None, read)]
    return tuple(made) if len(made) == len(data) else None


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
