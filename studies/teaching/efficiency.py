"""Four planes, each of which sees a muon with the same efficiency, of which three have to: how efficient should they be?

A better plane costs more. Maximised is P(at least 3 of 4 hits) + PRICE ln(1 - efficiency), and the best efficiency is

    (1 + sqrt(1 - 4 sqrt(PRICE / 12))) / 2 = 0.8873.
"""

import functools
import math
from typing import Any

from telescope import each

from detopt.backend import jax, jnp
from detopt.gradients.flips import Flip, with_flips

PLANES, NEEDED = 4, 3
PRICE = 0.12
BEST = (1 + math.sqrt(1 - 4 * math.sqrt(PRICE / 12))) / 2
BOUNDS = (0.5, 0.99)


@functools.partial(jax.jit, static_argnames="muons")
def draw(key: jax.Array, muons: int) -> jax.Array:
    """A uniform number for each muon and plane: the plane sees the muon if it is below the efficiency."""
    return jax.random.uniform(key, (muons, PLANES))


def cost(efficiency: Any) -> Any:
    """What the efficiency takes from the score."""
    return PRICE * jnp.log1p(-efficiency)


def mean_sampled(efficiency: Any, draws: Any) -> Any:
    """The score from hits that are there or not."""
    hits = draws < efficiency
    return jnp.mean(jnp.where(jnp.sum(hits, axis=-1) >= NEEDED, 1.0, 0.0)) + cost(efficiency)


def at_least(efficiencies: list[Any], needed: int) -> Any:
    """Probability of `needed` hits or more: the Poisson-binomial distribution, a plane at a time."""
    count = [1.0] + [0.0] * len(efficiencies)  # probability of so many hits
    for e in efficiencies:
        count = [here * (1 - e) + below * e for here, below in zip(count, [0.0, *count], strict=False)]
    return sum(count[needed:])


def exact_score(efficiency: Any) -> Any:
    """All patterns of hits, each with its probability: differentiable as it stands."""
    return at_least([efficiency] * PLANES, NEEDED) + cost(efficiency)


def plane_by_plane(efficiency: Any, draws: Any) -> Flip:
    """The flip: each plane sees the muon or not, the others as they are. The handle is the probability of a hit."""
    hits = draws < jax.lax.stop_gradient(efficiency)
    others = jnp.sum(hits, axis=-1, keepdims=True) - hits
    on, off = (jnp.where(others + seen >= NEEDED, 1.0, 0.0).ravel() for seen in (1, 0))
    handle = jnp.broadcast_to(efficiency, on.shape)
    return Flip(on=on, off=off, weight=jnp.full(on.shape, 1 / len(draws)), handle=handle)


mean_score = with_flips(mean_sampled, plane_by_plane)
with_the_flip = each(mean_score)


def enumerated(efficiency: Any, draws: Any) -> Any:
    """The exact gradient, the same for each muon."""
    return jnp.broadcast_to(jax.grad(exact_score)(efficiency), draws.shape[:1])
