"""What a head of a portal is asked about a scene, and the grid it looks at. Declarations only: no JAX."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

__all__ = ["Grid", "Question"]


@dataclass(frozen=True)
class Question:
    """What to find out about the scenes of a volume.

    Answers run over 0 to 1: whether something is there, or a number over its range. For an X0 map they are log(X0) in mm of
    all voxels, by z, x and y.
    """

    kind: Literal["presence", "number", "map"]
    of: str = ""  # "block", or "block.x"
    low: float = 0.0  # of the number
    high: float = 1.0
    unit: str = ""

    @property
    def range(self) -> float:
        """From lowest to highest."""
        return self.high - self.low


@dataclass(frozen=True)
class Grid:
    """A grid of voxels that fills a box, in mm."""

    corner: tuple[float, float, float]
    size: tuple[float, float, float]
    voxels: tuple[int, int, int]
    bins: int  # of the scattering angle

    @property
    def step(self) -> tuple[float, float, float]:
        """Size of a voxel."""
        x, y, z = (s / n for s, n in zip(self.size, self.voxels, strict=True))
        return x, y, z

    @property
    def middle(self) -> float:
        """z of the middle of the box."""
        return self.corner[2] + self.size[2] / 2

    @property
    def channels(self) -> int:
        """Sums of each voxel."""
        return 2 * self.bins

    def centres(self, axis: int) -> Float[np.ndarray, " n"]:
        """Middles of the voxels along an axis."""
        return self.corner[axis] + self.step[axis] * (np.arange(self.voxels[axis]) + 0.5)
