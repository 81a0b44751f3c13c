"""The reference of the site, written when it is built from what the commands and the classes say of themselves."""

import inspect
from typing import Any

import typer

from detopt.cli import app
from detopt.detector.cost import Prices
from detopt.detector.trigger import Trigger
from detopt.parameters import quantities
from detopt.simulation.physics import Physics
from detopt.study.json_schema import KINDS, meaning, properties
from detopt.study.settings import Audit, Tracking

TITLES = {
    "element": "Elements",
    "field": "Fields",
    "scene": "Scenes of a volume",
    "shape": "Shapes",
    "random_shape": "Shapes at random",
    "source": "Sources",
    "objective": "Objectives",
    "constraint": "Constraints",
    "head": "Heads",
    "search": "Searches",
}
OTHERS = {"cost": Prices, "trigger": Trigger, "tracking": Tracking, "physics": Physics, "audit": Audit}


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
    """Every type of YAML with its fields."""
    lines: list[str] = []
    for title, classes in [*((TITLES[kind], classes) for kind, classes in KINDS.items()), ("Other keys", OTHERS)]:
        lines += [f"## {title}", ""]
        for word, cls in classes.items():
            lines += [f"### `{word}`", "", meaning(cls), "", *_fields(cls), ""]
    return "\n".join(lines)


def _fields(cls: Any) -> list[str]:
    """A table of the fields of a class: what each means, its unit, range and default."""
    declared, rows = quantities(cls), []
    for name, field in properties(cls).items():
        if name in ("name", "title", "type"):
            continue
        q, words = declared.get(name), _plain(field.get("description", ""))
        unit, span = (q.unit, _range(q)) if q is not None else ("", _options(field))
        default = f"`{field['default']}`" if "default" in field else ""
        rows.append(f"| `{name}` | {words if q is None else _plain(q.doc)} | {unit} | {span} | {default} |")
    return (
        ["| field | meaning | in units of | range | default |", "| --- | --- | --- | --- | --- |", *rows]
        if rows
        else []
    )


def _range(q: Any) -> str:
    low = f"> {q.above:g}" if q.above is not None else f"≥ {q.min:g}" if q.min is not None else ""
    high = f"< {q.below:g}" if q.below is not None else f"≤ {q.max:g}" if q.max is not None else ""
    return " and ".join(filter(None, (low, high)))


def _options(field: dict[str, Any]) -> str:
    return ", ".join(f"`{word}`" for word in field.get("enum", []))


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
