"""pydantic models made from the declarations of elements, sources and terms: nothing is written twice.

A model checks one mapping of a YAML document. Numbers come back in base units; a number that is written as a mapping
(`{init: 30 cm, bounds: [20 cm, 60 cm]}`) comes back as `Free`.
"""

import dataclasses
import functools
import re
import typing
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
)
from pydantic_core import PydanticCustomError

from detopt.materials import MATERIALS, Material
from detopt.parameters import Quantity, Whole, quantities
from detopt.scoring.terms import UNITS
from detopt.study.document import Document, Place
from detopt.study.faults import near
from detopt.study.json_values import json_of_quantity, json_of_type
from detopt.study.plugins import PluginError, is_plugin, load_class
from detopt.units import UnitError, parse_quantity, split_quantity

__all__ = [
    "Free",
    "near",
    "read",
    "read_choice",
    "read_density",
    "read_file",
    "read_free",
    "read_number",
    "sentence",
]


@dataclass(frozen=True)
class Free:
    """A number that may change: {init, bounds}, in base units; `unit` is the one the user wrote."""

    init: float | None
    bounds: tuple[float, float] | None
    unit: str


_CHOICES = (
    "what is chosen is said once, in the study: choices: {inner: {fine: {L0.pitch: 20 um}, coarse: {L0.pitch: 80 um}}}"
)


def _refuse(message: str, *inside: Any) -> PydanticCustomError:
    """An error at a place inside the value: `inside` are further keys and indices."""
    return PydanticCustomError("fault", "{message}", {"message": message, "inside": inside})


# -- numbers -----------------------------------------------------------------------------------------------------------


def read_number(value: Any, unit: str, declared: Quantity | None, *inside: Any) -> float:
    """Read one number with its unit and range; raises PydanticCustomError."""
    if not isinstance(value, str):
        raise _refuse(f"expected a number, got {_kind(value)}", *inside)
    try:
        number = parse_quantity(value, unit)
    except UnitError as error:
        raise _refuse(str(error), *inside) from None
    if declared is not None and (fault := declared.fault(number)):
        raise _refuse(f"{fault}, got {value}", *inside)
    return number


def read_free(value: dict[str, Any], unit: str, declared: Quantity | None, *inside: Any, init: bool = True) -> Free:
    """Read {init, bounds}; raises PydanticCustomError."""
    if "choices" in value:
        raise _refuse(_CHOICES, *inside, "choices")
    for key in value:
        if key not in ("init", "bounds"):
            raise _refuse(f"unknown key {key!r}{near(key, ('init', 'bounds'))}", *inside, key)
    if init and "init" not in value:
        raise _refuse("a variable needs its initial value: {init: …, bounds: [from, to]}", *inside)
    bounds = value.get("bounds")
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise _refuse("a variable needs bounds: [from, to]", *inside, *(("bounds",) if "bounds" in value else ()))
    low, high = (read_number(b, unit, declared, *inside, "bounds", i) for i, b in enumerate(bounds))
    if not low < high:
        raise _refuse(f"bounds must rise, got [{bounds[0]}, {bounds[1]}]", *inside, "bounds")
    start = read_number(value["init"], unit, declared, *inside, "init") if "init" in value else None
    if start is not None and not low <= start <= high:
        raise _refuse(
            f"initial value {value['init']} lies outside its bounds [{bounds[0]}, {bounds[1]}]", *inside, "init"
        )
    return Free(start, (low, high), split_quantity(bounds[0])[1])


def _quantity(
    value: Any, info: ValidationInfo, declared: Quantity, axes: tuple[str, ...], aliases: dict[str, str]
) -> Any:
    unit = declared.unit
    if unit == "of":  # the unit of a limit follows what it limits
        unit = UNITS.get(info.data.get("of", ""), "")
    if declared.range and isinstance(value, list):
        if len(value) != 2:
            raise _refuse(f"expected one value or [from, to], got {len(value)} values")
        low, high = (read_number(v, unit, declared, i) for i, v in enumerate(value))
        if low > high:
            raise _refuse(f"must rise from first to second, got [{value[0]}, {value[1]}]")
        return low, high
    if declared.range:
        return (read_number(value, unit, declared),) * 2
    if declared.vector:
        if not isinstance(value, list) or len(value) != 3:
            raise _refuse("expected [x, y, z]")
        return tuple(read_number(v, unit, declared, i) for i, v in enumerate(value))
    if declared.axes:
        return _pair(value, unit, declared, axes, aliases)
    if isinstance(value, dict):
        return read_free(value, unit, declared)
    return read_number(value, unit, declared)


def _pair(value: Any, unit: str, declared: Quantity, axes: tuple[str, ...], aliases: dict[str, str]) -> Any:
    """One number for both axes, or a mapping with one for each (the second may be left out)."""
    if not isinstance(value, dict):
        return (read_number(value, unit, declared),) * 2
    if value.keys() & {"init", "bounds", "choices"}:
        return (read_free(value, unit, declared),) * 2
    pair: list[Any] = [None, None]
    for key, entry in value.items():
        axis = aliases.get(key, key)
        if axis not in axes:
            raise _refuse(f"unknown axis {key!r}{near(key, axes)}; the axes are {' and '.join(axes)}", key)
        if pair[axes.index(axis)] is not None:
            raise _refuse(f"{key} and {axis} are one axis: give it once", key)
        free = isinstance(entry, dict)
        pair[axes.index(axis)] = (read_free if free else read_number)(entry, unit, declared, key)
    if declared.left_out is not None:
        pair = [declared.left_out if p is None else p for p in pair]
    if pair[0] is None:
        raise _refuse(f"{axes[0]} is missing")
    return tuple(pair)


# -- other values ------------------------------------------------------------------------------------------------------


def _kind(value: Any) -> str:
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value), repr(value))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _refuse(f"expected text, got {_kind(value)}")
    return value


def _integer(value: Any, declared: Whole | None = None) -> int:
    if isinstance(value, dict) and "choices" in value:
        raise _refuse(_CHOICES, "choices")
    if not isinstance(value, str) or not re.fullmatch(r"[+-]?(0|[1-9][0-9]{0,17})", value):
        raise _refuse(f"expected a whole number, got {_kind(value)}")
    if declared is not None and (fault := declared.fault(int(value))):
        raise _refuse(f"{fault}, got {value}")
    return int(value)


def _boolean(value: Any) -> bool:
    if value not in ("true", "false"):
        raise _refuse(f"expected true or false, got {_kind(value)}")
    return value == "true"


def _one_of(value: Any, options: tuple[str, ...]) -> str:
    if value not in options:
        raise _refuse(f"expected {' | '.join(options)}, got {_kind(value)}{near(value, options)}")
    return value


def _counts(value: Any) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3:
        raise _refuse("expected three whole numbers, along x, y and z")
    first, second, third = (_integer(v, Whole(1, _VOXELS)) for v in value)
    return first, second, third


_VOXELS = 500  # along an axis


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    raise _refuse(f"expected a list of names, got {_kind(value)}")


def _material(value: Any, info: ValidationInfo) -> Material:
    known: Mapping[str, Material] = (info.context or {}).get("materials", MATERIALS)
    if _text(value) not in known:
        raise _refuse(f"unknown material {value!r}{near(value, known)}")
    return known[value]


def _materials(value: Any, info: ValidationInfo) -> tuple[Material, ...]:
    """One or several."""
    if isinstance(value, list) and value:
        return tuple(_material(v, info) for v in value)
    return (_material(value, info),)


def read_density(value: Any) -> float:
    """Read a density in g/cm3 that some matter could have; raises PydanticCustomError."""
    if isinstance(value, dict):
        raise _refuse("a density is fixed: let the thickness vary instead")
    density = read_number(value, "g/cm3", None)
    low, high = _DENSITIES
    if not low <= density <= high:
        raise _refuse(f"must be between {low:g} and {high:g} g/cm3, got {value}: hydrogen gas has 8e-5, osmium 22.6")
    return density


_DENSITIES = (1e-6, 30.0)  # g/cm3
DENSITY = json_of_quantity(Quantity("g/cm3", "density, where it is not the material's own"), free=False)


_PLAIN = {
    Any: lambda value: value,
    str: _text,
    int: _integer,
    bool: _boolean,
    tuple[str, ...]: _names,
    tuple[int, int, int]: _counts,
}


def _nested(value: Any, cls: type) -> Any:
    """A mapping of declared fields within another."""
    if not isinstance(value, dict):
        raise _refuse(f"expected a mapping, got {_kind(value)}")
    try:
        checked = model(cls).model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message, inside = _said(first, list(model(cls).model_fields))
        raise _refuse(message, first["loc"][0], *inside) from None
    fields = {name: getattr(checked, name) for name in model(cls).model_fields}
    for name in [n for n, v in fields.items() if isinstance(v, Free)]:
        raise _refuse("cannot be a variable: only the numbers of the detector can", name)
    return cls(**fields)


# -- models ------------------------------------------------------------------------------------------------------------


@functools.cache
def model(cls: type) -> type[BaseModel]:
    """The pydantic model of a declared dataclass. Raises PluginError for a field whose values YAML cannot give."""
    try:
        hints, declared = typing.get_type_hints(cls), quantities(cls)
    except NameError as error:
        raise PluginError(f"{cls.__name__}: the type of a field cannot be found: {error}") from None
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        required = default is dataclasses.MISSING
        axes, aliases = getattr(cls, "axes", ()), getattr(cls, "aliases", {})
        check: Any
        if field.name in declared:
            check = functools.partial(_quantity, declared=declared[field.name], axes=axes, aliases=aliases)
        elif typing.get_origin(hints[field.name]) is Literal:
            check = functools.partial(_one_of, options=typing.get_args(hints[field.name]))
        elif "whole" in field.metadata:
            check = functools.partial(_integer, declared=field.metadata["whole"])
        elif hints[field.name] in (Material, Material | None):
            check = _material
            if field.name == "material":
                fields["density"] = (Annotated[Any, BeforeValidator(read_density), WithJsonSchema(DENSITY)], None)
        elif hints[field.name] == tuple[Material, ...]:
            check = _materials
        elif dataclasses.is_dataclass(hints[field.name]):
            check = functools.partial(_nested, cls=hints[field.name])
        elif hints[field.name] in _PLAIN:
            check = _PLAIN[hints[field.name]]
        else:
            raise PluginError(
                f"{cls.__name__}: field {field.name} is {hints[field.name]!r}, which YAML cannot give: declare a number "
                "with quantity(…), a count with whole(…); the rest is str, bool, Material, tuple[str, ...] or Literal[…] "
                "(what is the same for all of a class has no type, or is a ClassVar)"
            )
        shown = (
            json_of_quantity(declared[field.name], (*axes, *aliases))
            if field.name in declared
            else json_of_type(hints[field.name], field.metadata.get("whole"))
        )
        told = Annotated[Any, BeforeValidator(check), WithJsonSchema(shown)]
        fields[field.name] = (told, ... if required else default)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a field may be called like a method of pydantic's
        try:
            return create_model(cls.__name__, __config__=ConfigDict(extra="forbid", frozen=True), **fields)
        except Exception as error:
            reason = str(error).split("\n")[0]
            raise PluginError(f"{cls.__name__}: its fields cannot be read from YAML: {reason}") from None


def read(
    cls: type,
    data: Any,
    document: Document,
    place: Place,
    skip: tuple[str, ...] = ("type",),
    free: bool = False,
    materials: Mapping[str, Material] = MATERIALS,
) -> dict[str, Any] | None:
    """Check a mapping against a declared dataclass; faults go to the document. Numbers may be `Free` where it says so.

    What has a material may have a density beside it, which becomes that of the material.

    Returns:
        The fields that were given or have a default, or None where anything is wrong.
    """
    if not isinstance(data, dict):
        document.fault(place, f"expected a mapping, got {_kind(data)}")
        return None
    try:
        checked = model(cls).model_validate(
            {k: v for k, v in data.items() if k not in skip}, context={"materials": materials}
        )
    except ValidationError as error:
        known = list(model(cls).model_fields)
        for entry in error.errors(include_url=False):
            _note(entry, known, document, place)
        return None
    fields = {name: getattr(checked, name) for name in type(checked).model_fields}
    frees = [name for name, value in fields.items() if isinstance(value, Free)]
    for name in frees if not free else ():
        document.fault((*place, name), f"{name} cannot be a variable: only the numbers of the detector can")
    beside = {"material", "density"} <= fields.keys()
    if beside and (density := fields.pop("density")) is not None and fields["material"] is not None:
        fields["material"] = fields["material"].with_density(density)
    return None if frees and not free else fields


def _said(entry: Any, known: list[str]) -> tuple[str, tuple[Any, ...]]:
    """What is wrong with a field, and where inside its value."""
    name = entry["loc"][0]
    if entry["type"] == "extra_forbidden":
        return f"unknown key {name!r}{near(name, known) or '; known: ' + ', '.join(known)}", ()
    if entry["type"] == "missing":
        return f"{name} is missing", ()
    return entry["ctx"]["message"], entry["ctx"]["inside"]


def _note(entry: Any, known: list[str], document: Document, place: Place) -> None:
    name, (message, inside) = entry["loc"][0], _said(entry, known)
    unknown = entry["type"] == "extra_forbidden"
    if not unknown and entry["type"] != "missing":
        axis = "".join(f".{i}" for i in inside if isinstance(i, str) and i not in ("init", "bounds", "choices"))
        message = sentence(f"{name}{axis}", message)
    document.fault((*place, name, *inside), message, key=unknown)


def sentence(subject: str, message: str) -> str:
    """What is wrong with something: "radius must be > 0", "radius: expected a number"."""
    return f"{subject}{' ' if message.startswith(('must ', 'needs ')) else ': '}{message}"


def read_file(
    cls: type, data: Any, document: Document, place: Place, skip: tuple[str, ...] = ()
) -> dict[str, Any] | None:
    """Like `read`, for what stands at the top of a file: it says which schema it follows."""
    if isinstance(data, dict) and data.get("schema") != "1":
        if "schema" in data:
            seen = data["schema"]
            document.fault((*place, "schema"), f"schema {seen} is not known to this version, which reads schema: 1")
        else:
            document.fault((*place, "schema"), "schema is missing: write schema: 1")
    return read(cls, data, document, place, skip=("schema", *skip))


def read_choice(
    kinds: dict[str, type],
    data: Any,
    document: Document,
    place: Place,
    what: str,
    free: bool = False,
    materials: Mapping[str, Material] = MATERIALS,
) -> tuple[type, dict[str, Any] | None] | None:
    """Check a mapping whose `type` says which class it is: a word of `kinds`, or a class from outside.

    Returns:
        The class and its fields (None where anything is wrong with them), or None where the type is wrong.
    """
    if not isinstance(data, dict):
        document.fault(place, f"expected a mapping, got {_kind(data)}")
        return None
    word = data.get("type")
    if word is None:
        document.fault(place, f"type is missing: {' | '.join(kinds)}")
        return None
    if is_plugin(word):
        try:
            cls = load_class(word, document.path.parent, what)
            model(cls)
        except PluginError as error:
            document.fault((*place, "type"), str(error))
            return None
    elif isinstance(word, str) and word in kinds:
        cls = kinds[word]
    else:
        outside = "" if what == "search" else ", or ./file.py:Class"
        known = f"{near(word, kinds)}; known: {', '.join(kinds)}{outside}"
        document.fault((*place, "type"), f"unknown {what} type {word!r}{known}")
        return None
    return cls, read(cls, data, document, place, free=free, materials=materials)
