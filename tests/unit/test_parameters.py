"""Design variables: exact at their bounds, tied numbers together, and `unit_interval` the inverse of `value`."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer, BarrelStack, Disk, Plane
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Quantity, Space, Variable, declaration, get, put, quantities

DETECTOR = Detector(
    name="mixed",
    frame="barrel",
    field=Solenoid(B=2.0),
    elements=(
        BarrelLayer(name="L0", radius=20.0, half_length=500.0, x_over_X0=0.003, pitch=(0.03, 0.06)),
        BarrelLayer(name="L1", radius=40.0, half_length=500.0, x_over_X0=0.003, resolution=(0.005, 0.005)),
        BarrelStack(
            name="S", count=3, inner_radius=100.0, outer_radius=300.0, half_length=900.0, resolution=(0.01, None)
        ),
        Disk(name="D", z=700.0, inner_radius=20.0, outer_radius=90.0, resolution=(0.01, 0.02), efficiency=0.98),
    ),
)
NAMES = [
    "L0.radius", "L0.half_length", "L0.x_over_X0", "L0.pitch.rphi", "L0.pitch.z", "L0.efficiency", "L0.resolution_per_pitch", "L1.resolution",
    "L1.resolution.z", "S.inner_radius", "S.resolution", "S.resolution.rphi", "D.z", "D.resolution.r", "D.efficiency", "field.B",
]  # fmt: skip

finite = st.floats(min_value=-1e6, max_value=1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)
positive = st.floats(min_value=1e-6, max_value=1e6)


def variable(lower, upper, *names, log=False):
    return Variable(names[0], lower, upper, lower, "mm", "mm", names, log)


# -- dotted names ----------------------------------------------------------------------------------------------------------


@given(st.sampled_from(NAMES), positive)
def test_put_then_get(name, value):
    changed = put(DETECTOR, name, value)
    assert get(changed, name) == value
    assert put(changed, name, get(DETECTOR, name)) == DETECTOR


@given(st.sampled_from(NAMES), st.sampled_from(NAMES), positive)
def test_put_leaves_the_others(name, other, value):
    if name.split(".")[:2] != other.split(".")[:2]:
        assert get(put(DETECTOR, name, value), other) == get(DETECTOR, other)


def test_one_axis_leaves_the_other():
    assert put(DETECTOR, "L0.pitch.z", 1.0).part("L0").pitch == (0.03, 1.0)
    assert put(DETECTOR, "L1.resolution", 1.0).part("L1").resolution == (1.0, 1.0)
    assert put(DETECTOR, "S.resolution", 1.0).part("S").resolution == (1.0, None), "what is not measured stays so"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("L9.radius", "no element 'L9'; it has L0, L1, S, D"),
        ("L0.radios", "no number 'radios'"),
        ("L0.name", "no number 'name'"),
        ("L0.material", "no number 'material'"),
        ("L0", "not the dotted name"),
        ("L0.pitch.rphi.x", "not the dotted name"),
        ("L0.pitch.x", "has no axis 'x'"),
        ("L0.radius.z", "has no axis 'z'"),
        ("L0.pitch", "differs between its axes: name L0.pitch.rphi or L0.pitch.z"),
        ("L0.resolution", "L0 declares no resolution"),
        ("L0.thickness", "L0 declares no thickness"),
        ("S.count", "no number 'count'"),
        ("field.z", "no number 'z'"),
    ],
)
def test_names_that_are_not_there(name, message):
    with pytest.raises(KeyError, match=message):
        get(DETECTOR, name)


def test_no_field():
    with pytest.raises(KeyError, match="'field'"):
        get(dataclasses.replace(DETECTOR, field=None), "field.B")


def test_declarations_are_complete():
    for cls in (BarrelLayer, BarrelStack, Disk, Plane, Solenoid):
        for field, declared in quantities(cls).items():
            assert declared.doc, f"{cls.__name__}.{field}"
    assert declaration(DETECTOR, "L0.pitch.z").unit == "mm"
    assert declaration(DETECTOR, "field.B").unit == "T"


@pytest.mark.parametrize(
    ("limits", "value", "fault"),
    [
        ({"above": 0}, 0.0, "must be > 0"),
        ({"min": 0}, 0.0, None),
        ({"min": 0}, -1e-300, "must be >= 0"),
        ({"max": 1}, 1.0, None),
        ({"max": 1}, math.nextafter(1, 2), "must be <= 1"),
    ],
)
def test_limits(limits, value, fault):
    assert Quantity("mm", "text", **limits).fault(value) == fault


# -- variables -------------------------------------------------------------------------------------------------------------


@given(finite, finite, st.booleans())
def test_exact_at_both_ends(a, b, log):
    lower, upper = sorted((abs(a) + 1e-3, abs(b) + 1e-2) if log else (a, b))
    v = variable(lower, upper, "L0.radius", log=log)
    assert v.value(0.0) == lower
    assert v.value(1.0) == upper


@given(finite, finite, st.booleans(), st.floats(0, 1))
def test_unit_interval_is_the_inverse(a, b, log, u):
    lower, upper = sorted((abs(a) + 1e-3, abs(b) + 1e-2) if log else (a, b))
    if not upper - lower > 1e-3 * max(abs(lower), abs(upper)):
        return
    v = variable(lower, upper, "L0.radius", log=log)
    assert v.unit_interval(v.value(u)) == pytest.approx(u, abs=1e-11)
    assert lower * (1 - 1e-12 * (lower > 0)) - 1e-9 <= v.value(u) <= upper + 1e-9 + 1e-12 * abs(upper)


def test_log_scale():
    assert variable(1.0, 100.0, "L0.radius", log=True).value(0.5) == pytest.approx(10.0, rel=1e-15)
    assert variable(1.0, 100.0, "L0.radius").value(0.5) == 50.5


# -- the box ---------------------------------------------------------------------------------------------------------------

SPACE = Space(
    DETECTOR,
    (
        dataclasses.replace(variable(10.0, 90.0, "L0.radius", log=True), init=20.0),
        dataclasses.replace(variable(0.01, 0.1, "L0.pitch.rphi", "L1.resolution", "D.resolution.r"), init=0.03),
        dataclasses.replace(variable(0.5, 4.0, "field.B"), init=2.0),
    ),
)


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_place(u):
    placed = SPACE.place(u)
    values = SPACE.values(u)
    assert tuple(values) == SPACE.names == ("L0.radius", "L0.pitch.rphi", "field.B")
    assert get(placed, "L0.radius") == values["L0.radius"]
    tie = values["L0.pitch.rphi"]
    assert placed.part("L0").pitch == (tie, 0.06)
    assert placed.part("L1").resolution == (tie, tie)
    assert placed.part("D").resolution == (0.01, tie)
    assert values["field.B"] == placed.field.B
    assert placed.part("S") == DETECTOR.part("S")
    assert placed == SPACE.at(values)


def test_initial_design():
    assert len(SPACE) == 3
    placed = SPACE.place(SPACE.init)
    assert [get(placed, v.name) for v in SPACE.variables] == pytest.approx([20.0, 0.03, 2.0], rel=1e-14)


def test_place_on_arrays_is_exact_at_the_ends_and_differentiable():
    space = dataclasses.replace(SPACE, detector=as_arrays(DETECTOR))

    def values(u):
        placed = space.place(u)
        return jnp.stack([get(placed, n) for n in ("L0.radius", "L0.pitch.rphi", "field.B")])

    compiled = jax.jit(jax.vmap(values))
    found = np.asarray(compiled(jnp.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])))
    assert found.tolist() == [[10.0, 0.01, 0.5], [90.0, 0.1, 4.0]]
    slope = np.diag(jax.jit(jax.jacfwd(values))(jnp.array([0.5, 0.5, 0.5])))
    assert slope == pytest.approx([30 * math.log(9), 0.09, 3.5], rel=1e-12)
