"""Does a score follow a number the way its derivative says? Asked of what comes from outside, before a search trusts it.

An element's numbers enter a score through its surfaces and its readouts, and how to differentiate a score to each of these
is known (see `detopt.detector.sensor.Element`). What is left is the way from the numbers to the surfaces. It is plain
arithmetic, unless it rounds, branches or forgets: then the gradient would be wrong without a sign of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jnp
from detopt.detector.bodies import BODIES
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector
from detopt.detector.magnets import Magnet
from detopt.detector.sensor import Surface
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Space, Variable, get, put_all, quantities
from detopt.study.faults import BadInput, Fault
from detopt.study.plugins import is_from_outside
from detopt.study.scans import scan, untraceable
from detopt.study.source_contract import faults_of_source
from detopt.study.stand_ins import view_between
from detopt.study.studies import Study
from detopt.units import format_quantity

__all__ = [
    "answers",
    "check_differentiable",
    "faults_of_element",
    "faults_of_term",
    "numbers_of",
]

# -- what an element answers ---------------------------------------------------------------------------------------------


def answers(part: Any) -> dict[str, Any]:
    """All numbers by which an element enters a score, by name: "position of L0", "area of readout 1"."""
    found: dict[str, Any] = {}
    if hasattr(part, "B"):  # a field, or a magnet
        found["B"] = part.B
    if isinstance(part, (*BODIES, Magnet)):
        found |= {f"{end} end": z for end, z in zip(("lower", "upper"), part.z, strict=True)}
        found |= {f"span {i}": s for i, s in enumerate(getattr(part, "span", None) or ())}
    for surface in part.surfaces() if hasattr(part, "surfaces") else ():
        for item in _SURFACE:
            value = getattr(surface, item)
            for i, number in enumerate(value if isinstance(value, tuple) else (value,)):
                if number is not None:
                    axis = f" {'xy'[i]}" if isinstance(value, tuple) else ""
                    found[f"{item}{axis} of {surface.name}"] = number
    for i, readout in enumerate(part.readouts() if hasattr(part, "readouts") else ()):
        found |= {f"{item} of readout {i + 1}": getattr(readout, item) for item in ("area", "channels", "x_over_X0")}
    return found


_SURFACE = tuple(f.name for f in fields(Surface) if f.name not in ("name", "kind", "material"))


def numbers_of(part: Any) -> list[str]:
    """Names, without the part's own, of all its numbers that could be free: "radius", "pitch.rphi"."""
    names = []
    needs = {second: getattr(part, first) for first, second in getattr(part, "together", ())}
    for field, declared in quantities(type(part)).items():
        value, needed = getattr(part, field), needs.get(field, ())
        if value is None or declared.range or declared.vector or needed is None:
            continue
        if not isinstance(value, tuple):
            names.append(field)
            continue
        beside = needed if isinstance(needed, tuple) and needed else value
        names += [f"{field}.{a}" for a, v, b in zip(part.axes, value, beside, strict=True) if None not in (v, b)]
    return names


def _alone(detector: Detector, part: Any) -> Detector:
    """A detector of one element, or of nothing but the field."""
    if part is detector.field:
        return replace(detector, elements=(), trigger=None)
    return replace(detector, elements=(part,), field=None, trigger=None)


def _answers_to(detector: Detector, part: Any, names: tuple[str, ...]) -> Callable[[Array], Float[Array, " m"]]:
    """What a part answers as a function of the one number behind `names`; all others stand where they are."""
    alone = as_arrays(_alone(detector, part))

    def f(x: Array) -> Array:
        moved = put_all(alone, names, x).part(part.name)
        return jnp.stack([jnp.asarray(v, jnp.float64) for v in answers(moved).values()])

    return f


_ADVICE = (
    "What decides about structure is a whole number, declared with whole(…); all else is arithmetic and functions of "
    "jax.numpy, also of numbers that are not free"
)


def faults_of_element(
    detector: Detector, names: tuple[str, ...], bounds: tuple[float, float], unit: str = ""
) -> list[str]:
    """Why a number of an element cannot be a design variable: one message for each reason.

    Args:
        detector: of floats.
        names: dotted names, all of one element, that move together.
        bounds: from and to, in base units.
        unit: that values are shown in.
    """
    part = detector.part(names[0].split(".")[0])
    what, field = type(part).__name__, names[0].partition(".")[2]
    f = _answers_to(detector, part, names)
    if why := untraceable(f, sum(bounds) / 2, type(part)):
        return [f"{field} of {what} {why}. {_ADVICE}"]
    labels = list(answers(put_all(detector, names, sum(bounds) / 2).part(part.name)))
    found = scan(f, *bounds)
    if not found.finite.all():
        wrong = [label for label, fine in zip(labels, found.finite, strict=True) if not fine]
        return [f"{wrong[0]}, or its derivative to {field} of {what}, is not finite everywhere within the bounds"]
    if found.jumps.any():
        i = int(np.argmax(found.jumps))
        at = format_quantity(float(found.at[i]), unit)
        return [
            f"{labels[i]} does not follow {field} of {what} as its derivative says: near {at} it jumps by "
            f"{abs(found.step[i]):.3g}. A step, rounding or threshold (round, floor, where, sign) has "
            "no derivative that a search could use, and stop_gradient hides one: make it smooth, or fix the number"
        ]
    if not found.change.any():
        return [
            f"nothing follows {field} of {what}: neither surfaces() nor readouts() change with it, so no search can move it "
            "sensibly. Use it there, or leave it fixed"
        ]
    return []


# -- what a term answers -------------------------------------------------------------------------------------------------


def faults_of_term(term: Any, space: Space, prices: Prices) -> list[str]:
    """Why an objective or constraint from outside cannot be followed by a gradient.

    Args:
        term: what `type:` made.
        space: the design variables, around a detector of floats.
        prices: for the cost.
    """
    ask, what = ("value" if hasattr(term, "value") else "excess"), type(term).__name__
    changes = False
    for seed in range(_LINES):
        view = view_between(term, space, prices, seed)

        def f(t: Array, view: Any = view) -> Array:
            answer = getattr(term, ask)(view(t))
            rows = [jnp.asarray(v, jnp.float64) for v in (answer if isinstance(answer, list) else [answer])]
            return jnp.stack(rows) if rows else jnp.zeros(0)

        if why := untraceable(f, 0.5, type(term)) or untraceable(f, 0.5, type(term), staged=True):
            return [f"{ask} of {what} cannot be differentiated: a number {why}"]
        found = scan(f, 0.0, 1.0)
        if not found.finite.all():
            return [f"{ask} of {what}, or its derivative, is not finite for ordinary tracks"]
        if found.jumps.any():
            return [
                f"{ask} of {what} does not follow design and tracks as its derivative says: it jumps by "
                f"{float(np.abs(found.step).max()):.3g} where these hardly change. Cuts, counts and rounding have no "
                "derivative that a search could use: make them smooth"
            ]
        changes |= bool(found.change.any())
    return (
        []
        if changes or ask == "excess" or hasattr(term, "statistics")  # what is seen may change, and nothing else
        else [f"{ask} of {what} follows neither design nor tracks: there is nothing to improve"]
    )


_LINES = 3  # ways through designs and tracks that are tried


def check_differentiable(study: Study) -> None:
    """Refuse what comes from outside where a score could not be compiled, or its gradient would be wrong. Raises BadInput.

    Looked at are the numbers of elements (the free ones: whether derivatives agree with differences within their bounds),
    objectives and constraints, and the source.
    """
    faults = [f for v in study.space.variables for f in _faults_of_variable(study, v)]
    free = {name for v in study.space.variables for name in v.names}
    for part in (*study.detector.elements, study.detector.field):
        for number in numbers_of(part) if is_from_outside(type(part)) and part is not None else ():
            name = f"{part.name}.{number}"
            f = _answers_to(study.detector, part, (name,))
            if name not in free and (why := untraceable(f, get(study.detector, name), type(part))):
                message = f"{name}: {number} of {type(part).__name__} {why}. {_ADVICE}"
                faults.append(Fault(str(study.path), *study.document.position(("detector",)), "detector", message))
    if is_from_outside(type(study.source)) and study.detector.frame != "barrel":
        where = study.document.position(("source",))
        for message in faults_of_source(study.source, study.detector.frame):
            faults.append(Fault(str(study.path), *where, "source", f"{type(study.source).__name__}: {message}"))
    for section, terms in (("objectives", study.objectives), ("constraints", study.constraints)):
        for name, term in terms.items() if study.space.variables and not faults else ():
            if is_from_outside(type(term)):
                where = study.document.position((section, name))
                for message in faults_of_term(term, study.space, study.prices):
                    faults.append(Fault(str(study.path), *where, f"{section}.{name}", message))
    if faults:
        raise BadInput(faults)


def _faults_of_variable(study: Study, variable: Variable) -> Iterator[Fault]:
    detector, bounds = study.detector, (variable.lower, variable.upper)
    where = study.document.position(("variables", variable.name), key=True)
    for part in dict.fromkeys(n.split(".")[0] for n in variable.names):
        names = tuple(n for n in variable.names if n.split(".")[0] == part)
        if not is_from_outside(type(detector.part(part))):
            continue
        for message in faults_of_element(detector, names, bounds, variable.display_unit or variable.unit):
            yield Fault(str(study.path), *where, "variables", f"{names[0]}: {message}")
