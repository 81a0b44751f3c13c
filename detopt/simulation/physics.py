"""Which effects a study switches on. The defaults are the truth as detopt knows it; the rest is for comparisons."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Physics"]


@dataclass(frozen=True, kw_only=True)
class Physics:
    """Switches of the simulation."""

    bending: Literal["circle", "parabola"] = "circle"
    velocity: Literal["true", "light"] = "true"  # "light" takes beta = 1 in multiple scattering
    energy_loss: bool = True  # of materials; what is known by x/X0 only takes none
    straggling: bool = True  # sampled: each muon loses its own energy; else all lose the median
    tails: bool = True  # sampled: single hard scatters; else Gaussian angles of Highland's width
