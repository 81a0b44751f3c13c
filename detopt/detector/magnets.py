"""Magnetic fields: a solenoid around a barrel, dipoles in a beam line."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from detopt.parameters import quantity

__all__ = ["FIELDS", "Dipole", "Magnet", "Solenoid"]


@dataclass(frozen=True, kw_only=True)
class Solenoid:
    """A uniform magnetic field along z."""

    name: ClassVar[str] = "field"
    frames: ClassVar[tuple[str, ...]] = ("barrel",)
    B: Any = quantity("T", doc="magnetic field along z")


@dataclass(frozen=True, kw_only=True)
class _Region:
    """A uniform field across the beam between two z, over the whole aperture."""

    frames: ClassVar[tuple[str, ...]] = ("beamline",)
    B: Any = quantity("T", doc="magnetic field")
    z: Any = quantity("mm", range=True, doc="from and to along the beam")
    along: Literal["x", "y"] = "y"  # along y it bends in x


@dataclass(frozen=True, kw_only=True)
class Dipole(_Region):
    """The field of a beam line with one dipole."""

    name: ClassVar[str] = "field"


@dataclass(frozen=True, kw_only=True)
class Magnet(_Region):
    """A dipole as an element, for beam lines with several."""

    measures: ClassVar[bool] = False
    name: str

    def readouts(self) -> tuple[Any, ...]:
        """Magnets are not read out."""
        return ()

    def surfaces(self) -> tuple[Any, ...]:
        """None: nothing is hit."""
        return ()


FIELDS: dict[str, type] = {"solenoid": Solenoid, "dipole": Dipole}
