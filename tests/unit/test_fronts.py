"""Dominance, hypervolume and its slopes, belief in a front, stationarity: against exact results."""

import numpy as np
import pytest

from detopt.search.belief import audited, on_the_front, with_interval
from detopt.search.exchange import exchange_rates, knee
from detopt.search.fronts import best_subset, directions, facets, hypervolume, nondominated
from detopt.search.stationarity import residuals


def test_hypervolume_of_boxes():
    points = np.array([[-1.0, -2.0], [-2.0, -1.0], [1.0, -5.0], [-0.5, -0.5]])
    assert hypervolume(points, np.zeros(2)) == pytest.approx(3.0)
    assert nondominated(points).tolist() == [True, True, True, False]
    assert hypervolume(np.full((1, 2), np.nan), np.zeros(2)) == 0.0


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_facets_are_slopes_of_the_hypervolume(objectives):
    rng, reference, h = np.random.default_rng(objectives), np.zeros(objectives), 1e-7
    points = -rng.uniform(0.1, 1.0, size=(12, objectives))
    found = facets(points, reference)
    for i in range(len(points)):
        for k in range(objectives):
            up, down = points.copy(), points.copy()
            up[i, k], down[i, k] = points[i, k] + h, points[i, k] - h
            slope = (hypervolume(down, reference) - hypervolume(up, reference)) / (2 * h)
            if nondominated(points)[i]:
                assert found[i, k] == pytest.approx(slope, abs=1e-6)


def test_directions_of_dominated_and_outer_points():
    points = np.array([[-1.0, -1.0], [-0.5, -0.5], [0.5, -3.0]])
    weights = directions(points, np.zeros(2))
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1.0)
    assert (weights[:2] > 0).all()  # a dominated point climbs as well
    assert weights[2].tolist() == [1.0, 0.0]  # back inside first


def test_best_subset_keeps_the_hypervolume():
    angle = np.linspace(0.02, np.pi / 2 - 0.02, 200)
    points = -np.stack([np.cos(angle), np.sin(angle)], 1)
    behind = 0.5 * points
    chosen = best_subset(np.concatenate([behind, points]), 20, np.zeros(2))
    assert len(set(chosen.tolist())) == 20
    assert (chosen >= 200).all()
    # 20 steps below a quarter of a circle leave out about pi / (4 * 20) of it.
    assert hypervolume(points[chosen - 200], np.zeros(2)) > np.pi / 4 * 0.93


def test_probability_of_being_on_the_front():
    values = np.array([[0.0, 0.0], [0.1, 0.1]])
    assert on_the_front(values, np.zeros((2, 2)), 0).tolist() == [1.0, 0.0]
    errors = np.full((2, 2), 0.1)
    # The second is beaten when the first is smaller in both: two differences of 0.1 +- 0.1 sqrt(2).
    beaten = 0.76025**2
    assert on_the_front(values, errors, 0)[1] == pytest.approx(1 - beaten, abs=0.06)
    assert on_the_front(values, errors, 0)[0] > 0.9


def test_interval_covers_the_truth_and_luck_is_taken_out():
    """Many close points with errors: a naive hypervolume is far too large."""
    rng, reference = np.random.default_rng(1), np.zeros(2)
    angle = rng.uniform(0.05, np.pi / 2 - 0.05, size=60)
    truth = -np.stack([np.cos(angle), np.sin(angle)], 1)
    errors = np.full_like(truth, 0.03)
    exact, covered, naive = hypervolume(truth, reference), 0, []
    for seed in range(40):
        seen = truth + errors * rng.normal(size=truth.shape)
        found = with_interval(seen, errors, reference, seed)
        covered += found.low <= exact <= found.high
        naive.append(hypervolume(seen, reference))
    assert min(naive) > exact  # luck
    assert covered >= 35


def test_an_audit_of_nearly_equal_points():
    """None is likely on the front, and some are published; of points that have no score none is."""
    rng, u = np.random.default_rng(0), np.arange(200.0)[:, None] * np.ones(2)

    def score(u, purpose):
        return rng.normal(size=u.shape), np.ones_like(u)

    found, values, errors = audited(u, score, 100, 1)
    assert 1 <= len(found) == len(values) == len(errors) <= 100
    nothing, values, _ = audited(u, lambda u, purpose: (np.full(u.shape, np.nan), np.ones_like(u)), 100, 1)
    assert len(nothing) == len(values) == 0


def test_stationarity():
    # On the segment between two minima every point is stationary; beside it none is.
    minima = np.array([[0.2, 0.5], [0.8, 0.5]])
    u = np.array([[0.5, 0.5], [0.3, 0.5], [0.5, 0.6]])
    gradients = 2 * (u[:, None] - minima[None])
    found = residuals(gradients, u)
    np.testing.assert_allclose(found[:2], 0, atol=1e-4)
    assert found[2] == pytest.approx(0.1 / np.hypot(0.3, 0.1), abs=1e-4)


def test_stationarity_at_a_bound_and_a_constraint():
    gradients = np.array([[[1.0, 0.0], [1.0, 0.2]]])
    inside, at_bound = np.array([[0.5, 0.5]]), np.array([[0.0, 0.5]])
    assert residuals(gradients, inside)[0] > 0.9
    assert residuals(gradients, at_bound)[0] < 1e-4
    # The constraint u0 >= 0.5, as 0.5 - u0 <= 0, holds the same back; one that is not active does not.
    limits = np.array([[[-3.0, 0.0]]])
    assert residuals(gradients, inside, limits, np.array([[True]]))[0] < 1e-4
    assert residuals(gradients, inside, limits, np.array([[False]]))[0] > 0.9


@pytest.mark.parametrize("apart", [0.0, 1e-15, 1e-9])
def test_a_subset_keeps_one_of_many_that_are_nearly_equal(apart):
    """Each of them adds nothing to the others, and all together a corner that nothing else has."""
    t = np.linspace(0, 0.4, 60)
    many = np.array([0.9, -0.9]) + apart * np.random.default_rng(0).normal(size=(70, 2))
    points = np.concatenate([np.stack([t - 1, -t - 0.1], axis=1), many - 1 * np.array([1.0, 0.0])])
    chosen = best_subset(points, 20, np.zeros(2))
    assert len(chosen) == len(set(chosen.tolist())) == 20
    assert (chosen >= 60).any()
    assert hypervolume(points[chosen], np.zeros(2)) > 0.98 * hypervolume(points, np.zeros(2))


def test_exchange_rates_of_a_sphere():
    """On x^2 + y^2 + z^2 = 1 the slope dz/dx at constant y is -x/z."""
    rng = np.random.default_rng(0)
    points = np.abs(rng.normal(size=(4000, 3)))
    points = -points / np.linalg.norm(points, axis=1)[:, None]
    found = exchange_rates(points, np.zeros_like(points))
    inner = (points < -0.3).all(axis=1)
    for i, j in ((0, 2), (2, 1)):
        exact = -points[inner, i] / points[inner, j]
        off = found.rate[inner, i, j] - exact
        assert np.abs(off).max() < 0.3
        assert np.median(np.abs(off)) < 0.03
        # Errors from the scatter about the plane are of the right size.
        assert 0.2 < np.std(off / found.error[inner, i, j]) < 2
    assert np.isnan(found.rate[:, 0, 0]).all()


def test_exchange_rates_with_errors_and_of_few_points():
    t = np.linspace(0, 1, 40)
    line = np.stack([t, -2 * t], axis=1)
    noise = 0.002 * np.random.default_rng(1).normal(size=line.shape)
    found = exchange_rates(line + noise, np.full_like(line, 0.002))
    pulls = (found.rate[:, 0, 1] + 2) / found.error[:, 0, 1]
    assert np.abs(pulls.mean()) < 1.5
    assert 0.3 < pulls.std() < 3
    few = exchange_rates(line[:5], np.zeros((5, 2)))
    assert np.isnan(few.rate).all()
    level = exchange_rates(np.stack([t, 0 * t], axis=1), np.zeros((40, 2)))
    assert np.isnan(level.rate[:, 1, 0]).all()  # nothing to be had of the second


def test_knee():
    t = np.linspace(0, np.pi / 2, 101)
    circle = 1 - np.stack([np.cos(t), np.sin(t)], axis=1)  # bulges towards the origin
    assert knee(circle) == 50
    assert knee(circle * np.array([7.0, 0.1])) == 50  # in units of its own extent
    assert knee(1 - circle) is None  # away from it
    assert knee(circle[:2]) is None
    assert knee(np.stack([t, 0 * t], axis=1)) is None


def test_a_subset_of_points_beyond_the_reference():
    points = np.random.default_rng(0).uniform(1, 2, size=(30, 2))
    chosen = best_subset(points, 10, np.zeros(2))
    assert len(set(chosen.tolist())) == 10
