"""Can a cut have the efficiency that an objective asks for? Not where fewer particles than that have a track at all."""

from dataclasses import replace

from detopt.backend import jax
from detopt.detector.surfaces import as_arrays
from detopt.scoring.terms import Efficiency, Rejection
from detopt.study.evaluate import make_evaluator
from detopt.study.faults import BadInput, Fault
from detopt.study.studies import Study

__all__ = ["check_reach"]


def check_reach(study: Study) -> None:
    """Refuse an efficiency that the initial design does not reach. Raises BadInput."""
    asked = {n: t for n, t in study.objectives.items() if isinstance(t, Rejection)}
    if not asked:
        return
    found = {n: Efficiency(momentum=t.momentum, theta=t.theta) for n, t in asked.items()}
    evaluate = make_evaluator(replace(study, objectives=found, constraints={}))
    values = jax.jit(evaluate)(as_arrays(study.detector)).values
    faults = []
    for (name, term), tracks in zip(asked.items(), values.tolist(), strict=True):
        if tracks <= term.efficiency:
            message = (
                f"no cut has an efficiency of {100 * term.efficiency:g} %: only {100 * tracks:.4g} % of the particles have "
                "a track in the initial design"
            )
            place = study.document.position(("objectives", name, "efficiency"))
            faults.append(Fault(str(study.path), *place, f"objectives.{name}", message))
    if faults:
        raise BadInput(faults)
