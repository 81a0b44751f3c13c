"""What every source of muons has in common. No JAX."""

from typing import Any, ClassVar

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

    # A source for beam lines and portals from outside says how its events come from independent random numbers (see
    # `detopt.simulation.draws`); those that ship with detopt are drawn by `detopt.simulation.rays`.

    def numbers(self) -> dict[str, Any]:
        """Names of the random numbers of an event, and how each is spread: "uniform", "normal" or "truncated"."""
        raise NotImplementedError(f"{type(self).__name__} does not say which random numbers it takes")

    def draw(self, numbers: dict[str, Any], start: Any) -> Any:
        """`Rays` of N events from their numbers, (N,) each: plain arithmetic. See `detopt.simulation.draws.Start`."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its random numbers make")

    def carriers(self) -> dict[str, str]:
        """Which number moves a particle along "x" and "y", and which changes its "momentum", steadily."""
        return {}

    def warnings(self) -> list[str]:
        """What is allowed, but should be known."""
        return []
