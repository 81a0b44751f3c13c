"""A source that is no part of detopt."""

from dataclasses import dataclass
from typing import Any

from detopt.backend import jnp
from detopt.events import Rays
from detopt.parameters import quantity
from detopt.simulation.source import Source


@dataclass(frozen=True, kw_only=True)
class Sheet(Source):
    """Muons spread evenly over a square, with Gaussian slopes and momenta that are flat between two."""

    frames = ("beamline", "portal")
    width: Any = quantity("mm", above=0, doc="of the square")
    divergence: Any = quantity("rad", min=0, max=0.2, default=0.01, doc="sigma of dx/dz and dy/dz")
    momentum: Any = quantity("GeV", above=0, range=True, doc="from and to")

    def numbers(self) -> dict[str, str]:
        """Five, independent of each other."""
        return {"x": "uniform", "y": "uniform", "momentum": "uniform", "dx": "normal", "dy": "normal"}

    def carriers(self) -> dict[str, str]:
        """Those of the position, and that of the momentum where it has a range."""
        ways = {"x": "x", "y": "y"}
        return {**ways, "momentum": "momentum"} if self.momentum[0] < self.momentum[1] else ways

    def draw(self, numbers: dict[str, Any], start: Any) -> Rays:
        """One muon an event."""
        x, y = (self.width * (numbers[axis] - 0.5) for axis in ("x", "y"))
        ahead = jnp.full_like(x, -1.0 if start.frame == "portal" else 1.0)
        direction = jnp.stack([self.divergence * numbers["dx"], self.divergence * numbers["dy"], ahead], -1)
        direction = direction / jnp.sqrt(jnp.sum(direction**2, -1, keepdims=True))
        low, high = self.momentum
        momentum = low + (high - low) * numbers["momentum"]
        position = jnp.stack([x, y, jnp.full_like(x, start.z)], -1)
        ones = jnp.ones_like(x)
        return Rays(position[:, None], direction[:, None], momentum[:, None], -ones[:, None], ones)
