"""The reference of the site, written when it is built from what the commands and the classes say of themselves."""

import dataclasses
import inspect
import re
from typing import Any

import typer

from detopt.cli import app
from detopt.detector.detector import FIELDS
from detopt.detector.elements import ELEMENTS
from detopt.detector.trigger import Trigger
from detopt.inference.heads import HEADS
from detopt.parameters import quantities
from detopt.scoring.terms import CONSTRAINTS, OBJECTIVES
from detopt.simulation.source import SOURCES
from detopt.study.settings import SEARCHES, Audit, Tracking
from detopt.units import format_quantity

KINDS: dict[str, dict[str, type]] = {
    "Elements": ELEMENTS, "Fields": FIELDS, "Sources": SOURCES, "Objectives": OBJECTIVES, "Constraints": CONSTRAINTS,
    "Heads": HEADS, "Searches": SEARCHES, "Others": {"trigger": Trigger, "tracking": Tracking, "audit": Audit},
}  # fmt: skip


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in what a page leaves to this file."""
    for marker, text in (("<!-- commands -->", commands), ("<!-- types -->", types)):
        if marker in markdown:
            markdown = markdown.replace(marker, text())
    return markdown


def commands() -> str:
    """Every command with its options."""
    group: Any = typer.main.get_command(app)
    return "\n".join(_command(name, command) for name, command in group.commands.items())


def _command(name: str, command: Any) -> str:
    if hasattr(command, "commands"):
        return "\n".join(_command(f"{name} {inner}", c) for inner, c in command.commands.items())
    lines = [f"## detopt {name}", "", inspect.cleandoc(command.help or ""), ""]
    if command.epilog:
        lines += ["```sh", command.epilog.removeprefix("Example: "), "```", ""]
    rows = []
    for parameter in command.params:
        if parameter.name == "help":
            continue
        option = parameter.param_type_name == "option"
        words = (
            ", ".join((*parameter.opts, *parameter.secondary_opts))
            if option
            else parameter.metavar or parameter.name.upper()
        )
        rows.append(f"| `{words}` | {_plain(parameter.help or '')} |")
    return "\n".join([*lines, "| argument or option | |", "| --- | --- |", *rows, ""]) if rows else "\n".join(lines)


def types() -> str:
    """Every type of YAML with its numbers."""
    lines: list[str] = []
    for kind, classes in KINDS.items():
        lines += [f"## {kind}", ""]
        for word, cls in classes.items():
            lines += [f"### `{word}`", "", inspect.cleandoc(cls.__doc__ or ""), "", *_fields(cls), ""]
    return "\n".join(lines)


def _fields(cls: Any) -> list[str]:
    """A table of the fields of a class: what each means, its unit, range and default."""
    declared, rows = quantities(cls), []
    for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
        if field.name in ("name", "title", "type") or field.name.startswith("_"):
            continue
        if (q := declared.get(field.name)) is not None:
            rows.append(f"| `{field.name}` | {_plain(q.doc)} | {q.unit} | {_range(q)} | {_default(field, q.unit)} |")
        else:
            rows.append(f"| `{field.name}` | {_plain(_comment(cls, field.name))} | | | {_default(field, '')} |")
    return (
        ["| field | meaning | in units of | range | default |", "| --- | --- | --- | --- | --- |", *rows]
        if rows
        else []
    )


def _comment(cls: Any, name: str) -> str:
    """What stands behind a field in the code of its class."""
    for owner in cls.__mro__[:-1]:
        found = re.search(rf"(?m)^    {name}:.*?# (.*)$", inspect.getsource(owner))
        if found:
            return found[1]
    return ""


def _range(q: Any) -> str:
    low = f"> {q.above:g}" if q.above is not None else f"≥ {q.min:g}" if q.min is not None else ""
    high = f"< {q.below:g}" if q.below is not None else f"≤ {q.max:g}" if q.max is not None else ""
    return " and ".join(filter(None, (low, high)))


def _default(field: Any, unit: str) -> str:
    value = field.default
    if value is dataclasses.MISSING:
        return "" if field.default_factory is not dataclasses.MISSING else "**needed**"
    if value is None:
        return ""
    if isinstance(value, float | int) and not isinstance(value, bool) and unit:
        return format_quantity(float(value), unit)
    return f"`{value}`"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
