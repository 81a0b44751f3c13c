"""Reading `rivals`: designs that an optimum is compared with beside the initial one, such as what an expert would build."""

import re
from typing import Any

from detopt.parameters import Space, declaration
from detopt.study.document import Document, Place
from detopt.study.schema import near
from detopt.study.variables import noted_number
from detopt.units import format_quantity

__all__ = ["read_rivals"]

_TAKEN = ("initial", "final", "without")


def read_rivals(data: Any, space: Space, document: Document) -> dict[str, dict[str, float]]:
    """The values of the design variables of each; those that are not given are as in the initial design."""
    if data is None:
        return {}
    if not isinstance(data, dict):
        document.fault(("rivals",), "rivals must be a mapping: spread_out: {upper_1.z: 2 m}")
        return {}
    found = {}
    for name, entry in data.items():
        place: Place = ("rivals", name)
        if not re.fullmatch(r"\w[\w -]{0,39}", name) or name in _TAKEN:
            document.fault(
                place, f"a rival's name has letters, digits, spaces, _ or -, and is not {', '.join(_TAKEN)}", key=True
            )
        elif not isinstance(entry, dict) or not entry:
            document.fault(place, f"{name} must say what differs from the initial design: {{upper_1.z: 2 m}}")
        else:
            found[name] = _values(entry, space, document, place)
    return found


def _values(entry: dict[str, Any], space: Space, document: Document, place: Place) -> dict[str, float]:
    values = {v.name: v.init for v in space.variables}
    for variable in space.variables:
        if variable.name not in entry:
            continue
        here = (*place, variable.name)
        value = noted_number(entry[variable.name], declaration(space.detector, variable.name), document, here)
        if value is None:
            continue
        low, high = variable.lower, variable.upper
        slack = 1e-9 * (high - low)
        if not low - slack <= value <= high + slack:
            ends = " .. ".join(format_quantity(v, variable.display_unit, digits=10) for v in (low, high))
            document.fault(here, f"{variable.name} of a rival must lie within its bounds {ends}")
        values[variable.name] = min(max(value, low), high)
    for name in entry:
        if name not in values:
            hint = near(name, values) or "; the design variables are " + ", ".join(values)
            document.fault((*place, name), f"{name} is no design variable{hint}", key=True)
    return values
