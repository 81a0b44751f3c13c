"""Reading a detector: YAML to a `Detector` of floats and the variables that it declares itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from detopt.detector.detector import FIELDS, Detector
from detopt.detector.elements import BODIES, ELEMENTS, BarrelStack, Volume
from detopt.detector.magnets import Dipole
from detopt.detector.overlap import stands_in
from detopt.detector.trigger import Trigger
from detopt.materials import Material
from detopt.parameters import Variable, declaration, quantities
from detopt.study.document import Document, Place
from detopt.study.filling import read_scene
from detopt.study.plugins import is_from_outside, made, part_faults
from detopt.study.schema import Free, read, read_choice, read_file
from detopt.study.user_materials import read_materials

__all__ = ["DetectorFile", "make_variable", "open_detector", "read_detector"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class DetectorFile:
    """The keys of a detector file."""

    name: str
    frame: Literal["barrel", "beamline", "portal"]
    elements: Any
    field: Any = None
    trigger: Any = None
    materials: Any = None
    source_reference: str = ""
    description: str = ""


def read_detector(document: Document, place: Place = ()) -> tuple[Detector | None, list[Variable]]:
    """Read a detector (a whole document, or a mapping inside one); faults are noted in the document.

    Returns:
        The detector, or None where anything is wrong, and its variables.
    """
    data = document.data
    for step in place:
        data = data[step]
    top = read_file(DetectorFile, data, document, place)
    if not isinstance(data, dict):
        return None, []
    frame = data.get("frame")
    materials = read_materials(data.get("materials"), document, (*place, "materials"))
    frees: list[tuple[str, Free]] = []

    field = None
    if data.get("field") is not None:
        at = (*place, "field")
        chosen = read_choice(FIELDS, data["field"], document, at, "field", free=True)
        field = _build(chosen, "field", frees, document, at)
        frames = () if chosen is None else getattr(chosen[0], "frames", ())
        if frames and frame in ("barrel", "beamline", "portal") and frame not in frames:
            word, right = data["field"]["type"], " or ".join(frames)
            document.fault((*at, "type"), f"field: a {word} goes with frame: {right}, not {frame}")
        if isinstance(field, Dipole):
            _check_geometry(field, document, at)

    trigger = None
    if data.get("trigger") is not None:
        at = (*place, "trigger")
        fields = read(Trigger, data["trigger"], document, at, skip=(), free=True)
        trigger = _build((Trigger, fields), "trigger", frees, document, at)
        if frame == "barrel":
            document.fault(at, "trigger goes with frame: beamline or portal, not barrel")
        if trigger is not None and trigger.momentum is None and trigger.angle is None:
            document.fault(at, "trigger needs a momentum or an angle to cut at")

    elements = []
    if "elements" in data:  # reported as missing otherwise
        elements = _read_elements(data["elements"], frame, document, (*place, "elements"), frees, materials)
    if top is None or document.faults:
        return None, []
    detector = Detector(
        name=top["name"],
        frame=top["frame"],
        elements=tuple(elements),
        field=field,
        trigger=trigger,
        source_reference=top["source_reference"],
        description=top["description"],
    )
    declared = [
        make_variable(detector, name, free.bounds, free.init, free.unit)
        for name, free in frees
        if free.bounds is not None and free.init is not None
    ]
    return detector, declared


def make_variable(
    detector: Detector, name: str, bounds: tuple[float, float], init: float, unit: str, tied: tuple[str, ...] = ()
) -> Variable:
    """A variable for a dotted name; wide ranges of positive numbers are searched on a logarithmic scale."""
    low, high = bounds
    return Variable(
        name=name,
        lower=low,
        upper=high,
        init=init,
        unit=declaration(detector, name).unit,
        display_unit=unit,
        names=(name, *tied),
        log=low > 0 and high / low >= 4,
    )


def _read_elements(
    data: Any, frame: Any, document: Document, place: Place, frees: list, materials: Mapping[str, Material]
) -> list[Any]:
    if not isinstance(data, list) or not data:
        document.fault(place, "elements must be a list of at least one element: - {name: …, type: …, …}")
        return []
    elements = []
    seen: dict[str, int] = {}
    for i, entry in enumerate(data):
        at = (*place, i)
        chosen = read_choice(ELEMENTS, entry, document, at, "element", free=True, materials=materials)
        if not isinstance(entry, dict):
            continue
        name = entry.get("name")
        if isinstance(name, str):
            if not _NAME.fullmatch(name) or name in ("field", "trigger"):
                document.fault(
                    (*at, "name"),
                    f"name {name!r} must be a word of letters, digits, _ and -, and not 'field' or 'trigger'",
                )
            if name in seen:
                document.fault((*at, "name"), f"name {name!r} is taken by element {seen[name] + 1} already")
            seen.setdefault(name, i)
        if chosen is None:
            continue
        _check_element(chosen[0], entry, frame, document, at)
        if chosen[0] is Volume and chosen[1] is not None:
            scene = entry.get("scene")
            if "voxels" not in entry and not (isinstance(scene, dict) and scene.get("type") == "file"):
                document.fault((*at, "voxels"), "voxels is missing")
                continue
            filling = read_scene(scene, chosen[1], document, (*at, "scene"), materials)
            if filling is None:
                continue
            chosen[1].update(scene=filling, voxels=filling.voxels)
        element = _build(chosen, name, frees, document, at)
        if element is not None:
            _check_geometry(element, document, at)
            if is_from_outside(type(element)) and frame in element.frames:
                for message in part_faults(element, frame):
                    document.fault((*at, "type"), message)
            elements.append(element)
    surfaces = [] if document.faults else [s.name for e in elements for s in e.surfaces()]
    for i, element in enumerate(elements if surfaces else ()):
        own = [s.name for s in element.surfaces()]
        taken = {n for n in surfaces if surfaces.count(n) > 1} & set(own)
        if taken and own != [element.name]:
            what = "layers of this stack" if isinstance(element, BarrelStack) else f"surfaces of {element.name}"
            document.fault((*place, i), f"the {what} are called {', '.join(sorted(taken))} like others")
    if not document.faults:
        _check_bodies(elements, document, place)
    return elements


def _build(
    chosen: tuple[type, dict[str, Any] | None] | None, name: Any, frees: list, document: Document, place: Place
) -> Any:
    """The element with initial values; its free numbers are added to `frees`."""
    if chosen is None or chosen[1] is None:
        return None
    cls: Any = chosen[0]
    fields = chosen[1]
    assert fields is not None
    values = dict(fields)
    for field in quantities(cls):
        value = values[field]
        if isinstance(value, Free):
            frees.append((f"{name}.{field}", value))
            values[field] = value.init
        elif isinstance(value, tuple) and any(isinstance(v, Free) for v in value):
            if value[0] is value[1]:
                frees.append((f"{name}.{field}", value[0]))
            else:
                for axis, v in zip(cls.axes, value, strict=True):
                    if isinstance(v, Free):
                        frees.append((f"{name}.{field}.{axis}", v))
            values[field] = tuple(v.init if isinstance(v, Free) else v for v in value)
    return made(cls, values, document.fault, place)


def _check_element(cls: Any, entry: dict[str, Any], frame: Any, document: Document, place: Place) -> None:
    """Cross-field rules, on what was written: they hold also where another field is wrong."""
    if frame in ("barrel", "beamline", "portal") and frame not in cls.frames:
        document.fault((*place, "type"), f"{entry['type']} goes with frame: {' or '.join(cls.frames)}, not {frame}")
    for first, second in getattr(cls, "choices", ()):
        if first in entry and second in entry:
            document.fault((*place, second), f"give {first} or {second}, not both", key=True)
    for first, second in getattr(cls, "together", ()):
        if second in entry and first not in entry:
            document.fault((*place, second), f"{second} needs {first} beside it", key=True)
    if "material" in entry and "thickness" not in entry and "thickness" in quantities(cls):
        document.fault((*place, "material"), "material needs thickness beside it", key=True)


_TOUCH = 1e-6  # mm
_RISING = (("inner_radius", "outer_radius"),)


def _check_geometry(element: Any, document: Document, place: Place) -> None:
    for low, high in _RISING:
        if hasattr(element, low) and not getattr(element, low) < getattr(element, high):
            document.fault((*place, high), f"{high} must be larger than {low}")
    if "z" in quantities(type(element)) and quantities(type(element))["z"].range and not element.z[0] < element.z[1]:
        document.fault((*place, "z"), "z must be [from, to] with from < to")
    if getattr(element, "count", 1) < 1:
        document.fault((*place, "count"), f"count must be at least 1, got {element.count}")
    if getattr(element, "count", 1) > 1000:
        document.fault((*place, "count"), f"count must be at most 1000, got {element.count}")


def _check_bodies(elements: list[Any], document: Document, place: Place) -> None:
    """Nothing may stand inside a slab or volume: where would its matter be?"""
    for i, body in enumerate(elements):
        if not isinstance(body, BODIES):
            continue
        low, high = body.z[0] + _TOUCH, body.z[1] - _TOUCH
        for other in elements[:i] + elements[i + 1 :]:
            if isinstance(other, BODIES):
                inside = other.z[0] < high and other.z[1] > low
            else:
                inside = any(stands_in(s, body) for s in other.surfaces())
            if inside:
                where = "size" if isinstance(body, Volume) else "z"
                document.fault(
                    (*place, i, where),
                    f"{other.name} stands inside {body.name}, which reaches from z = {body.z[0]:g} mm to {body.z[1]:g} mm: "
                    "slabs and volumes may touch, not overlap, and planes stay out of them with all corners",
                )
                return


def open_detector(path: Path) -> tuple[Detector, list[Variable]]:
    """Read a detector file. Raises BadInput."""
    document = Document(path)
    detector, variables = read_detector(document)
    document.raise_faults()
    assert detector is not None
    return detector, variables
