"""`detopt new`: start from what the library has."""

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from detopt.cli.options import JsonOption, fail, print_json

__all__ = ["new"]


def new(
    template: Annotated[
        str | None, typer.Argument(help="A study or detector of the library.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to copy to.")] = Path("."),
    from_csv: Annotated[
        Path | None,
        typer.Option(
            help="Make a detector of a table: name, type, radius [mm], … in its first line.", show_default=False
        ),
    ] = None,
    field: Annotated[str | None, typer.Option(help='With --from-csv, a solenoid: "2 T".', show_default=False)] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List what there is.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start from a study or detector of the library: copy it, and what it names. Or from a table of layers."""
    from detopt.study.templates import copy_template, library, write_detector

    if from_csv is not None:
        if template is not None:
            fail("a template and --from-csv do not go together", 2)
        file = write_detector(from_csv, field, out)
        if as_json:
            print_json({"files": [str(file)]})
        else:
            print(f"{file}\nlook at it: detopt show {file}")
        return
    if field is not None:
        fail("--field goes with --from-csv", 2)
    if list_all or template is None:
        entries = library()
        if as_json:
            print_json(entries)
            return
        for kind in ("studies", "detectors", "objectives"):
            print(kind)
            for entry in entries:
                if entry["kind"] == kind:
                    print(
                        textwrap.fill(
                            entry["description"],
                            110,
                            initial_indent=f"  {entry['name']:24} ",
                            subsequent_indent=" " * 27,
                        )
                    )
        return
    written = copy_template(template, out)
    if as_json:
        print_json({"files": [str(f) for f in written]})
        return
    for file in written:
        print(file)
    print(f"edit it, then: detopt {'optimise' if 'studies' in str(written[0]) else 'show'} {written[0]}")
