"""Detectors whose best acceptance or efficiency is known: gradient search with flips finds it, in fresh events each step."""

from collections.abc import Callable
from typing import Any

import efficiency
import exposures
import numpy as np
import pytest
import telescope
from peers import through_the_sums

from detopt.backend import jax, jnp
from detopt.gradients.check import Budget, Row, check

# ---- two panels: acceptance against information ----


@pytest.fixture(scope="module")
def million() -> telescope.Muon:
    return telescope.draw(jax.random.key(1), (1_000_000,))


@pytest.mark.parametrize("lever", [300.0, 700.0])
def test_score_is_acceptance_times_information(million, lever):
    score = np.asarray(telescope.score(lever, million))
    assert abs(score.mean() - telescope.exact_score(lever)) < 3 * score.std() / 1e3


def test_gradient_of_the_telescope_is_that_of_its_formula(million):
    gradient = jax.jit(telescope.with_the_flip)
    for lever in (300.0, 700.0):
        values = np.asarray(gradient(jnp.asarray(lever), million))
        exact = float(jax.grad(telescope.exact_score)(lever))
        assert abs(values.mean() - exact) < 3 * values.std() / 1e3


def test_values_pay_nothing_for_flips(million):
    assert float(telescope.mean_score(300.0, million)) == float(jnp.mean(telescope.score(300.0, million)))


def test_telescope_is_best_at_root_six_sigma_over_tau():
    assert pytest.approx(489.898, abs=1e-3) == telescope.BEST
    slope = float(jax.grad(telescope.exact_score)(telescope.BEST))
    assert abs(slope) < 1e-12 * telescope.exact_score(telescope.BEST)


@pytest.mark.parametrize("start", [250.0, 900.0])
def test_telescope_optimum_is_found(start):
    gradient = telescope.averaged(telescope.with_the_flip, lambda key: telescope.draw(key, (40_000,)))
    found = telescope.ascend(gradient, start, telescope.BOUNDS, 20.0)[-1]
    assert found == pytest.approx(telescope.BEST, rel=0.02)
    assert 1 - telescope.exact_score(found) / telescope.exact_score(telescope.BEST) < 1e-3


# ---- four planes: efficiency against its price ----


def test_recursion_over_planes_is_the_sum_over_patterns():
    e = [0.9, 0.5, 0.7, 0.99]
    patterns = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(-1, 4)
    chances = np.prod(np.where(patterns == 1, e, 1 - np.array(e)), axis=1)
    assert efficiency.at_least(e, 3) == pytest.approx(chances[patterns.sum(1) >= 3].sum(), rel=1e-14)


@pytest.mark.parametrize("gradient", [efficiency.with_the_flip, efficiency.enumerated], ids=["flips", "patterns"])
def test_efficiency_optimum_is_found(gradient):
    assert pytest.approx(0.8873, abs=1e-4) == efficiency.BEST
    sampled = telescope.averaged(gradient, lambda key: efficiency.draw(key, 10_000))
    found = telescope.ascend(sampled, 0.6, efficiency.BOUNDS, 0.01)[-1]
    assert found == pytest.approx(efficiency.BEST, rel=0.02)
    assert 1 - efficiency.exact_score(found) / efficiency.exact_score(efficiency.BEST) < 1e-3


# ---- two panels and a head: a loss that is no sum over muons ----


@pytest.fixture(scope="module")
def trained() -> exposures.Trace:
    return exposures.train(exposures.loss_with_flips(), 700.0, 300)


def test_bayes_loss_is_that_of_posterior_means_of_simulated_exposures():
    """The sum of squares of simulated, accepted angles, and a posterior on a grid of y."""
    lever = 486.0
    batch = exposures.expose(jax.random.key(4), 4000)
    seen = np.asarray(telescope.margin(lever, batch.muons)) > 0
    squares = np.where(seen, np.asarray(telescope.measured_angle(lever, batch.muons), float) ** 2, 0.0).sum(1)
    y = np.linspace(-exposures.RANGE, exposures.RANGE, 401)
    variance = telescope.KICK**2 * np.exp(y) + 2 * telescope.NOISE**2 / lever**2
    log = -0.5 * (seen.sum(1)[:, None] * np.log(variance)[None, :] + squares[:, None] / variance[None, :])
    posterior = np.exp(log - log.max(1, keepdims=True))
    error = ((posterior * y[None, :]).sum(1) / posterior.sum(1) - np.asarray(batch.y)) ** 2
    assert abs(error.mean() - exposures.bayes_loss(lever)) < 3 * error.std() / np.sqrt(len(error))


def test_bayes_loss_is_best_near_486_mm():
    assert exposures.bayes_optimum()[0] == pytest.approx(486, abs=3)


def test_head_and_telescope_learn_together(trained):
    assert exposures.regret(float(trained.lever[-1])) < 0.01
    assert np.mean(trained.loss[-100:]) < 1.15 * exposures.bayes_optimum()[1]


def judge(head: exposures.Head, loss: Callable[..., Any]) -> Row:
    """What the check says of the gradient of a loss, for a head that stays as it is; 30 muons an exposure."""
    low, high = 400.0, 2000.0

    def evaluate(u, key):
        lever = (low + u[0] * (high - low)).astype(jnp.float32)
        batch = exposures.expose(key, 2000, 30)
        return loss(lever, head, batch)[None]

    return check(evaluate, np.array([200.0 / (high - low)]), sampled=True, budget=Budget(step=0.03))[0]


def test_gradient_of_a_loss_that_is_no_sum(trained):
    row = judge(trained.head, exposures.loss_with_flips(8))
    assert row.verdict == "ok", row
    assert abs(row.bias) < 3 * row.bias_error


@pytest.mark.parametrize(("loss", "bias"), [(through_the_sums, 0.50), (exposures.loss, -0.73)], ids=["sums", "plain"])
def test_flips_attached_to_sums_and_no_flips_fail(trained, loss, bias):
    row = judge(trained.head, loss)
    assert row.verdict == "fail"
    assert row.bias / row.scale == pytest.approx(bias, abs=0.12)


@pytest.mark.slow
def test_one_muon_an_exposure_is_enough(trained):
    row = judge(trained.head, exposures.loss_with_flips(1))
    assert abs(row.bias) < 3 * row.bias_error


@pytest.mark.slow
def test_flips_attached_to_sums_end_elsewhere():
    ends = [float(exposures.train(through_the_sums, 700.0, 300, seed=seed).lever[-1]) for seed in range(4)]
    assert np.mean(ends) < 0.9 * exposures.bayes_optimum()[0]


@pytest.mark.slow
def test_finite_flips_end_at_the_optimum_whatever_the_seed():
    ends = [float(exposures.train(exposures.loss_with_flips(), 350.0, 300, seed=seed).lever[-1]) for seed in range(4)]
    assert max(exposures.regret(end) for end in ends) < 0.01
    assert np.mean(ends) == pytest.approx(exposures.bayes_optimum()[0], rel=0.05)
