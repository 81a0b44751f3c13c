"""`detopt schema`: what may stand in a YAML file, for editors."""

from pathlib import Path
from typing import Annotated

import typer

from detopt.cli.options import fail, print_json

__all__ = ["schema"]


def schema(
    out: Annotated[Path | None, typer.Option(help="A file to write it to.", show_default="printed")] = None,
) -> None:
    """The JSON Schema of detectors, studies, objectives and sources, by which editors complete and check YAML."""
    from detopt.study.json_schema import json_schema, write_schema

    if out is None:
        print_json(json_schema())
        return
    try:
        write_schema(out)
    except OSError as error:
        fail(f"cannot write {out}: {error.strerror}", 2)
    print(out)
