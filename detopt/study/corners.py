"""Extremes of a quantity over the designs of a study. Floats only, no JAX."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from detopt.detector.detector import Detector

if TYPE_CHECKING:
    from detopt.study.studies import Study

__all__ = ["extreme"]


def extreme(study: "Study", of: Callable[[Detector], float], part: str | None = None) -> float:
    """The least value of a quantity within the bounds, each variable on its own.

    Right for functions that are monotonic, as most are, or on both sides of 0, as of a tilt. Where they depend on one part
    of the detector only, its name saves time.
    """
    values = {v.name: v.init for v in study.space.variables}
    for v in study.space.variables:
        if part is not None and part not in (name.split(".")[0] for name in v.names):
            continue
        ends = (v.init, v.lower, v.upper, min(max(0.0, v.lower), v.upper))
        corners = [{**values, v.name: end} for end in dict.fromkeys(ends)]
        values = min(corners, key=lambda corner: of(study.space.at(corner)))
    return of(study.space.at(values))
