import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detopt.units import UnitError, format_quantity, parse_quantity, parse_unit


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("80 um", "mm", 0.08),
        ("80um", "mm", 0.08),
        ("80*um", "mm", 0.08),
        ("80 µm", "mm", 0.08),
        ("1e-3 m", "mm", 1.0),
        ("1E-3", "", 1e-3),
        ("0.35 %", "", 0.0035),
        (".5 T", "T", 0.5),
        ("60 kEUR/m2", "kEUR/mm2", 60e-6),
        ("60 kEUR/m^2", "kEUR/mm2", 60e-6),
        ("0.2 EUR", "kEUR", 2e-4),
        ("3 GeV/c", "GeV", 3.0),
        ("90 deg", "rad", math.pi / 2),
        ("-5 um", "mm", -0.005),
        ("1 min", "ns", 60e9),
        ("2.3 g/cm3", "g/cm3", 2.3),
        ("2300 kg/m3", "g/cm3", 2.3),
        ("7 g", "g", 7e3),
        ("1 MHz", "1/ns", 1e-3),
        ("5 kHz/m2", "1/s/m2", 5e-12),
        ("32 bit", "B", 4.0),
        ("3 MB/s", "GB/s", 3e-3),
    ],
)
def test_quantities(text, unit, value):
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("80", "mm", "needs a unit of length"),
        ("80 um", "GeV", "needs a energy|needs an energy|which is a length"),
        ("80 parsec", "mm", "unknown unit"),
        ("80 UM", "mm", "did you mean 'um'"),
        ("inf", "", "expected a number"),
        ("1e999", "", "infinite"),
        ("1e308 m", "mm", "infinite"),
        ("nan", "", "expected a number"),
        ("012", "", "leading zeros"),
        ("0x10 mm", "mm", "unknown unit|cannot read"),
        ("1_000 mm", "mm", "underscores"),
        ("", "mm", "expected a number"),
        ("5 mm mm", "mm", "unknown unit|wrong|needs"),
        ("5 mm", "", "without a dimension"),
        ("2.3", "g/cm3", "needs a unit of mass/length3, got the bare number 2.3 .say, 2.3 g/cm3"),
        ("2.3 g/cm2", "g/cm3", "needs a mass/length3"),
        ("5", "Hz", "say, 5 Hz"),
    ],
)
def test_refused(text, unit, message):
    with pytest.raises(UnitError, match=message):
        parse_quantity(text, unit)


def test_dimension_in_words():
    assert parse_unit("kEUR/m2").dimension == "money/length2"
    assert parse_unit("%").dimension == "dimensionless"
    assert parse_unit("g/cm3").dimension == "mass/length3"
    assert parse_unit("1/mm").dimension == "1/length"


@given(st.floats(min_value=1e-9, max_value=1e9), st.sampled_from(["nm", "um", "mm", "cm", "m"]))
def test_round_trip(value, unit):
    assert parse_quantity(format_quantity(value, unit, digits=17), "mm") == pytest.approx(value, rel=1e-14)
