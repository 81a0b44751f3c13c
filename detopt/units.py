"""Units: "80 um" -> 0.08, and back.

Inside detopt every number is in mm, GeV (c = 1), ns, tesla, radian, kEUR, mg and byte: a density is the same number in
mg/mm3 as in g/cm3. A unit is an exponent vector over the base
dimensions and a factor to those base units, so that "60 kEUR/m2" and "0.2 GeV/c" are checked and converted alike.
"""

import math
import re
from dataclasses import dataclass

__all__ = ["Unit", "UnitError", "format_quantity", "parse_quantity", "parse_unit", "symbols_like"]

# Exponents of (length, energy, time, field, angle, money, mass, data); per cent and counts have none.
_BASES = ("length", "energy", "time", "magnetic field", "angle", "money", "mass", "data")
_EXAMPLES = ("mm", "GeV", "ns", "T", "mrad", "kEUR", "kEUR/m2", "g", "g/cm3", "Hz", "B", "MB/s")


class UnitError(ValueError):
    """A quantity that cannot be read; the message says what was seen and what would be right."""


@dataclass(frozen=True)
class Unit:
    """A factor to base units and the exponents of (length, energy, time, magnetic field, angle, money, mass, data)."""

    factor: float
    exponents: tuple[int, ...]

    @property
    def dimension(self) -> str:
        """The dimension in words: "length", "money/length2", "dimensionless"."""

        def words(sign: int) -> str:
            powers = ((name, sign * e) for name, e in zip(_BASES, self.exponents, strict=True) if sign * e > 0)
            return " ".join(name + (str(e) if e > 1 else "") for name, e in powers)

        below = words(-1)
        return (words(1) or ("1" if below else "dimensionless")) + (f"/{below}" if below else "")


def _base(dimension: str, factor: float, power: int = 1) -> Unit:
    return Unit(factor, tuple(power * (name == dimension) for name in _BASES))


_SYMBOLS: dict[str, Unit] = {
    **{s: _base("length", f) for s, f in {"nm": 1e-6, "um": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1e3, "km": 1e6}.items()},
    **{s: _base("energy", f) for s, f in {"eV": 1e-9, "keV": 1e-6, "MeV": 1e-3, "GeV": 1.0, "TeV": 1e3}.items()},
    **{s: _base("time", f) for s, f in {"ps": 1e-3, "ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}.items()},
    **{s: _base("time", f) for s, f in {"min": 60e9, "h": 3600e9, "day": 86400e9}.items()},
    **{s: _base("magnetic field", f) for s, f in {"mT": 1e-3, "T": 1.0, "tesla": 1.0, "kG": 0.1}.items()},
    **{s: _base("angle", f) for s, f in {"urad": 1e-6, "mrad": 1e-3, "rad": 1.0, "deg": math.pi / 180}.items()},
    **{s: _base("money", f) for s, f in {"EUR": 1e-3, "kEUR": 1.0, "MEUR": 1e3}.items()},
    **{s: _base("mass", f) for s, f in {"ug": 1e-3, "mg": 1.0, "g": 1e3, "kg": 1e6}.items()},
    **{s: _base("time", f, -1) for s, f in {"Hz": 1e-9, "kHz": 1e-6, "MHz": 1e-3, "GHz": 1.0}.items()},
    **{s: _base("data", f) for s, f in {"bit": 0.125, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}.items()},
    "%": _base("", 1e-2),
    "permille": _base("", 1e-3),
    "c": _base("", 1.0),  # "1 GeV/c" and "1 GeV" are the same momentum, since c = 1
    "1": _base("", 1.0),
}
_SYMBOLS["µm"] = _SYMBOLS["μm"] = _SYMBOLS["um"]  # both Unicode micro signs

# No leading zeros (012 is octal to some readers), no inf, no nan, no hex.
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_FACTOR = re.compile(r"([A-Za-zµμ]+|%|1)(?:\^?(-?[0-9]))?")


def parse_unit(text: str) -> Unit:
    """Read a unit such as "um", "kEUR/m2", "1/mm" or "GeV/c".

    Raises:
        UnitError: the text holds an unknown symbol or cannot be read.
    """
    factor, exponents, sign, rest = 1.0, [0] * len(_BASES), 1, text.replace(" ", "")
    while True:
        match = _FACTOR.match(rest)
        symbol = _SYMBOLS.get(match[1]) if match else None
        if match is None or symbol is None:
            raise UnitError(f"unknown unit {text!r}" + _near_units(match[1] if match else text))
        power = sign * int(match[2] or 1)
        factor *= symbol.factor**power
        exponents = [e + power * s for e, s in zip(exponents, symbol.exponents, strict=True)]
        rest = rest[match.end() :]
        if not rest:
            return Unit(factor, tuple(exponents))
        if rest[0] not in "*/":
            raise UnitError(f"cannot read unit {text!r}: expected * or / before {rest!r}")
        sign, rest = (-1 if rest[0] == "/" else 1), rest[1:]


def symbols_like(unit: str) -> tuple[str, ...]:
    """The units of one symbol that measure the same: ("nm", "um", …) for "mm"; none for "kEUR/m2"."""
    exponents = parse_unit(unit or "1").exponents
    return tuple(symbol for symbol, known in _SYMBOLS.items() if known.exponents == exponents)


def _near_units(symbol: str) -> str:
    near = [known for known in _SYMBOLS if known.lower() == symbol.lower()]
    return f", did you mean {near[0]!r}?" if near else ""


def _example(unit: Unit) -> str:
    for name, known in zip(_EXAMPLES, (parse_unit(e) for e in _EXAMPLES), strict=True):
        if known.exponents == unit.exponents:
            return name
    return unit.dimension


def split_quantity(text: str) -> tuple[float, str]:
    """Split "80 um" into (80.0, "um"); the unit is "" for a bare number. Raises UnitError."""
    text = text.strip()
    match = _NUMBER.match(text)
    if match is None:
        raise UnitError(f"expected a number{' with a unit' if text else ''}, got {text!r}")
    rest = text[match.end() :].strip()
    if text[match.end() :][:1] in tuple("0123456789_."):
        raise UnitError(f"cannot read the number in {text!r}: write it without leading zeros or underscores")
    value = float(match[0])
    if not math.isfinite(value):
        raise UnitError(f"{text!r} is infinite; a finite number is needed")
    return value, rest.removeprefix("*").strip()


def parse_quantity(text: str, unit: str) -> float:
    """Read a quantity and return it in base units.

    Args:
        text: e.g. "80 um", "80um", "80*um", "1e-3 m", "0.35 %", or "0.9" where `unit` is dimensionless.
        unit: a unit of the dimension that is expected; "" or "1" for none.

    Raises:
        UnitError: not a finite number, a unit missing or unknown, or of the wrong dimension.

    >>> parse_quantity("80 um", "mm")
    0.08
    """
    expected = parse_unit(unit or "1")
    value, symbol = split_quantity(text)
    if not symbol:
        if any(expected.exponents):
            bare = text.strip()
            raise UnitError(
                f"needs a unit of {expected.dimension}, got the bare number {bare} (say, {bare} {_example(expected)})"
            )
        return value
    seen = parse_unit(symbol)
    if seen.exponents != expected.exponents:
        wanted = _article(expected.dimension) if any(expected.exponents) else "a number without a dimension"
        raise UnitError(f"needs {wanted}, got {text.strip()!r}, which is {_article(seen.dimension)}")
    if not math.isfinite(value * seen.factor):
        raise UnitError(f"{text.strip()!r} is infinite; a finite number is needed")
    return _times(value, seen.factor)


def _article(dimension: str) -> str:
    return dimension if dimension == "dimensionless" else ("an " if dimension[0] in "aeiou" else "a ") + dimension


def _times(value: float, factor: float) -> float:
    """value * factor, dividing where the inverse is exact: 80 um is 0.08 mm, not 0.08000000000000002."""
    inverse = round(1 / factor) if factor < 1 else 0
    return value / inverse if inverse and abs(inverse * factor - 1) < 1e-15 else value * factor


def format_quantity(value: float, unit: str, digits: int = 6) -> str:
    """Write a base-unit value in `unit`: format_quantity(0.08, "um") == "80 um"."""
    scaled = value / parse_unit(unit or "1").factor
    number = f"{scaled:.{digits}g}"
    return f"{number} {unit}".strip()
