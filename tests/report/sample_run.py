"""A run folder as a stand-in: the upgrade of a tracker like ALICE's ITS2."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

RADII = (23.2, 31.3, 39.1, 194.1, 247.1, 353.3, 405.3)
HALF_LENGTHS = (135, 135, 135, 421, 421, 737, 737)
NEW_RADII = (20.0, 29.4, 41.8, 188.0, 262.5, 341.7, 410.0)


def layout(radii: tuple[float, ...], inner: float = 0.0036) -> list[dict[str, Any]]:
    def cylinder(name: str, radius: float, half: float, thickness: float, resolution: Any) -> dict[str, Any]:
        return {
            "name": name, "kind": "cylinder", "position": radius, "low": -half, "high": half,
            "x_over_X0": thickness, "resolution": resolution, "efficiency": 0.99,
        }  # fmt: skip

    sensors = [
        cylinder(f"L{i}", r, half, inner if i < 3 else 0.011, [0.005, 0.005])
        for i, (r, half) in enumerate(zip(radii, HALF_LENGTHS, strict=True))
    ]
    return [
        cylinder("pipe", 18.6, 1500, 0.0022, None),
        *sensors,
        cylinder("shell", 430, 800, 0.002, None),
    ]


def curves(scale: float) -> list[dict[str, float]]:
    return [
        {
            "p_GeV": p,
            "theta_deg": 90.0,
            "sigma_pt_over_pt": math.hypot(0.0035 * scale**0.5, 0.0006 * p),
            "sigma_d0_um": scale * math.hypot(3.4, 20.0 / p),
            "sigma_z0_um": scale * math.hypot(3.6, 20.5 / p),
        }
        for p in np.geomspace(0.1, 50, 16).tolist()
    ]


def score(d0: float, pt: float, cost: dict[str, float]) -> dict[str, Any]:
    total = sum(cost.values())
    return {
        "objectives": {
            "d0": {"value": d0, "error": 0.0, "unit": "mm", "display_unit": "um", "goal": "minimise",
                   "title": "d0 resolution at 1 GeV"},
            "pt": {"value": pt, "error": 0.0000412, "unit": "", "display_unit": "%", "goal": "minimise",
                   "title": "relative pT resolution at 10 GeV"},
        },
        "constraints": {
            "budget": {"value": total / 900 - 1, "error": 0.0, "title": "cost at most 900 kEUR", "limit": 900.0,
                       "actual": total, "unit": "kEUR", "display_unit": "kEUR"},
            "gap": {"value": -0.22, "error": 0.0, "title": "neighbouring layers at least 5 mm apart", "limit": 5.0,
                    "actual": 7.8, "unit": "mm", "display_unit": "mm"},
        },
        "cost": {"total": total, **cost},
    }  # fmt: skip


def history(steps: int = 200, restarts: int = 3) -> pa.Table:
    rng = np.random.default_rng(3)
    rows: list[dict[str, Any]] = []
    for restart in range(restarts):
        best = math.nan
        goal, pace = -0.21 + 0.035 * restart, 25 + 12 * restart
        for step in range(steps):
            loss = (goal - 0.12 * math.exp(-step / 15)) * (1 - math.exp(-step / pace)) + 0.01 * rng.normal() * math.exp(
                -step / 60
            )
            violation = 0.18 * math.exp(-step / 30) * (0.5 + math.sin(step / 9 + restart)) - 0.004
            best = float(np.fmin(best, loss)) if violation <= 0 else best
            rows.append({
                "step": step, "restart": restart, "phase": "adam" if step < 150 else "lbfgs", "loss": loss,
                "best": best, "violation": violation, "feasible": violation <= 0, "d0": 0.02, "L0.radius": 20.0,
            })  # fmt: skip
    return pa.Table.from_pylist(rows) if rows else pa.table({"step": pa.array([], pa.int64())})


def variable(name: str, initial: float, final: float, lower: float, upper: float, **more: Any) -> dict[str, Any]:
    at = "lower" if final == lower else "upper" if final == upper else None
    return {"name": name, "unit": "mm", "display_unit": "mm", "initial": initial, "final": final, "lower": lower,
            "upper": upper, "at_bound": at, "tied": [], **more}  # fmt: skip


def sample_result() -> dict[str, Any]:
    return {
        "study": "its2_upgrade", "detector": "its2_like", "frame": "barrel", "mode": "expected", "seed": 1,
        "description": "Where should the seven layers of the ALICE inner tracker stand?",
        "initial": score(0.0213, 0.0121, {"sensor_area": 640.0, "channel": 231.5, "structure": 48.0}),
        "final": score(0.0168, 0.0113, {"sensor_area": 611.3, "channel": 238.9, "structure": 48.0}),
        "variables": [
            *(variable(f"L{i}.radius", r, n, 20.0 if i < 3 else 100.0, 60.0 if i < 3 else 410.0)
              for i, (r, n) in enumerate(zip(RADII, NEW_RADII, strict=True))),
            variable("L0.pitch", 0.028, 0.0221, 0.01, 0.1, display_unit="um", tied=["L1.pitch", "L2.pitch"]),
        ],
        "layouts": {"initial": layout(RADII), "final": layout(NEW_RADII)},
        "curves": {"initial": curves(1.0), "final": curves(0.79)},
        "steps": 800, "seconds": 12.3, "stopped": "No restart improved by more than 0.01 % in 50 steps.",
    }  # fmt: skip


def sample_manifest() -> dict[str, Any]:
    return {
        "detopt": "0.1.0", "python": "3.11.7", "platform": "Linux-6.1.0-x86_64-with-glibc2.36",
        "packages": {"jax": "0.10.2", "equinox": "0.13.8", "optax": "0.2.8", "numpy": "2.4.6"},
        "commit": "9221239a5e1f0cc2b6f6a40a0d52e3f0f7f8aa01", "seed": 1, "seconds": 12.3,
        "command": "detopt optimise studies/its2_upgrade.yaml",
        "started": "2026-03-02T09:14:03+00:00", "finished": "2026-03-02T09:14:15+00:00",
    }  # fmt: skip


STUDY = """schema: 1
name: its2_upgrade
detector: its2_like.yaml
objectives:
  d0: {type: resolution, of: d0, momentum: 1 GeV, goal: minimise}
constraints:
  budget: {type: cost, max: 900 kEUR}
seed: 1
"""


def stand_in(folder: Path, result: dict[str, Any], table: pa.Table, study: str = STUDY) -> SimpleNamespace:
    """What `detopt.runs.Run` offers."""
    texts = {"study.yaml": study, "detector.yaml": "schema: 1\nname: its2_like\nframe: barrel\n"}
    result = json.loads(json.dumps(result))  # a run is read from JSON
    return SimpleNamespace(
        folder=folder, manifest=sample_manifest(), result=result, history=table, text=lambda name: texts[name]
    )
