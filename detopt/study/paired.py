"""By how much two audited designs differ. Both were scored on the same muons: what these have in common drops out."""

from typing import Any

import numpy as np

from detopt.inference.baseline import areas_under_curves
from detopt.inference.exposure_times import exposures_differ
from detopt.study.audit import Audited
from detopt.study.evaluate import number

__all__ = ["difference"]


def difference(before: Audited, after: Audited) -> dict[str, Any]:
    """After minus before: each objective with its error, and what their heads show apart from the score.

    "area" is that of the ROC curves of what is there or not; "exposure" the one needed afterwards, relative to before.
    """
    n = len(before.chunks)
    chance = ((after.chunks - before.chunks) ** 2).sum(0) / (n * (n - 1))
    errors = np.sqrt(chance + before.spread + after.spread)
    found: dict[str, Any] = {"objectives": {}}
    for (name, old), error in zip(before.score["objectives"].items(), errors, strict=True):
        new = after.score["objectives"][name]
        if old["value"] is not None and new["value"] is not None:
            found["objectives"][name] = {"value": number(new["value"] - old["value"]), "error": number(error)}
    if before.odds is not None and after.odds is not None:
        (old_odds, there), (new_odds, _) = before.odds, after.odds
        better = areas_under_curves(new_odds, old_odds, there)[2]
        found["area"] = {"value": better.value, "error": better.error}
    if before.scan is not None and after.scan is not None:
        found["exposure"] = exposures_differ(before.scan, after.scan)
    return found
