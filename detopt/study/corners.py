"""Extremes of a quantity over the designs of a study. Floats only, no JAX."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from detopt.detector.detector import Detector

if TYPE_CHECKING:
    from detopt.study.studies import Study

__all__ = ["extreme"]


def extreme(study: "Study", of: Callable[[Detector], float]) -> float:
    """The least value of a quantity within the bounds, each variable on its own (right for monotonic functions)."""
    values = {v.name: v.init for v in study.space.variables}
    for v in study.space.variables:
        corners = [{**values, v.name: end} for end in (v.init, v.lower, v.upper)]
        values = min(corners, key=lambda corner: of(study.space.at(corner)))
    return of(study.space.at(values))
