"""A source as `detopt simulate` takes it: a file, or a word with a momentum."""

import dataclasses
from pathlib import Path
from typing import Any

from detopt.parameters import quantities
from detopt.simulation.source import SOURCES, Cosmic, Source, check_frame
from detopt.study.faults import BadInput, Fault
from detopt.study.files import load_kind, locate
from detopt.study.library import is_file
from detopt.study.plugins import PluginError, is_plugin, load_class
from detopt.study.schema import near
from detopt.units import UnitError, parse_quantity

__all__ = ["source_from"]


def source_from(text: str, frame: str, momentum: str | None = None, exposure: str | None = None) -> Source:
    """Read a source.

    Args:
        text: a source's file, gun | beam | cosmic | resonance | decay, or a class: ./file.py:Class.
        frame: of the detector it is for.
        momentum: instead of the source's: "3 GeV", or "1 GeV, 10 GeV" for a range.
        exposure: of cosmic muons, instead of the source's: "60 s".

    Raises:
        BadInput: it cannot be read, or does not go with the frame.
    """
    given: dict[str, Any] = {}
    if momentum is not None:
        values = [_number(part, "GeV", "--momentum") for part in momentum.split(",")]
        if len(values) > 2 or values != sorted(values):
            raise _refused("--momentum", f"expected one momentum, or two that rise, got {momentum!r}")
        given["momentum"] = (values[0], values[-1])
    if exposure is not None:
        given["exposure"] = _number(exposure, "s", "--exposure")
    word = text.lower()
    if word in SOURCES and not is_file(Path(text)):
        cls = SOURCES[word]
        _check_known(cls, given, word)
        needed = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING and f.name not in given]
        if needed:
            option = " (--momentum)" if needed == ["momentum"] else ": write them in a file"
            raise _refused("--source", f"{word} needs {' and '.join(needed)}{option}")
        source: Source = cls(**given)
    elif is_plugin(text):
        source = _from_outside(text, given)
    else:
        path = locate(Path(text))
        if not is_file(path):
            raise _refused("--source", f"no file {text!r}, and no source of that name{near(text, SOURCES)}")
        source = load_kind(path, "source")
        _check_known(type(source), given, path.name)
        source = dataclasses.replace(source, **given)  # type: ignore[type-var]
    faults = [message for _, message in source.faults()]
    if wrong := check_frame(source, frame):
        faults.append(wrong)
    if faults:
        raise BadInput([Fault("--source", None, None, "", message) for message in faults])
    return source


def _from_outside(text: str, given: dict[str, Any]) -> Source:
    """A class, as ./file.py:Class, whose numbers have defaults."""
    try:
        cls = load_class(text, Path(), "source")
    except PluginError as error:
        raise _refused("--source", str(error)) from None
    _check_known(cls, given, cls.__name__)
    needed = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING and f.name not in given]
    if needed:
        raise _refused("--source", f"{cls.__name__} needs {' and '.join(needed)}: write them in a file")
    made: Source = cls(**given)
    return made


def _check_known(cls: type, given: dict[str, Any], word: str) -> None:
    for name in given:
        if name not in quantities(cls):
            raise _refused(f"--{name}", f"{word} has no {name}")


def _number(text: str, unit: str, option: str) -> float:
    try:
        value = parse_quantity(text, unit)
    except UnitError as error:
        raise _refused(option, str(error)) from None
    declared = quantities(Cosmic)["exposure" if unit == "s" else "momentum"]
    if fault := declared.fault(value):
        raise _refused(option, f"{fault}, got {text.strip()}")
    return value


def _refused(option: str, message: str) -> BadInput:
    return BadInput([Fault(option, None, None, "", message)])
