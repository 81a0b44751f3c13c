"""Classes from outside: `type: package.module:Class`, or `type: ./file.py:Class` beside the YAML that says so.

A file is run once for what it says, and not for where it lies: its copy in a run folder gives the same classes. It stands on
its own: what needs files around it belongs into a package.
"""

import dataclasses
import hashlib
import importlib
import inspect
import linecache
import math
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from detopt.detector.sensor import Readout, Surface
from detopt.inference.heads import SetHead, TrackHead
from detopt.parameters import Quantity, quantities
from detopt.simulation.source import Source
from detopt.study.faults import near
from detopt.units import UnitError, parse_unit

__all__ = [
    "FROM_FILES",
    "PluginError",
    "contract_faults",
    "file_of",
    "files_in",
    "is_from_outside",
    "is_plugin",
    "load_class",
    "made",
    "part_faults",
    "said_by",
    "what_is",
]

FROM_FILES = "detopt_plugin_"  # how modules of files are called

_FRAMES = ("barrel", "beamline", "portal")
_WORD = re.compile(r"(?P<module>[^:]+):(?P<name>[A-Za-z_]\w*)")
_modules: dict[str, ModuleType] = {}  # by the hash of what a file says


class PluginError(Exception):
    """A class from outside that cannot be used; the message says why, and what to do."""


def is_plugin(word: Any) -> bool:
    """Whether the word in `type:` means a class from outside."""
    return isinstance(word, str) and (":" in word or word.endswith(".py"))


def is_from_outside(cls: type) -> bool:
    """Whether a class is no part of detopt."""
    return cls.__module__.split(".")[0] != "detopt"


def file_of(word: str, folder: Path) -> Path | None:
    """The file that holds the class, relative to the folder of the YAML; None for what is imported from a package."""
    module = word.partition(":")[0]
    return folder / module if module.endswith(".py") else None


def files_in(data: Any, folder: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Every mapping of a YAML document whose `type` is a class in a file, and that file."""
    seen: set[int] = set()

    def walk(node: Any) -> Iterator[tuple[dict[str, Any], Path]]:
        if not isinstance(node, dict | list) or id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, dict) and is_plugin(node.get("type")):
            file = file_of(node["type"], folder)
            if file is not None:
                yield node, file
        for child in node.values() if isinstance(node, dict) else node:
            yield from walk(child)

    yield from walk(data)


# -- loading -----------------------------------------------------------------------------------------------------------


def load_class(word: str, folder: Path, what: str) -> type:
    """The class that `type: word` means in a YAML file in `folder`. Raises PluginError.

    Args:
        word: "package.module:Class", or "./file.py:Class".
        folder: where the YAML file lies.
        what: "element", "field", "source", "objective", "constraint" or "head": what it is to be.
    """
    if what not in _CONTRACTS:
        raise PluginError(f"a {what} cannot come from outside")
    found = _find(word, folder)
    if wrong := contract_faults(found, what):
        raise PluginError(f"{found.__name__} cannot be {_article(what)}: {'; '.join(wrong)} ({_place(found)})")
    return found


def what_is(word: str, folder: Path) -> str | None:
    """Whether a class is a "source" or an "objective", the two that files of their own may hold. Raises PluginError."""
    found = _find(word, folder)
    if issubclass(found, Source):
        return "source"
    return "objective" if hasattr(found, "value") else None


def _find(word: str, folder: Path) -> type:
    """The class that a word means, whatever it is."""
    match = _WORD.fullmatch(word)
    if match is None:
        raise PluginError(f"{word!r} names no class: write package.module:Class, or ./file.py:Class")
    name, path = match["name"], file_of(word, folder)
    module = _from_package(match["module"]) if path is None else _from_file(path)
    found = getattr(module, name, None)
    if not isinstance(found, type):
        own = [n for n, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__]
        has = near(name, own) or (f"; it has {', '.join(own)}" if own else "; it has none")
        raise PluginError(f"{match['module']} has no class {name}{has}")
    return found


def _from_file(path: Path) -> ModuleType:
    """Run a file, unless one that says the same was run before. Nothing is written beside it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        others = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise PluginError(
            f"no file {path}{near(path.name, others)}: paths are relative to the YAML file that they stand in"
        ) from None
    except (OSError, ValueError) as error:
        raise PluginError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    digest = hashlib.sha256(text.encode()).hexdigest()
    if digest in _modules:
        return _modules[digest]
    # Values that it computes with JAX have 64 bits, as all of detopt's.
    if "jax" in text:
        importlib.import_module("detopt.backend")
    stem = re.sub(r"\W", "_", path.stem)
    module = ModuleType(f"{FROM_FILES}{stem}_{digest[:12]}")
    module.__file__ = str(path)
    linecache.checkcache(str(path))
    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise PluginError(f"{path.name} cannot be imported: {said_by(error, str(path))}") from None
    _modules[digest] = module
    return module


def _from_package(name: str) -> ModuleType:
    if not re.fullmatch(r"\w+(\.\w+)*", name):
        raise PluginError(f"{name!r} is neither a module nor a file: write package.module:Class, or ./file.py:Class")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise PluginError(
                f"no module {error.name!r}: install its package in this environment, or give the file: ./file.py:Class"
            ) from None
        raise PluginError(f"{name} cannot be imported: it needs {error.name!r}, which is not installed") from None
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1].filename
        raise PluginError(f"{name} cannot be imported: {said_by(error, last)}") from None
    if "jax" in sys.modules:
        importlib.import_module("detopt.backend")
    return module


def said_by(error: BaseException, file: str | None) -> str:
    """An exception in a line: where in the plug-in's file it came about, and what it said."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    if line is None:
        line = next((f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == file), None)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    first = " ".join(text.split("\n")[0].split())
    place = "" if line is None or file is None else f"{Path(file).name}, line {line}: "
    return f"{place}{type(error).__name__}{f': {first}' if first else ''}"


def _place(cls: type) -> str:
    """ "file.py, line 12"."""
    file = Path(getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__).name
    try:
        return f"{file}, line {inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return file


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


# -- what a class has to be ------------------------------------------------------------------------------------------------


_CONTRACTS: dict[str, tuple[str, ...]] = {
    "element": ("name", "frames", "surfaces", "readouts", "measures", "radiation_thickness"),
    "field": ("name", "frames", "B"),
    "source": ("frames",),
    "objective": ("goal", "weight", "unit", "display_unit", "title", "value"),
    "constraint": ("title", "unit", "excess"),
    "head": (),
}
_ADVICE = {
    "element": "derive it from detopt.detector.sensor.Element",
    "field": "derive it from detopt.detector.magnets.Solenoid, or from Dipole for a beam line",
    "objective": "see the objectives in detopt/scoring/terms.py",
    "constraint": "see the constraints in detopt/scoring/terms.py",
}


def contract_faults(cls: type, what: str) -> list[str]:
    """What is missing for a class to be an element, field, source, objective, constraint or head."""
    if any(base.__module__.split(".")[0] == "equinox" for base in cls.__mro__):
        return ["it is an equinox module, and has to be a plain dataclass(frozen=True)"]
    parameters = getattr(cls, "__dataclass_params__", None)
    if parameters is None or "__dataclass_params__" not in vars(cls):
        return ["it is no dataclass: put @dataclass(frozen=True, kw_only=True) above it"]
    if not (parameters.frozen and parameters.eq):
        return ["it is not frozen: write @dataclass(frozen=True, kw_only=True)"]
    found = [*_field_faults(cls)]
    if abstract := sorted(getattr(cls, "__abstractmethods__", ())):
        found.append(f"it has no {' and no '.join(abstract)}")
    fields = {f.name for f in dataclasses.fields(cls)}
    lacking = [n for n in _CONTRACTS[what] if n not in fields and not hasattr(cls, n)]
    if lacking:
        found.append(f"it has no {' and no '.join(lacking)}" + (f": {_ADVICE[what]}" if what in _ADVICE else ""))
    if what == "source" and not issubclass(cls, Source):
        found.append("derive it from detopt.simulation.source.Source")
    if what == "head" and not issubclass(cls, (TrackHead, SetHead)):
        found.append("derive it from TrackHead or SetHead in detopt.inference.heads")
    if what == "element" and "name" not in fields:
        found.append("name has to be a field: name: str")
    if what == "field" and getattr(cls, "name", None) != "field":
        found.append('it needs name = "field"')
    frames = getattr(cls, "frames", None)
    if frames is not None and not (isinstance(frames, tuple) and frames and set(frames) <= set(_FRAMES)):
        found.append(f"frames must be a tuple of {', '.join(_FRAMES)}, got {frames!r}")
    return found


def _field_faults(cls: type) -> Iterator[str]:
    for field in dataclasses.fields(cls):
        if field.name.startswith(("_", "model_")) or field.name in ("type", "density"):
            yield f"no field of a YAML file can be called {field.name}"
        if not field.init:
            yield f"{field.name} is made after the others (init=False): make it a property"
    declared = quantities(cls)
    for name, quantity in declared.items():
        # "of": the unit of what the field `of` names, see `detopt.study.schema`.
        follows = quantity.unit == "of" and any(field.name == "of" for field in dataclasses.fields(cls))
        try:
            parse_unit("1" if follows else quantity.unit or "1")
        except UnitError as error:
            yield f"{name}: {error}"
        if wrong := _range_fault(quantity):
            yield f"{name}: {wrong}"
    axes = getattr(cls, "axes", None)
    named = isinstance(axes, tuple) and len(axes) == 2 and all(isinstance(a, str) for a in axes)
    pairs = [n for n, q in declared.items() if q.axes]
    if pairs and (not named or "axes" in {f.name for f in dataclasses.fields(cls)}):
        yield f'{pairs[0]} has two axes, whose names are missing: axes = ("x", "y"), without a type'


def _range_fault(quantity: Quantity) -> str | None:
    lows = [v for v in (quantity.min, quantity.above) if v is not None]
    highs = [v for v in (quantity.max, quantity.below) if v is not None]
    if lows and highs and not max(lows) < min(highs):
        return f"no number is between {max(lows):g} and {min(highs):g}"
    return None


def made(cls: Any, fields: dict[str, Any], fault: Callable[..., None], place: tuple[Any, ...]) -> Any:
    """An object of a class, or None where a class from outside refuses: the fault is noted at its place."""
    if not is_from_outside(cls):
        return cls(**fields)
    try:
        part = cls(**fields)
        found = part.faults() if hasattr(part, "faults") else []
    except Exception as error:
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        fault((*place, "type"), f"{cls.__name__} cannot be made: {said_by(error, file)}")
        return None
    for name, message in found:
        fault((*place, name), message)
    return None if found else part


# -- what an element has to say ----------------------------------------------------------------------------------------


def part_faults(part: Any, frame: Any) -> list[str]:
    """What is wrong with what an element (of floats) says of itself, in a detector of this frame."""
    file = getattr(sys.modules.get(type(part).__module__), "__file__", None)
    answers = {}
    for ask in ("surfaces", "readouts", "measures", "radiation_thickness"):
        try:
            answer = getattr(part, ask)
            answers[ask] = answer() if callable(answer) else answer
        except Exception as error:
            return [f"{ask} of {type(part).__name__} fails: {said_by(error, file)}"]
    found = []
    for ask, kind in (("surfaces", Surface), ("readouts", Readout)):
        if not isinstance(answers[ask], tuple) or not all(isinstance(s, kind) for s in answers[ask]):
            return [f"{ask}() of {type(part).__name__} must give a tuple of {kind.__name__}, got {answers[ask]!r:.80}"]
    for surface in answers["surfaces"]:
        found += [f"{type(part).__name__}: {fault}" for fault in _surface_faults(surface, part.name, frame)]
    names = [s.name for s in answers["surfaces"]]
    if len(set(names)) < len(names):
        found.append(f"{type(part).__name__}: its surfaces need names of their own, got {', '.join(names)}")
    for readout in answers["readouts"]:
        for item in ("area", "channels", "x_over_X0"):
            if wrong := _number_fault(getattr(readout, item), 0.0):
                found.append(f"{type(part).__name__}: {item} of a readout {wrong}")
    return found


_KINDS = {"barrel": ("cylinder", "disk"), "beamline": ("plane",), "portal": ("plane",)}


def _surface_faults(surface: Surface, name: str, frame: Any) -> Iterator[str]:
    if not (isinstance(surface.name, str) and surface.name.startswith(name)):
        yield f"the names of its surfaces must begin with its own, {name!r}, got {surface.name!r}"
    if surface.kind not in _KINDS.get(frame, (surface.kind,)):
        yield f"a surface of kind {surface.kind!r} cannot stand in a {frame}: {' or '.join(_KINDS[frame])}"
    if surface.kind == "plane" and surface.span is None:
        yield "a plane needs a span"
    limits = {"x_over_X0": 0.0, "efficiency": 0.0, "thickness": 0.0, "noise": 0.0}
    for item in ("position", "low", "high", *limits):
        if wrong := _number_fault(getattr(surface, item), limits.get(item), 1.0 if item == "efficiency" else None):
            yield f"{item} of surface {surface.name} {wrong}"
    for item, least in (("resolution", 0.0), ("span", 0.0), ("centre", None), ("tilt", None)):
        pair = getattr(surface, item)
        if pair is None:
            continue
        if not isinstance(pair, tuple) or len(pair) != 2:
            yield f"{item} of surface {surface.name} must be two numbers, got {pair!r:.60}"
            continue
        for value in pair:
            missing = value is None and item == "resolution"
            if not missing and (wrong := _number_fault(value, least)):
                yield f"{item} of surface {surface.name} {wrong}"
            elif not missing and least is not None and not float(value) > 0:
                yield f"{item} of surface {surface.name} must be > 0, got {float(value):g}"


def _number_fault(value: Any, least: float | None = None, most: float | None = None) -> str | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return f"must be a number, got {value!r:.60}"
    if not math.isfinite(number):
        return f"must be finite, got {number}"
    if least is not None and number < least:
        return f"must be >= {least:g}, got {number:g}"
    if most is not None and number > most:
        return f"must be <= {most:g}, got {number:g}"
    return None
