"""A tracker plane whose threshold trades hits for resolution, as an element from outside (docs/how-to/plugins.md)."""

from dataclasses import dataclass, replace
from typing import Any

from detopt.backend import jax, jnp
from detopt.detector.sensor import Element, Readout, Surface
from detopt.parameters import quantity


@dataclass(frozen=True, kw_only=True)
class ThresholdPlane(Element):
    """A square plane that sees sigmoid((3.5 - threshold) / 0.5) of the muons, to 150 um (0.5 + exp(-0.8 threshold)).

    A low threshold finds nearly all muons and measures them with the help of noise; a high one measures well what it finds.
    """

    frames = ("beamline",)
    z: Any = quantity("mm", doc="position along the beam")
    span: Any = quantity("mm", above=0, doc="full width in x and y")
    threshold: Any = quantity("", min=0, max=6, doc="threshold in units of the noise")
    x_over_X0: Any = quantity("", min=0, max=1, default=0.01, doc="thickness in radiation lengths")

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        sigma = 0.15 * (0.5 + jnp.exp(-0.8 * self.threshold))
        seen = jax.nn.sigmoid((3.5 - self.threshold) / 0.5)
        plane = Surface(self.name, "plane", self.z, 0.0, self.span / 2, self.x_over_X0, (sigma, sigma), seen)
        return (replace(plane, span=(self.span, self.span)),)

    def readouts(self) -> tuple[Readout, ...]:
        """Pixels of 150 um."""
        return (Readout(self.span**2, self.span**2 / 0.15**2, self.x_over_X0),)
