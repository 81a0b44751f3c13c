"""What errors do to a front: which points are on it, and how much hypervolume it has."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from detopt.search.fronts import hypervolume, nondominated

__all__ = ["Hypervolume", "audited", "on_the_front", "with_interval"]

DRAWS = 400
HARDLY = 0.05  # probability of being on the front below which a point is not published

Pair = tuple[Float[np.ndarray, "p m"], Float[np.ndarray, "p m"]]


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


def audited(
    u: Float[np.ndarray, "p n"], score: Callable[[Float[np.ndarray, "p n"], str], Pair], number: int, seed: int
) -> tuple[Float[np.ndarray, "k n"], Float[np.ndarray, "k m"], Float[np.ndarray, "k m"]]:
    """Of some points those that are likeliest on the front, with values and errors.

    Args:
        u: the points.
        score: values and errors of points, on events that no search has seen, and of each purpose on others: what was
            chosen for its luck is scored once more.
        number: how many there are at most.
        seed: of the probabilities.
    """
    first = score(u, "choose")
    chance = on_the_front(*first, seed)
    best = np.argsort(-chance, kind="stable")[:number]
    # Of many that are nearly equal none is likely, and some are on the front nevertheless.
    u = u[best[chance[best] > min(HARDLY, chance.max() / 2)]]
    return u, *(score(u, "publish") if len(u) else (first[0][:0], first[1][:0]))


def with_interval(
    values: Float[np.ndarray, "p m"], errors: Float[np.ndarray, "p m"], reference: Float[np.ndarray, " m"], seed: int
) -> Hypervolume:
    """The hypervolume of points that were measured with errors, without what luck adds to it.

    Errors add to the hypervolume of a set on average, since its best are the luckiest. By how much is seen from errors
    that are added once more (a parametric bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, ch. 10). Luck
    grows with the variance where points are far apart, so that errors of once the variance add as much again; and with the
    error where they are close together, so that errors of three times the variance, twice the error in all, do. What is
    added by the one is too little to take away and by the other too much: the value is half way, and the interval, beside
    the spread, has both.
    """
    seen = hypervolume(values, reference)
    if not errors.any():
        return Hypervolume(seen, seen, seen)
    once, thrice = (
        np.array([hypervolume(draw, reference) for draw in _draws(values, width * errors, seed)])
        for width in (1.0, 3**0.5)
    )
    apart, close = 2 * seen - once.mean(), 2 * seen - thrice.mean()
    below, above = np.quantile(once - once.mean(), (0.025, 0.975))
    found = (apart + close) / 2, min(apart, close) + below, max(apart, close) + above
    return Hypervolume(*(max(float(x), 0.0) for x in found))
