"""Scenes at random: what may lie in a volume, and how each of its numbers is spread.

Nothing here draws. A scene is a function of uniform numbers from 0 to 1, so that the same lines place the shapes of one
typical scene with NumPy and those of thousands with JAX (see `detopt.simulation.scene_draws`).
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from detopt.detector.scenes import Filling, grid
from detopt.detector.slices import slices_of
from detopt.materials import Material, material
from detopt.parameters import quantity

__all__ = ["RANDOM_SHAPES", "Drawn", "RandomFilling", "RandomScene", "fill_at_random"]

NUMBERS = ("present", "material", "share", "scale", "x", "y", "z", "height")  # of a shape, each from a uniform number


class Drawn(NamedTuple):
    """One scene."""

    cells: Any  # (x, y, z), numbers of materials
    truth: dict[str, Any]  # "block": whether it is there; "block.x": a number of it, from 0 to 1 over its range


@dataclass(frozen=True, kw_only=True)
class _Random(ABC):
    """What all random shapes say. Later shapes replace earlier ones."""

    name: str = ""  # by which objectives ask for it
    material: tuple[Material, ...]  # one of these
    present: Any = quantity("", min=0, max=1, default=1.0, doc="how often it is there")
    share: Any = quantity(
        "", min=0, max=1, range=True, default=(1.0, 1.0), doc="of its voxels, which have the material; or [from, to]"
    )

    @abstractmethod
    def parts(self, at: Any, depth: float, numbers: dict[str, Any], dither: Any) -> list[tuple[Any, int]]:
        """Which voxels are filled, and with the material of which number; -1 for the one that is drawn."""

    @property
    def materials(self) -> tuple[Material, ...]:
        """All that it may bring."""
        return self.material

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The numbers of it that differ from scene to scene."""
        fields = {name: getattr(self, name, None) for name in NUMBERS if name not in ("present", "material")}
        return {name: r for name, r in fields.items() if r is not None and r[0] < r[1]}

    @abstractmethod
    def box(self) -> tuple[tuple[float, float], ...]:
        """From and to along x, y and z: what it may reach in any scene."""


@dataclass(frozen=True, kw_only=True)
class _Moving(_Random):
    x: Any = quantity("mm", range=True, doc="of its middle, or [from, to]")
    y: Any = quantity("mm", range=True, doc="of its middle, or [from, to]")
    z: Any = quantity("mm", range=True, doc="of its middle, or [from, to]")
    scale: Any = quantity("", above=0, range=True, default=(1.0, 1.0), doc="factor on its size, or [from, to]")

    def parts(self, at: Any, depth: float, numbers: dict[str, Any], dither: Any) -> list[tuple[Any, int]]:
        """One part."""
        away = [at[..., i] - numbers[axis] for i, axis in enumerate("xyz")]
        return [(self.holds(away, numbers["scale"]) & (dither < numbers["share"]), -1)]

    @abstractmethod
    def holds(self, away: list[Any], scale: Any) -> Any:
        """Which points lie inside, by their distance from the middle along x, y and z."""

    @abstractmethod
    def half(self) -> tuple[float, float, float]:
        """How far it extends at scale 1."""

    def box(self) -> tuple[tuple[float, float], ...]:
        """From and to along x, y and z."""
        middles, half = (self.x, self.y, self.z), self.half()
        return tuple((m[0] - h * self.scale[1], m[1] + h * self.scale[1]) for m, h in zip(middles, half, strict=True))


@dataclass(frozen=True, kw_only=True)
class RandomBox(_Moving):
    """A box with its sides along x, y and z."""

    size: Any = quantity("mm", vector=True, above=0, doc="full width along x, y and z")

    def holds(self, away: list[Any], scale: Any) -> Any:
        """Which points lie inside."""
        within = [abs(d) <= scale * s / 2 for d, s in zip(away, self.size, strict=True)]
        return within[0] & within[1] & within[2]

    def half(self) -> tuple[float, float, float]:
        """How far it extends."""
        return self.size[0] / 2, self.size[1] / 2, self.size[2] / 2


@dataclass(frozen=True, kw_only=True)
class RandomSphere(_Moving):
    """A ball."""

    radius: Any = quantity("mm", above=0, doc="radius")

    def holds(self, away: list[Any], scale: Any) -> Any:
        """Which points lie inside."""
        return away[0] ** 2 + away[1] ** 2 + away[2] ** 2 <= (scale * self.radius) ** 2

    def half(self) -> tuple[float, float, float]:
        """How far it extends."""
        return (self.radius,) * 3


@dataclass(frozen=True, kw_only=True)
class RandomCylinder(_Moving):
    """A cylinder that stands upright."""

    radius: Any = quantity("mm", above=0, doc="radius")
    tall: Any = quantity("mm", above=0, doc="full height along z")

    def holds(self, away: list[Any], scale: Any) -> Any:
        """Which points lie inside."""
        return (away[0] ** 2 + away[1] ** 2 <= (scale * self.radius) ** 2) & (abs(away[2]) <= scale * self.tall / 2)

    def half(self) -> tuple[float, float, float]:
        """How far it extends."""
        return self.radius, self.radius, self.tall / 2


@dataclass(frozen=True, kw_only=True)
class Level(_Random):
    """A liquid that fills the volume from `bottom` up to a height, perhaps with something afloat.

    A voxel that the surface cuts is full or empty, as often as its parts below and above are large.
    """

    bottom: Any = quantity("mm", doc="where it begins, in z")
    height: Any = quantity("mm", min=0, range=True, doc="how high it stands, or [from, to]")
    afloat: Any = quantity("mm", min=0, default=0.0, doc="thickness of what floats on it")
    floating: Material | None = None

    def parts(self, at: Any, depth: float, numbers: dict[str, Any], dither: Any) -> list[tuple[Any, int]]:
        """The liquid, and what floats on it."""
        low = at[..., 2] - depth / 2
        surface = self.bottom + numbers["height"]
        above = low > self.bottom - depth / 2
        liquid = above & (dither * depth < surface - low) & (dither < numbers["share"])
        if self.floating is None:
            return [(liquid, -1)]
        afloat = above & (dither * depth < surface + self.afloat - low) & ~(dither * depth < surface - low)
        return [(liquid, -1), (afloat, len(self.material))]

    @property
    def materials(self) -> tuple[Material, ...]:
        """All that it may bring."""
        return self.material if self.floating is None else (*self.material, self.floating)

    def box(self) -> tuple[tuple[float, float], ...]:
        """From and to along z alone: it fills the volume from side to side."""
        endless = (math.inf, -math.inf)
        return endless, endless, (self.bottom, self.bottom + self.height[1] + self.afloat)


RANDOM_SHAPES: dict[str, type] = {
    "box": RandomBox,
    "sphere": RandomSphere,
    "cylinder": RandomCylinder,
    "level": Level,
}
_AIR = material("air")


@dataclass(frozen=True, kw_only=True)
class RandomScene:
    """Shapes in a material, each with numbers that differ from scene to scene."""

    fill: Material = _AIR
    shapes: Any  # in YAML a list of mappings

    @property
    def materials(self) -> tuple[Material, ...]:
        """All that may occur, that of the fill first."""
        return (self.fill, *(m for s in self.shapes for m in s.materials))

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """What may be asked for, "block.x", with its range."""
        return {f"{s.name}.{number}": r for s in self.shapes if s.name for number, r in s.ranges.items()}

    def placed(self, xp: Any, at: Any, depth: float, uniform: Any, dither: Any) -> Drawn:
        """One scene.

        Args:
            xp: `numpy` or `jax.numpy`.
            at: (x, y, z, 3), middles of the voxels in mm.
            depth: of a voxel along z, in mm.
            uniform: (shapes, 8), for NUMBERS.
            dither: (shapes, x, y, z), uniform as well.
        """
        cells = xp.zeros(at.shape[:3], xp.int32)
        truth: dict[str, Any] = {}
        first = 1
        for i, shape in enumerate(self.shapes):
            drawn = {name: uniform[i, j] for j, name in enumerate(NUMBERS)}
            there = drawn["present"] < shape.present
            numbers = {}
            for name in NUMBERS[2:]:
                if (limits := getattr(shape, name, None)) is not None:
                    numbers[name] = limits[0] + drawn[name] * (limits[1] - limits[0])
            chosen = (drawn["material"] * len(shape.material)).astype(xp.int32)
            for mask, number in shape.parts(at, depth, numbers, dither[i]):
                cells = xp.where(mask & there, first + (chosen if number < 0 else number), cells)
            if shape.name:
                truth[shape.name] = there
                truth |= {f"{shape.name}.{name}": drawn[name] for name in shape.ranges}
            first += len(shape.materials)
        return Drawn(cells.astype(xp.int32), truth)


@dataclass(frozen=True)
class RandomFilling(Filling):
    """A typical scene of a distribution, cut into voxels, and the distribution. Its materials are all that may occur."""

    scene: RandomScene
    corner: tuple[float, float, float]
    size: tuple[float, float, float]


def fill_at_random(
    scene: RandomScene,
    corner: tuple[float, float, float],
    size: tuple[float, float, float],
    voxels: tuple[int, int, int],
) -> RandomFilling:
    """Cut a typical scene into the voxels of a volume, in mm: everything is there, and in the middle of its range."""
    uniform = np.full((len(scene.shapes), len(NUMBERS)), 0.5)
    uniform[:, :2] = 0.0  # there, and of its first material
    dither = np.random.default_rng(0).uniform(size=(len(scene.shapes), *voxels))
    depth = size[2] / voxels[2]
    different = list(dict.fromkeys(scene.materials))
    number = np.array([different.index(m) for m in scene.materials], np.int16)
    cells = number[scene.placed(np, grid(corner, size, voxels), depth, uniform, dither).cells]
    slices = []
    for k in range(voxels[2]):
        low, high = corner[2] + k * depth, corner[2] + (k + 1) * depth
        near = [s for s in scene.shapes if s.box()[2][0] < high and s.box()[2][1] > low]
        slices.append(max(slices_of(m, depth) for m in (scene.fill, *(m for s in near for m in s.materials))))
    return RandomFilling(tuple(different), voxels, cells.tobytes(), tuple(slices), scene, corner, size)
