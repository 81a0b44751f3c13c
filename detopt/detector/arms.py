"""Which sensors of a beam line or portal make a track together. No JAX."""

from dataclasses import dataclass

from detopt.detector.detector import Detector
from detopt.detector.elements import BODIES

__all__ = ["Arm", "arms_of"]


@dataclass(frozen=True)
class Arm:
    """Planes of which one track is made, in the order of the flight, as numbers into the sensors."""

    sensors: tuple[int, ...]
    bends: bool  # a magnet between them: the track has a momentum
    min_hits: int


def arms_of(detector: Detector, min_hits: int | None = None) -> tuple[Arm, ...]:
    """One track through all of a beam line; in a portal, one above and one below each body.

    `min_hits` make a track, or as many as the fit needs.
    """
    forward = -1 if detector.frame == "portal" else 1
    sensors = [(forward * s.position, i) for i, s in enumerate(detector.sensors())]
    bodies = [forward * sum(e.z) / 2 for e in detector.elements if isinstance(e, BODIES) and detector.frame == "portal"]
    groups: dict[int, list[tuple[float, int]]] = {}
    for z, i in sorted(sensors):
        groups.setdefault(sum(b < z for b in bodies), []).append((z, i))
    arms = []
    for group in groups.values():
        first, last = group[0][0], group[-1][0]
        bends = any(m.B != 0 and first < sum(m.z) / 2 < last for m in detector.magnets())
        if len(group) >= 2 + bends:
            arms.append(Arm(tuple(i for _, i in group), bends, min_hits or 2 + bends))
    return tuple(arms)
