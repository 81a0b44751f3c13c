"""What simulations read off a beam line or portal: where particles start, what they aim at, what makes a track."""

import math

from detopt.detector.detector import Detector
from detopt.detector.elements import Magnet, Slab
from detopt.reconstruction.arms import Arm
from detopt.simulation.draws import Aim
from detopt.simulation.source import Cosmic

__all__ = ["aim_of", "arms_of", "start_of"]

_MARGIN = 10.0  # mm between where particles start and the first element


def arms_of(detector: Detector) -> tuple[Arm, ...]:
    """One track through all of a beam line; in a portal, one above and one below each body."""
    forward = -1 if detector.frame == "portal" else 1
    sensors = [(forward * s.position, i) for i, s in enumerate(detector.sensors())]
    bodies = [forward * sum(e.z) / 2 for e in detector.elements if isinstance(e, Slab) and detector.frame == "portal"]
    groups: dict[int, list[tuple[float, int]]] = {}
    for z, i in sorted(sensors):
        groups.setdefault(sum(b < z for b in bodies), []).append((z, i))
    arms = []
    for group in groups.values():
        first, last = group[0][0], group[-1][0]
        bends = any(m.B != 0 and first < sum(m.z) / 2 < last for m in detector.magnets())
        if len(group) >= 2 + bends:
            arms.append(Arm(tuple(i for _, i in group), bends, 2 + bends))
    return tuple(arms)


def start_of(detector: Detector) -> float:
    """Where particles start: before the first element of a beam line, above the highest of a portal."""
    forward = -1 if detector.frame == "portal" else 1
    ends = []
    for s in detector.surfaces():
        width, height = s.span or (0.0, 0.0)
        reach = abs(math.sin(s.tilt[0])) * height / 2 + abs(math.sin(s.tilt[1])) * width / 2
        ends.append(forward * s.position - reach)
    bodies = [e for e in detector.elements if isinstance(e, (Slab, Magnet))]
    ends += [forward * z for e in (*bodies, *detector.magnets()) for z in e.z]
    return forward * (min(ends) - _MARGIN)


def aim_of(detector: Detector, source: Cosmic) -> Aim:
    """The rectangle that cosmic muons are to cross: that of the element the source names, or of the highest sensor.

    Raises:
        ValueError: there is none; the message says what to do.
    """
    planes = {s.name: s for s in detector.surfaces() if s.span is not None}
    slabs = {e.name: e for e in detector.elements if isinstance(e, Slab) and e.span is not None}
    if source.aim:
        if source.aim in slabs:
            return Aim(max(slabs[source.aim].z), (0.0, 0.0), slabs[source.aim].span)
        if source.aim not in planes:
            raise ValueError(
                f"aim: {detector.name} has no {source.aim!r} with a span; it has {', '.join({**planes, **slabs})}"
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
