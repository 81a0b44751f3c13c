"""Reading `variables`: which numbers of a detector a study frees, binds to others, or fixes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import PydanticCustomError

from detopt.detector.detector import Detector
from detopt.detector.elements import BINARY
from detopt.parameters import Quantity, Variable, declaration, get, put, quantities
from detopt.study.detectors import make_variable
from detopt.study.document import Document, Place
from detopt.study.schema import near, read, read_free, read_number
from detopt.units import format_quantity

__all__ = ["FreeNumber", "VariablesReader", "noted_number"]


@dataclass(frozen=True, kw_only=True)
class FreeNumber:
    """One entry of `variables`."""

    bounds: Any = None
    init: Any = None
    same_for: tuple[str, ...] = ()
    fixed: bool = False


class VariablesReader:
    """Faults go to the document, notes to a list."""

    def __init__(self, document: Document, notes: list[str]) -> None:
        self.document, self.notes = document, notes

    def read(self, data: Any, detector: Detector, declared: list[Variable]) -> tuple[Detector, list[Variable]]:
        """The detector's own variables, then what the study says: the study wins."""
        variables = {v.name: v for v in declared}
        if data is not None and not isinstance(data, dict):
            self.document.fault(("variables",), "variables must be a mapping: L0.radius: {bounds: [20 mm, 40 mm]}")
            return detector, []
        for name, entry in (data or {}).items():
            try:
                detector = self._variable(name, entry, detector, variables)
            except KeyError as error:
                word = name.split(".")[0]
                hint = near(word, [e.name for e in detector.elements]) if word not in detector.names else ""
                self.document.fault(("variables", name), f"{error.args[0]}{hint}", key=True)
        owners: dict[tuple[str, ...], str] = {}
        for variable in variables.values():
            for dotted in variable.names:
                for number in _numbers(detector, dotted):
                    if number in owners:
                        self.document.fault(
                            ("variables", variable.name), f"{dotted} is moved by {owners[number]} already", key=True
                        )
                    owners.setdefault(number, variable.name)
        return detector, list(variables.values())

    def _variable(self, name: str, entry: Any, detector: Detector, variables: dict[str, Variable]) -> Detector:
        """Note one entry of `variables`; returns the detector, changed where the entry fixes a number."""
        place: Place = ("variables", name)
        fields = read(FreeNumber, entry, self.document, place, skip=())
        for dotted in (name, *((fields or {}).get("same_for") or ())):
            detector = self._with_pitch(dotted if "." in dotted else f"{dotted}.{name.partition('.')[2]}", detector)
        current = get(detector, name)
        if fields is None:
            return detector
        declared = declaration(detector, name)
        if fields["fixed"]:
            if fields["bounds"] is not None or fields["same_for"]:
                self.document.fault(place, "fixed: true goes with init or alone, not with bounds or same_for")
            variables.pop(name, None)
            if fields["init"] is not None:
                value = noted_number(fields["init"], declared, self.document, (*place, "init"))
                return detector if value is None else put(detector, name, value)
            return detector
        known = variables.get(name)
        if isinstance(current, tuple):
            self.document.fault(place, f"{name} is a range and cannot be a variable")
            return detector
        if fields["bounds"] is None and known is None:
            self.document.fault(place, "bounds are missing: bounds: [from, to]")
            return detector
        tied = tuple(t if "." in t else f"{t}.{name.partition('.')[2]}" for t in fields["same_for"])
        init, unit = (known.init, known.display_unit) if known else (current, "")
        bounds = (known.lower, known.upper) if known else (0.0, 0.0)
        written = {key: fields[key] for key in ("bounds", "init") if fields[key] is not None}
        if "bounds" in written:
            free = _noting(self.document, place, lambda: read_free(written, declared.unit, declared, init=False))
            if free is None:
                return detector
            bounds, unit = free.bounds, free.unit
            init = init if free.init is None else free.init
        elif "init" in written:
            init = noted_number(written["init"], declared, self.document, (*place, "init"))
            if init is None:
                return detector
        slack = 1e-9 * (bounds[1] - bounds[0])  # of rounding
        if not bounds[0] - slack <= init <= bounds[1] + slack:
            low, high, start = (format_quantity(v, unit, digits=10) for v in (*bounds, init))
            message = f"bounds {low} .. {high} exclude the initial value {start}: widen them, or give init"
            self.document.fault((*place, "bounds"), message)
            return detector
        init = min(max(init, bounds[0]), bounds[1])
        for other in tied:
            if other == name:
                raise KeyError(f"{name} cannot follow itself")
            if other.split(".")[1:] != name.split(".")[1:]:
                raise KeyError(f"{other} cannot follow {name}: same_for ties the same number of other elements")
            value = get(detector, other)
            if fields["init"] is None and value != init:
                self.document.fault(
                    (*place, "same_for"),
                    f"{other} is {format_quantity(value, unit)}, but {name} is {format_quantity(init, unit)}: "
                    "give init, which all of them start from",
                )
                return detector
        variables[name] = make_variable(detector, name, bounds, init, unit, tied)
        return detector

    def _with_pitch(self, dotted: str, detector: Detector) -> Detector:
        """A layer that gives a resolution can still have its pitch freed: the pitch of binary readout belongs to it."""
        name, _, field_name = dotted.partition(".")
        element = detector.part(name)
        if field_name.split(".")[0] != "pitch" or getattr(element, "resolution", None) is None:
            return detector
        pitch = tuple(None if r is None else r / BINARY for r in element.resolution)
        shown = " x ".join(format_quantity(p, "um", digits=4) for p in pitch if p is not None)
        self.notes.append(
            f"variables: {name} gives a resolution; its pitch is taken as {shown} (resolution x sqrt(12))"
        )
        return detector.with_part(name, replace(element, resolution=None, pitch=pitch))


def _noting(document: Document, place: Place, reader: Callable[[], Any]) -> Any:
    """What `reader` returns; None where it refuses, and the fault is noted in the document."""
    try:
        return reader()
    except PydanticCustomError as error:
        context = error.context or {}
        document.fault((*place, *context["inside"]), context["message"])
        return None


def noted_number(text: Any, declared: Quantity, document: Document, place: Place) -> float | None:
    """A number with its unit; None where it cannot be read, and the fault is noted."""
    value: float | None = _noting(document, place, lambda: read_number(text, declared.unit, declared))
    return value


def _numbers(detector: Detector, dotted: str) -> list[tuple[str, ...]]:
    """The single numbers behind a dotted name: both axes of a pair."""
    part, _, rest = dotted.partition(".")
    field_name, _, axis = rest.partition(".")
    element = detector.part(part)
    if quantities(type(element))[field_name].axes:
        return [(part, field_name, a) for a in ((axis,) if axis else element.axes)]
    return [(part, field_name)]
