"""Any YAML file of detopt, told apart by its keys."""

from pathlib import Path
from typing import Any

from detopt.scoring.terms import OBJECTIVES
from detopt.simulation.source import SOURCES
from detopt.study.detectors import read_detector
from detopt.study.document import Document
from detopt.study.faults import BadInput, Fault
from detopt.study.library import find, is_file
from detopt.study.plugins import PluginError, is_plugin, what_is
from detopt.study.studies import load_study, read_source, read_term

__all__ = ["kind_of", "load_file", "locate"]

_LIBRARIES = {"detector": "detectors", "objective": "objectives", "study": "studies", "source": "sources"}


def kind_of(data: Any, folder: Path = Path()) -> str | None:
    """ "detector", "study", "objective" or "source"; None where the keys do not tell.

    A class from outside tells by what it is; `folder` is where the YAML lies. Raises PluginError where it cannot be had.
    """
    if not isinstance(data, dict):
        return None
    if "elements" in data or "frame" in data:
        return "detector"
    if data.keys() & {"detector", "objectives", "variables"}:
        return "study"
    word = data.get("type") if isinstance(data.get("type"), str) else None
    if word in OBJECTIVES or "goal" in data or "of" in data:
        return "objective"
    if word in SOURCES or "particle" in data:
        return "source"
    if is_plugin(word):
        assert word is not None
        return what_is(word, folder)
    return None


def locate(path: Path) -> Path:
    """The file itself, or the one of that name in the library; the path as it is where there is none."""
    if is_file(path):
        return path
    names = [str(path)] if path.suffix else [str(path), f"{path}.yaml"]
    found = (find(name, kind, Path.cwd()) for name in names for kind in _LIBRARIES.values())
    return next((f for f in found if f is not None), path)


def load_file(path: Path) -> Any:
    """See `detopt.load`."""
    path = locate(path)
    document = Document(path)
    kind = _kind(document)
    loaded: Any = None
    if kind == "study":
        return load_study(path)
    if kind == "detector":
        loaded, _ = read_detector(document)
    elif kind == "objective":
        loaded = read_term(OBJECTIVES, document.data, document, (), "objective")
    elif kind == "source":
        loaded = read_source(document.data, document, ())
    else:
        known = "elements (a detector), detector and objectives (a study), or type (an objective, a source)"
        raise BadInput([Fault(str(path), 1, 1, "", f"is none of detopt's files: expected {known}")])
    document.raise_faults()
    return loaded


def _kind(document: Document) -> str | None:
    try:
        return kind_of(document.data, document.path.parent)
    except PluginError as error:
        document.fault(("type",), str(error))
        raise BadInput(document.faults) from None


def load_kind(path: Path, kind: str) -> Any:
    """Load a file that has to be of one kind. Raises BadInput."""
    path = locate(path)
    seen = _kind(Document(path))
    if seen not in (kind, None):
        raise BadInput(
            [Fault(str(path), 1, 1, "", f"is {'an' if seen == 'objective' else 'a'} {seen}; a {kind} is needed")]
        )
    return load_file(path)
