"""The scattering density of a slab from N muons, where the best possible estimate is known."""

import equinox as eqx
import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.inference.deep_set import make_deep_set
from detopt.inference.heads import DeepSetHead, VoxelHead
from detopt.inference.muon_columns import MuonColumns
from detopt.inference.pictures import Crowds, Pictures
from detopt.inference.questions import Grid, Question
from detopt.inference.training import train
from detopt.inference.voxel_network import make_voxel_network
from detopt.inference.voxel_sums import mean_sums

MUONS, WIDEST = 100, 4.0  # scattering densities are spread evenly in their logarithm over this factor
WIDTH = 0.01  # rad: the narrowest scattering angle
GRID = Grid((-500.0, -500.0, -50.0), (1000.0, 1000.0, 100.0), (1, 1, 1), 8)
SIZE = {"muons": MUONS, "width": 32, "learning_rate": 0.003}
HEADS = {  # and how many steps they need
    "voxels": (VoxelHead(batch=256, **SIZE), make_voxel_network, 1000),
    "deep set": (DeepSetHead(batch=64, **SIZE), make_deep_set, 600),
}


def exposures(key, number):
    """Truths from 0 to 1, the angles, and what heads see; both projections are one number, as in one projection."""
    first, second = jax.random.split(key)
    truth = jax.random.uniform(first, (number, 1))
    theta = WIDTH * WIDEST ** (truth / 2) * jax.random.normal(second, (number, MUONS))
    one, none = jnp.ones_like(theta), jnp.zeros_like(theta)
    # deflection() is the root of (dx^2 + dy^2) / 2.
    columns = jnp.stack(MuonColumns(one, *[none] * 4, none, none, jnp.sqrt(2.0) * theta, *[none] * 3), -1)
    sums, nothing = jax.vmap(lambda c: mean_sums(c, GRID))(columns), jnp.zeros((number, 0))
    pictures = Pictures(sums, jnp.full(number, float(MUONS)), truth, nothing)
    return {"voxels": pictures, "deep set": Crowds(columns, truth, nothing)}, theta


def bayes(theta):
    """Mean of the truth given the angles, under the even prior."""
    asked = np.linspace(0, 1, 401)
    square = (np.asarray(theta, float) ** 2).sum(1)[:, None] / WIDTH**2
    log = -0.5 * MUONS * np.log(WIDEST) * asked - square / 2 / WIDEST**asked
    weight = np.exp(log - log.max(1, keepdims=True))
    return (weight * asked).sum(1) / weight.sum(1)


@pytest.mark.parametrize("kind", HEADS)
def test_the_head_is_as_good_as_bayes(kind):
    (pools, _), (several, theta) = (
        jax.jit(exposures, static_argnums=1)(jax.random.key(i), number) for i, number in ((1, 20_000), (2, 10_000))
    )
    pool, fresh, (head, make, steps) = pools[kind], several[kind], HEADS[kind]
    question = Question("number", "slab.density")
    network = make(GRID, question, head.width, head.layers, 0, jax.random.key(3), pool.truth.dtype)
    network = network.normalised(pool)
    trained, _ = eqx.filter_jit(lambda n, k: train(n, pool, head, steps, k))(network, jax.random.key(4))
    value, sigma = trained.calibrated(pool).estimate(fresh)
    error = np.asarray(value - fresh.truth)[:, 0]
    best = bayes(theta) - np.asarray(fresh.truth)[:, 0]
    ratio, crude = np.sqrt((error**2).mean() / (best**2).mean()), np.sqrt(2 / MUONS) / np.log(WIDEST)
    print(f"{kind} / Bayes {ratio:.4f}; Bayes / sqrt(2 / N) {best.std() / crude:.3f}")
    assert 0.99 < ratio < 1.05
    pulls = error / np.asarray(sigma)[:, 0]
    assert abs(np.sqrt((pulls**2).mean()) - 1) < 0.03
    # Away from the ends of the prior the error is Cramer and Rao's.
    middle = np.abs(np.asarray(fresh.truth)[:, 0] - 0.5) < 0.1
    assert abs(best[middle].std() / crude - 1) < 0.1
