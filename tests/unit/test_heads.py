"""Heads on toys whose best answer is known: two normal distributions, no detector."""

import math
from functools import partial

import numpy as np
from scipy.special import expit

from detopt.backend import jax, jnp
from detopt.inference.features import FEATURES, Exposures
from detopt.inference.heads import SetHead, TrackHead
from detopt.inference.networks import make_network
from detopt.inference.training import train

APART = 1.5  # distance of the two normal distributions, of width one
compiled = partial(jax.jit, static_argnums=(2, 3))


def toy(seed, exposures, muons, limits):
    """Muons that carry one number x, in the first feature (halved) and, with a shift, in the second."""
    rng = np.random.default_rng(seed)
    fraction = rng.uniform(*limits, size=exposures)
    displaced = rng.uniform(size=(exposures, muons)) < fraction[:, None]
    x = rng.normal(size=(exposures, muons)) + APART * displaced
    features = np.zeros((exposures, muons, len(FEATURES)))
    features[..., 0], features[..., 1] = x / 2, 3 + x
    pool = Exposures(
        features=features.astype(np.float32),
        seen=np.ones((exposures, muons), bool),
        significance=np.stack([np.abs(x)] * 2, -1).astype(np.float32),
        displaced=displaced,
        fraction=fraction.astype(np.float32),
        condition=np.zeros((exposures, 0), np.float32),
    )
    return x, jax.tree.map(jnp.asarray, pool)


def trained(head, pool, calibration, steps):
    @jax.jit
    def run(key, pool, calibration):
        network = make_network(head, 0, jax.random.key(1), jnp.float32).normalised(pool)
        network, losses = train(network, pool, head, steps, key)
        arrays = jax.tree.leaves(network.calibrated(calibration))
        return [a for a in arrays if hasattr(a, "dtype")], losses

    arrays, losses = run(jax.random.key(2), pool, calibration)
    # Activations are no arrays: put the weights back to where they were.
    network = make_network(head, 0, jax.random.key(1), jnp.float32)
    leaves, tree = jax.tree.flatten(network)
    filled = iter(arrays)
    leaves = [next(filled) if hasattr(leaf, "dtype") else leaf for leaf in leaves]
    assert np.isfinite(np.asarray(losses)).all()
    assert losses[-50:].mean() < losses[:10].mean()
    return jax.tree.unflatten(tree, leaves)


def test_single_muons():
    """Cross-entropy within 2 % of the best there is, and log-odds that mean what they say."""
    head = TrackHead(width=16, batch=2048, learning_rate=1e-2)
    network = trained(head, toy(0, 40_000, 1, (0.5, 0.5))[1], toy(1, 20_000, 1, (0.5, 0.5))[1], 800)
    x, pool = toy(2, 100_000, 1, (0.5, 0.5))
    odds = np.asarray(jax.jit(lambda pool: network.log_odds(pool))(pool)).ravel().astype(float)
    truth, x = np.asarray(pool.displaced).ravel(), x.ravel()
    # Bayes: log-odds are APART x - APART^2 / 2; the cross-entropy by quadrature.
    grid = np.linspace(-10, 12, 4001)
    best = APART * grid - APART**2 / 2
    density = np.exp(-((grid - APART) ** 2) / 2) / math.sqrt(2 * math.pi)
    bayes = np.trapezoid(density * np.logaddexp(0, -best), grid)  # the other half is its mirror image
    entropy = np.logaddexp(0, odds) - truth * odds
    known = entropy - (np.logaddexp(0, APART * x - APART**2 / 2) - truth * (APART * x - APART**2 / 2))
    print(f"cross-entropy {entropy.mean():.4f}, best {bayes:.4f}; worse on the same muons by {known.mean():.5f}")
    assert abs(entropy.mean() / bayes - 1) < 0.02
    assert -4 * known.std() / math.sqrt(x.size) < known.mean() < 0.02 * bayes
    # Reliability: in each of ten bins of the probability, as many are displaced as it says (4 standard errors, and what
    # is lost on the calibration's own 20 000 muons).
    p = expit(odds)
    bins = np.digitize(p, np.quantile(p, np.linspace(0, 1, 11)[1:-1]))
    for b in range(10):
        inside = bins == b
        error = math.sqrt(p[inside].mean() * (1 - p[inside].mean()) * (1 / inside.sum() + 10 / 20_000))
        assert abs(truth[inside].mean() - p[inside].mean()) < 4 * error


def test_a_muon_without_a_track():
    """It counts with even odds, and what stands in its features does not matter."""
    network = make_network(TrackHead(width=4), 0, jax.random.key(0), jnp.float32)
    _, pool = toy(3, 20, 1, (0.5, 0.5))
    blind = pool._replace(seen=jnp.zeros_like(pool.seen), features=pool.features * 1e3)
    assert (np.asarray(network.log_odds(blind)) == 0).all()
    np.testing.assert_allclose(network.scores(blind)[0], math.log(2), rtol=1e-6)
    sets = make_network(SetHead(width=4, muons=5), 0, jax.random.key(0), jnp.float32)
    _, some = toy(4, 20, 5, (0.1, 0.9))
    half = some._replace(seen=some.seen.at[:, ::2].set(False))
    other = half._replace(features=jnp.where(half.seen[..., None], half.features, 77.0))
    turned = jax.tree.map(lambda x: x[:, ::-1] if x.ndim > 1 and x.shape[1] == 5 else x, half)
    for same in (other, turned):  # the order of the muons does not matter either
        np.testing.assert_allclose(sets.estimate(same)[0], sets.estimate(half)[0], rtol=1e-5)


def posterior_mean(x, limits):
    """Of the fraction, flat between the limits, on a grid."""
    f = np.linspace(*limits, 401)
    ratio = np.exp(APART * x - APART**2 / 2)  # displaced over prompt
    log = np.zeros((len(x), len(f)))
    for column in ratio.T:
        log += np.log1p(f[None] * (column[:, None] - 1))
    weight = np.exp(log - log.max(1, keepdims=True))
    weight[:, [0, -1]] /= 2
    return (weight * f).sum(1) / weight.sum(1)


def check_fraction(exposures, steps, closeness, width):
    muons, limits = 100, (0.05, 0.95)
    head = SetHead(width=16, muons=muons, batch=64 * muons, learning_rate=1e-2, final=0.01)
    network = trained(head, toy(10, exposures, muons, limits)[1], toy(11, 4000, muons, limits)[1], steps)
    x, pool = toy(12, 6000, muons, limits)
    mean, sigma = (np.asarray(a, float) for a in jax.jit(lambda pool: network.estimate(pool))(pool))
    truth = np.asarray(pool.fraction, float)
    error, best = mean - truth, posterior_mean(x, limits) - truth
    ratio = math.sqrt(np.mean(error**2) / np.mean(best**2))
    pull = math.sqrt(np.mean((error / sigma) ** 2))
    print(f"RMS {np.sqrt(np.mean(error**2)):.4f}, {ratio:.4f} of the best; pull width {pull:.4f}")
    assert 0.995 < ratio < closeness  # of the same exposures: they differ by far less than each is known
    # 4000 exposures calibrate to 1.1 %, 6000 tell it to 0.9 %.
    assert abs(pull - 1) < width
    assert 0.5 * np.mean(best**2) < np.mean(sigma**2) < 2 * np.mean(best**2)


def test_a_fraction():
    """RMS error within 2 % of the posterior mean's on the same exposures; errors that are as large as they say."""
    check_fraction(8000, 1000, 1.02, 0.05)


def test_another_muon_in_an_exposure():
    """`swapped` scores what `scores` does when the muon is really replaced, tracks that are not found included."""
    head = SetHead(width=8, muons=20)
    network = make_network(head, 0, jax.random.key(0), jnp.float32)
    _, pool = toy(0, 5, 20, (0.0, 1.0))
    _, others = toy(1, 5, 3, (0.0, 1.0))
    pool = pool._replace(seen=pool.seen.at[:, ::3].set(False))
    others = others._replace(seen=others.seen.at[0].set(False))
    swapped = network.swapped(pool, others)
    for k in range(3):
        features, seen = (
            getattr(pool, name).at[:, k].set(getattr(others, name)[:, k]) for name in ("features", "seen")
        )
        for one, other in zip(swapped, network.scores(pool._replace(features=features, seen=seen)), strict=True):
            np.testing.assert_allclose(one[:, k], other, rtol=2e-5)
