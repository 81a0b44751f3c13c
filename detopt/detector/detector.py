"""A detector: a named, ordered list of elements in a magnetic field."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from detopt.detector.layout import layout
from detopt.detector.magnets import FIELDS, Dipole, Magnet, Solenoid
from detopt.detector.sensor import Surface

__all__ = ["FIELDS", "Detector", "Solenoid"]

_PARTS = ("field", "trigger")  # what has a name of its own, beside the elements


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What is built. `frame` is "barrel" (z = beam, cylinders), "beamline" (z = beam, planes) or "portal" (z up)."""

    children: ClassVar[tuple[str, ...]] = ("field", "trigger", "elements")  # pytree children

    name: str
    frame: str
    elements: tuple[Any, ...]
    field: Any = None
    trigger: Any = None
    source_reference: str = ""
    description: str = ""

    @property
    def names(self) -> set[str]:
        """What a dotted name may start with."""
        return {e.name for e in self.elements} | set(_PARTS)

    def part(self, name: str) -> Any:
        """An element, the field or the trigger. Raises KeyError naming what there is."""
        for element in self.elements:
            if element.name == name:
                return element
        if name in _PARTS and getattr(self, name) is not None:
            return getattr(self, name)
        raise KeyError(f"{self.name} has no element {name!r}; it has {', '.join(e.name for e in self.elements)}")

    def with_part(self, name: str, part: Any) -> "Detector":
        """The detector with one element, the field or the trigger replaced."""
        if name in _PARTS:
            return replace(self, **{name: part})
        return replace(self, elements=tuple(part if e.name == name else e for e in self.elements))

    def surfaces(self) -> tuple[Surface, ...]:
        """Every thin surface, in the order of the file."""
        return tuple(s for e in self.elements for s in e.surfaces())

    def magnets(self) -> tuple[Dipole | Magnet, ...]:
        """Every dipole of a beam line."""
        listed = tuple(e for e in self.elements if isinstance(e, Magnet))
        return (self.field, *listed) if isinstance(self.field, Dipole) else listed

    def sensors(self) -> tuple[Surface, ...]:
        """The surfaces that measure."""
        return tuple(s for s in self.surfaces() if s.resolution is not None)

    def layout(self) -> list[dict[str, Any]]:
        """What a drawing needs, as plain mappings: a row for each surface, slab and magnet."""
        return layout(self.surfaces(), self.elements, self.magnets())

    # The rest is what notebooks use; it imports what it needs when it is called.

    def draw(self, path: str | None = None) -> Any:
        """Draw the side view (and the view along the beam); returns the matplotlib figure, saved where `path` says."""
        from detopt.report.drawing import draw_detector

        return draw_detector(self, path)

    def resolution(self, momentum: Any, theta: Any = None) -> list[dict[str, float | None]]:
        """Track resolutions of muons, all hits assumed: one row for each momentum (GeV, or "500 MeV") and polar angle."""
        from detopt.study.resolution import resolution_table

        return resolution_table(self, momentum, theta)

    def simulate(
        self, source: str = "gun", out: str = "events.parquet", momentum: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """Send particles through it and write truth, hits and tracks; see `detopt simulate` for what there is.

        `more` are exposure (text, as momentum), events, seed and physics.
        """
        from detopt.study.eventfiles import simulate_to_files
        from detopt.study.source_option import source_from

        drawn = source_from(source, self.frame, momentum, more.pop("exposure", None))
        return simulate_to_files(self, drawn, out, **more)
