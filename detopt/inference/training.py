"""Training a head on exposures."""

from typing import Any

import equinox as eqx
import optax
from jaxtyping import Array, Float

from detopt.backend import jax
from detopt.inference.features import Exposures
from detopt.inference.heads import Head
from detopt.inference.networks import SetNetwork, TrackNetwork
from detopt.inference.pictures import Crowds, Pictures, Series
from detopt.inference.portal_network import PortalNetwork

__all__ = ["batch", "learn", "make_optimiser", "split", "train"]


def make_optimiser(head: Head, steps: int) -> optax.GradientTransformation:
    """Adam with the head's schedule over so many steps, and its final learning rate afterwards."""
    if head.schedule == "constant":
        return optax.adam(head.learning_rate)
    return optax.adam(optax.cosine_decay_schedule(head.learning_rate, max(steps, 1), alpha=head.final))


def split(network: Any) -> tuple[Any, Any]:
    """What is trained, and all else; `eqx.combine` joins them again."""
    trained = jax.tree.map(eqx.is_inexact_array, network)
    trained = eqx.tree_at(lambda n: (n.shift, n.scale, n.calibration), trained, (False,) * 3)
    return eqx.partition(network, trained)


def batch(pool: Exposures | Pictures | Crowds | Series, key: jax.Array, size: int) -> Any:
    """Some exposures of a pool, at random; of a series, of any length that it has."""
    if isinstance(pool, Series):
        return pool.stretches(key, size)
    rows = jax.random.randint(key, (size,), 0, pool.number)
    return jax.tree.map(lambda x: x[rows], pool)


def learn(
    optimiser: optax.GradientTransformation, weights: Any, rest: Any, state: Any, batch: Exposures | Pictures | Crowds
) -> tuple[Any, Any, Float[Array, ""]]:
    """One step on one batch: new weights, new state of the optimiser, and the loss before."""

    def loss(weights: Any) -> Array:
        return eqx.combine(weights, rest).training_loss(batch)

    value, slope = jax.value_and_grad(loss)(weights)
    updates, state = optimiser.update(slope, state)
    return optax.apply_updates(weights, updates), state, value


def train(
    network: TrackNetwork | SetNetwork | PortalNetwork,
    pool: Exposures | Pictures | Crowds | Series,
    head: Head,
    steps: int,
    key: jax.Array,
) -> tuple[Any, Float[Array, " steps"]]:
    """Train on random batches of a pool of exposures.

    Args:
        network: with the weights to start from.
        pool: exposures to draw batches from.
        head: batch size and schedule.
        steps: number of batches.
        key: random key.

    Returns:
        The trained network, and the loss of each batch.
    """
    optimiser = make_optimiser(head, steps)
    weights, rest = split(network)

    def step(carry: tuple[Any, Any], key: jax.Array) -> tuple[tuple[Any, Any], Array]:
        weights, state, loss = learn(optimiser, carry[0], rest, carry[1], batch(pool, key, head.together))
        return (weights, state), loss

    (weights, _), losses = jax.lax.scan(step, (weights, optimiser.init(weights)), jax.random.split(key, steps))
    return eqx.combine(weights, rest), losses
