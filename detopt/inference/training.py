"""Training a head on muons, and calibrating the uncertainty that it gives."""

from typing import Any

import equinox as eqx
import optax
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.inference.features import Exposures
from detopt.inference.heads import SetHead, TrackHead
from detopt.inference.networks import SetNetwork, TrackNetwork

__all__ = ["calibrate", "learn", "make_optimiser", "split", "train"]


def make_optimiser(head: TrackHead | SetHead, steps: int) -> optax.GradientTransformation:
    """Adam with the head's schedule over so many steps, and its final learning rate afterwards."""
    if head.schedule == "constant":
        return optax.adam(head.learning_rate)
    return optax.adam(optax.cosine_decay_schedule(head.learning_rate, max(steps, 1), alpha=head.final))


def split(network: Any) -> tuple[Any, Any]:
    """What is trained, and all else; `eqx.combine` joins them again."""
    trained = jax.tree.map(eqx.is_inexact_array, network)
    trained = eqx.tree_at(lambda n: (n.shift, n.scale, n.calibration), trained, (False,) * 3)
    return eqx.partition(network, trained)


def learn(
    optimiser: optax.GradientTransformation, weights: Any, rest: Any, state: Any, batch: Exposures
) -> tuple[Any, Any, Float[Array, ""]]:
    """One step on one batch: new weights, new state of the optimiser, and the loss before."""

    def loss(weights: Any) -> Array:
        return eqx.combine(weights, rest).training_loss(batch)

    value, slope = jax.value_and_grad(loss)(weights)
    updates, state = optimiser.update(slope, state)
    return optax.apply_updates(weights, updates), state, value


def train(
    network: TrackNetwork | SetNetwork, pool: Exposures, head: TrackHead | SetHead, steps: int, key: jax.Array
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
    size = max(head.batch // head.exposure, 1)

    def step(carry: tuple[Any, Any], key: jax.Array) -> tuple[tuple[Any, Any], Array]:
        rows = jax.random.randint(key, (size,), 0, len(pool.fraction))
        weights, state, loss = learn(optimiser, carry[0], rest, carry[1], jax.tree.map(lambda x: x[rows], pool))
        return (weights, state), loss

    (weights, _), losses = jax.lax.scan(step, (weights, optimiser.init(weights)), jax.random.split(key, steps))
    return eqx.combine(weights, rest), losses


def calibrate(network: TrackNetwork | SetNetwork, pool: Exposures) -> Any:
    """The network with its calibration fitted to events that it was not trained on.

    Log-odds are scaled and shifted to the least cross-entropy (Platt scaling; Guo et al., arXiv:1706.04599); errors of a
    fraction are scaled to pulls of width one.
    """
    if isinstance(network, SetNetwork):
        mean, sigma = network.estimate(pool)
        width = jnp.sqrt(jnp.mean(((mean - pool.fraction) / sigma) ** 2))
        return _with_calibration(network, network.calibration.at[0].add(jnp.log(width)))
    raw = network.raw_log_odds(pool)
    truth, seen = pool.displaced.astype(raw.dtype), pool.seen.astype(raw.dtype)

    def loss(calibration: Array) -> Array:
        odds = jnp.exp(calibration[0]) * raw + calibration[1]
        return jnp.sum(seen * (jax.nn.softplus(odds) - truth * odds)) / jnp.sum(seen)

    def newton(_: Any, calibration: Array) -> Array:
        (a, b), (_, c) = jax.hessian(loss)(calibration) + 1e-6 * jnp.eye(2, dtype=raw.dtype)
        g, h = jax.grad(loss)(calibration)
        step = jnp.stack([c * g - b * h, a * h - b * g]) / (a * c - b * b)
        return calibration - jnp.clip(step, -0.5, 0.5)

    return _with_calibration(network, jax.lax.fori_loop(0, 8, newton, network.calibration))


def _with_calibration(network: Any, calibration: Array) -> Any:
    return eqx.tree_at(lambda n: n.calibration, network, calibration)
