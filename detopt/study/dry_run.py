"""What `detopt check` tells about a good study: its score, its variables, and how long the search will take."""

import time
from typing import Any

from detopt.backend import jax
from detopt.detector.surfaces import as_arrays
from detopt.study.edges import check_bounds, check_ranges
from detopt.study.evaluate import array_space, make_evaluator, score_as_dict
from detopt.study.studies import Study

__all__ = ["dry_run"]

# Measured: a step costs about five scores, a converging round some 250 of them, and compilation comes first.
_STEP, _ROUNDS, _COMPILATION = 5, 1500, 20.0


def dry_run(study: Study) -> dict[str, Any]:
    """Score the initial design once. Raises BadInput where an edge lies within the bounds."""
    check_ranges(study)
    evaluate = make_evaluator(study)
    if study.space.variables:
        check_bounds(study, array_space(study), evaluate.particles)
    score = jax.jit(evaluate)
    design, key = as_arrays(study.detector), jax.random.key(study.seed)
    first = jax.block_until_ready(score(design, None, key))
    started = time.perf_counter()
    for _ in range(10):
        jax.block_until_ready(score(design, None, key))
    seconds = (time.perf_counter() - started) / 10
    starts = 1 + study.search.restarts
    evaluations = starts * _STEP * (study.search.steps + _ROUNDS)
    return {
        "score": score_as_dict(study, first),
        "variables": [
            {
                "name": v.name,
                "initial": v.init,
                "lower": v.lower,
                "upper": v.upper,
                "unit": v.unit,
                "estimator": "pathwise",
            }
            for v in study.space.variables
        ],
        "seconds_per_score": seconds,
        "seconds": _COMPILATION + evaluations * seconds / 2,
        "notes": [*study.notes, *_pattern_notes(evaluate.neglected)],
    }


def _pattern_notes(neglected: float) -> list[str]:
    if neglected < 1e-6:
        return []
    return [f"efficiency: resolutions leave out the {100 * neglected:.2g} % of tracks that miss the most hits"]
