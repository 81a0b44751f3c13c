"""The page as one file: styles, the plotting library, the scripts and the contents in it."""

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from detopt.report.explorer.contents import ShownDesign, contents
from detopt.report.markup import Markup, tag
from detopt.runs import RunError

__all__ = ["write_explorer"]

# In this order: each uses only what stands before it.
_SCRIPTS = ("state", "words", "scatter", "parallel", "drawing", "tables", "curves", "page")


def write_explorer(run: Any, designs: list[ShownDesign], path: Path) -> Path:
    """Write the page; an old one stands until the new one is complete. Raises RunError."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(_document(contents(run, designs)), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def _document(known: dict[str, Any]) -> str:
    here = files("detopt.report.explorer")
    script = "\n".join(here.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)
    body = here.joinpath("body.html").read_text(encoding="utf-8")
    head = [
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<link rel="icon" href="data:,">'),
        tag("title", f"{known['study']}: the front"),
        tag("style", Markup(here.joinpath("page.css").read_text(encoding="utf-8"))),
    ]
    scripts = [
        tag("script", Markup(_json(known)), type="application/json", id="known"),
        tag("script", Markup(_plotting())),
        tag("script", Markup(script)),
    ]
    return "<!doctype html>\n" + tag("html", tag("head", *head), tag("body", Markup(body), *scripts), lang="en")


def _json(known: dict[str, Any]) -> str:
    """JSON that no string can break out of: in a script, `<` is an escape."""
    text = json.dumps(known, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _plotting() -> str:
    from plotly.offline import get_plotlyjs  # takes a second

    return str(get_plotlyjs()).replace("</script", "<\\/script")
