"""A YAML file as plain data in which every value knows its line and column.

Scalars stay text until a schema says what they are: so `1e-3` is a number, `on` and `no` are words, `012` can be refused,
and an error can quote what was written. Tags, duplicate keys and alias bombs are refused.
"""

import warnings
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from detopt.study.faults import BadInput, Fault

__all__ = ["Document", "Place"]

Place = tuple[Hashable, ...]  # keys and indices from the top: ("elements", 3, "pitch")

_CORE_TAGS = ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")
_MOST_NODES = 200_000
_MOST_BYTES = 20_000_000


class Document:
    """A parsed file: its `text`, and `data` of dicts, lists, text and None. `faults` grows while schemas look at it."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        """Read a file, or the `text` that will stand there. Raises BadInput where it is not YAML at all."""
        self.path = path
        self.file = str(path)
        self.faults: list[Fault] = []
        self._marks: dict[Place, tuple[int, int]] = {}
        self._keys: dict[Place, tuple[int, int]] = {}
        self._count = 0
        self._early: list[tuple[Place, tuple[int, int], str]] = []  # faults met before the data stands
        self.text = self._read() if text is None else text
        self.data: Any = self._parse(self.text)
        for place, mark, message in self._early:
            self.faults.append(Fault(self.file, *mark, self.where(place), message))

    # -- faults --------------------------------------------------------------------------------------------------------

    def position(self, place: Place, *, key: bool = False) -> tuple[int | None, int | None]:
        """Line and column of a place, or of its key; of the nearest place around it where the file does not have it."""
        marks = self._keys if key else self._marks
        known = (place[:end] for end in range(len(place), -1, -1) if place[:end] in marks)
        return marks.get(next(known, ()), (None, None))

    def fault(self, place: Place, message: str, *, key: bool = False) -> None:
        """Note a fault at a place, or at its key."""
        self.faults.append(Fault(self.file, *self.position(place, key=key), self.where(place), message))

    def where(self, place: Place) -> str:
        """A place in words: an element goes by its name. ("elements", 3, "pitch") -> "L3"."""
        words: list[str] = []
        data = self.data
        for step in place:
            try:
                data = data[step]
            except (KeyError, IndexError, TypeError):
                data = None
            if isinstance(step, int):
                name = data.get("name") if isinstance(data, dict) else None
                words = [name] if isinstance(name, str) else [*words[:-1], f"{words[-1] if words else ''}[{step}]"]
            else:
                words.append(str(step))
        return ".".join(words if place and isinstance(place[-1], int) else words[:-1])

    def raise_faults(self) -> None:
        """Raise BadInput if any fault was noted."""
        if self.faults:
            raise BadInput(self.faults)

    # -- reading -------------------------------------------------------------------------------------------------------

    def _read(self) -> str:
        try:
            if self.path.stat().st_size > _MOST_BYTES:
                raise BadInput([Fault(self.file, None, None, "", f"is larger than {_MOST_BYTES // 10**6} MB")])
            return self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise BadInput([Fault(self.file, None, None, "", "no such file")]) from None
        except UnicodeDecodeError as error:
            raise BadInput([Fault(self.file, None, None, "", f"is not UTF-8 text ({error.reason})")]) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise BadInput([Fault(self.file, None, None, "", f"cannot be read: {reason}")]) from None

    def _parse(self, text: str) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an anchor that is used twice means what YAML says it does
                node = YAML(typ="safe", pure=True).compose(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = " ".join(str(part) for part in (error.problem, error.context) if part)
            line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
            raise BadInput([Fault(self.file, line, column, "", f"not valid YAML: {message}")]) from None
        except (YAMLError, RecursionError, ValueError) as error:
            raise BadInput(
                [Fault(self.file, None, None, "", f"not valid YAML: {' '.join(str(error).split())}")]
            ) from None
        if node is None:
            raise BadInput([Fault(self.file, None, None, "", "is empty")])
        return self._plain(node, ())

    def _plain(self, node: Node, place: Place) -> Any:
        self._marks[place] = (node.start_mark.line + 1, node.start_mark.column + 1)
        self._count += 1
        if self._count > _MOST_NODES or len(place) > 50:
            line, column = self._marks[place]
            raise BadInput([Fault(self.file, line, column, "", "is nested or aliased too deeply")])
        tag = str(node.tag)
        if tag.removeprefix("tag:yaml.org,2002:") not in _CORE_TAGS:
            self._early.append((place, self._marks[place], f"YAML tags such as {tag!r} are not allowed"))
            return None
        if isinstance(node, ScalarNode):
            quoted = node.style in ("'", '"', "|", ">")
            return None if not quoted and node.value in ("", "~", "null", "Null", "NULL") else node.value
        if isinstance(node, SequenceNode):
            return [self._plain(child, (*place, i)) for i, child in enumerate(node.value)]
        assert isinstance(node, MappingNode)
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, ScalarNode) else str(key_node.tag)
            mark = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in data:
                first = self._keys[(*place, key)][0]
                self._early.append(((*place, key), mark, f"duplicate key {key!r} (first on line {first})"))
                continue
            self._keys[(*place, key)] = mark
            data[key] = self._plain(value_node, (*place, key))
            if value_node.start_mark.index == value_node.end_mark.index:
                self._marks[(*place, key)] = mark  # nothing stands there: YAML puts it where the next thing begins
        return data
