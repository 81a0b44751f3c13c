"""From a checked study to scores: the compiled evaluator, and its answers as plain data."""

import math
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import numpy as np

from detopt.backend import jax, jnp
from detopt.detector.arms import arms_of
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.inference.heads import DeepSetHead, PortalHead
from detopt.parameters import Space
from detopt.reconstruction.panel_momentum import TRIED
from detopt.scoring.beam_sampled import BeamEvaluator
from detopt.scoring.evaluate import Evaluator
from detopt.scoring.portal_sampled import PortalEvaluator
from detopt.scoring.sampled import SampledEvaluator
from detopt.scoring.score import Score
from detopt.search.problem import FEASIBLE
from detopt.simulation.cosmic_rays import equal_shares
from detopt.simulation.source import Cosmic
from detopt.study.faults import BadInput, Fault
from detopt.study.questions import grid_of, question_of, volume_of
from detopt.study.staging import fixed_start
from detopt.study.studies import Study

__all__ = ["array_space", "evaluate_study", "evaluator_key", "make_evaluator", "make_sampler", "score_as_dict"]


def make_evaluator(study: Study) -> Evaluator:
    """The study's `evaluate(design, head, key)` in expected mode. Raises BadInput where it cannot be computed."""
    lowest = _least_efficient(study)
    try:
        return Evaluator(
            study.objectives, study.constraints, study.prices, study.source, study.physics, lowest, study.min_hits
        )
    except ValueError as error:
        raise BadInput([Fault(str(study.path), None, None, "", str(error))]) from None


def _least_efficient(study: Study) -> Detector:
    """The design of fewest hits within the bounds, whichever numbers the efficiencies follow; each is moved on its own."""
    lowest = study.detector
    for v in study.space.variables:
        space = replace(study.space, detector=lowest, variables=(v,))
        designs = [lowest, *(space.at({v.name: v.value(i / 4)}) for i in range(5))]
        lowest = min(designs, key=lambda d: sum(float(s.efficiency) for s in d.surfaces()))
    return lowest


def make_sampler(study: Study, events: int) -> SampledEvaluator | BeamEvaluator:
    """The study's `evaluate(design, head, key)` in sampled mode, with float32 events."""
    if study.detector.frame != "barrel":
        arguments = (
            study.objectives,
            study.constraints,
            study.prices,
            study.source,
            study.physics,
            array_space(study),
            events,
            fixed_start(study),
            arms_of(study.detector, study.min_hits),
        )
        if not isinstance(study.head, PortalHead):
            return BeamEvaluator(*arguments, precision=jnp.float32)
        volume = volume_of(study.detector)
        assert volume is not None
        return PortalEvaluator(
            *arguments,
            scenes=volume.scene,
            question=question_of(study),
            grid=grid_of(study),
            exposure=study.head.exposure,
            momentum=study.head.momentum,
            momenta=_tried(study, TRIED) if study.head.momentum == "measured" else None,
            usual=None if study.head.momentum == "known" else float(_tried(study, 1)[0]),
            muon_by_muon=isinstance(study.head, DeepSetHead),
            conditioned=study.head.conditioned,
            precision=jnp.float32,
        )
    return SampledEvaluator(
        study.objectives,
        study.constraints,
        study.prices,
        study.source,
        study.physics,
        array_space(study),
        events,
        study.min_hits,
        exposure=1 if study.head is None else study.head.exposure,
        conditioned=study.head is not None and study.head.conditioned,
        precision=jnp.float32,
    )


def _tried(study: Study, number: int) -> np.ndarray:
    """Momenta of the source, in the middle of so many equal shares."""
    assert isinstance(study.source, Cosmic)
    return equal_shares(study.source, number)


def array_space(study: Study) -> Space:
    """The study's space around a detector of arrays, ready to be traced."""
    return replace(study.space, detector=as_arrays(study.detector))


def evaluator_key(study: Study) -> Hashable:
    """Studies with the same key are scored by the same evaluator, each with its own detector."""
    arrays = as_arrays(study.detector)
    asked = study.objectives, study.constraints, study.prices, study.source, study.physics, study.min_hits
    # Which patterns of hits count follows the efficiencies; sampled scores make use of all that does not change.
    numbers = jax.tree.leaves(arrays) if study.mode == "sampled" else [s.efficiency for s in study.detector.sensors()]
    return jax.tree.structure(arrays), study.space.variables, tuple(map(float, numbers)), repr(asked)


def evaluate_study(
    study: Study, seed: int | None = None, progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Score the study's initial design: {objectives, constraints, cost}.

    In sampled mode on the events of the study's audit, with heads that are trained from scratch for the design.

    Args:
        study: from `detopt.load`.
        seed: instead of the study's own; `expected` scores need none.
        progress: called with a line for each stage.
    """
    from detopt.study.audit import Auditor
    from detopt.study.differentiable import check_differentiable
    from detopt.study.edges import check_ranges
    from detopt.study.reach import check_reach

    study = study if seed is None else replace(study, seed=seed)
    check_differentiable(study)
    if study.mode == "sampled":
        return Auditor(study, progress)(study.detector).score
    check_ranges(study)
    check_reach(study)
    score = jax.jit(make_evaluator(study))(as_arrays(study.detector), None, jax.random.key(study.seed))
    return score_as_dict(study, score)


def score_as_dict(study: Study, score: Score) -> dict[str, Any]:
    """A score as plain data: values in base units, None for what is not finite."""
    rows, row_errors = np.asarray(score.excess), np.asarray(score.excess_errors)
    constraints: dict[str, Any] = {}
    for name, term in study.constraints.items():
        mine = [i for i, n in enumerate(score.constraint_names) if n == name]
        own = [float(rows[i]) for i in mine]
        error = max(((rows[i], row_errors[i]) for i in mine), default=(0.0, 0.0))[1]
        value = max(own, default=0.0)
        value = 0.0 if abs(value) < FEASIBLE else value  # rounding
        constraints[name] = {"value": number(value), "error": number(error), "title": term.title}
        for bound, sign in (("max", 1), ("min", -1)):
            if (limit := getattr(term, bound, None)) is not None and own:
                constraints[name] |= {
                    "limit": limit,
                    "actual": number(limit * (1 + sign * max(own))),
                    "unit": term.unit,
                    "display_unit": term.display_unit,
                }
    return {
        "objectives": {
            name: {
                "value": number(value),
                "error": number(error),
                "unit": term.unit,
                "display_unit": term.display_unit,
                "goal": term.goal,
                "title": term.title,
            }
            for (name, term), value, error in zip(study.objectives.items(), score.values, score.errors, strict=True)
        },
        "constraints": constraints,
        "cost": {name: number(value) for name, value in zip(score.cost_names, score.costs, strict=True)},
    }


def number(value: Any) -> float | None:
    """A JSON number, None for NaN and infinity."""
    value = float(value)
    return value if math.isfinite(value) else None
