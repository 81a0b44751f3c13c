"""The elements a detector is made of.

Each declares its numbers once (see `detopt.parameters.quantity`), says at which surfaces a particle meets it, and what
drives its cost. Lengths are full lengths unless a name says `half_`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from detopt.materials import material
from detopt.parameters import quantity

__all__ = ["ELEMENTS", "BarrelLayer", "BarrelStack", "Disk", "Plane", "Slab", "Surface"]

SMALLEST = 1e-6  # mm: a nanometre; whoever asks for less mistook the unit
BINARY = 1 / math.sqrt(12)  # resolution / pitch of binary readout: the spread of a uniform distribution


@dataclass(frozen=True)
class Surface:
    """A thin surface where a particle is scattered and perhaps measured.

    `position` is the radius of a cylinder or the z of a plane; it ends at `low` and `high` in the other coordinate (z of
    a cylinder, radius of a disk, |x| and |y| of a plane).
    """

    name: str
    kind: str  # cylinder | disk | plane
    position: Any
    low: Any
    high: Any
    x_over_X0: Any
    resolution: tuple[Any, Any] | None  # None: not measured
    efficiency: Any


@dataclass(frozen=True)
class Readout:
    """What a sensor costs: its area in mm2, its channels, and its thickness in radiation lengths."""

    area: Any
    channels: Any
    x_over_X0: Any


@dataclass(frozen=True, kw_only=True)
class _Sensor:
    """What every thin element shares: its material and, where it measures, its resolution.

    `material` with `thickness`, or `x_over_X0`; `resolution`, or `pitch`, from which resolution = pitch x
    `resolution_per_pitch` follows. Pairs hold one number for each of the two `axes`.
    """

    axes: ClassVar[tuple[str, str]]
    frames: ClassVar[tuple[str, ...]]
    aliases: ClassVar[dict[str, str]] = {}
    choices: ClassVar[tuple[tuple[str, ...], ...]] = (("x_over_X0", "material"), ("resolution", "pitch"))
    together: ClassVar[tuple[tuple[str, str], ...]] = (("material", "thickness"), ("pitch", "resolution_per_pitch"))

    name: str
    x_over_X0: Any = quantity(
        "", min=0, max=1, default=None, doc="thickness in radiation lengths, at normal incidence; thin is below one"
    )
    material: str | None = None
    thickness: Any = quantity("mm", min=0, default=None, doc="thickness of the material")
    resolution: Any = quantity(
        "mm", above=0, min=SMALLEST, axes=True, default=None, doc="hit resolution (standard deviation)"
    )
    pitch: Any = quantity("mm", above=0, min=SMALLEST, axes=True, default=None, doc="distance between channels")
    resolution_per_pitch: Any = quantity(
        "", above=0, axes=True, default=(BINARY, BINARY), doc="resolution / pitch: 1/sqrt(12) for binary readout"
    )
    efficiency: Any = quantity("", min=0, max=1, default=1.0, doc="probability of a hit")

    @property
    def measures(self) -> bool:
        """Whether particles leave hits here."""
        return self.resolution is not None or self.pitch is not None

    @property
    def hit_resolution(self) -> tuple[Any, Any] | None:
        """Resolution along the two axes in mm; None without readout, and an axis is None where it is not measured."""
        if self.resolution is not None:
            return self.resolution
        if self.pitch is None:
            return None
        first, second = (
            None if p is None else p * ratio for p, ratio in zip(self.pitch, self.resolution_per_pitch, strict=True)
        )
        return first, second

    @property
    def radiation_thickness(self) -> Any:
        """x/X0 at normal incidence."""
        if self.x_over_X0 is not None:
            return self.x_over_X0
        return self.thickness / material(self.material).X0 if self.material is not None else 0.0


@dataclass(frozen=True, kw_only=True)
class _SingleSensor(_Sensor, ABC):
    """One surface with one readout."""

    @property
    @abstractmethod
    def area(self) -> Any:
        """Sensitive area in mm2."""

    @property
    @abstractmethod
    def strip_length(self) -> Any:
        """Length in mm of a strip that is read out on the first axis only."""

    def readouts(self) -> tuple[Readout, ...]:
        """What there is to pay for; nothing where nothing is measured."""
        if not self.measures:
            return ()
        channels: Any = 0.0
        if self.pitch is not None:
            # Without a pitch on the second axis there are strips, as long as the sensor.
            first, second = self.pitch
            channels = self.area / (first * (self.strip_length if second is None else second))
        return (Readout(self.area, channels, self.radiation_thickness),)

    def _surface(self, kind: str, position: Any, low: Any, high: Any) -> Surface:
        return Surface(
            self.name, kind, position, low, high, self.radiation_thickness, self.hit_resolution, self.efficiency
        )


@dataclass(frozen=True, kw_only=True)
class BarrelLayer(_SingleSensor):
    """A cylinder around the beam that measures r-phi and z."""

    axes = ("rphi", "z")
    frames = ("barrel",)
    radius: Any = quantity("mm", above=0, doc="radius of the cylinder")
    half_length: Any = quantity("mm", above=0, doc="half of the length in z")

    @property
    def area(self) -> Any:
        """Cylinder area in mm2."""
        return 4 * math.pi * self.radius * self.half_length

    @property
    def strip_length(self) -> Any:
        """Strips run along z."""
        return 2 * self.half_length

    def surfaces(self) -> tuple[Surface, ...]:
        """One cylinder."""
        return (self._surface("cylinder", self.radius, -self.half_length, self.half_length),)


@dataclass(frozen=True, kw_only=True)
class BarrelStack(_Sensor):
    """`count` equal cylinders, equidistant between two radii."""

    axes = ("rphi", "z")
    frames = ("barrel",)
    count: int
    inner_radius: Any = quantity("mm", above=0, doc="radius of the first layer")
    outer_radius: Any = quantity("mm", above=0, doc="radius of the last layer")
    half_length: Any = quantity("mm", above=0, doc="half of the length in z")

    def layers(self) -> tuple[BarrelLayer, ...]:
        """The layers, named `<name>_1` onwards."""
        step = (self.outer_radius - self.inner_radius) / max(self.count - 1, 1)
        shared = {f.name: getattr(self, f.name) for f in fields(_Sensor) if f.name != "name"}
        return tuple(
            BarrelLayer(
                name=f"{self.name}_{i + 1}",
                radius=self.inner_radius + i * step,
                half_length=self.half_length,
                **shared,
            )
            for i in range(self.count)
        )

    def readouts(self) -> tuple[Readout, ...]:
        """One a layer."""
        return tuple(r for layer in self.layers() for r in layer.readouts())

    def surfaces(self) -> tuple[Surface, ...]:
        """One cylinder a layer."""
        return tuple(s for layer in self.layers() for s in layer.surfaces())


@dataclass(frozen=True, kw_only=True)
class Disk(_SingleSensor):
    """An annulus across the beam that measures r-phi and r."""

    axes = ("rphi", "r")
    frames = ("barrel",)
    aliases = {"z": "r"}  # a disk may be written with the keys of a barrel layer  # noqa: RUF012
    z: Any = quantity("mm", doc="position along the beam")
    inner_radius: Any = quantity("mm", min=0, doc="inner radius")
    outer_radius: Any = quantity("mm", above=0, doc="outer radius")

    @property
    def area(self) -> Any:
        """Area of the annulus in mm2."""
        return math.pi * (self.outer_radius**2 - self.inner_radius**2)

    @property
    def strip_length(self) -> Any:
        """Strips run along r."""
        return self.outer_radius - self.inner_radius

    def surfaces(self) -> tuple[Surface, ...]:
        """One annulus."""
        return (self._surface("disk", self.z, self.inner_radius, self.outer_radius),)


@dataclass(frozen=True, kw_only=True)
class Plane(_SingleSensor):
    """A rectangle across the beam, centred on it, that measures x and y."""

    axes = ("x", "y")
    frames = ("beamline", "portal")
    z: Any = quantity("mm", doc="position along the beam")
    span: Any = quantity("mm", above=0, axes=True, doc="full width in x and y")

    @property
    def area(self) -> Any:
        """Area in mm2."""
        return self.span[0] * self.span[1]

    @property
    def strip_length(self) -> Any:
        """Strips run along y."""
        return self.span[1]

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return (self._surface("plane", self.z, 0.0, 0.5 * min_of(self.span)),)


@dataclass(frozen=True, kw_only=True)
class Slab:
    """A block of material across the beam, thick enough that a particle slows down and is displaced inside."""

    axes: ClassVar[tuple[str, str]] = ("x", "y")
    frames: ClassVar[tuple[str, ...]] = ("beamline", "portal")
    name: str
    material: str
    z: Any = quantity("mm", range=True, doc="from and to along the beam")
    span: Any = quantity("mm", above=0, axes=True, default=None, doc="full width in x and y")
    measures: ClassVar[bool] = False

    def readouts(self) -> tuple[Readout, ...]:
        """Slabs are not read out."""
        return ()

    def surfaces(self) -> tuple[Surface, ...]:
        """None: a slab is a body."""
        return ()


def min_of(pair: tuple[Any, Any]) -> Any:
    """The smaller of two numbers, without a branch."""
    return 0.5 * (pair[0] + pair[1] - abs(pair[0] - pair[1]))


# The word in YAML's `type:`.
ELEMENTS: dict[str, type] = {
    "barrel_layer": BarrelLayer,
    "barrel_stack": BarrelStack,
    "disk": Disk,
    "plane": Plane,
    "slab": Slab,
}
