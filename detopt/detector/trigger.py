"""What a detector keeps: cuts on what it measured."""

from dataclasses import dataclass
from typing import Any, ClassVar

from detopt.parameters import quantity

__all__ = ["Trigger"]


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """Cuts on reconstructed muons, in beam lines and portals: only what passes them counts in a score."""

    name: ClassVar[str] = "trigger"
    frames: ClassVar[tuple[str, ...]] = ("beamline", "portal")
    momentum: Any = quantity("GeV", above=0, default=None, doc="least measured momentum")
    angle: Any = quantity("rad", above=0, default=None, doc="least measured angle between a portal's two tracks")
