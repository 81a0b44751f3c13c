"""Discrete options as coordinates: behind its continuous ones a point has a 0 or 1 for each option of each choice."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["OptionCodes"]


class OptionCodes:
    """How the options of some choices are written behind `continuous` coordinates."""

    def __init__(self, continuous: int, sizes: Sequence[int] = ()) -> None:
        self.continuous, self.sizes = continuous, tuple(sizes)
        self.ends = continuous + np.cumsum([0, *sizes])  # where the code of each choice begins, and where the last ends

    @property
    def moves(self) -> Bool[np.ndarray, " n"]:
        """Which coordinates are continuous."""
        return np.arange(self.ends[-1]) < self.continuous

    def with_codes(self, u: Float[np.ndarray, "p c"], options: Int[np.ndarray, "p k"]) -> Float[np.ndarray, "p n"]:
        """Continuous coordinates, and the options that go with them."""
        codes = [np.eye(size)[options[:, j]] for j, size in enumerate(self.sizes)]
        return np.concatenate([u, *codes], axis=1)

    def options(self, u: Float[np.ndarray, "p n"]) -> Int[np.ndarray, "p k"]:
        """Which option of each choice a point has."""
        pairs = zip(self.ends[:-1], self.ends[1:], strict=True)
        found = [u[:, first:last].argmax(axis=1) for first, last in pairs]
        return np.stack(found, axis=1) if found else np.zeros((len(u), 0), int)

    def balanced(self, number: int, rng: np.random.Generator) -> Int[np.ndarray, "number k"]:
        """Options of some points at random, among which each option comes as often."""
        columns = [rng.permutation(np.arange(number) % size) for size in self.sizes]
        return np.stack(columns, axis=1) if columns else np.zeros((number, 0), int)

    def mutated(self, u: Float[np.ndarray, "p n"], rng: np.random.Generator) -> Float[np.ndarray, "p n"]:
        """The same points with another option of one choice each."""
        options, rows = self.options(u), np.arange(len(u))
        which = rng.integers(0, len(self.sizes), len(u))
        sizes = np.array(self.sizes)[which]
        options[rows, which] = (options[rows, which] + 1 + rng.integers(0, sizes - 1)) % sizes
        return self.with_codes(u[:, : self.continuous], options)
