"""Rules for studies of beam lines and portals, and what is fixed for all of their designs. Floats only, no JAX."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from detopt.detector.arms import arms_of
from detopt.detector.detector import Detector
from detopt.detector.elements import BODIES
from detopt.scoring.measurements import Peak
from detopt.scoring.places import Outside
from detopt.scoring.terms import BEAM, Coverage
from detopt.simulation.source import Beam, Cosmic, Decay, Gun, Resonance, check_frame, word_of
from detopt.study.corners import extreme
from detopt.study.scene_rules import check_scene_questions
from detopt.study.staging import aim_of

if TYPE_CHECKING:
    from detopt.study.studies import Study

__all__ = ["check_beams"]

Fault = Callable[..., None]


def check_beams(study: "Study", fault: Fault, notes: list[str]) -> None:
    """Note what does not go together in a study of a beam line or portal."""
    detector, source = study.detector, study.source
    if study.mode == "expected":
        fault(("mode",), f"a {detector.frame} is simulated muon by muon: mode: sampled")
    check_scene_questions(study, fault, notes)
    if isinstance(source, Decay):
        fault(
            ("source",),
            f"source {word_of(source)} is for barrels: studies of a {detector.frame} take muons from a resonance",
        )
    elif wrong := check_frame(source, detector.frame):
        fault(("source",), wrong)
    elif isinstance(source, Gun) and source.angles(detector.frame)[0] == source.angles(detector.frame)[1] > 0:
        fault(
            ("source", "theta"),
            "all muons at one angle make a ring, and a score jumps where an edge meets it: give theta a range [from, to]",
        )
    if study.space.variables and study.search.placement == "grid":
        fault(("search", "placement"), "placement: grid is for the radii of barrels")
    if study.physics.bending != "circle":
        fault(("physics", "bending"), "bending: parabola is an approximation for barrels in mode: expected")
    if isinstance(source, Cosmic):
        _check_aim(study, source, fault)
    if isinstance(source, Resonance) and detector.frame == "beamline":
        _check_pairs(study, source, fault)
    _check_peaks(study, fault)
    _check_arms(study, fault)
    _check_terms(study, fault)
    _check_places(study, fault)


def _check_pairs(study: "Study", source: Resonance, fault: Fault) -> None:
    """A pair has a mass where both muons have momenta, and something that carries it sideways."""
    if not any(arm.bends for arm in arms_of(study.detector, study.min_hits)):
        fault(("detector",), "pairs of muons need a magnet between planes that measure: their mass is asked for")
    if study.space.variables and not (source.pz_mean and source.pt_mean):
        fault(
            ("source",),
            "acceptance is felt through resonances that move sideways: give pz_mean and pt_mean, instead of momentum and "
            "direction",
        )
    trigger = study.detector.trigger
    if trigger is not None and trigger.angle is not None:
        fault(("detector",), "trigger.angle is for single muons")


def _check_peaks(study: "Study", fault: Fault) -> None:
    """What is measured is simulated."""
    source = study.source
    for name, term in study.objectives.items():
        if not isinstance(term, Peak):
            continue
        if not isinstance(source, Resonance):
            fault(("objectives", name), f"{name} is about pairs of muons: source: {{type: resonance, …}}")
            continue
        mass, (low, high) = source.shape[0], term.window
        if not low < mass < high:
            fault(
                ("objectives", name, "window"), f"the window does not hold the mass of {source.resonance}, {mass:g} GeV"
            )
        if term.background and source.continuum is None:
            ends = f"[{low:g} GeV, {high:g} GeV]"
            fault(("source",), f"background is to be simulated: give the source a continuum: {ends}")
        elif term.background and not (source.continuum[0] <= low and high <= source.continuum[1]):
            fault(("objectives", name, "window"), "the window reaches beyond the continuum of the source")


def _check_aim(study: "Study", source: Cosmic, fault: Fault) -> None:
    """Cosmic muons cross the same rectangle, whatever the design: others that a design would see are not simulated."""
    try:
        aim = aim_of(study.detector, source)
        for v in study.space.variables:
            values = {w.name: w.init for w in study.space.variables}
            if any(aim_of(study.space.at({**values, v.name: end}), source) != aim for end in (v.lower, v.upper)):
                fault(
                    ("source",),
                    f"cosmic muons aim at {source.aim or 'the highest sensor'}, which {v.name} changes: a design would be "
                    "judged by a rectangle of its own. Name an element that stays as it is: aim: …",
                )
                return
    except ValueError as error:
        fault(("source",), str(error))


def _check_arms(study: "Study", fault: Fault) -> None:
    detector = study.detector
    arms = arms_of(detector, study.min_hits)
    needs_tracks = [n for n, t in study.objectives.items() if hasattr(t, "momentum")]
    if not arms and needs_tracks:
        fault(("detector",), f"{detector.name} has no two planes that measure and could make a track")
        return
    sensors = detector.sensors()
    for arm in arms:
        names = ", ".join(sensors[i].name for i in arm.sensors)
        if len(arm.sensors) < arm.min_hits:
            fault(("tracking", "min_hits"), f"{names} are one track, which cannot have {arm.min_hits} hits")
        if study.min_hits is not None and study.min_hits < 2 + arm.bends:
            fault(("tracking", "min_hits"), f"a track of {names} needs at least {2 + arm.bends} hits")
        for axis in (0, 1):
            measuring = sum((sensors[i].resolution or (None, None))[axis] is not None for i in arm.sensors)
            if needs_tracks and measuring < 2:
                fault(("detector",), f"fewer than two of {names} measure {'xy'[axis]}: they make no track in space")
    trigger = detector.trigger
    if trigger is None:
        return
    if trigger.momentum is not None and not any(arm.bends for arm in arms):
        fault(("detector",), "trigger.momentum needs a magnet between planes that measure")
    if trigger.angle is not None and len(arms) < 2:
        fault(("detector",), "trigger.angle is between two tracks: it needs planes on both sides of a body")
    if trigger.momentum is not None and study.space.variables and not _has_spectrum(study.source):
        fault(
            ("source", "momentum"),
            "a cut on the momentum is felt through muons of about that momentum: give momentum a range [from, to]",
        )


def _has_spectrum(source: Any) -> bool:
    if isinstance(source, Cosmic):
        return True
    if isinstance(source, (Gun, Beam)):
        return bool(source.momentum[0] < source.momentum[1] or getattr(source, "momentum_spread", 0.0))
    return isinstance(source, Resonance) or "momentum" in source.carriers()


def _check_terms(study: "Study", fault: Fault) -> None:
    arms, frame = arms_of(study.detector, study.min_hits), study.detector.frame
    for section, terms in (("objectives", study.objectives), ("constraints", study.constraints)):
        for name, term in terms.items():
            named = hasattr(term, "needs_head") or isinstance(term, Outside)  # of a shape, or of a body
            of = None if named else getattr(term, "of", None)
            if of is not None and of not in BEAM:
                fault((section, name, "of"), f"{of} is of barrels; in a {frame} there are {', '.join(BEAM)}")
            if of == "momentum" and not any(arm.bends for arm in arms):
                fault((section, name, "of"), "momentum needs a magnet between planes that measure")
            if of == "mass" and not isinstance(study.source, Resonance):
                fault((section, name, "of"), "mass is that of a pair: source: {type: resonance, …}")
            if of == "angle" and len(arms) < 2:
                fault((section, name, "of"), "angle is between two tracks: it needs planes on both sides of a body")
            for field in ("momentum", "theta"):
                if getattr(term, field, None) is not None:
                    fault((section, name, field), f"{field} of an objective is for barrels; here the source says it")
            if isinstance(term, Coverage):
                fault((section, name), "coverage is about barrel layers")
            if section == "constraints" and hasattr(term, "momentum"):
                fault(
                    (section, name),
                    f"{name} is a limit on a sampled number, which this search cannot hold exactly: make it an objective",
                )


def _check_places(study: "Study", fault: Fault) -> None:
    """Planes stay on their side of every body and magnet, for all designs within the bounds."""
    detector = study.detector
    solid = [(e.name, e.z) for e in detector.elements if isinstance(e, BODIES)]
    solid += [(m.name, m.z) for m in detector.magnets()]
    for i, surface in enumerate(detector.surfaces()):

        def place(design: Detector, i: int = i) -> float:
            return float(design.surfaces()[i].position)

        low, high = (sign * extreme(study, lambda d, s=sign: s * place(d)) for sign in (1, -1))  # type: ignore[misc]
        for name, (begin, end) in solid:
            if low < end and high > begin and low < high:
                own = next((v for v in study.space.names if v.split(".")[0] == surface.name), study.space.names[0])
                fault(
                    ("variables", own),
                    f"{surface.name} may stand at {low:g} mm to {high:g} mm, and {name} at {begin:g} mm to {end:g} mm: "
                    "keep it on one side",
                )
