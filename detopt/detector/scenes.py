"""What the voxels of a volume are filled with: one material, or shapes in a material."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from detopt.detector.slices import slices_of
from detopt.detector.voxel_map import VoxelFile
from detopt.materials import Material, material
from detopt.parameters import quantity

__all__ = ["SCENES", "SHAPES", "Box", "Cylinder", "Filling", "Shapes", "Sphere", "Uniform", "fill", "grid"]

Grid = Float[np.ndarray, "x y z 3"]  # the middles of voxels in mm


@dataclass(frozen=True)
class Filling:
    """A scene cut into voxels. It is hashable: part of a detector's structure, not one of its numbers."""

    materials: tuple[Material, ...]
    voxels: tuple[int, int, int]
    cells: bytes  # a two-byte number of a material for each voxel
    slices: tuple[int, ...]  # in how many a muon takes each layer along z

    @property
    def index(self) -> Int[np.ndarray, "x y z"]:
        """Which of the materials each voxel has."""
        return np.frombuffer(self.cells, np.int16).reshape(self.voxels)


def grid(corner: tuple[float, ...], size: tuple[float, ...], voxels: tuple[int, int, int]) -> Grid:
    """The middles of the voxels of a volume."""
    middles = (low + wide * (np.arange(n) + 0.5) / n for low, wide, n in zip(corner, size, voxels, strict=True))
    return np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1)


def fill(
    scene: Any, corner: tuple[float, ...], size: tuple[float, ...], voxels: tuple[int, int, int]
) -> tuple[Filling, list[int]]:
    """Cut a scene into the voxels of a volume, in mm; and the numbers of the shapes that no voxel has its middle in."""
    at = grid(corner, size, voxels)
    materials, index = scene.placed(at)
    there = np.unique(index)
    different = list(dict.fromkeys(materials[i] for i in there))
    number = np.zeros(len(materials), np.int16)
    number[there] = [different.index(materials[i]) for i in there]
    cut, depth = number[index], size[2] / voxels[2]
    slices = [max(slices_of(different[m], depth) for m in np.unique(cut[:, :, k])) for k in range(voxels[2])]
    lost = [i for i, shape in enumerate(getattr(scene, "shapes", ())) if not shape.holds(at).any()]
    return Filling(tuple(different), voxels, cut.tobytes(), tuple(slices)), lost


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box with its sides along x, y and z."""

    material: Material
    centre: Any = quantity("mm", vector=True, doc="its middle")
    size: Any = quantity("mm", vector=True, above=0, doc="full width along x, y and z")

    def holds(self, at: Grid) -> Bool[np.ndarray, "x y z"]:
        """Which points lie inside."""
        return (np.abs(at - np.array(self.centre)) <= np.array(self.size) / 2).all(-1)

    def reach(self) -> Float[np.ndarray, " 3"]:
        """How far from its middle it extends along x, y and z."""
        return np.array(self.size) / 2


@dataclass(frozen=True, kw_only=True)
class Sphere:
    """A ball."""

    material: Material
    centre: Any = quantity("mm", vector=True, doc="its middle")
    radius: Any = quantity("mm", above=0, doc="radius")

    def holds(self, at: Grid) -> Bool[np.ndarray, "x y z"]:
        """Which points lie inside."""
        return ((at - np.array(self.centre)) ** 2).sum(-1) <= self.radius**2

    def reach(self) -> Float[np.ndarray, " 3"]:
        """How far from its middle it extends along x, y and z."""
        return np.full(3, self.radius)


@dataclass(frozen=True, kw_only=True)
class Cylinder:
    """A cylinder that stands upright."""

    material: Material
    centre: Any = quantity("mm", vector=True, doc="its middle")
    radius: Any = quantity("mm", above=0, doc="radius")
    height: Any = quantity("mm", above=0, doc="full height along z")

    def holds(self, at: Grid) -> Bool[np.ndarray, "x y z"]:
        """Which points lie inside."""
        away = at - np.array(self.centre)
        return ((away[..., :2] ** 2).sum(-1) <= self.radius**2) & (np.abs(away[..., 2]) <= self.height / 2)

    def reach(self) -> Float[np.ndarray, " 3"]:
        """How far from its middle it extends along x, y and z."""
        return np.array([self.radius, self.radius, self.height / 2])


_AIR = material("air")
SHAPES: dict[str, type] = {"box": Box, "cylinder": Cylinder, "sphere": Sphere}


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """One material."""

    material: Material

    def placed(self, at: Grid) -> tuple[list[Material], Int[np.ndarray, "x y z"]]:
        """All materials, and which of them each voxel has."""
        return [self.material], np.zeros(at.shape[:3], int)


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Boxes, cylinders and spheres in a material; later ones replace earlier ones. A voxel is what its middle is."""

    fill: Material = _AIR
    shapes: Any  # in YAML a list of mappings

    def placed(self, at: Grid) -> tuple[list[Material], Int[np.ndarray, "x y z"]]:
        """All materials, and which of them each voxel has."""
        index = np.zeros(at.shape[:3], int)
        for i, shape in enumerate(self.shapes):
            index[shape.holds(at)] = i + 1
        return [self.fill, *(s.material for s in self.shapes)], index


SCENES: dict[str, type] = {"uniform": Uniform, "shapes": Shapes, "file": VoxelFile}
