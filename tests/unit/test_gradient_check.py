"""The check of gradients: what is right passes, what is wrong fails, and what is neither is said to be so."""

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.gradients.check import Budget, check
from detopt.gradients.flips import Flip, with_flips

EVENTS, FLIPS = 1000, 64


def aperture(factor: float):
    """Uniform particles pass an aperture that one parameter opens; another weighs them. The edge term times a factor."""

    def statistics(u, key):
        x = jax.random.uniform(key, (EVENTS,))
        y = jax.random.normal(jax.random.fold_in(key, 1), (EVENTS,))
        return jnp.mean((x < 0.2 + 0.5 * u[0]) * (1 + u[1] * y**2))

    def flips(u, key):
        y = jax.random.normal(jax.random.fold_in(key, 2), (FLIPS,))
        on = 1 + jax.lax.stop_gradient(u[1]) * y**2
        return Flip(on, jnp.zeros(FLIPS), jnp.full(FLIPS, factor / FLIPS), jnp.broadcast_to(0.2 + 0.5 * u[0], (FLIPS,)))

    score = with_flips(statistics, flips)
    return lambda u, key: score(u, key)[None]


HALF = np.array([0.5, 0.5])


def test_what_is_right_passes():
    rows = check(aperture(1.0), HALF, True, Budget(keys=3000))
    assert [r.verdict for r in rows] == ["ok", "ok"]
    assert rows[0].gradient == pytest.approx(0.75, abs=5 * rows[0].gradient_error)
    # The score is linear in the aperture: the extrapolation holds as far as it is tried.
    assert (rows[0].low, rows[0].high) == (-0.3, 0.3)


@pytest.mark.parametrize(
    ("broken", "factor"), [("dropped", 0.0), ("reversed", -1.0), ("halved", 0.5), ("6 % off", 0.93)]
)
def test_a_broken_edge_fails(broken, factor):
    rows = check(aperture(factor), HALF, True, Budget(keys=3000))
    assert [r.verdict for r in rows] == ["fail", "ok"], broken


def test_too_few_events_decide_nothing():
    rows = check(aperture(0.93), HALF, True, Budget(keys=30))
    assert rows[0].verdict == "undecided"


def test_parameters_that_need_each_other():
    """All are moved together: what one does to the slope of another is no bias."""

    def score(u, key):
        x = jax.random.normal(key, (EVENTS,))
        return jnp.mean(1 + 0.1 * x)[None] * (1 + 40 * (u[0] - u[1] + 0.1) ** 3 + u[0])

    rows = check(score, HALF, True, Budget(keys=3000))
    assert [r.verdict for r in rows] == ["ok"] * 2
    for row in rows:
        assert abs(row.bias) < 4 * row.bias_error


def test_rarely_wrong_about_what_is_right():
    found = [check(aperture(1.0), HALF, True, Budget(keys=600, seed=seed))[0].verdict for seed in range(12)]
    assert found.count("fail") == 0


def test_at_the_end_of_its_range():
    """The aperture cannot be opened further than 0.7 here, and the score does not go on beyond."""

    def clipped(u, key):
        x = jax.random.uniform(key, (EVENTS,))
        return jnp.mean((x < 0.2 + 0.5 * jnp.clip(u[0], 0.0, 1.0)).astype(float)) * u[1:2]

    def flips(u, key):
        fixed = jax.lax.stop_gradient(u[1:2])[None]
        return Flip(fixed, 0 * fixed, jnp.ones(1), 0.2 + 0.5 * u[:1])

    rows = check(with_flips(clipped, flips), np.array([1.0, 0.5]), True, Budget(keys=3000))
    assert [r.verdict for r in rows] == ["ok", "ok"]


def test_exact_scores_are_held_to_rounding():
    def smooth(u, key):
        return jnp.stack([jnp.sin(3 * u[0]) * jnp.exp(u[1]), u[0] ** 2 + 0 * u[1]])

    assert {r.verdict for r in check(smooth, HALF, False)} == {"ok"}

    def wrong(u, key):
        return smooth(u, key) + 1e-4 * (u[0] - jax.lax.stop_gradient(u[0]))

    rows = check(wrong, HALF, False)
    assert [r.verdict for r in rows if r.parameter == 0] == ["fail", "fail"]
    assert [r.verdict for r in rows if r.parameter == 1] == ["ok", "ok"]


def test_a_gradient_that_is_missing_fails():
    def hidden(u, key):
        return jnp.stack([jax.lax.stop_gradient(u[0]) + u[1]])

    assert [r.verdict for r in check(hidden, HALF, False)] == ["fail", "ok"]
