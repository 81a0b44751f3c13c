"""Rules about events: what sampled mode, decays and heads need of each other. Floats only, no JAX."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from detopt.inference.heads import HEADS, PortalHead
from detopt.simulation.source import MUON_MASS, Decay, Gun, check_frame, word_of

if TYPE_CHECKING:
    from detopt.study.studies import Study

__all__ = ["check_sampling"]


def check_sampling(study: "Study", fault: Callable[..., None], notes: list[str]) -> None:
    """Note what does not go together."""
    if not isinstance(study.source, (Gun, Decay)):
        word, frames = word_of(study.source), " or ".join(study.source.frames)
        fault(
            ("source",),
            f"source {word} goes with `detopt simulate` and frame {frames} in this version; studies take a gun or a decay",
        )
        return
    if wrong := check_frame(study.source, study.detector.frame):
        fault(("source", "theta"), wrong)
    _check_head(study, fault)
    if isinstance(study.source, Decay):
        _check_decay(study, study.source, fault)
    if study.mode == "expected":
        _check_expected(study, fault)
        return
    if study.physics.bending != "circle":
        fault(
            ("physics", "bending"), "bending: parabola is an approximation of mode: expected; sampled tracks are exact"
        )
    if not study.space.variables:
        return
    if study.search.placement == "grid":
        fault(("search", "placement"), "placement: grid needs mode: expected")
    for name, term in study.constraints.items():
        if hasattr(term, "momentum"):
            fault(
                ("constraints", name),
                f"{name} is a limit on a sampled number, which this search cannot hold exactly: make it an objective, or "
                "use mode: expected",
            )


def _check_head(study: "Study", fault: Callable[..., None]) -> None:
    asked = {n: t for n, t in study.objectives.items() if hasattr(t, "needs_head")}
    for name, term in asked.items():
        kind, needed = type(term).__name__.lower(), term.needs_head
        if needed == "voxels":
            fault(
                ("objectives", name), f"{kind} is about what lies in a volume, which a portal looks into, not a barrel"
            )
            continue
        if study.head is None:
            fault(("objectives", name), f"{kind} needs a head: head: {{type: {needed}}}")
        elif not isinstance(study.head, HEADS[needed]):
            fault(("objectives", name), f"{kind} needs a head of type {needed}")
        if study.mode == "expected":
            fault(("mode",), f"{name} is the loss of a head, which needs events: mode: sampled")
        if not isinstance(study.source, Decay):
            fault(("source",), f"{name} tells displaced muons from prompt ones: it needs source: {{type: decay, …}}")
    if study.head is None:
        return
    if isinstance(study.head, PortalHead):
        fault(("head", "type"), "this head looks into the volume of a portal; in a barrel: type: track or set")
        return
    if not asked:
        fault(("head",), f"no objective uses the head: add one of type {study.head.objective}")
    if isinstance(study.source, Decay):
        low, high = study.source.displaced
        if study.head.objective == "fraction" and not low < high:
            fault(("source", "displaced"), "a fraction is estimated where it differs: displaced: [from, to]")
        if study.head.objective == "discrimination" and low + high != 1:
            fault(
                ("source", "displaced"), "discrimination is between as many displaced as prompt muons: displaced: 50 %"
            )


def _check_decay(study: "Study", source: Decay, fault: Callable[..., None]) -> None:
    place: tuple[Any, ...] = ("source",)
    for p in source.hadron_momentum:
        low, high = source.muon_energies(p)
        least, most = (math.hypot(m, MUON_MASS) for m in source.momentum)
        if least > high or most < low:
            fault(
                (*place, "momentum"),
                f"no muon of a {source.hadron} of {p:g} GeV has such a momentum: their energies are {low:.3g} to "
                f"{high:.3g} GeV",
            )
            return
    reach = {dotted: v.lower for v in study.space.variables for dotted in v.names}
    for element in study.detector.elements:
        for field in ("radius", "inner_radius"):
            radius = getattr(element, field, None)
            least_radius = None if radius is None else min(radius, reach.get(f"{element.name}.{field}", radius))
            if least_radius is not None and least_radius <= source.within:
                fault(
                    (*place, "within"),
                    f"decays within {source.within:g} mm would reach {element.name} at {least_radius:g} mm: they must end "
                    "in front of everything",
                )
                return


def _check_expected(study: "Study", fault: Callable[..., None]) -> None:
    if not isinstance(study.source, Decay):
        return
    for section, terms in (("objectives", study.objectives), ("constraints", study.constraints)):
        for name, term in terms.items():
            if hasattr(term, "momentum") and term.momentum is None:
                fault(
                    (section, name),
                    f"{name} averages over the muons of decays, which needs events: use mode: sampled, or give it a "
                    "momentum",
                )
