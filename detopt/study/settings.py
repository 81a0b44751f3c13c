"""What a study may say of its search, its audit and its tracks. Declarations only."""

from dataclasses import dataclass
from typing import Any, Literal

from detopt.parameters import quantity, whole

__all__ = ["SEARCHES", "Audit", "GradientSearch", "ParetoSearch", "Tracking"]


@dataclass(frozen=True, kw_only=True)
class GradientSearch:
    """Settings of the gradient search."""

    steps: int = whole(300, least=1, most=1_000_000)  # Adam steps of each start; as many of L-BFGS at most follow
    restarts: int = whole(
        4, least=0, most=1_000_000
    )  # starts beside the initial design, drawn at random over the bounds
    learning_rate: Any = quantity("", above=0, max=1, default=0.02, doc="Adam's step in units of a variable's range")
    placement: Literal["free", "grid"] = "free"  # grid: one more start, from optimal weights on a grid of radii
    combinations: int = whole(60, least=1, most=100_000)  # of the options of choices that are tried; all, if so few
    events: int = whole(8192, least=1)  # sampled: muons a step, for each momentum and angle that a term asks for


@dataclass(frozen=True, kw_only=True)
class ParetoSearch:
    """Settings of the search for a front."""

    evaluations: int = whole(6000, least=200, most=10_000_000)  # of designs; a score with its gradient counts as five
    points: int = whole(100, least=2, most=10_000)  # of the front that are published at most
    events: int = whole(8192, least=1)  # sampled: muons of a score, for each momentum and angle that a term asks for
    algorithm: Literal["detopt", "nsga2", "nsga3", "sms_emoa"] = "detopt"  # the others are pymoo's, to compare with
    gradients: Literal["exact", "always"] = "exact"  # always: sampled ones too, which may take minutes to compile


@dataclass(frozen=True, kw_only=True)
class Audit:
    """How the result is scored again, on events that the search has not seen; `expected` scores are exact and need none.

    Heads are trained from scratch for each design that is audited.
    """

    events: int = whole(200_000, least=1)  # muons, for each momentum and angle that a term asks for
    head_events: int = whole(262_144, least=1024)  # muons that a head is trained on
    head_steps: int = whole(4000, least=1, most=1_000_000)  # batches of these
    heads: int = whole(3, least=2, most=64)  # heads that are trained; their spread is part of the error
    longest: int = whole(1, least=1, most=64)  # times the exposure up to which a portal's head is tried; 1: not at all
    longest_events: int = whole(5_000_000, least=1)  # muons of these exposures


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """What makes a track."""

    min_hits: int = 0  # 0: one more than the fit needs


SEARCHES: dict[str, type] = {"gradient": GradientSearch, "pareto": ParetoSearch}
