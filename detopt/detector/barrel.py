"""The elements of barrels: cylinders around the beam and disks across it."""

import math
from dataclasses import dataclass, fields
from typing import Any

from detopt.detector.sensor import Readout, Sensor, SingleSensor, Surface
from detopt.parameters import quantity

__all__ = ["BarrelLayer", "BarrelStack", "Disk"]


@dataclass(frozen=True, kw_only=True)
class BarrelLayer(SingleSensor):
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
class BarrelStack(Sensor):
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
        shared = {f.name: getattr(self, f.name) for f in fields(Sensor) if f.name != "name"}
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
class Disk(SingleSensor):
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
