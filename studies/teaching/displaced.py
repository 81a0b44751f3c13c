"""A toy for the fifth lesson, whose best head is known: is a muon prompt, or does it come from a decay to the left or right?

Of each muon we see one number x, its signed impact parameter over the resolution. Prompt ones have a normal x of width one.
Displaced ones are shifted by `apart`, to either side. Half of the muons are displaced. The log-odds of the best head are

    ln cosh(apart x) - apart^2 / 2.
"""

from functools import partial
from typing import Any

import equinox as eqx
import numpy as np

from detopt.backend import jax, jnp
from detopt.inference.features import FEATURES, Exposures
from detopt.inference.heads import TrackHead
from detopt.inference.networks import TrackNetwork, make_network
from detopt.inference.training import train

_X = np.linspace(-14, 14, 2801)  # where densities are integrated


def best_log_odds(x: Any, apart: Any) -> Any:
    """Of Bayes' theorem: ln of the densities' ratio."""
    return jnp.logaddexp(apart * x, -apart * x) - jnp.log(2.0) - apart**2 / 2


def best_bits(apart: Any) -> Any:
    """The smallest cross-entropy that any head can have, in bits a muon: 1 for ignorance, 0 for certainty."""
    x = jnp.asarray(_X)
    odds = best_log_odds(x, apart)
    prompt = jnp.exp(-(x**2) / 2) / jnp.sqrt(2 * jnp.pi)
    displaced = prompt * jnp.exp(odds)
    nats = 0.5 * (prompt * jax.nn.softplus(odds) + displaced * jax.nn.softplus(-odds))
    return jnp.sum(nats) * (_X[1] - _X[0]) / jnp.log(2.0)


def muons(seed: int, number: int, apart: float, different: int | None = None) -> Exposures:
    """So many muons as detopt's heads see them; where `different` is fewer, these again and again."""
    rng = np.random.default_rng(seed)
    displaced = rng.uniform(size=number) < 0.5
    x = rng.normal(size=number) + apart * displaced * rng.choice([-1, 1], size=number)
    rows = np.resize(np.arange(different or number), number)
    features = np.zeros((number, 1, len(FEATURES)), np.float32)
    features[:, 0, 0] = x[rows]
    pool = Exposures(
        features=features,
        seen=np.ones((number, 1), bool),
        significance=np.abs(x[rows])[:, None, None].repeat(2, 2).astype(np.float32),
        displaced=displaced[rows][:, None],
        fraction=np.full(number, 0.5, np.float32),
        condition=np.zeros((number, 0), np.float32),
    )
    return jax.tree.map(jnp.asarray, pool)


@eqx.filter_jit
def _trained(network: TrackNetwork, pool: Exposures, head: TrackHead, steps: int, key: jax.Array) -> Any:
    return train(network, pool, head, steps, key)


def taught(head: TrackHead, pool: Exposures, steps: int) -> tuple[TrackNetwork, np.ndarray]:
    """A head that was trained on these muons, and its loss in bits at each step."""
    network = make_network(head, 0, jax.random.key(1), jnp.float32).normalised(pool)
    network, losses = _trained(network, pool, head, steps, jax.random.key(2))
    return network, np.asarray(losses) / np.log(2)


@eqx.filter_jit
def log_odds(network: TrackNetwork, pool: Exposures) -> jax.Array:
    """Of each muon."""
    return network.log_odds(pool)[:, 0]


@partial(jax.jit, static_argnames="apart")
def _excess(odds: jax.Array, pool: Exposures, apart: float) -> tuple[jax.Array, jax.Array]:
    truth = pool.displaced[:, 0].astype(odds.dtype)
    best = best_log_odds(pool.features[:, 0, 0], apart)
    worse = (jax.nn.softplus(odds) - truth * odds) - (jax.nn.softplus(best) - truth * best)
    return jnp.mean(worse) / jnp.log(2.0), jnp.std(worse) / jnp.log(2.0) / len(worse) ** 0.5


def excess_bits(network: TrackNetwork, pool: Exposures, apart: float) -> tuple[float, float]:
    """How many bits a head loses to Bayes on the same muons, and the error: smaller than that of either alone."""
    mean, error = _excess(log_odds(network, pool), pool, apart)
    return float(mean), float(error)
