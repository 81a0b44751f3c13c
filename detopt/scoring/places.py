"""Limits on where sensors stand: how tall a portal may be, and what its panels keep away from. No JAX.

As the other constraints, `.excess(view)` lists relative excesses, each feasible when <= 0.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from detopt.parameters import quantity

__all__ = ["Outside", "TotalHeight"]


@dataclass(frozen=True, kw_only=True)
class TotalHeight:
    """The height of a portal, or the length of a beam line, from the first sensor to the last.

    Tilted sensors count with their corners.
    """

    max: Any = quantity("mm", above=0, doc="largest distance along z from the lowest sensor to the highest")
    unit: ClassVar[str] = "mm"
    display_unit: ClassVar[str] = "mm"

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"at most {self.max:g} mm from the first sensor to the last"

    def excess(self, view: Any) -> list[Any]:
        """height / limit - 1."""
        return [view.height() / self.max - 1]


@dataclass(frozen=True, kw_only=True)
class Outside:
    """Every plane stays above or below a slab or volume, where it stands in the detector's file, and keeps a distance.

    The distance is along z, of a tilted plane from the corner that is nearest: so a plane that is wider than the body, and
    whose corner hangs down beside it, counts as well.
    """

    of: str  # the name of a slab or volume
    clearance: Any = quantity("mm", above=0, doc="smallest distance along z between the body and a plane")
    unit: ClassVar[str] = "mm"
    display_unit: ClassVar[str] = "mm"

    @property
    def min(self) -> Any:
        """What tables show as the limit."""
        return self.clearance

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"planes at least {self.clearance:g} mm from {self.of}"

    def excess(self, view: Any) -> list[Any]:
        """1 - distance / clearance of each plane."""
        body = view.part(self.of)
        return [1 - self.distance(body, s.position, view.reach(s)) / self.clearance for s in view.surfaces]

    @staticmethod
    def distance(body: Any, position: Any, reach: Any) -> Any:
        """From a body to a plane in mm, negative where it cuts into the body's heights.

        A study's bounds keep the middle of a plane on one side of each body, so the sign needs no memory of the file.
        """
        low, high = body.z
        return abs(position - 0.5 * (low + high)) - 0.5 * (high - low) - reach
