"""What every element says: where a particle meets it and what drives its cost; what thin ones share: material, readout."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from detopt.materials import Material
from detopt.parameters import quantity

__all__ = ["BINARY", "Element", "Readout", "Sensor", "SingleSensor", "Surface"]

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
    material: Any = None  # None: only x/X0 is known
    thickness: Any = 0.0  # of that material
    noise: Any = 0.0  # hits per mm2 in a readout window
    centre: tuple[Any, Any] = (0.0, 0.0)  # of a plane, as are the next two
    span: tuple[Any, Any] | None = None
    tilt: tuple[Any, Any] = (0.0, 0.0)

    def reach(self, sin: Callable[[Any], Any] = math.sin, cos: Callable[[Any], Any] = math.cos) -> Any:
        """How far its corners are from `position` along z, in mm: 0 unless it is tilted. For arrays give their sin, cos."""
        if self.span is None:
            return 0.0
        (width, height), (about_x, about_y) = self.span, self.tilt
        return 0.5 * (abs(width * sin(about_y)) + abs(height * sin(about_x) * cos(about_y)))


@dataclass(frozen=True)
class Readout:
    """What a sensor costs: its area in mm2, its channels, and its thickness in radiation lengths."""

    area: Any
    channels: Any
    x_over_X0: Any


@dataclass(frozen=True, kw_only=True)
class Element(ABC):
    """What a detector is made of, said in two lists: the surfaces where particles meet it, and what there is to pay for.

    Both are plain arithmetic on the numbers that are declared with `quantity`: on floats, on arrays, and on numbers that
    are being differentiated. How a score follows each field of a `Surface` is known (positions and ends by the edges that
    they move, efficiencies by the hits that they flip, all else pathwise); so nothing else has to be said for a gradient.
    What decides about how many surfaces there are is a whole number, and no design variable.
    """

    frames: ClassVar[tuple[str, ...]]  # of the detectors that it can stand in
    axes: ClassVar[tuple[str, str]]  # what the two numbers of a pair are called, where there are pairs

    name: str

    @abstractmethod
    def surfaces(self) -> tuple[Surface, ...]:
        """Where particles meet it, under names that begin with its own."""

    @abstractmethod
    def readouts(self) -> tuple[Readout, ...]:
        """What there is to pay for."""

    @property
    def measures(self) -> bool:
        """Whether particles leave hits here."""
        return any(s.resolution is not None for s in self.surfaces())

    @property
    def radiation_thickness(self) -> Any:
        """x/X0 at normal incidence, of all surfaces together."""
        return sum(s.x_over_X0 for s in self.surfaces())

    def faults(self) -> list[tuple[str, str]]:
        """What is wrong across fields, asked of floats: pairs of the field to blame and a message."""
        return []


@dataclass(frozen=True, kw_only=True)
class Sensor(Element, ABC):
    """What every thin element shares: its material and, where it measures, its resolution.

    `material` with `thickness`, or `x_over_X0`; `resolution`, or `pitch`, from which resolution = pitch x
    `resolution_per_pitch` follows. Where YAML gives a `density` too, the material has it. Pairs hold one number for each
    of the two `axes`.
    """

    aliases: ClassVar[dict[str, str]] = {}
    choices: ClassVar[tuple[tuple[str, ...], ...]] = (("x_over_X0", "material"), ("resolution", "pitch"))
    together: ClassVar[tuple[tuple[str, str], ...]] = (
        ("material", "thickness"),
        ("material", "density"),
        ("pitch", "resolution_per_pitch"),
        ("noise", "time_window"),
        ("time_window", "noise"),
    )

    x_over_X0: Any = quantity(
        "", min=0, max=1, default=None, doc="thickness in radiation lengths, at normal incidence; thin is below one"
    )
    material: Material | None = None
    thickness: Any = quantity("mm", min=0, default=None, doc="thickness of the material")
    resolution: Any = quantity(
        "mm", above=0, min=SMALLEST, axes=True, default=None, doc="hit resolution (standard deviation)"
    )
    pitch: Any = quantity("mm", above=0, min=SMALLEST, axes=True, default=None, doc="distance between channels")
    resolution_per_pitch: Any = quantity(
        "", above=0, axes=True, default=(BINARY, BINARY), doc="resolution / pitch: 1/sqrt(12) for binary readout"
    )
    efficiency: Any = quantity("", min=0, max=1, default=1.0, doc="probability of a hit")
    noise: Any = quantity("1/mm2/ns", min=0, default=None, doc="rate of noise hits per area")
    time_window: Any = quantity("ns", above=0, default=None, doc="time that is read out with a track")

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
        return self.thickness / self.material.X0 if self.material is not None else 0.0


@dataclass(frozen=True, kw_only=True)
class SingleSensor(Sensor, ABC):
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
            self.name,
            kind,
            position,
            low,
            high,
            self.radiation_thickness,
            self.hit_resolution,
            self.efficiency,
            material=self.material,
            thickness=0.0 if self.thickness is None else self.thickness,
            noise=0.0 if self.noise is None else self.noise * self.time_window,
        )
