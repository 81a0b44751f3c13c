"""A detector from a table: a row for each element, a column for each of its numbers, units in the head or in the cells."""

import csv
import re
from pathlib import Path

from detopt.detector.elements import ELEMENTS
from detopt.study.detectors import read_detector
from detopt.study.document import Document
from detopt.study.faults import BadInput, Fault, near

__all__ = ["detector_from_csv"]

_HEAD = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(?:\[([^\]]*)\]|\(([^)]*)\))?\s*")
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WORD = re.compile(r"[A-Za-z0-9_.%+/-]+( [A-Za-z0-9_.%+/-]+)*")
_FIRST = 2  # line of the first row


def detector_from_csv(path: Path, field: str | None = None) -> str:
    """The YAML of a detector whose elements stand in a table.

    Args:
        path: comma-separated values, or ones between semicolons or tabs. The first line names the columns as YAML does,
            `name`, `type`, and the fields of the elements (see `detopt check`), each with its unit where the cells have
            none: `radius [mm]`. Without a `type`, rows with a radius are barrel layers. An empty cell leaves a field out.
        field: of a solenoid along the beam, such as "2 T".

    Raises:
        BadInput: with the lines of the table that cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput([Fault(str(path), None, None, "", f"cannot be read: {error}")]) from None
    separator = max(",;\t", key=text.partition("\n")[0].count)
    lines = [*csv.reader(text.splitlines(), delimiter=separator)]
    columns, faults = _columns(path, lines[0] if lines else [])
    rows: list[tuple[int, dict[str, str]]] = []
    for number, cells in enumerate(lines[1:], _FIRST):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(columns):
            faults.append(Fault(str(path), number, None, "", f"has {len(cells)} cells in {len(columns)} columns"))
            continue
        filled = {key: _cell(cell, unit) for (key, unit), cell in zip(columns, cells, strict=False) if cell.strip()}
        if "type" not in filled and "radius" in filled:
            filled["type"] = "barrel_layer"
        filled.setdefault("name", f"L{len(rows)}")
        if filled.get("type") not in ELEMENTS:
            seen = filled.get("type")
            what = "needs a type" if seen is None else f"unknown type {seen!r}{near(seen, list(ELEMENTS))}"
            faults.append(Fault(str(path), number, None, "", f"{what}: one of {', '.join(sorted(ELEMENTS))}"))
            continue
        rows.append((number, filled))
    if not rows and not faults:
        faults.append(Fault(str(path), None, None, "", "has no elements: a line each, below a line of column names"))
    if faults:
        raise BadInput(faults)
    return _checked(path, rows, field)


def _columns(path: Path, head: list[str]) -> tuple[list[tuple[str, str]], list[Fault]]:
    """Field and unit of each column."""
    columns: list[tuple[str, str]] = []
    faults: list[Fault] = []
    for word in head:
        found = _HEAD.fullmatch(word)
        if found is None:
            faults.append(
                Fault(str(path), 1, None, "", f"column {word!r}: expected a field with its unit: radius [mm]")
            )
        name, *unit = found.groups() if found else ("", None, None)
        if name and name in [key for key, _ in columns]:
            faults.append(Fault(str(path), 1, None, "", f"column {name!r} stands there twice"))
        columns.append((name, next(filter(None, unit), "").strip()))
    return columns, faults


def _cell(cell: str, unit: str) -> str:
    """A cell as YAML: a number with the unit of its column, a word, or quoted text."""
    cell = cell.strip()
    if _PLAIN.fullmatch(cell):
        return f"{cell} {unit}".strip()
    return cell if _WORD.fullmatch(cell) else '"' + cell.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _checked(path: Path, rows: list[tuple[int, dict[str, str]]], field: str | None) -> str:
    """The YAML, if it is a detector; its faults are told where they stand in the table."""
    frames = [set(getattr(ELEMENTS[cells["type"]], "frames", ())) for _, cells in rows]
    shared = set.intersection(*frames)
    if not shared:
        kinds = ", ".join(sorted({cells["type"] for _, cells in rows}))
        raise BadInput(
            [Fault(str(path), None, None, "", f"elements of these types do not go into one detector: {kinds}")]
        )
    frame = next(word for word in ("barrel", "beamline", "portal") if word in shared)
    name, origin = (re.sub(r"[^\w. -]", "_", word)[:100] for word in (path.stem, path.name))
    lines = ["schema: 1", f'name: "{name}"', f"frame: {frame}", f'source_reference: "from {origin}"']
    if field is not None:
        lines.append(f"field: {{type: solenoid, B: {_cell(field, '')}}}")
    lines.append("elements:")
    above = len(lines)
    for _, cells in rows:
        first = {key: cells[key] for key in ("name", "type")}
        lines.append("  - {" + ", ".join(f"{key}: {cell}" for key, cell in {**first, **cells}.items()) + "}")
    text = "\n".join(lines) + "\n"
    document = Document(path.with_suffix(".yaml"), text)
    read_detector(document)
    if document.faults:
        raise BadInput([_in_table(path, fault, rows, above) for fault in document.faults])
    return text


def _in_table(path: Path, fault: Fault, rows: list[tuple[int, dict[str, str]]], above: int) -> Fault:
    at = (fault.line or 0) - above - 1
    line = rows[at][0] if 0 <= at < len(rows) else None
    return Fault(str(path), line, None, fault.where, fault.message)
