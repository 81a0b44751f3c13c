"""The joint search on a toy without a detector: the design sets how far apart two kinds of muons look."""

import equinox as eqx
import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.inference.features import FEATURES, Exposures
from detopt.inference.heads import TrackHead
from detopt.inference.networks import make_network
from detopt.inference.training import split, train
from detopt.scoring.score import Score
from detopt.search.joint import BATCHES, MOST, JointSearcher, drowned, is_better
from detopt.search.problem import FEASIBLE, Problem

HEAD = TrackHead(width=8, layers=1, batch=256, warm_up=300, steps_per_design=6, learning_rate=0.01, final=1.0)
BUDGET = 1.2


def muons(u, key, number):
    """One number for each muon: displaced ones are shifted by 3 u0, and all are smeared by 1 + (u1 - 0.3)^2."""
    first, second = jax.random.split(key)
    displaced = jax.random.bernoulli(first, 0.5, (number, 1))
    smear = 1 + (u[1] - 0.3) ** 2
    x = jax.random.normal(second, (number, 1), u.dtype) * smear + 3 * u[0] * displaced.astype(u.dtype)
    features = jnp.zeros((number, 1, len(FEATURES)), u.dtype).at[:, :, 0].set(x)
    return Exposures(
        features, jnp.ones((number, 1), bool), jnp.abs(features[:, :, :2]), displaced, jnp.zeros(number, u.dtype),
        jnp.zeros((number, 0), u.dtype),
    )  # fmt: skip


def limits(u):
    """u0 + u1 may cost so much; both are wanted large or near 0.3."""
    return jnp.stack([(u[0] + u[1]) / BUDGET - 1])


def score(u, head, key):
    loss = jnp.mean(head.scores(muons(u, key, 1024))[0])
    excess, one = limits(u), jnp.ones(1, u.dtype)
    return Score(("origin",), loss[None], 0 * one, ("budget",), excess, 0 * excess, ("total",), (u[0] + u[1]) * one)


@pytest.fixture(scope="module")
def searched():
    problem = Problem(score, {"origin": "minimise"}, {"origin": 1.0}, np.array([0.6]))
    key = jax.random.key(1)
    searcher = JointSearcher(
        problem, limits, lambda u, head: problem(u, head, jax.random.key(99)), muons, HEAD, learning_rate=0.05, steps=60
    )
    start = jnp.array([0.4, 0.7])
    pool = muons(start, key, 8192)
    network = make_network(HEAD, 0, key, jnp.float64).normalised(pool)
    network = eqx.filter_jit(lambda n, p, k: train(n, p, HEAD, HEAD.warm_up, k)[0])(network, pool, key)
    return searcher, start, network, list(searcher.rounds(start, network, key))


def separation(u):
    return float(3 * u[0] / (1 + (u[1] - 0.3) ** 2))


def test_it_finds_the_optimum_on_the_constraint(searched):
    """The best that the budget allows is u = (1, 0.2)."""
    _, start, _, rounds = searched
    best, candidate = np.inf, None
    for each in rounds:
        if is_better(each.validated, best):
            best, candidate = float(each.validated.loss), np.asarray(each.candidate)
    assert float(limits(candidate)[0]) <= FEASIBLE
    assert separation(candidate) > 0.98 * separation((1.0, 0.2)) > 1.5 * separation(start)


def test_the_head_learns_on(searched):
    """At the final design its loss is near that of a head trained there from scratch."""
    searcher, _, network, rounds = searched
    state, u = rounds[-1].state, rounds[-1].candidate
    pool = muons(u, jax.random.key(5), 32768)
    fresh = eqx.filter_jit(lambda n, p, k: train(n, p, HEAD, 600, k)[0])(network, pool, jax.random.key(6))
    joint = searcher.network(state, split(network)[1])
    test = muons(u, jax.random.key(7), 32768)
    losses = [float(eqx.filter_jit(lambda n: n.training_loss(test))(n)) for n in (joint, fresh, network)]
    assert losses[0] < 1.1 * losses[1]
    assert losses[0] < 0.98 * losses[2]


def test_steps_and_repetition(searched):
    searcher, start, network, rounds = searched
    assert int(rounds[-1].state.step) == searcher.steps
    assert sum(len(each.u) for each in rounds) == searcher.steps
    again = next(searcher.rounds(start, network, jax.random.key(1)))
    assert np.array_equal(again.u, rounds[0].u)
    assert float(again.validated.loss) == float(rounds[0].validated.loss)


def test_gradients_with_a_head_at_a_design_that_stands(searched):
    """Where the muons of both kinds would be further apart, the loss falls."""
    searcher, _, network, rounds = searched
    u = rounds[-1].candidate
    found = searcher.standing(u, rounds[-1].state, network, jax.random.key(8), 1)
    assert found.shape == (10, 2)
    assert found[:, 0].mean() < -3 * found[:, 0].std() / 10**0.5


def test_a_point_outside_is_never_better(searched):
    point = searched[3][-1].validated
    assert is_better(point, np.inf)
    assert not is_better(point, float(point.loss))
    assert not is_better(point._replace(excess=point.excess + 1), np.inf)
    assert not is_better(point._replace(loss=point.loss * np.nan), np.inf)


NOISE = 0.3  # of a slope from one batch


@pytest.fixture(scope="module")
def parabola():
    """A search for the bottom of a parabola, whose slopes have noise of known width and no head."""

    def score(u, head, key):
        log = jnp.sum((u - 0.4) ** 2) + NOISE * jnp.sum(jax.random.normal(key, u.shape) * u)
        value, none = jnp.exp(log)[None], jnp.zeros(0)
        return Score(("bottom",), value, 0 * value, (), none, none, (), none)

    problem = Problem(score, {"bottom": "minimise"}, {"bottom": 1.0}, np.ones(1))
    return JointSearcher(
        problem, lambda u: jnp.zeros(0), lambda u, head: problem(u, head, jax.random.key(9)), None, None, 0.05, 100
    )


@pytest.fixture(scope="module")
def noisy(parabola):
    """Its rounds."""
    return list(parabola.rounds(jnp.full(20, 0.9), None, jax.random.key(3)))


def test_gradients_at_a_design_that_stands(parabola, noisy):
    """From all batches of a step, independent of each other, and all of them at the same design."""
    u, state = jnp.full(20, 0.7), noisy[-1].state
    found = parabola.standing(u, state, None, jax.random.key(8), 8)
    assert found.shape == (80, 20)
    width = NOISE / int(state.batches) ** 0.5
    assert found.std(axis=0, ddof=1).mean() == pytest.approx(width, rel=0.1)
    assert found.mean(axis=0) == pytest.approx(np.full(20, 2 * (0.7 - 0.4)), abs=5 * width / 80**0.5)
    again = parabola.standing(u, state, None, jax.random.key(8), 1)
    assert np.array_equal(again, found[:10])


def test_errors_of_the_gradient(noisy):
    """The spread of the batches tells the true error."""
    for each in noisy:
        assert each.errors.shape == each.slopes.shape == each.u.shape
        assert np.sqrt(np.mean(np.asarray(each.errors) ** 2)) == pytest.approx(NOISE / each.batches**0.5, rel=0.15)


def test_batches_grow(noisy):
    """At first the slope is clear; at the bottom it drowns, and steps take more events, but never more than the most."""
    batches = [each.batches for each in noisy]
    assert batches[:2] == [BATCHES] * 2
    assert batches == sorted(batches)
    assert batches[-1] == MOST


def test_more_events_where_noise_drowns_the_signal():
    rng = np.random.default_rng(0)
    u, noise = np.full((10, 3), 0.5), rng.normal(size=(10, 3))
    errors = np.ones((10, 3))
    assert drowned(u, noise, errors)
    assert not drowned(u, noise + 3, errors)
    assert not drowned(u, noise + 3 * np.eye(3)[0], errors)
    # A variable that is held at the end of its range has a large slope and nothing to say.
    at_the_end = u.copy()
    at_the_end[:, 0] = 0
    assert drowned(at_the_end, noise + 30 * np.eye(3)[0], errors)
