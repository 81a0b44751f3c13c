"""A head that looks at muons one by one."""

import equinox as eqx
import numpy as np
import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays
from detopt.inference.deep_set import TOGETHER, make_deep_set
from detopt.inference.pictures import Crowds, Pictures
from detopt.study.evaluate import array_space, make_sampler
from detopt.study.networks import make_head
from tests.unit.test_voxel_head import GRID, QUESTIONS, check_flips, muons


def crowds(number, question, seed=0):
    """Exposures of 60 muons each."""
    columns = jnp.stack([muons(60, seed + i)[0] for i in range(number)])
    truth = jnp.asarray(np.random.default_rng(seed).uniform(size=(number, 1)))
    truth = (truth > 0.5).astype(float) if question.kind == "presence" else truth
    return Crowds(columns, truth, jnp.zeros((number, 0)))


def network(question, batch):
    return make_deep_set(GRID, question, 8, 1, 0, jax.random.key(0), jnp.float64).normalised(batch)


@pytest.mark.parametrize("kind", ["presence", "number"])
def test_answers(kind):
    question = QUESTIONS[kind]
    batch = crowds(TOGETHER + 3, question)
    net = network(question, batch)
    loss, square = net.scores(batch)
    assert loss.shape == square.shape == (batch.number,)
    assert np.isfinite(loss).all()
    # From means that were made before it answers the same.
    sums = jnp.stack([net.reduced(c) for c in batch.columns])
    np.testing.assert_allclose(
        net.scores(Pictures(sums, batch.muons, batch.truth, batch.condition))[0], loss, rtol=1e-12
    )
    assert net.calibrated(batch).training_loss(batch) <= net.training_loss(batch) + 1e-9


def test_muons_have_no_order_and_those_that_are_not_seen_say_nothing():
    batch = crowds(4, QUESTIONS["number"])
    net, columns = network(QUESTIONS["number"], batch), batch.columns[0]
    shuffled = columns[np.random.default_rng(5).permutation(60)]
    np.testing.assert_allclose(net.reduced(shuffled), net.reduced(columns), atol=1e-14)
    seen = np.asarray(columns)[:, 0] > 0
    assert 0 < (~seen).sum() < 30
    np.testing.assert_allclose(net.reduced(columns[seen]) * seen.mean(), net.reduced(columns), atol=1e-14)
    slope = jnp.asarray(np.random.default_rng(1).normal(size=9))
    adds = np.asarray(net.projected(slope, columns))
    np.testing.assert_allclose(adds.mean(), jnp.sum(slope * net.reduced(columns)), atol=1e-13)
    assert (adds[~seen] == 0).all()


def test_what_a_muon_is_known_by_has_mean_0_and_width_1():
    batch = crowds(30, QUESTIONS["number"])
    net = network(QUESTIONS["number"], batch)
    columns = batch.columns.reshape(-1, batch.columns.shape[-1])
    seen = np.asarray(columns)[:, 0] > 0
    inputs = np.asarray((net.known(columns) - net.shift[None]) * net.scale[None])[seen]
    np.testing.assert_allclose(inputs.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(inputs.std(0), 1, rtol=1e-9)


@pytest.mark.parametrize("kind", ["presence", "number"])
def test_a_flipped_muon_counts_as_it_does_in_its_exposure(kind, monkeypatch):
    batch = crowds(8, QUESTIONS[kind])
    check_flips(network(QUESTIONS[kind], batch), batch.truth[:1], monkeypatch)


def test_a_study_with_such_a_head(tmp_path):
    """Half of the exposures have a block; the head learns from their muons and judges their means."""
    from tests.physics.test_portal_heads import DETECTOR, STUDY

    (tmp_path / "crate.yaml").write_text(DETECTOR)
    (tmp_path / "study.yaml").write_text(STUDY.replace("EVENTS", "8000").replace("type: voxels", "type: deep_set"))
    study = detopt.load(tmp_path / "study.yaml")
    sampler, space, design = make_sampler(study, 8000), array_space(study), as_arrays(study.detector)
    pool = eqx.filter_jit(lambda k: sampler.exposures(design, k, 10_000))(jax.random.key(0))
    assert isinstance(pool, Crowds)
    assert (pool.number, pool.columns.shape[1]) == (100, 100)
    head = make_head(study, jax.random.key(1)).normalised(pool)
    value = eqx.filter_jit(lambda k: sampler(space.place(jnp.asarray(space.init)), head, k).values[0])(
        jax.random.key(2)
    )
    assert 0.5 < float(value) < 2
