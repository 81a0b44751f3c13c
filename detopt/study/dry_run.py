"""What `detopt check` tells about a good study: its score, its variables, and how long the search will take."""

import time
from typing import Any

from detopt.backend import jax
from detopt.detector.surfaces import as_arrays
from detopt.study.evaluate import check_edges, make_evaluator, score_as_dict
from detopt.study.studies import Study

__all__ = ["dry_run"]

# Measured: a step costs about five scores, a converging round some 250 of them, and compilation comes first.
_STEP, _ROUNDS, _COMPILATION = 5, 1500, 20.0


def dry_run(study: Study) -> dict[str, Any]:
    """Score the initial design once. Raises BadInput where an edge lies within the bounds."""
    check_edges(study)
    score = jax.jit(make_evaluator(study))
    design, key = as_arrays(study.detector), jax.random.key(study.seed)
    first = jax.block_until_ready(score(design, None, key))
    started = time.perf_counter()
    for _ in range(10):
        jax.block_until_ready(score(design, None, key))
    seconds = (time.perf_counter() - started) / 10
    starts = 1 + study.search.restarts
    evaluations = starts * _STEP * (study.search.steps + _ROUNDS)
    return {
        "score": score_as_dict(study, first, study.detector),
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
        "notes": list(study.notes),
    }
