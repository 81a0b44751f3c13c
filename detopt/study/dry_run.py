"""What `detopt check` tells about a good study: its score, its variables, and how long the search will take."""

import time
from typing import Any

import equinox as eqx

from detopt.backend import jax
from detopt.detector.surfaces import as_arrays
from detopt.study.differentiable import check_differentiable
from detopt.study.edges import check_bounds, check_ranges, check_sampled_bounds
from detopt.study.estimators import estimators
from detopt.study.evaluate import array_space, make_evaluator, make_sampler, score_as_dict
from detopt.study.networks import make_head
from detopt.study.reach import check_reach
from detopt.study.studies import Study

__all__ = ["dry_run"]

# Measured: a step costs about five scores, a converging round some 250 of them, and compilation comes first.
_STEP, _ROUNDS, _COMPILATION = 5, 1500, 20.0
_HEAD_STEP = 1e-3  # seconds of a training step of one head


def dry_run(study: Study) -> dict[str, Any]:
    """Score the initial design once. Raises BadInput where an edge lies within the bounds."""
    check_differentiable(study)
    if study.mode == "sampled":
        return _sampled(study)
    check_ranges(study)
    check_reach(study)
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
        "variables": _variables(study),
        "seconds_per_score": seconds,
        "seconds": _COMPILATION + evaluations * seconds / 2,
        "notes": [*study.notes, *_pattern_notes(evaluate.neglected)],
    }


def _sampled(study: Study) -> dict[str, Any]:
    """How long one score takes; the score itself would need a trained head."""
    sampler = make_sampler(study, study.search.events)
    if study.space.variables:
        check_sampled_bounds(study, array_space(study), sampler)
    design, key = as_arrays(study.detector), jax.random.key(study.seed)
    network = None if study.head is None else make_head(study, key)
    score = eqx.filter_jit(sampler)
    jax.block_until_ready(score(design, network, key).values)
    started = time.perf_counter()
    jax.block_until_ready(score(design, network, key).values)
    seconds = time.perf_counter() - started
    designs = 1 if study.head is None else 3
    training = _HEAD_STEP * study.audit.heads * study.audit.head_steps
    audit = designs * (seconds * study.audit.events / sampler.events + training)
    steps = (1 + study.search.restarts) * study.search.steps
    return {
        "variables": _variables(study),
        "seconds_per_score": seconds,
        "seconds": 3 * _COMPILATION + _STEP * seconds * steps + audit,
        "notes": list(study.notes),
    }


def _variables(study: Study) -> list[dict[str, Any]]:
    ways = estimators(study)
    return [
        {
            "name": v.name,
            "initial": v.init,
            "lower": v.lower,
            "upper": v.upper,
            "unit": v.unit,
            "estimator": ways[v.name],
        }
        for v in study.space.variables
    ]


def _pattern_notes(neglected: float) -> list[str]:
    if neglected < 1e-6:
        return []
    return [f"efficiency: resolutions leave out the {100 * neglected:.2g} % of tracks that miss the most hits"]
