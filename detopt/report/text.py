"""Numbers as people write them: "21.3 ± 0.2 µm", "−21 %"."""

import math
from typing import Any

from detopt.units import UnitError, format_quantity, parse_unit

__all__ = [
    "DESIGNS",
    "MISSING",
    "count",
    "difference",
    "has_prices",
    "number",
    "pairs",
    "per",
    "percent",
    "quantity",
    "sigmas",
    "signed",
    "unit",
]

MISSING = "–"
DESIGNS = {"initial": "before", "final": "after", "without": "optimum without the head's loss"}
_PRETTY = {"um": "µm", "urad": "µrad", "us": "µs", "deg": "°", "permille": "‰", "mm2": "mm²", "cm2": "cm²", "m2": "m²"}


def number(value: Any) -> float:
    """A float; NaN for null and for what is no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def unit(symbol: str) -> str:
    """The unit in print: "kEUR/m2" is kEUR/m²."""
    return "/".join(_PRETTY.get(part, part) for part in (symbol or "").split("/"))


def scale(symbol: str) -> float:
    """What to divide a base-unit value by; 1 for a unit that is not known."""
    try:
        return parse_unit(symbol or "1").factor
    except UnitError:
        return 1.0


def has_prices(score: dict[str, Any]) -> bool:
    """Whether a study has prices: without them a design costs nothing in total, and has no parts that cost."""
    return len(score.get("cost") or {}) > 1


def quantity(value: Any, symbol: str = "", error: Any = 0.0, digits: int = 4) -> str:
    """A base-unit value in the unit given, with its error where it has one, to two digits of that error."""
    value, error, factor = number(value), number(error), scale(symbol)
    if not math.isfinite(value):
        return MISSING
    if math.isfinite(error) and error > 0:
        places = max(0, 1 - math.floor(math.log10(float(f"{error / factor:.1e}"))))
        text = f"{value / factor:.{places}f} ± {error / factor:.{places}f}"
        text = f"({text})" if symbol else text
    else:
        text = format_quantity(value / factor, "", max(digits, len(f"{abs(value / factor):.0f}")))
    return f"{text} {unit(symbol)}".strip().replace("-", "−")


def signed(value: Any, symbol: str = "", error: Any = 0.0, digits: int = 3) -> str:
    """A change with its sign, like `quantity`."""
    text = quantity(value, symbol, error, digits)
    return f"+{text}" if number(value) > 0 and text != MISSING and not text.startswith("(") else text


def per(symbol: str, other: str) -> str:
    """One unit for each of another: "um" per "mm" is "um/mm", "" per "mm" is "1/mm"."""
    below = other.replace("/", "|").replace("*", "/").replace("|", "*")
    return f"{symbol or '1'}/{below}" if other else symbol


def percent(fraction: float) -> str:
    """A change with its sign, to three digits at most: 0.2134 is "+21.3 %"."""
    if not math.isfinite(fraction):
        return MISSING
    places = next((p for p, limit in ((0, 0.995), (1, 0.00995)) if abs(fraction) >= limit), 2)
    return f"{100 * fraction:+.{places}f} %".replace("-", "−")


def pairs(result: dict[str, Any], design: str) -> dict[str, Any]:
    """The optimum minus another design, where both were scored on the same muons: {objective: {value, error}}."""
    return ((result.get("after_minus") or {}).get(design) or {}).get("objectives") or {}


def difference(
    before: dict[str, Any], after: dict[str, Any], paired: dict[str, Any] | None = None
) -> tuple[float, float]:
    """By how much a value changed, and the error of that; NaN where one is missing.

    The error is that of `paired`, where both were scored on the same muons; else as if the two were independent.
    """
    errors = (e if math.isfinite(e := number(s.get("error"))) else 0.0 for s in (before, after))
    error = number((paired or {}).get("error"))
    change = number(after.get("value")) - number(before.get("value"))
    return change, error if math.isfinite(error) else math.hypot(*errors)


def sigmas(before: dict[str, Any], after: dict[str, Any], paired: dict[str, Any] | None = None) -> str:
    """The change in units of its error."""
    change, error = difference(before, after, paired)
    if not math.isfinite(change):
        return MISSING
    if error == 0:
        return "exact"
    ratio = change / error
    return f"{ratio:+.{0 if abs(ratio) >= 99.5 else 1}f} σ".replace("-", "−")


def count(n: int, noun: str) -> str:
    """ "1 step", "400 steps"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"
