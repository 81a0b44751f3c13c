"""What every source of muons has in common. No JAX."""

from typing import ClassVar

__all__ = ["MUON_MASS", "Source"]

MUON_MASS = 0.1056583755  # GeV, PDG 2022


class Source:
    """Where particles come from: a declaration, checked for what no single field can tell."""

    frames: ClassVar[tuple[str, ...]]  # of the detectors that it can stand in

    def faults(self) -> list[tuple[str, str]]:
        """What is wrong across fields: pairs of the field to blame and a message."""
        return []

    def frame_fault(self, frame: str) -> str | None:
        """What cannot be in a detector of one of its frames, or None."""
        return None

    def warnings(self) -> list[str]:
        """What is allowed, but should be known."""
        return []
