"""The head that looks at sums on a grid of voxels, and how a flipped muon changes what it says."""

import equinox as eqx
import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.gradients.flips import Flip
from detopt.inference.muon_columns import MUON_COLUMNS, MuonColumns, named
from detopt.inference.pictures import Pictures
from detopt.inference.questions import Grid, Question
from detopt.inference.voxel_network import make_voxel_network
from detopt.inference.voxel_sums import LARGEST, SMALLEST, closest_z, deflection, mean_sums, voxel_sums
from detopt.scoring import portal_sampled
from detopt.scoring.portal_sampled import PortalEvaluator

GRID = Grid((-300.0, -200.0, -100.0), (600.0, 400.0, 300.0), (3, 2, 3), 4)
QUESTIONS = {
    "presence": Question("presence", "block"),
    "number": Question("number", "block.x", -100.0, 100.0, "mm"),
    "map": Question("map"),
}


def muons(number, seed=0):
    """Tracks that scatter somewhere in the box."""
    random = np.random.default_rng(seed)
    above = random.uniform([-250, -150, -0.3, -0.3], [250, 150, 0.3, 0.3], (number, 4))
    kink, at = random.normal(0, 0.03, (number, 2)), random.uniform(-100, 200, number) - GRID.middle
    below = np.concatenate([above[:, :2] - kink * at[:, None], above[:, 2:] + kink], axis=1)
    rest = np.column_stack([np.full(number, 1e-6), np.zeros(number)])
    seen = (random.uniform(size=(number, 1)) < 0.8).astype(float)
    return jnp.asarray(seen * np.concatenate([np.ones((number, 1)), above, below, rest], axis=1)), GRID.middle + at


def test_scattering_is_put_where_it_happens():
    columns, at = muons(200)
    kink = np.hypot(*(columns[:, 7:9] - columns[:, 3:5]).T)
    seen = (np.asarray(columns)[:, 0] > 0) & (kink > 0.02)
    np.testing.assert_allclose(np.asarray(closest_z(columns, GRID))[seen], at[seen], atol=2.0)


def test_sums_are_those_of_the_muons_one_by_one():
    columns, _ = muons(50)
    together = voxel_sums(columns, jnp.ones(50), GRID)
    one_by_one = sum(voxel_sums(columns[i : i + 1], jnp.ones(1), GRID) for i in range(50))
    np.testing.assert_allclose(together, one_by_one, atol=1e-12)
    np.testing.assert_allclose(mean_sums(columns, GRID), together / 50, atol=1e-12)
    # A muon inside the outer middles counts once in every layer that it crosses, and once where it was scattered.
    flat, _ = muons(1, seed=3)
    straight = flat.at[0, :9].set(jnp.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])).at[0, 9].set(1e-6)
    counted = voxel_sums(straight, jnp.ones(1), GRID)
    np.testing.assert_allclose(counted[..., :4].sum((1, 2, 3)), np.ones(3))
    np.testing.assert_allclose(counted[..., 4:].sum(), 1.0)
    # Its angle is below the smallest one.
    np.testing.assert_allclose(counted[..., 0].sum(), 3.0)


def test_known_momentum_scales_the_angle():
    columns, _ = muons(20)
    known = columns.at[:, 10].set(6.0 * columns[:, 0])
    seen = np.asarray(columns)[:, 0] > 0
    change = np.asarray(deflection(known) - deflection(columns))[seen]
    np.testing.assert_allclose(change, np.log(2.0))
    assert SMALLEST < np.exp(np.asarray(deflection(columns))[seen].mean()) < LARGEST


def pictures(number, question, seed=0):
    sums = jnp.stack([mean_sums(muons(60, seed + i)[0], GRID) for i in range(number)])
    answers = 18 if question.kind == "map" else 1
    truth = jnp.asarray(np.random.default_rng(seed).uniform(size=(number, answers)))
    truth = (truth > 0.5).astype(float) if question.kind == "presence" else truth
    return Pictures(sums, jnp.full(number, 60.0), truth, jnp.zeros((number, 0)))


@pytest.mark.parametrize("kind", QUESTIONS)
def test_answers(kind):
    question = QUESTIONS[kind]
    batch = pictures(12, question)
    network = make_voxel_network(GRID, question, 8, 1, 0, jax.random.key(0), jnp.float64).normalised(batch)
    loss, square = network.scores(batch)
    assert loss.shape == square.shape == (12,)
    assert np.isfinite(loss).all()
    assert (np.asarray(square) >= 0).all()
    calibrated = network.calibrated(batch)
    assert calibrated.training_loss(batch) <= network.training_loss(batch) + 1e-9
    if kind != "presence":
        value, sigma = calibrated.estimate(batch)
        np.testing.assert_allclose(np.sqrt((((value - batch.truth) / sigma) ** 2).mean()), 1.0, rtol=1e-6)


def test_what_each_muon_adds_to_a_slope():
    columns, _ = muons(30)
    network = make_voxel_network(GRID, QUESTIONS["map"], 8, 1, 0, jax.random.key(0), jnp.float64)
    slope = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3, 2, 8)))
    expected = [jnp.sum(slope * voxel_sums(columns[i : i + 1], jnp.ones(1), GRID)) for i in range(30)]
    np.testing.assert_allclose(network.projected(slope, columns), np.array(expected), atol=1e-12)


@pytest.mark.parametrize("kind", QUESTIONS)
def test_a_flipped_muon_counts_as_it_does_in_its_exposure(kind, monkeypatch):
    question = QUESTIONS[kind]
    batch = pictures(8, question)
    network = make_voxel_network(GRID, question, 8, 1, 0, jax.random.key(0), jnp.float64).normalised(batch)
    check_flips(network, batch.truth[:1], monkeypatch)


def check_flips(network, truth, monkeypatch):
    """First order and correction together are the loss with the muon less that without it, once all flips are corrected."""
    flipped = 5
    monkeypatch.setattr(portal_sampled, "EXACT", flipped)
    columns, others = muons(40)[0], muons(2 * flipped, seed=9)[0]
    extra = jnp.zeros((flipped, 1))
    on, off = (jnp.concatenate([extra, others[i * flipped : (i + 1) * flipped]], axis=1) for i in (0, 1))
    weight = jnp.asarray(np.random.default_rng(2).uniform(size=flipped))
    flips = Flip(on, off, weight, weight)

    def losses(sums):
        one = Pictures(sums[None], jnp.full(1, 40.0), truth, jnp.zeros((1, 0)))
        return jnp.concatenate(network.scores(one))

    first, second = eqx.filter_jit(PortalEvaluator._of_head)(None, network, flips, losses, columns, jax.random.key(5))

    def loss_with(muon, i):
        return losses(network.reduced(columns.at[i].set(muon)))

    # The flip of each row stands in the place of the muon of that number.
    expected = sum(
        40 * weight[i] * (loss_with(on[i, -MUON_COLUMNS:], i) - loss_with(off[i, -MUON_COLUMNS:], i))
        for i in range(flipped)
    )
    first_order = (first.weight[:, None] * (first.on.head - first.off.head)).sum(0)
    correction = (second.weight[:, None] * (second.on.head - second.off.head)).sum(0)
    np.testing.assert_allclose(first_order + correction, expected, rtol=1e-9)
    assert np.abs(np.asarray(correction)).max() > 1e-3 * np.abs(np.asarray(expected)).max()


def test_columns_by_name():
    columns, _ = muons(3)
    assert columns.shape == (3, MUON_COLUMNS)
    assert MuonColumns._fields[0] == "seen"
    np.testing.assert_array_equal(jnp.stack(named(columns), -1), columns)
