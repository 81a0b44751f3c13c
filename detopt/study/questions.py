"""What a study of a portal asks about its scenes, and the volume that they lie in."""

from dataclasses import replace
from typing import TYPE_CHECKING

from detopt.detector.bodies import Volume
from detopt.detector.random_scenes import RandomFilling
from detopt.inference.heads import PortalHead, VoxelHead
from detopt.inference.questions import Grid, Question
from detopt.scoring.scene_terms import Detection, Estimate, ImageError
from detopt.simulation.source import Cosmic
from detopt.study.staging import aim_of

if TYPE_CHECKING:
    from detopt.detector.detector import Detector
    from detopt.study.studies import Study

__all__ = ["asked_of_head", "grid_of", "question_of", "seconds_per_muon", "volume_of", "with_exposures"]


def volume_of(detector: "Detector") -> Volume | None:
    """The volume with scenes at random, or None."""
    return next((e for e in detector.elements if isinstance(e, Volume) and isinstance(e.scene, RandomFilling)), None)


def grid_of(study: "Study") -> Grid:
    """The voxels that sums are made for, of the head or else of its baseline."""
    volume, head = volume_of(study.detector), study.head
    assert volume is not None
    corner, size = ((float(a), float(b), float(c)) for a, b, c in (volume.corner, volume.size))
    if not isinstance(head, VoxelHead):
        return Grid(corner, size, volume.voxels, VoxelHead().bins)
    return Grid(corner, size, head.grid if any(head.grid) else volume.voxels, head.bins)


def question_of(study: "Study") -> Question:
    """What the objective of the head asks; the rules of a study see to it that there is one."""
    term = next(t for t in study.objectives.values() if getattr(t, "needs_head", "") == "voxels")
    if isinstance(term, ImageError):
        return Question("map")
    if isinstance(term, Detection):
        return Question("presence", term.of)
    assert isinstance(term, Estimate)
    volume = volume_of(study.detector)
    assert volume is not None
    low, high = volume.scene.scene.ranges[term.of]
    return Question("number", term.of, low, high, term.unit)


def asked_of_head(study: "Study") -> str:
    """The `type` of the objective that the head works for."""
    assert study.head is not None
    kinds = {"presence": "detection", "number": "estimate", "map": "image"}
    return kinds[question_of(study).kind] if isinstance(study.head, PortalHead) else study.head.objective


def seconds_per_muon(study: "Study") -> float:
    """How long it takes on average until the next cosmic muon crosses what is aimed at."""
    from detopt.simulation.cosmic_rays import expected_number

    source = study.source
    assert isinstance(source, Cosmic)
    return source.seconds / expected_number(source, aim_of(study.detector, source))


def with_exposures(study: "Study") -> "Study":
    """The study with a head that knows how many muons an exposure has: where it does not say, what the source brings."""
    head, source = study.head, study.source
    if not isinstance(head, PortalHead) or head.muons or not isinstance(source, Cosmic):
        return study
    from detopt.simulation.cosmic_rays import expected_number  # only here does a study need JAX to be read

    try:
        aim = aim_of(study.detector, source)
    except ValueError:  # reported by the rules
        return study
    return replace(study, head=replace(head, muons=max(round(expected_number(source, aim)), 1)))
