"""Elements that are no part of detopt: sensors on both faces of a support, for barrels and for beam lines and portals."""

from dataclasses import dataclass
from typing import Any

from detopt.detector.sensor import Element, Readout, Surface
from detopt.parameters import quantity


@dataclass(frozen=True, kw_only=True)
class DoubleLayer(Element):
    """Two cylinders a gap apart: the inner one measures r-phi, the outer one z."""

    frames = ("barrel",)
    radius: Any = quantity("mm", above=0, doc="radius of the inner cylinder")
    gap: Any = quantity("mm", min=0.1, max=20, doc="distance between the two")
    half_length: Any = quantity("mm", above=0, doc="half of the length in z")
    x_over_X0: Any = quantity("", above=0, max=0.1, doc="thickness of each in radiation lengths")
    sigma_rphi: Any = quantity("mm", min=1e-3, max=1, doc="resolution of the inner one")
    sigma_z: Any = quantity("mm", min=1e-3, max=1, doc="resolution of the outer one")

    def surfaces(self) -> tuple[Surface, ...]:
        """The inner and the outer cylinder."""
        radii, length = (self.radius, self.radius + self.gap), self.half_length
        resolutions = (
            (self.sigma_rphi, None),
            (1000 * self.sigma_z, self.sigma_z),
        )  # what measures z tells little of r-phi
        return tuple(
            Surface(f"{self.name}_{face}", "cylinder", r, -length, length, self.x_over_X0, resolution, 1.0)
            for face, r, resolution in zip(("inner", "outer"), radii, resolutions, strict=True)
        )

    def readouts(self) -> tuple[Readout, ...]:
        """Strips of sqrt(12) resolutions, as long as the layer; rings of as many in z."""
        around, along = 6.283185307179586 * self.radius, 2 * self.half_length
        strips, rings = around / (3.464 * self.sigma_rphi), along / (3.464 * self.sigma_z)
        return tuple(Readout(around * along, channels, self.x_over_X0) for channels in (strips, rings))


@dataclass(frozen=True, kw_only=True)
class DoubleSided(Element):
    """Two planes a gap apart, each with its own resolution."""

    frames = ("beamline", "portal")
    axes = ("x", "y")
    z: Any = quantity("mm", doc="middle between the two along the beam")
    gap: Any = quantity("mm", min=0.1, max=100, doc="distance between the two")
    span: Any = quantity("mm", above=0, axes=True, doc="full width in x and y")
    front: Any = quantity("mm", min=1e-3, max=10, doc="resolution of the plane at smaller z")
    back: Any = quantity("mm", min=1e-3, max=10, doc="resolution of the plane at larger z")
    efficiency: Any = quantity("", min=0, max=1, default=1.0, doc="probability of a hit on each")

    def surfaces(self) -> tuple[Surface, ...]:
        """Both planes."""
        faces = (("front", -0.5, self.front), ("back", 0.5, self.back))
        half = 0.25 * (self.span[0] + self.span[1] - abs(self.span[0] - self.span[1]))
        return tuple(
            Surface(
                f"{self.name}_{face}", "plane", self.z + side * self.gap, 0.0, half, 0.002, (sigma, sigma),
                self.efficiency, span=self.span,
            )
            for face, side, sigma in faces
        )  # fmt: skip

    def readouts(self) -> tuple[Readout, ...]:
        """Both planes."""
        area = self.span[0] * self.span[1]
        return tuple(Readout(area, area / (12 * sigma**2), 0.002) for sigma in (self.front, self.back))
