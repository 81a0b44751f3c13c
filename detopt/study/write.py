"""Writing YAML: a detector with other numbers, comments and layout kept; a study with its detector inside."""

import copy
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from detopt.detector.detector import Detector
from detopt.parameters import Quantity, Space, Variable, quantities
from detopt.study.detectors import read_detector
from detopt.study.document import Document, Place
from detopt.study.plugins import files_in
from detopt.study.scene_files import scene_files_in
from detopt.units import format_quantity, parse_quantity, split_quantity

__all__ = [
    "SCHEMA_LINE",
    "Companions",
    "DetectorText",
    "detector_with",
    "dump_yaml",
    "inline_detector",
    "load_yaml",
    "resolved_study",
]

SCHEMA_LINE = "# yaml-language-server: $schema="  # and where the schema lies, beside the file: for editors
DIGITS = 7  # of the numbers written: 0.1 nm in a millimetre, and short enough to read


def _yaml() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 1000  # lines stay as they are
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def dump_yaml(data: Any) -> str:
    """YAML text."""
    buffer = io.StringIO()
    _yaml().dump(data, buffer)
    return buffer.getvalue()


def load_yaml(text: str) -> Any:
    """As it will be written again: comments and layout kept, and what is said once for several places is said in each."""
    return _unshared(_yaml().load(text), set())


def _unshared(data: Any, seen: set[int]) -> Any:
    """Anchors and their aliases are one object in ruamel: copies, so that one can change without the other."""
    if isinstance(data, dict | list):
        if id(data) in seen:
            return copy.deepcopy(data)
        seen.add(id(data))
        for key in data if isinstance(data, dict) else range(len(data)):
            data[key] = _unshared(data[key], seen)
    return data


def detector_with(
    text: str, space: Space, values: dict[str, float], header: Iterable[str] = (), folder: Path = Path()
) -> str:
    """A detector's YAML with the numbers of a design; see `DetectorText`."""
    return DetectorText(text, space, folder).at(values, header)


class DetectorText:
    """The YAML of a detector, to be written with the numbers of one design after another; all else stays as it was.

    Args:
        text: the YAML of the detector file.
        space: the study's variables; its detector may differ from the file's in what the study fixes.
        folder: where it will lie: its plug-ins are looked for there.
    """

    def __init__(self, text: str, space: Space, folder: Path = Path()) -> None:
        self.text, self.space = _without_schema(text), space
        written, _ = read_detector(Document(folder / "detector.yaml", text))
        assert written is not None  # it was read before
        self._written, self._data = written, load_yaml(self.text)

    def at(self, values: dict[str, float], header: Iterable[str] = ()) -> str:
        """The text with the physical value (base units) of each variable, below lines of comment."""
        design = self.space.at(values)
        moved = {name: variable for variable in self.space.variables for name in variable.names}
        data, changed = copy.deepcopy(self._data), False
        for holder, old, new in _parts(data, self._written, design):
            for field, declared in quantities(type(new)).items():
                if getattr(old, field) != getattr(new, field):
                    changed = True
                    _set(holder, new, field, declared, moved)
        top = "".join(f"# {line}\n" for line in header)
        return top + (dump_yaml(data) if changed else self.text)


def _without_schema(text: str) -> str:
    """Without the line that names the schema: it would be looked for beside another folder."""
    return text.partition("\n")[2] if text.startswith(SCHEMA_LINE) else text


def _parts(data: Any, old: Detector, new: Detector) -> Iterable[tuple[Any, Any, Any]]:
    """YAML mapping, element as written, element as designed; the field and the trigger as well."""
    yield from zip(data["elements"], old.elements, new.elements, strict=True)
    if new.field is not None:
        yield data["field"], old.field, new.field
    if new.trigger is not None:
        yield data["trigger"], old.trigger, new.trigger


def _set(holder: Any, part: Any, field: str, declared: Quantity, moved: dict[str, Variable]) -> None:
    value, old = getattr(part, field), holder.get(field)
    if value is None:
        del holder[field]  # a resolution that made room for a pitch
        return

    def text(number: float, *axis: str, instead_of: Any = None) -> str:
        variable = moved.get(".".join((part.name, field, *axis))) or moved.get(f"{part.name}.{field}")
        return _text(number, declared, variable, instead_of)

    if not isinstance(value, tuple):
        if isinstance(old, dict):
            old["init"] = text(value)  # it stays a variable, from its new value on
        else:
            holder[field] = text(value, instead_of=old)
        return
    numbers = {axis: v for axis, v in zip(part.axes, value, strict=True) if v is not None}
    equal = len(set(numbers.values())) == 1 and len(numbers) == 2
    if isinstance(old, dict) and "init" in old and equal:
        old["init"] = text(value[0])
    elif isinstance(old, dict) and "init" not in old:
        for key in old:
            axis = str(getattr(part, "aliases", {}).get(key, key))
            if isinstance(old[key], dict):
                old[key]["init"] = text(numbers[axis], axis)
            else:
                old[key] = text(numbers[axis], axis, instead_of=old[key])
    elif equal:
        holder[field] = text(value[0], instead_of=old)
    else:
        holder[field] = {axis: text(v, axis, instead_of=old) for axis, v in numbers.items()}


def _text(number: float, declared: Quantity, variable: Variable | None, instead_of: Any) -> str:
    """A number as it is written: in the user's unit, and rounded unless that takes it over a bound."""
    unit = declared.unit
    if variable is not None:
        unit = variable.display_unit or unit
    elif isinstance(instead_of, str):
        unit = split_quantity(instead_of)[1] or unit
    rounded = format_quantity(number, unit, digits=DIGITS)
    if variable is None or variable.lower <= parse_quantity(rounded, declared.unit) <= variable.upper:
        return rounded
    return format_quantity(number, unit, digits=17)


class Companions:
    """Files of plug-ins and scenes that lie beside the YAML of a run folder, each under a name of its own."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}  # by name

    def beside(self, text: str, folder: Path) -> str:
        """The YAML of a file in `folder`, with the files that it names as they will lie beside it."""
        data = load_yaml(text)
        plugins, scenes = list(files_in(data, folder)), list(scene_files_in(data, folder))
        for holder, file in plugins:
            holder["type"] = f"./{self._name(file)}:{holder['type'].partition(':')[2]}"
        for scene, file in scenes:
            scene["path"] = self._name(file)
        return dump_yaml(data) if plugins or scenes else text

    def _name(self, file: Path) -> str:
        content, number, name = file.read_bytes(), 1, file.name
        while self.contents.setdefault(name, content) != content:
            number += 1
            name = f"{file.stem}_{number}{file.suffix}"
        return name


def resolved_study(study_text: str, detector_text: str, included: dict[Place, str]) -> str:
    """The study's YAML with its detector, source and objectives inside, so that one file says everything."""
    study = load_yaml(_without_schema(study_text))
    study["detector"] = load_yaml(_without_schema(detector_text))
    for place, text in included.items():
        holder = study
        for step in place[:-1]:
            holder = holder[step]
        entry = load_yaml(_without_schema(text)).items()
        holder[place[-1]] = {k: v for k, v in entry if k not in ("schema", "name", "description")}
    return dump_yaml(study)


def inline_detector(study_text: str) -> str:
    """The detector that stands inside a study, as a file of its own."""
    return dump_yaml(load_yaml(study_text)["detector"])
