"""Prices, moves and tolerances of problems whose answers are known in closed form."""

import numpy as np
import pytest

from detopt.search.stationarity import moves, multipliers
from detopt.search.tolerances import along_axes, reach, stencil

CENTRE = np.array([0.9, 0.2, 0.5])
BEND = np.array([2.0, 3.0, 5.0])


def loss(u):
    """A bowl."""
    return 0.5 * ((u - CENTRE) ** 2 * BEND).sum(-1)


def optimum(limit, lower=0.0):
    """Of the bowl where u0 + u1 <= limit and u2 >= lower, both of which hold; and the multiplier of the first."""
    price = (CENTRE[0] + CENTRE[1] - limit) / (1 / BEND[0] + 1 / BEND[1])
    return np.array([CENTRE[0] - price / BEND[0], CENTRE[1] - price / BEND[1], max(lower, CENTRE[2])]), price


def test_multipliers_are_prices():
    u, price = optimum(0.9)
    gradient, rows = BEND * (u - CENTRE), np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    found = multipliers(gradient, u, rows, np.array([True, False]))
    assert found.limits == pytest.approx([price, 0.0])
    assert found.left == pytest.approx(0.0, abs=1e-12)
    assert found.unique
    assert not found.lower.any()
    assert not found.upper.any()
    shifted = [loss(optimum(0.9 + s)[0]) for s in (-1e-5, 1e-5)]
    assert (shifted[1] - shifted[0]) / 2e-5 == pytest.approx(-price, rel=1e-4)


def test_bounds_hold_by_themselves():
    u = np.array([1.0, 0.0, 0.5])
    found = multipliers(np.array([-3.0, 2.0, 0.1]), u, np.zeros((0, 3)), np.zeros(0, bool))
    assert found.upper.tolist() == [3.0, 0.0, 0.0]
    assert found.lower.tolist() == [0.0, 2.0, 0.0]
    assert found.left == pytest.approx([0, 0, 0.1])


def test_errors_of_multipliers_and_what_is_not_unique():
    u, rows = np.full(2, 0.5), np.array([[2.0, 0.0], [4.0, 0.0]])
    one = multipliers(np.array([-6.0, 0.0]), u, rows[:1], np.array([True]), covariance=np.diag([0.04, 9.0]))
    assert one.limits[0] == pytest.approx(3.0)
    assert one.errors[2][0] == pytest.approx(0.1)
    both = multipliers(np.array([-6.0, 0.0]), u, rows, np.array([True, True]))
    assert not both.unique
    assert 2 * both.limits[0] + 4 * both.limits[1] == pytest.approx(6.0)


def test_moves_follow_the_optimum():
    follow = moves(np.diag(BEND), np.array([[1.0, 1.0, 0.0]]))
    assert follow is not None
    assert follow[0] == pytest.approx((optimum(0.9 + 1e-3)[0] - optimum(0.9)[0]) / 1e-3)
    assert moves(np.diag([1.0, -1.0, 1.0]), np.array([[1.0, 0.0, 0.0]])) is None, "no minimum along the wall"
    assert moves(np.diag(BEND), np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])) is None, "two walls in one direction"
    assert moves(np.diag(BEND), np.eye(3)) == pytest.approx(np.eye(3)), "nothing is free"


def test_stencil_stays_inside_and_differentiates():
    u = np.array([0.0, 0.4, 1.0])
    steps = stencil(u)
    points = u + steps[..., None] * np.eye(3)
    assert ((points >= 0) & (points <= 1)).all()
    assert along_axes(np.asarray(loss(u)), loss(points), steps) == pytest.approx(BEND * (u - CENTRE), abs=1e-9)
    slopes = along_axes(BEND * (u - CENTRE), BEND * (points - CENTRE), steps)
    assert slopes == pytest.approx(np.diag(BEND), abs=1e-9)


@pytest.mark.parametrize("power", [2, 4])
def test_reach_is_where_the_loss_has_risen(power):
    """Also where a parabola is a bad guess, as along a fourth power."""

    def rises(u):
        return (np.abs(u - 0.5) ** power * [1.0, 40.0, 0.01]).sum(-1)

    u, rise = np.array([0.5, 0.6, 0.5]), 0.01
    found = reach(rises, u, np.zeros(3), np.array([2.0, 80.0, 0.02]), rise)
    assert np.isinf(found[:, 2]).all(), "not before the bound"
    for side, sign in ((0, -1), (1, 1)):
        for i in (0, 1):
            there = u.copy()
            there[i] += sign * found[side, i]
            assert rises(there) - rises(u) == pytest.approx(rise, rel=0.1)


def test_reach_at_bounds_and_at_nonsense():
    def wall(u):
        return np.where(u[:, 0] > 0.3, np.nan, u[:, 0] * 0.001)

    found = reach(wall, np.array([0.0]), np.array([0.001]), np.array([0.0]), 0.01)
    assert np.isinf(found[0, 0])
    assert found[1, 0] == pytest.approx(0.3, abs=1e-3), "what is not finite is too far"
