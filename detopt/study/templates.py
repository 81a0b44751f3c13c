"""`detopt new`: copies of what ships with detopt, to start from."""

from pathlib import Path
from typing import Any

from detopt.study.document import Document
from detopt.study.faults import BadInput, Fault
from detopt.study.from_csv import detector_from_csv
from detopt.study.json_schema import SCHEMA_LINE, write_schema
from detopt.study.library import find, shipped_files
from detopt.study.plugins import files_in
from detopt.study.scene_files import scene_files_in
from detopt.study.schema import near

__all__ = ["copy_template", "library", "write_detector"]

_SCHEMA = "detopt.schema.json"


def library() -> list[dict[str, str]]:
    """Name, kind, description and file of everything that ships."""
    entries = []
    for kind in ("studies", "detectors", "objectives"):
        for path in shipped_files(kind):
            data = Document(path).data
            description = " ".join((data.get("description") or data.get("source_reference") or "").split())
            entries.append({"name": path.stem, "kind": kind, "description": description, "file": str(path)})
    return entries


def copy_template(name: str, out: Path) -> list[Path]:
    """Copy a study (with its detector and objectives), a detector or an objective into `out`.

    The JSON Schema of all YAML files is written there as well, and each copy names it in its first line, for editors.

    Returns:
        The files written, the one asked for first.

    Raises:
        BadInput: no such template, or a file is there already.
    """
    stem = Path(name).stem
    entry = next((e for e in library() if e["name"] == stem), None)
    if entry is None:
        hint = near(stem, [e["name"] for e in library()])
        raise BadInput([Fault(name, None, None, "", f"is not in the library{hint} (see `detopt new --list`)")])
    source = Path(entry["file"])
    wanted = [(source, out / entry["kind"] / source.name)]
    data: Any = Document(source).data
    if entry["kind"] == "studies":
        named = [("detectors", data["detector"])]
        named += [("objectives", o) for o in data["objectives"].values() if isinstance(o, str)]
        for kind, path in named:
            found = find(path, kind, source.parent) if isinstance(path, str) else None
            if found is not None:
                wanted.append((found, out / kind / found.name))
    wanted += {w: None for origin, target in wanted for w in _companions(origin, target.parent).items()}
    for _, target in wanted:
        _refuse_if_there(target)
    _write_all({target: origin.read_bytes() for origin, target in wanted}, out)
    return [target for _, target in wanted]


def write_detector(table: Path, field: str | None, out: Path) -> Path:
    """Write a detector from a table (see `detector_from_csv`) into `out`/detectors; returns its file. Raises BadInput."""
    text, target = detector_from_csv(table, field), out / "detectors" / f"{table.stem}.yaml"
    _refuse_if_there(target)
    _write_all({target: text.encode()}, out)
    return target


def _write_all(contents: dict[Path, bytes], out: Path) -> None:
    """Write files into folders of `out`, and there the schema that they name in their first line."""
    for target, content in contents.items():
        line = f"{SCHEMA_LINE}../{_SCHEMA}\n".encode() if target.suffix == ".yaml" else b""
        _write(target, line + content)
    try:
        write_schema(out / _SCHEMA)
    except OSError as error:
        raise _unwritten(out / _SCHEMA, error) from None


def _refuse_if_there(target: Path) -> None:
    if target.exists():
        raise BadInput([Fault(str(target), None, None, "", "is there already")])


def _write(target: Path, content: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    except OSError as error:
        raise _unwritten(target, error) from None


def _unwritten(target: Path, error: OSError) -> BadInput:
    return BadInput([Fault(str(target), None, None, "", f"cannot be written: {error.strerror}")])


def _companions(origin: Path, folder: Path) -> dict[Path, Path]:
    """The files of the classes and scenes that a YAML file names, and where they lie beside its copy."""
    data = Document(origin).data
    files = [(file, folder / node["type"].partition(":")[0]) for node, file in files_in(data, origin.parent)]
    files += [(file, folder / scene["path"]) for scene, file in scene_files_in(data, origin.parent)]
    return dict(files)
