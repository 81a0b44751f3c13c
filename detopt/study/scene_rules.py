"""Rules for what a study of a portal asks about the scenes in its volume. Floats only, no JAX."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from detopt.detector.arms import arms_of
from detopt.detector.bodies import Volume
from detopt.detector.random_scenes import RandomFilling
from detopt.inference.heads import PortalHead, VoxelHead
from detopt.scoring.scene_terms import Detection, Estimate, ImageError
from detopt.simulation.source import Cosmic
from detopt.study.panel_rules import check_measured_momentum
from detopt.study.questions import volume_of

if TYPE_CHECKING:
    from detopt.study.studies import Study

__all__ = ["check_scene_questions"]

_FEW = 50  # muons of an exposure; below, most voxels see none


def check_scene_questions(study: "Study", fault: Callable[..., None], notes: list[str]) -> None:
    """Note what does not go together."""
    asked = {n: t for n, t in study.objectives.items() if hasattr(t, "needs_head")}
    head = study.head
    if head is None:
        for name in asked:
            kind = asked[name].needs_head
            fault(("objectives", name), f"{name} is what a head finds out: head: {{type: {kind}, muons: 1000}}")
        return
    if not isinstance(head, PortalHead):
        fault(("head", "type"), "this head looks at tracks of a barrel; in a portal: type: voxels or deep_set")
        return
    if not asked:
        fault(("head",), "no objective uses the head: add one of type detection, estimate or image")
    if len(asked) > 1:
        fault(("objectives", list(asked)[1]), f"one question a head: {' and '.join(asked)} would need two")
    for name, term in asked.items():
        if term.needs_head != "voxels":
            fault(
                ("objectives", name),
                f"{name} is about muons of decays: it needs a barrel and source: {{type: decay, …}}",
            )
            return
    volumes = [e for e in study.detector.elements if isinstance(e, Volume)]
    random = [v for v in volumes if isinstance(v.scene, RandomFilling)]
    if len(random) != 1 or len(volumes) != 1:
        found = f"{len(random)} of {len(volumes)} volumes have scenes at random" if volumes else "there is no volume"
        fault(
            ("detector",),
            f"a head learns from scenes at random, in one volume, and here {found}: scene: {{type: random, …}}",
        )
        return
    if len(arms_of(study.detector, study.min_hits)) != 2:
        fault(("detector",), "a head of a portal needs tracks above and below the volume")
    if not isinstance(study.source, Cosmic):
        fault(("source",), "exposures are of cosmic muons: source: {type: cosmic, …}")
    elif study.source.sampling != "natural":
        fault(("source", "sampling"), "a head looks at muons as they come: sampling: natural")
    if study.space.variables and any(v.split(".")[0] == random[0].name for v in study.space.names):
        fault(("variables",), f"the scenes of {random[0].name} are drawn for the volume as it is: leave it fixed")
    elif head.momentum == "measured":
        check_measured_momentum(study, fault, notes)
    if 0 < head.exposure < _FEW:
        fault(("head", "muons"), f"{head.exposure} muons are fewer than a head of a portal needs: at least {_FEW}")
    for name, term in asked.items():
        if isinstance(term, ImageError) and not isinstance(head, VoxelHead):
            fault(("head", "type"), f"{name} asks for a map, which a head makes voxel by voxel: type: voxels")
        _check_question(study, name, term, fault)
    budget = study.audit.head_events / max(head.exposure, 1)
    if head.exposure and budget < 20 * head.together:
        fault(
            ("audit", "head_events") if "audit" in study.document.data else ("head",),
            f"{study.audit.head_events} muons are {budget:.0f} exposures, too few to train a head on: at least "
            f"{20 * head.together * head.exposure} (head_events)",
        )


def _check_question(study: "Study", name: str, term: Any, fault: Callable[..., None]) -> None:
    volume = volume_of(study.detector)
    assert volume is not None
    scene = volume.scene.scene
    if isinstance(term, Detection):
        maybe = [s.name for s in scene.shapes if s.name and 0 < s.present < 1]
        if term.of not in maybe:
            known = f"those are {', '.join(maybe)}" if maybe else "give one a name and, say, present: 50 %"
            fault(("objectives", name, "of"), f"no shape {term.of!r} of {volume.name} is there sometimes; {known}")
    if isinstance(term, Estimate) and term.of not in scene.ranges:
        known = ", ".join(scene.ranges) or "none: give a shape a name, and a number a range [from, to]"
        fault(
            ("objectives", name, "of"), f"{term.of!r} differs from scene to scene in none of them; what does: {known}"
        )
    if (
        isinstance(term, Estimate)
        and (shape := term.of.split(".")[0])
        and any(s.name == shape and s.present < 1 for s in scene.shapes)
    ):
        fault(
            ("objectives", name, "of"), f"{shape} is not always there, and {term.of} then means nothing: present: 100 %"
        )
