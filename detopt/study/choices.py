"""Reading `choices`: what is one of several things, such as the number of layers, a technology or a hit rule.

An option is a change of the study's own YAML. So each combination is an ordinary study, which everything works on.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from detopt.detector.sensor import Sensor
from detopt.study.document import Document, Place
from detopt.study.schema import near
from detopt.study.write import dump_yaml, load_yaml

__all__ = ["Options", "edited", "read_choices"]

# By choice and option what that changes: dotted name and value, or `without` and a list of elements.
Options = dict[str, dict[str, dict[str, Any]]]

MOST = 1_000_000  # combinations
_SECTIONS = ("tracking", "source", "physics", "cost")  # of a study, whose numbers an option may set
_PARTS = ("field", "trigger")


def read_choices(data: Any, document: Document, detector: Any, free: Iterable[str], taken: Iterable[str]) -> Options:
    """Every option of every choice; faults go to the document.

    Args:
        data: what stands at `choices`.
        document: where.
        detector: as drawn; None where it could not be read.
        free: names of the numbers that are design variables.
        taken: names that no choice may have; those of objectives.
    """
    if data is None:
        return {}
    if not isinstance(data, dict):
        document.fault(("choices",), "choices must be a mapping: layers: {seven: {}, six: {without: [L4]}}")
        return {}
    found: Options = {}
    for name, entry in data.items():
        place: Place = ("choices", name)
        if not re.fullmatch(r"\w[\w -]{0,39}", name):
            document.fault(place, "a choice's name has letters, digits, spaces, _ or -", key=True)
        elif name in taken:
            document.fault(place, f"{name} is an objective as well: give one of them another name", key=True)
        elif not isinstance(entry, dict) or len(entry) < 2:
            document.fault(place, f"{name} needs two options or more: {{seven: {{}}, six: {{without: [L4]}}}}")
        else:
            found[name] = {o: _option(changes, document, (*place, o), detector) for o, changes in entry.items()}
            for option, changes in found[name].items():
                for dotted in changes:
                    if moved := [v for v in free if v == dotted or v.startswith(f"{dotted}.")]:
                        message = f"{moved[0]} is a design variable, and no option can set it as well"
                        document.fault((*place, option, dotted), message, key=True)
    if (number := math.prod(map(len, found.values()))) > MOST:
        document.fault(("choices",), f"{number} combinations are more than the {MOST} that can be searched")
    return found


def _option(changes: Any, document: Document, place: Place, detector: Any) -> dict[str, Any]:
    if changes is None:
        changes = {}
    if not isinstance(changes, dict):
        document.fault(place, "an option says what it changes: {L5.pitch: 80 um}, {without: [L4]}, or {} for nothing")
        return {}
    names = [] if detector is None else [e.name for e in detector.elements]
    for dotted, value in changes.items():
        here = (*place, dotted)
        if dotted == "without":
            if not isinstance(value, list) or not value:
                document.fault(here, "without lists the elements that are not there: [L4]")
            elif detector is not None:
                for i, name in enumerate(value):
                    if name not in names:
                        document.fault((*here, i), f"no element {name!r}{near(name, names)}")
            continue
        first, *rest = dotted.split(".")
        known = (*names, *_PARTS, *_SECTIONS)
        if detector is not None and (first not in known or len(rest) != 1):
            hint = near(first, known) if first not in known else ", as in L5.pitch: {rphi: 80 um, z: 10 cm}"
            document.fault(here, f"{dotted!r} is no number of an element or of {', '.join(_SECTIONS)}{hint}", key=True)
        elif value is None:
            document.fault(here, f"{dotted} needs a value, such as 80 um")
    return changes


def edited(text: str, options: Options, chosen: Mapping[str, str]) -> str:
    """The YAML of a study, its detector inside, with one option of each choice; without its choices.

    What belongs to elements that are not there goes with them: their variables, and their names in `same_for` and in lists
    of `elements`.
    """
    study = load_yaml(text)
    study.pop("choices", None)
    gone: set[str] = set()
    for name, option in chosen.items():
        for dotted, value in options[name][option].items():
            if dotted == "without":
                gone |= set(value)
            else:
                _set(study, dotted, value)
    _remove(study, gone)  # last: one choice may set what another does without
    return dump_yaml(study)


def _set(study: Any, dotted: str, value: Any) -> None:
    detector, (owner, field) = study["detector"], dotted.split(".")
    elements = {e["name"]: e for e in detector["elements"]}
    if owner not in elements:
        holder = detector[owner] if owner in _PARTS else study.setdefault(owner, {})
        holder[field] = value
        return
    # What says the same in another way goes, and what belongs to that.
    for either in Sensor.choices:
        for other in set(either) - {field} if field in either else ():
            for name in (other, *(second for first, second in Sensor.together if first == other)):
                elements[owner].pop(name, None)
    elements[owner][field] = value


def _remove(study: Any, names: set[str]) -> None:
    detector = study["detector"]
    detector["elements"] = [e for e in detector["elements"] if e["name"] not in names]

    def gone(name: str) -> bool:
        return name.split(".")[0] in names

    variables = study.get("variables") or {}
    for name in list(variables):
        entry = variables[name]
        tied = [t for t in entry.get("same_for", ()) if not gone(t)]
        if "same_for" in entry:
            entry["same_for"] = tied
        if not gone(name):
            continue
        del variables[name]
        if tied:  # the first that is left leads the others
            leader, *others = tied
            leader = leader if "." in leader else f"{leader}.{name.partition('.')[2]}"
            variables[leader] = {**entry, "same_for": others}
    for rival in (study.get("rivals") or {}).values():
        for name in [n for n in rival if gone(n)]:
            del rival[name]
    for section in ("constraints", "objectives"):
        for term in (study.get(section) or {}).values():
            if isinstance(term, dict) and "elements" in term:
                term["elements"] = [e for e in term["elements"] if e not in names]
