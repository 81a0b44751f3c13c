"""HTML that cannot be broken by what stands in a YAML file: every string is escaped unless it is markup already."""

import html
from typing import Any

__all__ = ["Markup", "table", "tag"]


_VOID = ("img", "source")  # what has no end


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: Any, **attributes: Any) -> Markup:
    """An element: `tag("p", "a < b", class_="note")`. A child or an attribute that is None is left out."""
    inside = "".join(c if isinstance(c, Markup) else html.escape(str(c)) for c in children if c is not None)
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    opening = " ".join([name, *(f'{key}="{html.escape(str(value))}"' for key, value in pairs)])
    return Markup(f"<{opening}>" if name in _VOID else f"<{opening}>{inside}</{name}>")


def table(caption: str, head: list[str], rows: list[list[Any]]) -> Markup:
    """A table whose first column names the rows; numbers from the second column on stand to the right.

    It scrolls by itself where the screen is narrow.
    """
    header = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head)))
    body = (tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows)
    whole = tag("table", tag("caption", caption), header, tag("tbody", *body))
    return tag("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)
