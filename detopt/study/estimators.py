"""Which estimator the gradient to each design variable gets."""

from detopt.study.evaluate import make_sampler
from detopt.study.studies import Study

__all__ = ["estimators"]


def estimators(study: Study) -> dict[str, str]:
    """By name of the variable: "pathwise", "edges", "hits", "cuts", or a sum of them (see `detopt.gradients.flips`).

    In mode expected nothing is sampled: all is pathwise, efficiencies by the sum over hit patterns.
    """
    if study.mode == "sampled":
        return make_sampler(study, study.search.events).estimators()
    return {
        v.name: "hit patterns" if v.name.split(".")[1] == "efficiency" else "pathwise" for v in study.space.variables
    }
