"""Objectives about what lies in a volume: what a head finds out from the muons of an exposure. No JAX."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from detopt.parameters import quantity

__all__ = ["Detection", "Estimate", "ImageError"]

LENGTHS = ("x", "y", "z", "height")  # of the numbers of a shape, those in mm


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Cross-entropy, in bits an exposure, of a head that says whether a shape of the scene is there.

    0 for certainty; for a shape that is there every other time, 1 when nothing is known.
    """

    of: str  # name of a shape
    goal: Literal["minimise"] = "minimise"
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")
    unit: ClassVar[str] = ""
    display_unit: ClassVar[str] = ""
    needs_head: ClassVar[str] = "voxels"

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"loss of finding {self.of} (bits)"

    def value(self, view: Any) -> Any:
        """Mean over exposures."""
        return view.head.loss / math.log(2)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """RMS error of a number of the scene that a head estimates: `of: block.x`."""

    of: str  # name of a shape and of one of its numbers that has a range
    goal: Literal["minimise"] = "minimise"
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")
    needs_head: ClassVar[str] = "voxels"

    @property
    def unit(self) -> str:
        """Base unit."""
        return "mm" if self.of.split(".")[-1] in LENGTHS else ""

    @property
    def display_unit(self) -> str:
        """The unit people quote it in."""
        return self.unit or "%"

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"error of {self.of}"

    def value(self, view: Any) -> Any:
        """Root of the mean square over exposures."""
        return view.head.squared_error**0.5


@dataclass(frozen=True, kw_only=True)
class ImageError:
    """RMS error of log(X0) over all voxels of the map that a head makes."""

    goal: Literal["minimise"] = "minimise"
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")
    unit: ClassVar[str] = ""
    display_unit: ClassVar[str] = "%"
    title: ClassVar[str] = "error of the map of log X0"
    needs_head: ClassVar[str] = "voxels"

    def value(self, view: Any) -> Any:
        """Root of the mean square over voxels and exposures."""
        return view.head.squared_error**0.5
