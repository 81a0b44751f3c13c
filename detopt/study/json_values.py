"""What JSON Schema says of one value of a YAML file, for editors: see `detopt.study.json_schema`.

A schema accepts all that detopt accepts. It refuses the wrong kind of value, a missing unit and one of another dimension;
ranges of numbers with units, and what holds across fields, only `detopt check` knows.
"""

import re
import types
import typing
from typing import Any, Literal

from detopt.materials import Material
from detopt.parameters import Quantity, Whole
from detopt.units import symbols_like

__all__ = ["VARIABLE", "json_of_number", "json_of_quantity", "json_of_type"]

Json = dict[str, Any]

VARIABLE: Json = {"$ref": "#/$defs/variable"}
TEXT: Json = {"type": ["string", "number"]}

_NUMBER = r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_ANY_UNIT = r"[A-Za-zµμ%1][A-Za-zµμ%0-9*/^ -]*"


def json_of_number(unit: str, declared: Quantity | None = None) -> Json:
    """One number: text with a unit of the right dimension; without dimension also a bare number."""
    if unit == "of":  # the unit of a limit follows what it limits
        return {"type": ["string", "number"], "pattern": rf"^\s*{_NUMBER}\s*\*?\s*(?:{_ANY_UNIT})?$"}
    symbols = sorted(symbols_like(unit), key=len, reverse=True)
    if unit in ("", "1"):
        number: Json = {"type": ["string", "number"], "pattern": rf"^\s*{_NUMBER}\s*\*?\s*(?:%|permille|1)?\s*$"}
        for key, json in (
            ("min", "minimum"),
            ("above", "exclusiveMinimum"),
            ("max", "maximum"),
            ("below", "exclusiveMaximum"),
        ):
            if declared is not None and (limit := getattr(declared, key)) is not None:
                number[json] = limit
        return number
    simple = re.fullmatch(r"[A-Za-z]+", unit) and unit != "Hz"
    tail = "(?:/c)?" if unit == "GeV" else ""
    units = f"(?:{'|'.join(symbols)}){tail}" if simple else _ANY_UNIT
    return {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*\*?\s*{units}\s*$"}


def json_of_quantity(declared: Quantity, axes: tuple[str, ...] = (), free: bool = True) -> Json:
    """A declared number, pair, range or vector. `free`: it may be a variable, unless it is a range or a vector."""
    number = json_of_number(declared.unit, declared)
    one: list[Json] = [number]
    if declared.range:
        one.append({"type": "array", "items": number, "minItems": 2, "maxItems": 2})
    elif declared.vector:
        one = [{"type": "array", "items": number, "minItems": 3, "maxItems": 3}]
    elif free:
        one.append(VARIABLE)
    if declared.axes:
        each = {"anyOf": [number, VARIABLE]} if free else number
        one.append({"type": "object", "properties": dict.fromkeys(axes, each), "additionalProperties": False})
    return {**(one[0] if len(one) == 1 else {"anyOf": one}), "description": _meaning(declared)}


def _meaning(declared: Quantity) -> str:
    """In a sentence, with unit and range."""
    told = [f"in {declared.unit}"] if declared.unit not in ("", "of") else []
    for sign, limit in ((">", declared.above), (">=", declared.min), ("<=", declared.max), ("<", declared.below)):
        if limit is not None:
            told.append(f"{sign} {limit:.4g}")
    return declared.doc + (f" ({', '.join(told)})" if told else "")


def json_of_type(hint: Any, whole: Whole | None = None) -> Json:
    """A field that is no declared number."""
    if whole is not None:
        return {"type": "integer", "minimum": whole.least, "maximum": whole.most}
    if typing.get_origin(hint) is Literal:
        return {"enum": list(typing.get_args(hint))}
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return json_of_type(next(a for a in typing.get_args(hint) if a is not type(None)))
    if hint is Material:
        return {"type": "string", "description": "name of a material: see `detopt materials`"}
    if hint == tuple[Material, ...]:
        return {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    if hint == tuple[int, int, int]:
        return {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 3, "maxItems": 3}
    known: dict[Any, Json] = {
        str: TEXT,
        int: {"type": "integer"},
        bool: {"type": "boolean"},
        tuple[str, ...]: {"type": "array", "items": TEXT},
    }
    return dict(known.get(hint, {}))
