"""Rules for `momentum: measured`: whether the panels of a portal can tell the momentum of a muon. Floats only, no JAX."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from detopt.detector.arms import arms_of
from detopt.detector.detector import Detector
from detopt.detector.sensor import Surface
from detopt.study.corners import extreme

if TYPE_CHECKING:
    from detopt.study.studies import Study

__all__ = ["check_measured_momentum"]

_USUAL = 3.0  # GeV: of cosmic muons at sea level about half are slower
_NOTHING = 1e-9  # nats
_HARDLY = 1.0  # nats: odds of e to 1


def check_measured_momentum(study: "Study", fault: Callable[..., None], notes: list[str]) -> None:
    """Refuse what can never tell a momentum, and note what the initial design can tell."""
    slowest = study.source.momentum[0]
    place = ("head", "momentum")

    def lacking(design: Detector) -> float:
        return -_evidence(design, study.min_hits, slowest)

    if -extreme(study, lacking) <= _NOTHING:
        arms = ", and ".join(_told(planes) for planes in _planes(study.detector, study.min_hits))
        fault(
            place,
            "measured takes a muon's momentum from how matter amid three or more planes that measure bends its track, which "
            f"within the bounds tells nothing: {arms}. Add a third plane, give the middle ones their x_over_X0, or say "
            "momentum: unknown",
        )
        return
    momenta = dict.fromkeys((slowest, max(slowest, _USUAL)))
    found = {p: _evidence(study.detector, study.min_hits, p) for p in momenta}
    odds = ", ".join(f"of {p:g} GeV at {_odds(nats)} to 1" for p, nats in found.items())
    advice = ": take thicker or finer panels, or momentum: unknown" if found[slowest] < _HARDLY else ""
    notes.append(
        f"head: momentum: the panels of {study.detector.name} tell a muon {odds} from a much faster one{advice}"
    )


def _odds(nats: float) -> str:
    return f"{math.exp(nats):.2g}" if nats < math.log(100) else "more than 100"


def _told(planes: list[Surface]) -> str:
    names = [s.name for s in planes if s.resolution is not None]
    matter = sum(100 * s.x_over_X0 for s in planes[1:-1])
    return f"{', '.join(names)} are {len(names)} with {matter:.3g} % of X0 in between"


def _planes(detector: Detector, min_hits: int | None) -> list[list[Surface]]:
    """From the first to the last sensor of each arm, downwards."""
    sensors, found = detector.sensors(), []
    for arm in arms_of(detector, min_hits):
        ends = [sensors[i].position for i in arm.sensors]
        within = [s for s in detector.surfaces() if min(ends) <= s.position <= max(ends)]
        if not arm.bends:
            found.append(sorted(within, key=lambda s: -s.position))
    return found


def _evidence(detector: Detector, min_hits: int | None, p: float) -> float:
    """ln of the odds on average at which a vertical muon is told from one that is not scattered, in nats.

    That is 1/2 (tr R^-1 S - ln det (1 + R^-1 S)) for each projection, with the covariances of resolution and of scattering
    of what no straight line explains (Kullback and Leibler). Scattering goes as 13.6 MeV / p times the root of x/X0: to a
    tenth without Highland's logarithm.
    """
    total = 0.0
    for planes in _planes(detector, min_hits):
        kick = 13.6e-3 / p * np.sqrt([float(s.x_over_X0) for s in planes])
        for axis in (0, 1):
            hits = [(s.position, s.resolution[axis]) for s in planes if s.resolution and s.resolution[axis] is not None]
            if len(hits) < 3:
                continue
            z, resolution = np.array(hits, float).T
            moved = np.maximum(np.array([s.position for s in planes])[None] - z[:, None], 0.0) * kick[None]
            # All that is orthogonal to a straight line.
            rest = np.linalg.qr(np.column_stack([np.ones_like(z), z - z.mean()]), mode="complete")[0][:, 2:].T
            scattering = (rest @ moved) @ (rest @ moved).T
            ratio = np.linalg.solve((rest * resolution**2) @ rest.T, scattering)
            total += 0.5 * float(np.trace(ratio) - np.linalg.slogdet(np.eye(len(ratio)) + ratio)[1])
    return total
