"""A scene that is given voxel by voxel: the material of each, or its radiation length, for which a material is made."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from detopt.materials import Material, material

__all__ = ["FROM_FILE", "LONGEST", "SHORTEST", "VoxelFile", "VoxelMap", "map_of_X0"]

FROM_FILE = (0, 0, 0)  # voxels of a volume that has as many as its file
SHORTEST, LONGEST = 2.5, 1e7  # mm: X0 of osmium is 2.9 mm, of hydrogen gas 7.5 km
_CLASSES = 256  # of X0, at most
_CLOSE = 1e-4  # relative: of values that are taken for one


@dataclass(frozen=True, kw_only=True)
class VoxelFile:
    """Voxels that stand in a file."""

    path: str  # of the .npz, beside the YAML or below


@dataclass(frozen=True)
class VoxelMap:
    """Which material each voxel has."""

    materials: list[Material]
    index: Int[np.ndarray, "x y z"]

    def placed(self, _: Any) -> tuple[list[Material], Int[np.ndarray, "x y z"]]:
        """All materials, and which of them each voxel has, wherever the voxels stand."""
        return self.materials, self.index


def map_of_X0(X0: Float[np.ndarray, "x y z"]) -> VoxelMap:
    """Materials for radiation lengths in mm.

    Values within 1e-4 of each other are taken for one. Where more than 256 are left, these are classes of equal width in
    log X0; each has the mean of 1/X0 of its voxels, so that what scatters on average stays.
    """
    depth = np.log(X0 / X0.min())
    number = np.floor(depth / _CLOSE).astype(int)
    if len(np.unique(number)) > _CLASSES:
        number = np.minimum(depth / depth.max() * _CLASSES, _CLASSES - 1).astype(int)
    _, index = np.unique(number, return_inverse=True)
    index = index.reshape(X0.shape)
    per_mm = np.bincount(index.ravel(), weights=1 / X0.ravel()) / np.bincount(index.ravel())
    return VoxelMap([_matter(1 / float(p)) for p in per_mm], index)


# What portals look into, from thin to dense.
_STANDARDS = [
    material(name)
    for name in ("air", "water", "concrete", "aluminium", "iron", "copper", "silver", "lead", "tungsten", "uranium")
]


def _matter(X0: float) -> Material:
    """What loses energy in a voxel of some X0 in mm: the nearest of the standards (in log X0), made as dense as it takes.

    An X0 does not say what it is of; between light and heavy matter of one X0 the loss differs by up to a factor of two.
    """
    nearest = min(_STANDARDS, key=lambda m: abs(np.log(m.X0 / X0)))
    made = nearest.with_density(10 * nearest.radiation_length / X0)
    return replace(made, name=f"X0={X0:.4g}mm")
