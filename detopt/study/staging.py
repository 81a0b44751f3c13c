"""What simulations read off a beam line or portal: where particles start, and what they aim at. No JAX."""

from typing import TYPE_CHECKING

from detopt.detector.detector import Detector
from detopt.detector.elements import BODIES, Magnet
from detopt.simulation.source import Cosmic
from detopt.simulation.start import Aim, Start
from detopt.study.corners import extreme

if TYPE_CHECKING:
    from detopt.study.studies import Study

__all__ = ["aim_of", "fixed_start", "start_of"]

_MARGIN = 10.0  # mm between where particles start and the first element


def start_of(detector: Detector) -> float:
    """Where particles start: before the first element of a beam line, above the highest of a portal."""
    forward = -1 if detector.frame == "portal" else 1
    ends = [forward * s.position - s.reach() for s in detector.surfaces()]
    bodies = [e for e in detector.elements if isinstance(e, (*BODIES, Magnet))]
    ends += [forward * z for e in (*bodies, *detector.magnets()) for z in e.z]
    return forward * (min(ends) - _MARGIN)


def aim_of(detector: Detector, source: Cosmic) -> Aim:
    """The rectangle that cosmic muons are to cross: that of the element the source names, or of the highest sensor.

    Raises:
        ValueError: there is none; the message says what to do.
    """
    planes = {s.name: s for s in detector.surfaces() if s.span is not None}
    bodies = {e.name: e for e in detector.elements if isinstance(e, BODIES) and e.span is not None}
    if source.aim:
        if source.aim in bodies:
            body = bodies[source.aim]
            return Aim(max(body.z), body.centre, body.span)
        if source.aim not in planes:
            raise ValueError(
                f"aim: {detector.name} has no {source.aim!r} with a span; it has {', '.join({**planes, **bodies})}"
            )
        chosen = planes[source.aim]
    else:
        sensors = [s for s in planes.values() if s.resolution is not None] or list(planes.values())
        if not sensors:
            raise ValueError(
                f"{detector.name} has no plane that cosmic muons could cross: name a slab with a span as aim"
            )
        chosen = max(sensors, key=lambda s: s.position)
    assert chosen.span is not None
    if any(chosen.tilt):
        raise ValueError(f"cosmic muons aim at horizontal rectangles, and {chosen.name} is tilted: name another as aim")
    return Aim(chosen.position, chosen.centre, chosen.span)


def fixed_start(study: "Study") -> Start:
    """Where the particles of a study start, the same for all designs within its bounds: before, or above, all of them."""
    frame, source = study.detector.frame, study.source
    forward = -1 if frame == "portal" else 1
    z = forward * extreme(study, lambda d: forward * start_of(d))
    return Start(frame, z, aim_of(study.detector, source) if isinstance(source, Cosmic) else None)
