"""Runs in sampled mode as stand-ins: a head that tells muons apart, and one that estimates a fraction."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

from .sample_run import NEW_RADII, RADII, curves, layout, sample_result

BUDGET = {"events": 40000, "head_events": 65536, "head_steps": 1500, "heads": 2}
DESIGNS = {"initial": 1.0, "final": 0.94, "without": 0.98}
LOSSES = {  # objective: title, unit, values of the three designs, error
    "discrimination": ("loss of displaced against prompt muons (bits)", "", (0.2709, 0.2555, 0.2663), 0.0045),
    "fraction": ("error of the displaced fraction", "%", (0.0412, 0.0344, 0.0409), 0.0008),
}


def pair(value: float, error: float) -> dict[str, float]:
    return {"value": value, "error": error}


def tracks(scale: float) -> dict[str, Any]:
    efficiency = np.round(np.arange(0.01, 1.0, 0.01), 2)
    names = {"d0 significance": 3.0, "d0 and z0 significance": 5.5}

    def prompt(power: float) -> list[float]:
        passing = efficiency ** (power / scale)
        return np.where(passing > 1e-5, passing, 0.0).tolist()

    says = np.array([0.03, 0.05, 0.07, 0.1, 0.2, 0.5, 0.8, 0.95, 0.99, 1.0])
    rows = zip(says.tolist(), (says + 0.01 * np.sin(9 * says)).tolist(), strict=True)
    return {
        "muons": 131072,
        "head": {"loss": pair(0.27 * scale, 0.002), "area": pair(1 - 0.04 * scale, 0.0006), "prompt": prompt(20)},
        "baselines": [
            {"name": name, "loss": pair(0.4 * scale, 0.002), "area": pair(1 - scale * 0.4 / power, 0.001),
             "head_is_better_by": pair(scale * (0.4 / power - 0.04), 0.0006), "prompt": prompt(power)}
            for name, power in names.items()
        ],
        "efficiency": efficiency.tolist(),
        "reliability": [{"predicted": p, "observed": o, "error": 0.004} for p, o in rows],
    }  # fmt: skip


def fractions(scale: float) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    truth = rng.uniform(0.1, 0.9, 200)
    return {
        "baseline": "counting beyond a cut on the d0 and z0 significance",
        "exposures": 4096,
        "rms": {"head": pair(0.04 * scale, 0.0005), "baseline": pair(0.07 * scale, 0.0008)},
        "pull_width": pair(1.03, 0.011),
        "estimates": {
            "truth": truth.tolist(),
            "head": (truth + 0.04 * scale * rng.normal(size=200)).tolist(),
            "sigma": np.full(200, 0.04 * scale).tolist(),
            "baseline": (truth + 0.07 * scale * rng.normal(size=200)).tolist(),
        },
    }


def sampled_result(objective: str | None) -> dict[str, Any]:
    """A result in sampled mode; with None as its objective, of a study without a head."""
    result = sample_result() | {"study": "displaced_muons", "mode": "sampled"}
    if objective is None:
        return result
    title, unit, values, error = LOSSES[objective]
    result["without"] = sample_result()["final"]
    for which, value in zip(DESIGNS, values, strict=True):
        loss = {**pair(value, error), "unit": "", "display_unit": unit, "goal": "minimise", "title": title}
        result[which]["objectives"] = {"origin": loss, **result[which]["objectives"]}
    result["layouts"]["without"] = layout(tuple(r + 4.0 for r in NEW_RADII))
    result["curves"]["without"] = curves(0.9)
    for row in result["variables"]:
        row["without"] = 0.5 * (row["initial"] + row["upper"])
    compare = tracks if objective == "discrimination" else fractions
    result["inference"] = {
        "head": {"objective": objective, "name": "origin"},
        "budget": dict(BUDGET),
        "designs": {which: compare(scale) for which, scale in DESIGNS.items()},
    }
    assert len(RADII) < len(result["variables"])
    return result


def joint_history(steps: int = 60, starts: int = 2) -> pa.Table:
    """Ten steps, then a validation; the steps of one start follow those of another."""
    rng = np.random.default_rng(4)
    rows: list[dict[str, Any]] = []
    best = 0.0
    for start in range(starts):
        for step in range(steps):
            loss = -(0.2 + 0.05 * start) * (1 - math.exp(-step / 20))
            last = step % 10 == 9
            validated = loss + 0.01 * rng.normal() if last else math.nan
            best = min(best, validated) if last else best
            violation = 0.05 * math.sin(step / 5)
            rows.append({
                "step": start * steps + step, "restart": start, "phase": "joint", "loss": loss + 0.06 * rng.normal(),
                "validated": validated, "best": best, "violation": violation, "feasible": violation <= 0,
            })  # fmt: skip
    return pa.Table.from_pylist(rows)
