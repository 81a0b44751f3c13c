"""The best combination of a study's choices: each that is tried gets a short gradient search of its own.

Combinations that differ in numbers alone share what is compiled.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.scoring.score import Score
from detopt.search.discrete import AT_ONCE, Combination, search_combinations
from detopt.search.gradient import GradientSearcher, Position
from detopt.search.problem import Problem
from detopt.study.evaluate import evaluator_key, make_evaluator
from detopt.study.studies import Study
from detopt.study.variants import Variants

__all__ = ["Tried", "try_combinations"]

ADAM_STEPS, LBFGS_ROUNDS = 75, 2  # of a short search
STARTS = 2  # of each combination: the design as drawn, and what was best for the best one so far


class Tried(NamedTuple):
    """One combination after its short search."""

    chosen: dict[str, str]
    loss: float  # relative to the study as drawn; infinite where there is no such design, or none meets the constraints
    values: dict[str, float]  # of its design variables
    seconds: float


def try_combinations(
    study: Study,
    problem_of: Callable[[Study, Callable[..., Score]], Problem],
    report: Callable[[list[Tried]], None],
    deadline: float | None = None,
    known: Sequence[Tried] = (),
) -> list[Tried]:
    """Search the combinations of a study in `expected` mode.

    Args:
        study: with choices.
        problem_of: the loss of a variant, from its score.
        report: called with all that were tried so far.
        deadline: by `time.monotonic`, after which nothing new is tried.
        known: what a search that was stopped had tried, in its order.

    Returns:
        All that were tried, in that order.
    """
    polisher = _Polisher(study, problem_of)
    tried: list[Tried] = []

    def score(wanted: list[Combination]) -> list[float]:
        if len(tried) + len(wanted) <= len(known):
            tried.extend(known[len(tried) : len(tried) + len(wanted)])
            return [t.loss for t in tried[-len(wanted) :]]
        if deadline is not None and tried and time.monotonic() > deadline:
            return []
        best = min(tried, key=lambda t: t.loss, default=None)
        tried.extend(polisher(wanted, {} if best is None else best.values))
        report(tried)
        return [t.loss for t in tried[-len(wanted) :]]

    search_combinations(polisher.variant.sizes, score, study.search.combinations, study.seed)
    return tried


class _Polisher:
    """Short gradient searches of some combinations."""

    def __init__(self, study: Study, problem_of: Callable[[Study, Callable[..., Score]], Problem]) -> None:
        self.variant, self.problem_of = Variants(study), problem_of
        self._kinds: dict[Any, _Kind] = {}

    def __call__(self, wanted: list[Combination], known: dict[str, float]) -> list[Tried]:
        """Of each, from the design as drawn and from known values of its variables."""
        started = time.monotonic()
        variants = [self.variant(c) for c in wanted]
        kinds = [None if v is None else self._kind(v) for v in variants]
        found: dict[int, tuple[float, dict[str, float]]] = {}
        for kind in dict.fromkeys(kinds):
            rows = [i for i, k in enumerate(kinds) if k is kind]
            if kind is None:
                found |= dict.fromkeys(rows, (np.inf, {}))
            else:
                found |= dict(zip(rows, kind([v for i in rows if (v := variants[i])], known), strict=True))
        seconds = (time.monotonic() - started) / len(wanted)
        return [Tried(self.variant.chosen(c), *found[i], seconds) for i, c in enumerate(wanted)]

    def _kind(self, variant: Study) -> "_Kind":
        key = evaluator_key(variant)
        if key not in self._kinds:
            self._kinds[key] = _Kind(variant, self.problem_of)
        return self._kinds[key]


class _Kind:
    """Combinations whose detectors are made of the same elements: compiled once."""

    def __init__(self, first: Study, problem_of: Callable[[Study, Callable[..., Score]], Problem]) -> None:
        evaluate = make_evaluator(first)

        def score(u: Float[Array, " n"], detector: Detector) -> Score:
            return evaluate(replace(first.space, detector=detector).place(u), None, None)

        self._searcher = GradientSearcher(problem_of(first, score), first.search.learning_rate, ADAM_STEPS)

    def __call__(self, variants: list[Study], known: dict[str, float]) -> list[tuple[float, dict[str, float]]]:
        """Loss and design of each; there are at most `AT_ONCE`."""
        padded = [*variants, *variants[:1] * (AT_ONCE - len(variants))]
        starts = [_coordinates(v, values) for v in padded for values in ({}, known)]
        designs = [d for v in padded for d in [as_arrays(v.detector)] * STARTS]
        stacked = jax.tree.map(lambda *each: jnp.stack(each), *designs)
        state, converging = None, 0
        begun = self._searcher.init(jnp.asarray(starts), (stacked,))
        for round_ in self._searcher.rounds(Position(begun)):
            state, converging = round_.position.state, converging + (round_.phase == "lbfgs")
            if converging == LBFGS_ROUNDS:
                break
        assert state is not None
        losses = np.asarray(state.best_loss).reshape(-1, STARTS)
        points = np.asarray(state.best_u).reshape(len(padded), STARTS, -1)
        best = losses.argmin(axis=1)
        return [
            (float(losses[i, j]), {n: float(x) for n, x in v.space.values(points[i, j].tolist()).items()})
            for i, (v, j) in enumerate(zip(variants, best, strict=False))
        ]


def _coordinates(study: Study, values: dict[str, float]) -> list[float]:
    """A design in the unit box; what is not known is as drawn."""
    return [v.unit_interval(values.get(v.name, v.init)) for v in study.space.variables]
