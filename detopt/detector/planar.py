"""The planes and panels of beam lines and portals, across the z axis."""

from dataclasses import dataclass, replace
from typing import Any

from detopt.detector.sensor import SingleSensor, Surface
from detopt.parameters import quantity

__all__ = ["Panel", "Plane"]


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


def min_of(pair: tuple[Any, Any]) -> Any:
    """The smaller of two numbers, without a branch."""
    return 0.5 * (pair[0] + pair[1] - abs(pair[0] - pair[1]))
