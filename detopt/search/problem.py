"""What every search works on: a loss and constraints over the unit box."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jnp
from detopt.scoring.score import Score

__all__ = ["FEASIBLE", "Point", "Problem", "in_order", "random_starts"]

FEASIBLE = 1e-12  # a relative excess below this is rounding: a published gap of exactly 5 mm meets a minimum of 5 mm


class Point(NamedTuple):
    """A scored design."""

    loss: Float[Array, ""]  # relative to the reference: 0 there, negative is better
    excess: Float[Array, " rows"]  # constraints, feasible when <= 0
    values: Float[Array, " objectives"]
    cost: Float[Array, ""]


class Problem:
    """The weighted sum of logarithms of the objectives, under constraints.

    loss = sum_i weight_i log(value_i / reference_i), with the sign turned for what is maximised: a step that improves one
    objective by 1 % and worsens another of equal weight by 1 % leaves it unchanged.
    """

    def __init__(
        self,
        score: Callable[..., Score],
        goals: Mapping[str, str],
        weights: Mapping[str, float],
        reference: Float[np.ndarray, " objectives"],
    ) -> None:
        """
        Args:
            score: the score at a point u of the unit box; what else it takes is passed on.
            goals: "minimise" or "maximise" for each objective, in the order of the score.
            weights: likewise.
            reference: values that the loss is relative to; those of the initial design.
        """
        self.score = score
        self._signs = np.array([1.0 if goal == "minimise" else -1.0 for goal in goals.values()])
        self._weights = np.array([float(w) for w in weights.values()])
        self._reference = np.asarray(reference, float)

    @property
    def shares(self) -> Float[np.ndarray, " objectives"]:
        """By how much the loss changes with the relative change of each value."""
        return self._signs * self._weights

    def loss(self, values: Float[Array, " some"], rows: Any = slice(None)) -> Float[Array, ""]:
        """The loss of objective values; `rows` says which objectives, where not all of them are given."""
        return jnp.sum(self._signs[rows] * self._weights[rows] * jnp.log(values / self._reference[rows]))

    def __call__(self, u: Float[Array, " n"], *rest: Any) -> Point:
        """Score the design at u."""
        score = self.score(u, *rest)
        loss = self.loss(score.values)
        total = score.costs[-1] if score.cost_names else jnp.zeros_like(loss)
        return Point(loss, score.excess, score.values, total)


def random_starts(seed: Any, number: int, groups: list[list[int]], size: int) -> Float[np.ndarray, "number n"]:
    """Uniform points of the unit box; positions that are interchangeable come in rising order."""
    return in_order(np.random.default_rng(seed).uniform(size=(number, size)), groups)


def in_order(u: Float[np.ndarray, "number n"], groups: list[list[int]]) -> Float[np.ndarray, "number n"]:
    """The same points with the variables of each group in rising order."""
    u = u.copy()
    for group in groups:
        u[:, group] = np.sort(u[:, group], axis=1)
    return u
