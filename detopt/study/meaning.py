"""What no single field of a study can tell: rules across sections, and limits that no design within the bounds can meet.

Floats only: all of it runs before JAX is imported.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from detopt.detector.cost import Prices, cost
from detopt.detector.detector import Detector
from detopt.inference.heads import VoxelHead
from detopt.parameters import quantities
from detopt.scoring.terms import Budget, Cost, Coverage, DataRate, MaterialFloor, MinimumGap, Rejection
from detopt.study.beams import check_beams
from detopt.study.corners import extreme
from detopt.study.room import check_room
from detopt.study.sampling import check_sampling
from detopt.study.schema import near

if TYPE_CHECKING:
    from detopt.study.studies import Study

__all__ = ["check_meaning"]


def check_meaning(study: "Study", fault: Callable[..., None], notes: list[str]) -> None:
    """Rules across sections, and limits that no design within the bounds can meet. Floats only, no JAX."""
    detector = study.detector
    sensors = detector.sensors()
    if noisy := [s.name for s in sensors if s.noise > 0]:
        fault(
            ("detector",),
            f"{', '.join(noisy)} have noise hits: scores put hits to tracks perfectly in this version (`detopt simulate` "
            "searches for them); leave noise out of the detector of a study",
        )
    if study.audit.longest > 1 and not isinstance(study.head, VoxelHead):
        fault(("audit", "longest"), "only heads of type voxels have exposures that could last longer")
    _check_tracks(study, fault)
    if detector.frame == "barrel":
        _check_barrel(study, fault, notes)
    else:
        check_beams(study, fault, notes)
    if study.space.variables:  # a single design is only scored
        _check_limits(study, fault)
    check_room(study, fault)
    _check_prices(study, fault)


def _check_tracks(study: "Study", fault: Callable[..., None]) -> None:
    """What terms ask of tracks that only some detectors and modes know."""
    for name, term in study.objectives.items():
        if isinstance(term, Rejection) and study.detector.frame != "barrel":
            fault(
                ("objectives", name),
                f"rejection is about d0, how far tracks pass the beam in a barrel; this one is a {study.detector.frame}",
            )
        elif isinstance(term, Rejection) and study.mode == "sampled":
            fault(
                ("objectives", name),
                "rejection needs the error of d0 at each momentum and angle: mode: expected (or let a head tell displaced "
                "tracks from prompt ones: {type: discrimination})",
            )
        if isinstance(term, DataRate) and term.triggered and study.detector.frame == "barrel":
            fault(("objectives", name, "triggered"), "barrels have no trigger in this version: triggered: false")


def _check_barrel(study: "Study", fault: Callable[..., None], notes: list[str]) -> None:
    detector = study.detector
    sensors = detector.sensors()
    needed = 2 if detector.field is None else 3
    track = study.min_hits or needed + 1
    if len(sensors) < track and any(hasattr(t, "momentum") for t in study.objectives.values()):
        few = f"{detector.name} has {len(sensors)} layers that measure; a track needs {track} hits"
        advice = f" (with tracking: {{min_hits: {needed}}}, it would need {needed})" if study.min_hits is None else ""
        fault(("detector",), few + advice)
    if study.min_hits is not None and not needed <= study.min_hits <= len(sensors):
        fault(("tracking", "min_hits"), f"min_hits must be {needed} to {len(sensors)} here, got {study.min_hits}")
    if study.mode == "expected" and study.document.data.get("audit"):
        notes.append("audit: expected scores are exact, so no events are spent on an audit")
    check_sampling(study, fault, notes)
    _check_terms(study, fault, notes)


def _check_prices(study: "Study", fault: Callable[..., None]) -> None:
    detector = study.detector
    if not any(_is_cost(t) for t in (*study.objectives.values(), *study.constraints.values())):
        return
    if all(getattr(study.prices, item) is None for item in quantities(Prices)):
        place = next((s, n) for s, ts in _sections(study) for n, t in ts.items() if _is_cost(t))
        fault(place, "a cost term needs prices: cost: {sensor_area: …, channel: …, light_support: …, layer: …}")
        return
    if study.prices.light_support is not None:
        thin = [e.name for e in detector.elements if e.measures and not _least_thickness(study, e.name) > 0]
        if thin:
            fault(
                ("cost", "light_support"),
                f"light supports have a price, so x_over_X0 must stay above 0: {', '.join(thin)}",
            )
            return
    if study.space.variables:
        _check_budget(study, fault)


def _sections(study: "Study") -> tuple[tuple[str, dict[str, Any]], ...]:
    return ("objectives", study.objectives), ("constraints", study.constraints)


def _is_cost(term: Any) -> bool:
    return isinstance(term, (Cost, Budget))


def _check_terms(study: "Study", fault: Callable[..., None], notes: list[str]) -> None:
    detector = study.detector
    fieldless = detector.field is None or detector.field.B == 0
    second_axis = sum(s.resolution is not None and s.resolution[1] is not None for s in detector.sensors())
    for section, terms in _sections(study):
        for name, term in terms.items():
            of = getattr(term, "of", None)
            if of == "pt" and fieldless:
                fault((section, name, "of"), "pt cannot be measured without a magnetic field")
            if of in ("z0", "theta") and second_axis < 2:
                fault(
                    (section, name, "of"),
                    f"{of} needs two layers that measure their second axis; there are {second_axis}",
                )
            if isinstance(term, Coverage) and not any(s.kind == "cylinder" for s in detector.sensors()):
                fault((section, name), "coverage is about barrel layers that measure, and there are none")
            if getattr(term, "elements", None):
                for word in term.elements:
                    if word not in detector.names:
                        hint = near(word, detector.names)
                        fault((section, name, "elements"), f"{detector.name} has no element {word!r}{hint}")
                    elif getattr(detector.part(word), "pitch", None) is None:
                        fault((section, name, "elements"), f"{word} has no pitch, which its floor would follow")
    for variable in study.space.variables:
        if variable.name == "field.B" and not variable.lower * variable.upper > 0:
            fault(("variables", "field.B", "bounds"), "bounds of the field must not hold 0, where pt is not measured")
    if study.prices.channel is not None:
        bare = [e.name for e in detector.elements if e.measures and getattr(e, "pitch", None) is None]
        if bare:
            notes.append(f"cost: {', '.join(bare)} give a resolution and no pitch, so their channels are not counted")
    for element in detector.elements:
        if hasattr(element, "outer_radius") and not _least_width(study, element.name) > 0:
            message = f"within the bounds, {element.name} can have an outer radius that is not beyond its inner one"
            fault(("variables",), message)
    passive = [s for s in detector.surfaces() if s.kind == "cylinder" and s.resolution is None]
    for variable in study.space.variables:
        for wall in passive:
            if variable.name.endswith(".radius") and variable.lower <= wall.position <= variable.upper:
                reach = f"{variable.name} can reach {wall.name} at {wall.position:g} mm"
                notes.append(f"variables: {reach}; minimum_gap looks at layers that measure only")
    if not study.space.variables:
        notes.append("variables: nothing is free; the study can be evaluated, not optimised")


def _least_thickness(study: "Study", name: str) -> float:
    def thickness(design: Detector) -> float:
        return design.part(name).radiation_thickness

    return extreme(study, thickness)


def _least_width(study: "Study", name: str) -> float:
    def width(design: Detector) -> float:
        return design.part(name).outer_radius - design.part(name).inner_radius

    return extreme(study, width)


def _check_budget(study: "Study", fault: Callable[..., None]) -> None:
    def total(design: Detector) -> float:
        return cost(design, study.prices)["total"]

    for name, term in study.constraints.items():
        if isinstance(term, Budget):
            least = extreme(study, total)
            if least > term.max:
                fault(
                    ("constraints", name, "max"),
                    f"max of {term.max:g} kEUR cannot be met: the cheapest design within the bounds costs {least:.6g} kEUR",
                )


def _check_limits(study: "Study", fault: Callable[..., None]) -> None:
    """Gaps and material floors that no design can meet."""
    for name, term in study.constraints.items():
        if isinstance(term, MinimumGap):
            _check_gaps(study, name, term.min, fault)
        elif isinstance(term, MaterialFloor):
            for element in study.detector.elements:
                named = element.name in term.elements or not term.elements
                if named and getattr(element, "pitch", None) is not None:
                    _check_floor(study, name, term, element.name, fault)


def _check_floor(study: "Study", name: str, term: MaterialFloor, element: str, fault: Callable[..., None]) -> None:
    def excess(design: Detector) -> float:
        part = design.part(element)
        return term.floor(part) - part.radiation_thickness

    if extreme(study, excess) > 0:
        fault(("constraints", name), f"{element} lies below the material floor within all of its bounds")


def _check_gaps(study: "Study", name: str, gap: float, fault: Callable[..., None]) -> None:
    """Layers that cannot leave an interval need room for the gaps between them."""
    reach = {dotted: (v.lower, v.upper) for v in study.space.variables for dotted in v.names}
    for position in ("radius", "z"):
        layers = [e for e in study.detector.elements if e.measures and position in quantities(type(e))]
        spans = [reach.get(f"{e.name}.{position}", (getattr(e, position),) * 2) for e in layers]
        for start in sorted({low for low, _ in spans}):
            within = sorted(high for low, high in spans if low >= start)
            for others, end in enumerate(within):
                if others * gap > (end - start) * (1 + 1e-12) + 1e-12:
                    fault(
                        ("constraints", name, "min"),
                        f"min of {gap:g} mm cannot be met: {others + 1} layers stay between {position} {start:g} mm and "
                        f"{end:g} mm, and need {others * gap:g} mm",
                    )
                    return
