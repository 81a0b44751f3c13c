"""What errors do to a front: which points are on it, and how much hypervolume it has."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from detopt.search.fronts import hypervolume, nondominated

__all__ = ["Hypervolume", "on_the_front", "with_interval"]

DRAWS = 400


class Hypervolume(NamedTuple):
    """With its central 95 % interval."""

    value: float
    low: float
    high: float


def _draws(
    values: Float[np.ndarray, "p m"], errors: Float[np.ndarray, "p m"], seed: int
) -> Float[np.ndarray, "draws p m"]:
    return values + errors * np.random.default_rng(seed).normal(size=(DRAWS, *values.shape))


def on_the_front(
    values: Float[np.ndarray, "p m"], errors: Float[np.ndarray, "p m"], seed: int
) -> Float[np.ndarray, " p"]:
    """The probability that no other point beats a point, with independent normal errors; 0 for one that has no score."""
    if not errors.any():
        return nondominated(values).astype(float)
    scored = np.isfinite(values).all(axis=1)
    chance = np.zeros(len(values))
    chance[scored] = np.mean([nondominated(draw) for draw in _draws(values[scored], errors[scored], seed)], axis=0)
    return chance


def with_interval(
    values: Float[np.ndarray, "p m"], errors: Float[np.ndarray, "p m"], reference: Float[np.ndarray, " m"], seed: int
) -> Hypervolume:
    """The hypervolume of points that were measured with errors, without what luck adds to it.

    Errors add to the hypervolume of a set on average, since its best are the luckiest. By how much is seen from errors
    that are added once more (a parametric bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, ch. 10).
    """
    seen = hypervolume(values, reference)
    if not errors.any():
        return Hypervolume(seen, seen, seen)
    again = np.array([hypervolume(draw, reference) for draw in _draws(values, errors, seed)])
    low, high = np.quantile(again - again.mean(), (0.025, 0.975))
    corrected = 2 * seen - again.mean()
    return Hypervolume(corrected, corrected + low, corrected + high)
