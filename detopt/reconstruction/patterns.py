"""Hit patterns: which of the crossed layers gave a hit."""

import itertools
import math

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jnp

__all__ = ["hit_patterns", "pattern_probability"]

_NEGLECTED = 1e-9
_MOST_PATTERNS = 20_000


def hit_patterns(efficiency: Float[np.ndarray, " n"], most_missing: int) -> Bool[np.ndarray, "patterns n"]:
    """Every pattern of hits that can make a track, all hits first.

    Patterns with ever more missing hits are listed until what is left out has a probability below 1e-9.

    Args:
        efficiency: the smallest that each of the n surfaces may have; layers at 1 never miss.
        most_missing: with more hits missing there is no track.

    Raises:
        ValueError: more than 20 000 patterns would be needed.
    """
    n = len(efficiency)
    imperfect = np.flatnonzero(efficiency < 1)
    # Distribution of the number of misses (Poisson binomial, by recursion).
    misses = np.array([1.0])
    for e in efficiency[imperfect]:
        misses = np.append(misses * e, 0.0) + np.append(0.0, misses * (1 - e))
    most = next((k for k in range(len(misses)) if misses[k + 1 :].sum() < _NEGLECTED), len(misses) - 1)
    most = min(most, most_missing)
    if (count := sum(math.comb(len(imperfect), k) for k in range(most + 1))) > _MOST_PATTERNS:
        raise ValueError(f"{count} hit patterns of {len(imperfect)} inefficient layers are too many to sum over")
    patterns = np.ones((count, n), bool)
    missing = (m for k in range(most + 1) for m in itertools.combinations(imperfect, k))
    for row, layers in zip(patterns, missing, strict=True):
        row[list(layers)] = False
    return patterns


def pattern_probability(
    patterns: Bool[np.ndarray, "patterns n"], efficiency: Float[Array, " n"]
) -> Float[Array, " patterns"]:
    """Probability of each pattern (exact, also in its gradient to each efficiency)."""
    imperfect = ~patterns.all(axis=0)
    e = efficiency[imperfect][None, :]
    each = jnp.where(patterns[:, imperfect], e, 1 - e)
    return jnp.prod(each, axis=1)
