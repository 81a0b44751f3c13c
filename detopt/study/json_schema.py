"""The JSON Schema of every YAML file of detopt, made from the models that check these files: for editors, and for the
tables of the documentation.
"""

import copy
import dataclasses
import functools
import inspect
import io
import json
import textwrap
import tokenize
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import WithJsonSchema

from detopt.detector.cost import Prices
from detopt.detector.detector import FIELDS
from detopt.detector.elements import ELEMENTS
from detopt.detector.random_scenes import RANDOM_SHAPES, RandomScene
from detopt.detector.scenes import SCENES, SHAPES
from detopt.detector.trigger import Trigger
from detopt.inference.heads import HEADS
from detopt.parameters import Quantity, quantities
from detopt.scoring.terms import CONSTRAINTS, OBJECTIVES
from detopt.simulation.physics import Physics
from detopt.simulation.source import SOURCES
from detopt.study.detectors import DetectorFile
from detopt.study.json_values import VARIABLE, json_of_number
from detopt.study.schema import model
from detopt.study.settings import SEARCHES, Audit, Tracking
from detopt.study.studies import StudyFile
from detopt.study.user_materials import Definition
from detopt.study.variables import FreeNumber
from detopt.study.write import SCHEMA_LINE
from detopt.units import format_quantity

__all__ = ["KINDS", "SCHEMA_LINE", "json_schema", "meaning", "properties", "write_schema"]

Json = dict[str, Any]

KINDS: dict[str, dict[str, type]] = {
    "element": ELEMENTS,
    "field": FIELDS,
    "scene": {**SCENES, "random": RandomScene},
    "shape": SHAPES,
    "random_shape": RANDOM_SHAPES,
    "source": SOURCES,
    "objective": OBJECTIVES,
    "constraint": CONSTRAINTS,
    "head": HEADS,
    "search": SEARCHES,
}
_FREE = ("element", "field")  # whose numbers may be variables
_CLOSED = ("scene", "shape", "random_shape", "search")  # which cannot come from outside
_ANY_NUMBER: Json = {"type": ["string", "number"]}
_NAMED: Json = {"schema": {"const": 1}, "name": {"type": "string"}, "description": {"type": "string"}}


def json_schema() -> Json:
    """One schema for detectors, studies, objectives and sources, told apart by their keys."""
    defs: Json = {"variable": _variable()}
    for kind, classes in KINDS.items():
        defs[kind] = _choice(kind, classes, defs)
    defs["objective_file"] = _choice("objective", OBJECTIVES, defs, _NAMED)
    defs["source_file"] = _choice("source", SOURCES, defs, _NAMED)
    defs["materials"] = _mapping(_object(Definition, density=json_of_number("g/cm3"), fractions=_mapping(_ANY_NUMBER)))
    defs["detector"] = _file(
        DetectorFile,
        elements={"type": "array", "minItems": 1, "items": _ref("element")},
        field=_ref("field"),
        trigger=_object(Trigger, free=True),
        materials=_ref("materials"),
    )
    number: Json = {"type": "array", "items": _ANY_NUMBER, "minItems": 2, "maxItems": 2}
    defs["study"] = _file(
        StudyFile,
        detector={"anyOf": [{"type": "string", "description": "path of a file, or its name"}, _ref("detector")]},
        source=_here_or_there("source"),
        objectives={**_mapping(_here_or_there("objective")), "minProperties": 1},
        constraints=_mapping(_ref("constraint")),
        variables=_mapping(_object(FreeNumber, bounds=number, init=_ANY_NUMBER)),
        choices=_mapping(_mapping({"type": ["object", "null"]})),
        rivals=_mapping(_mapping(_ANY_NUMBER)),
        head=_here_or_there("head"),
        cost=_object(Prices),
        search=_ref("search"),
        audit=_object(Audit),
        physics=_object(Physics),
        tracking=_object(Tracking),
    )
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "detopt: a detector, a study, an objective or a source",
        "type": "object",
        **_if(
            {"anyOf": [{"required": ["elements"]}, {"required": ["frame"]}]},
            _ref("detector"),
            _if(
                {"anyOf": [{"required": [key]} for key in ("detector", "objectives", "variables")]},
                _ref("study"),
                _if(_typed(SOURCES), _ref("source_file"), _ref("objective_file")),
            ),
        ),
        "$defs": defs,
    }


def write_schema(path: Path) -> None:
    """Write it to a file. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def properties(cls: type, free: bool = False) -> Json:
    """What each field of a declared class may be, with what is known about it; `free`: numbers may be variables."""
    found: Json = {}
    declared, told = quantities(cls), _remarks(cls)
    for name, field in model(cls).model_fields.items():
        shown = next(m.json_schema for m in field.metadata if isinstance(m, WithJsonSchema))
        value = copy.deepcopy(shown or {}) if free else _fixed(shown or {})
        nested = typing.get_type_hints(cls).get(name)
        if dataclasses.is_dataclass(nested) and isinstance(nested, type) and not value:
            value = _object(nested)
        if name in told:
            value.setdefault("description", told[name])
        if not field.is_required() and (default := _default(field.default, declared.get(name))) is not None:
            value["default"] = default
        found[name] = value
    return found


def meaning(cls: type) -> str:
    """What a class says about itself."""
    return inspect.cleandoc(cls.__doc__ or "")


# -- parts -------------------------------------------------------------------------------------------------------------


def _ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def _mapping(values: Json) -> Json:
    return {"type": "object", "additionalProperties": values}


def _if(condition: Json, then: Json, other: Json) -> Json:
    return {"if": condition, "then": then, "else": other}


def _typed(classes: Mapping[str, type]) -> Json:
    return {"properties": {"type": {"enum": list(classes)}}, "required": ["type"]}


def _object(cls: type, free: bool = False, **parts: Json) -> Json:
    """A mapping with the fields of a class; `parts` are those that hold more than a value."""
    inside = properties(cls, free)
    for name, part in parts.items():
        inside[name] = {**part, **({"description": d} if (d := inside[name].get("description")) else {})}
    required = [name for name, field in model(cls).model_fields.items() if field.is_required()]
    found: Json = {"type": "object", "description": meaning(cls), "properties": inside, "additionalProperties": False}
    return {**found, "required": required} if required else found


def _file(cls: type, **parts: Json) -> Json:
    """What stands at the top of a file, or, without its schema, never inside another."""
    found = _object(cls, free=False, **parts)
    found["properties"] = {"schema": {"const": 1}, **found["properties"]}
    found["required"] = ["schema", *found["required"]]
    return found


def _here_or_there(kind: str) -> Json:
    return {"anyOf": [{"type": "string", "description": "path of a file"}, _ref(kind)]}


def _choice(kind: str, classes: Mapping[str, type], defs: Json, extra: Json | None = None) -> Json:
    """A mapping whose `type` says which class it is; each class becomes a definition of its own."""
    cases = []
    for word, cls in classes.items():
        parts: Json = {}
        if kind == "scene" and "shapes" in properties(cls):
            shape = "random_shape" if cls is RandomScene else "shape"
            parts["shapes"] = {"type": "array", "minItems": 1, "items": _ref(shape)}
        if kind == "element" and "scene" in properties(cls):
            parts["scene"] = _ref("scene")
        found = _object(cls, kind in _FREE, **parts)
        found["properties"] = {**(extra or {}), "type": {"const": word}, **found["properties"]}
        found["required"] = ["type", *found.get("required", ())]
        name = f"{kind}_{word}{'_file' if extra else ''}"
        defs[name] = found
        cases.append({"if": _typed({word: cls}), "then": _ref(name)})
    words: Json = {"enum": list(classes), "description": f"which {kind}"}
    outside: Json = {"type": "string", "pattern": ":", "description": "./file.py:Class or package.module:Class"}
    return {
        "type": "object",
        "properties": {"type": words if kind in _CLOSED else {"anyOf": [words, outside]}},
        "required": ["type"],
        "allOf": cases,
    }


def _variable() -> Json:
    pair: Json = {"type": "array", "items": _ANY_NUMBER, "minItems": 2, "maxItems": 2}
    return {
        "type": "object",
        "description": "a design variable",
        "properties": {"init": _ANY_NUMBER, "bounds": pair},
        "required": ["init", "bounds"],
        "additionalProperties": False,
    }


def _fixed(shown: Any) -> Any:
    """Without leave to be a variable."""
    if isinstance(shown, dict):
        kept = {key: _fixed(value) for key, value in shown.items()}
        if len(kept.get("anyOf", ())) == 1:
            kept.update(kept.pop("anyOf")[0])
        return kept
    if isinstance(shown, list):
        return [_fixed(value) for value in shown if value != VARIABLE]
    return shown


def _default(value: Any, declared: Quantity | None) -> Any:
    """As it would be written, where that is one number or word."""
    if isinstance(value, tuple) and len(set(value)) == 1 and declared is not None:
        value = value[0]
    if declared is not None and isinstance(value, float):
        return format_quantity(value, declared.unit, 4) if declared.unit not in ("", "of") else float(f"{value:.4g}")
    return value if isinstance(value, bool | int | float) or (isinstance(value, str) and value) else None


@functools.cache
def _remarks(cls: type) -> dict[str, str]:
    """What stands behind a field, as a comment in the class that declares it."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            text = textwrap.dedent(inspect.getsource(base))
        except (OSError, TypeError):
            continue
        name = ""
        fresh, depth = True, 0
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.OP:
                depth += (token.string in "([{") - (token.string in ")]}")
            if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL):
                fresh = fresh or depth == 0
            elif token.type == tokenize.COMMENT:
                if depth == 0 and not fresh and name in base.__annotations__:
                    found[name] = token.string.lstrip("# ")
            elif fresh and token.type == tokenize.NAME:
                name, fresh = token.string, False
            else:
                fresh = False
    return found
