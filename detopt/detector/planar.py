"""The elements of beam lines and portals: planes, panels and slabs across the z axis."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from detopt.detector.sensor import Readout, SingleSensor, Surface
from detopt.materials import Material
from detopt.parameters import quantity, whole

__all__ = ["Panel", "Plane", "Slab"]


@dataclass(frozen=True, kw_only=True)
class Plane(SingleSensor):
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
        return (replace(self._surface("plane", self.z, 0.0, 0.5 * min_of(self.span)), span=self.span),)


@dataclass(frozen=True, kw_only=True)
class Panel(Plane):
    """A plane that stands beside the axis, and may be tilted: about the x axis by tilt.x, then about y by tilt.y."""

    centre: Any = quantity("mm", axes=True, left_out=0.0, default=(0.0, 0.0), doc="where its middle stands, in x and y")
    tilt: Any = quantity(
        "rad",
        above=-1.4,
        below=1.4,
        axes=True,
        left_out=0.0,
        default=(0.0, 0.0),
        doc="rotation about the x axis, then about y",
    )

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return tuple(replace(s, centre=self.centre, tilt=self.tilt) for s in super().surfaces())


_LONGEST = 2.0, 0.05  # X0 and GeV of mean loss that one slice of a body holds: finer slices change nothing
_MOST = 200


@dataclass(frozen=True, kw_only=True)
class Slab:
    """A block of material across the beam, thick enough that a particle slows down and is displaced inside."""

    axes: ClassVar[tuple[str, str]] = ("x", "y")
    frames: ClassVar[tuple[str, ...]] = ("beamline", "portal")
    measures: ClassVar[bool] = False
    name: str
    material: Material
    z: Any = quantity("mm", range=True, doc="from and to along the beam")
    span: Any = quantity("mm", above=0, axes=True, default=None, doc="full width in x and y; endless if not given")

    slices: int = whole(0, least=0, most=_MOST)  # that a muon takes it in; 0: as many as it needs

    def __post_init__(self) -> None:
        if self.slices == 0:  # while the numbers are floats; their number is part of the structure
            depth = self.z[1] - self.z[0]
            lost = 2e-3 * self.material.density / 10 * depth  # GeV: 2 MeV cm2/g is minimum ionisation, roughly
            needed = max(depth / self.material.X0 / _LONGEST[0], lost / _LONGEST[1])
            object.__setattr__(self, "slices", min(max(math.ceil(needed), 1), _MOST))

    def readouts(self) -> tuple[Readout, ...]:
        """Slabs are not read out."""
        return ()

    def surfaces(self) -> tuple[Surface, ...]:
        """None: a slab is a body."""
        return ()


def min_of(pair: tuple[Any, Any]) -> Any:
    """The smaller of two numbers, without a branch."""
    return 0.5 * (pair[0] + pair[1] - abs(pair[0] - pair[1]))
