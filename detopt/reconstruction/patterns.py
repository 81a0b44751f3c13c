"""Hit patterns: which of the crossed layers gave a hit."""

import itertools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp

__all__ = ["HitPatterns", "hit_patterns", "pattern_probability", "probability_of_hits"]

_NEGLECTED, _MOST_NEGLECTED = 1e-9, 1e-2
_MOST_PATTERNS = 20_000


class HitPatterns(NamedTuple):
    """Which layers gave a hit, for every pattern that is summed over, and the probability of those that are not."""

    hits: Bool[np.ndarray, "patterns n"]
    neglected: float


def hit_patterns(efficiency: Float[np.ndarray, " n"], most_missing: int) -> HitPatterns:
    """Every pattern of hits that can make a track, all hits first.

    Patterns with ever more missing hits are listed until those left out have a probability below 1e-9, or until 20 000
    are listed.

    Args:
        efficiency: the smallest that each of the n surfaces may have; layers at 1 never miss.
        most_missing: with more hits missing there is no track.

    Raises:
        ValueError: more than 1 % of the tracks would be left out.
    """
    n = len(efficiency)
    imperfect = np.flatnonzero(efficiency < 1)
    # Distribution of the number of misses (Poisson binomial, by recursion).
    misses = np.array([1.0])
    for e in efficiency[imperfect]:
        misses = np.append(misses * e, 0.0) + np.append(0.0, misses * (1 - e))
    misses = misses[: most_missing + 1]
    most, count = 0, 1
    while misses[most + 1 :].sum() >= _NEGLECTED:
        more = count + math.comb(len(imperfect), most + 1)
        if more > _MOST_PATTERNS:
            break
        most, count = most + 1, more
    neglected = float(misses[most + 1 :].sum())
    if neglected > _MOST_NEGLECTED:
        raise ValueError(
            f"{len(imperfect)} layers may miss a hit, in too many ways to sum over ({100 * neglected:.2g} % of the tracks "
            f"miss more than {most}); give some of them efficiency: 100 %, or raise tracking: {{min_hits: …}}"
        )
    hits = np.ones((count, n), bool)
    missing = (m for k in range(most + 1) for m in itertools.combinations(imperfect, k))
    for row, layers in zip(hits, missing, strict=True):
        row[list(layers)] = False
    return HitPatterns(hits, neglected)


def probability_of_hits(efficiency: Float[Array, " n"], measured: Bool[Array, " n"], at_least: int) -> Float[Array, ""]:
    """Probability of at least so many hits among the layers that are crossed and measure: exact, for any number.

    By the recursion of the Poisson binomial distribution, one layer after the other.
    """
    n = len(efficiency)

    def layer(counts: Float[Array, " counts"], each: tuple[Array, Array]) -> tuple[Array, None]:
        e, present = each
        hit = jnp.concatenate([jnp.zeros_like(counts[:1]), counts[:-1]])
        return jnp.where(present, counts * (1 - e) + hit * e, counts), None

    start = jnp.zeros(n + 1, efficiency.dtype).at[0].set(1.0)
    counts, _ = jax.lax.scan(layer, start, (efficiency, measured))
    return jnp.sum(counts[at_least:])


def pattern_probability(
    patterns: Bool[np.ndarray, "patterns n"], efficiency: Float[Array, " n"]
) -> Float[Array, " patterns"]:
    """Probability of each pattern (exact, also in its gradient to each efficiency)."""
    imperfect = ~patterns.all(axis=0)
    e = efficiency[imperfect][None, :]
    each = jnp.where(patterns[:, imperfect], e, 1 - e)
    return jnp.prod(each, axis=1)
