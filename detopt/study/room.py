"""Limits on where sensors stand: what they need of a detector, and those that no design can meet. Floats only, no JAX."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from detopt.detector.detector import Detector
from detopt.detector.elements import BODIES
from detopt.detector.sensor import Surface
from detopt.scoring.places import Outside, TotalHeight
from detopt.study.corners import extreme
from detopt.study.schema import near
from detopt.units import format_quantity

if TYPE_CHECKING:
    from detopt.study.studies import Study

__all__ = ["check_room"]

Fault = Callable[..., None]


def check_room(study: "Study", fault: Fault) -> None:
    """Note what is wrong with limits on heights and distances from bodies."""
    detector = study.detector
    for name, term in study.constraints.items():
        if isinstance(term, TotalHeight | Outside) and detector.frame == "barrel":
            word = "total_height" if isinstance(term, TotalHeight) else "outside"
            fault(
                ("constraints", name),
                f"{word} is about the planes of beam lines and portals; a barrel has layers: give bounds to their radius, "
                "half_length or z, or use minimum_gap",
            )
        elif isinstance(term, TotalHeight):
            _check_height(study, name, term, fault)
        elif isinstance(term, Outside):
            _check_outside(study, name, term, fault)


def _check_height(study: "Study", name: str, term: TotalHeight, fault: Fault) -> None:
    """No design is lower than the highest sensor at its lowest, and the lowest at its highest."""
    sensors = [plane for plane in _planes(study) if plane[0].resolution is not None]
    if len(sensors) < 2:
        fault(("constraints", name), f"total_height is from sensor to sensor, and {len(sensors)} of them measure")
        return
    if not study.space.variables:
        return
    tops = [_least(study, lambda s: s.position + s.reach(), element, i) for _, element, i in sensors]
    bottoms = [-_least(study, lambda s: s.reach() - s.position, element, i) for _, element, i in sensors]
    top, bottom = max(tops), min(bottoms)
    if top - bottom > term.max * (1 + 1e-12):
        high, low = sensors[tops.index(top)][0].name, sensors[bottoms.index(bottom)][0].name
        fault(
            ("constraints", name, "max"),
            f"max of {format_quantity(term.max, 'mm')} cannot be met: within the bounds, {high} reaches up to "
            f"{format_quantity(top, 'mm')} at least, and {low} down to {format_quantity(bottom, 'mm')}, which are "
            f"{format_quantity(top - bottom, 'mm')} apart",
        )


def _planes(study: "Study") -> list[tuple[Surface, str, int]]:
    """Each surface, the element that it belongs to, and its number there."""
    return [(s, e.name, i) for e in study.detector.elements for i, s in enumerate(e.surfaces())]


def _least(study: "Study", of: Callable[[Surface], float], element: str, number: int) -> float:
    """The least value within the bounds of something that a surface has."""

    def value(design: Detector) -> float:
        return float(of(design.part(element).surfaces()[number]))

    return extreme(study, value, element)


def _check_outside(study: "Study", name: str, term: Outside, fault: Fault) -> None:
    detector = study.detector
    bodies = [e.name for e in detector.elements if isinstance(e, BODIES)]
    if term.of not in bodies:
        has = f"; it has {', '.join(bodies)}" if bodies else "; there is neither slab nor volume"
        if term.of in detector.names:
            message = f"{term.of} is no slab or volume{has}"
        else:
            message = f"{detector.name} has no element {term.of!r}{near(term.of, bodies) or has}"
        fault(("constraints", name, "of"), message)
        return
    body = detector.part(term.of)  # its place is no variable
    for surface, element, i in _planes(study) if study.space.variables else ():  # one design is only scored
        widest = -_least(study, lambda s: -term.distance(body, s.position, s.reach()), element, i)
        if widest < term.clearance * (1 - 1e-12):
            seen = f"reaches {-widest:.6g} mm into" if widest < 0 else f"is within {widest:.6g} mm of"
            corner = ", with its nearest corner" if surface.reach() else ""
            fault(
                ("constraints", name, "clearance"),
                f"clearance of {term.clearance:g} mm cannot be met: wherever it may stand, {surface.name} {seen} the "
                f"heights of {term.of}{corner}: widen its bounds, or move it in the detector's file",
            )
