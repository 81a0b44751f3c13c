"""Writing YAML: a detector with other numbers, comments and layout kept; a study with its detector inside."""

import io
from collections.abc import Iterable
from typing import Any

from ruamel.yaml import YAML

from detopt.detector.detector import Detector
from detopt.detector.elements import ELEMENTS
from detopt.parameters import Space, Variable
from detopt.units import format_quantity, parse_quantity

__all__ = ["detector_with", "resolved_study"]

DIGITS = 7  # of the numbers written: 0.1 nm in a millimetre, and short enough to read


def _yaml() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 1000  # lines stay as they are
    yaml.preserve_quotes = True
    return yaml


def _dump(data: Any) -> str:
    buffer = io.StringIO()
    _yaml().dump(data, buffer)
    return buffer.getvalue()


def detector_with(text: str, space: Space, values: dict[str, float], header: Iterable[str] = ()) -> str:
    """A detector's YAML with the design variables at `values`; everything else stays as it was written.

    Args:
        text: the YAML of the detector file.
        space: the variables, around that detector.
        values: physical value (base units) of each variable.
        header: lines of comment to put on top.
    """
    data = _yaml().load(text)
    for variable in space.variables:
        for name in variable.names:
            _set(data, space.detector, name, _written(variable, values[variable.name]))
    return "".join(f"# {line}\n" for line in header) + _dump(data)


def _written(variable: Variable, value: float) -> str:
    """The number as it is written: rounded, unless that takes it over a bound."""
    unit = variable.display_unit or variable.unit
    rounded = format_quantity(value, unit, digits=DIGITS)
    if variable.lower <= parse_quantity(rounded, variable.unit) <= variable.upper:
        return rounded
    return format_quantity(value, unit, digits=17)


def _set(data: Any, detector: Detector, name: str, written: str) -> None:
    part, field, *axis = name.split(".")
    holder = data["field"] if part == "field" else next(e for e in data["elements"] if e["name"] == part)
    if field not in holder:  # a pitch that took the place of a resolution
        holder[field] = holder.pop("resolution")
    old = holder[field]
    if axis and not (isinstance(old, dict) and axis[0] in old):  # one number stood for both axes
        old = holder[field] = dict.fromkeys(ELEMENTS[holder["type"]].axes, old)  # type: ignore[attr-defined]
    if axis:
        holder, field, old = old, axis[0], old[axis[0]]
    if isinstance(old, dict) and "init" in old:
        old["init"] = written  # it stays a variable, from its new value on
    elif isinstance(old, dict):
        for key in old:
            old[key] = written
    else:
        holder[field] = written


def resolved_study(study_text: str, detector_text: str, objective_texts: dict[str, str]) -> str:
    """The study's YAML with its detector and objectives inside, so that one file says everything."""
    study = _yaml().load(study_text)
    study["detector"] = _yaml().load(detector_text)
    for name, text in objective_texts.items():
        study["objectives"][name] = {
            k: v for k, v in _yaml().load(text).items() if k not in ("schema", "name", "description")
        }
    return _dump(study)


def inline_detector(study_text: str) -> str:
    """The detector that stands inside a study, as a file of its own."""
    return _dump(_yaml().load(study_text)["detector"])
