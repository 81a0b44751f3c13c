"""Heads of portals against points of closest approach, on the same exposures."""

from typing import Any

import equinox as eqx
import numpy as np

from detopt.backend import jax
from detopt.inference.baseline import areas_under_curves, cross_entropy, roc, significance_odds
from detopt.inference.pictures import Crowds
from detopt.inference.portal_network import Exposed, PortalNetwork
from detopt.inference.questions import Grid
from detopt.inference.scene_baseline import closest_density, fitted, layer_profile
from detopt.inference.voxel_sums import mean_sums
from detopt.study.compare import EFFICIENCIES, pair, reliability, rms

__all__ = ["compare_scenes"]

_SHOWN = 400  # estimates that are kept
_MAPS = 3  # and maps
BASELINE = "points of closest approach"


def compare_scenes(network: PortalNetwork, sample: Exposed, known: Exposed, grid: Grid) -> dict[str, Any]:
    """One head and its baseline, which looks at sums on a grid; `known` exposures calibrate the latter."""
    kind = network.question.kind
    found = {"presence": _presence, "number": _number, "map": _map}[kind](network, sample, known, grid)
    return {"exposures": sample.number, "muons_each": int(sample.muons[0]), "baseline": BASELINE, **found}


def _counts(exposed: Exposed, grid: Grid) -> np.ndarray:
    sums = _summed(exposed, grid) if isinstance(exposed, Crowds) else exposed.sums
    return np.asarray(sums, float) * np.asarray(exposed.muons, float)[:, None, None, None, None]


@eqx.filter_jit
def _summed(crowds: Crowds, grid: Grid) -> jax.Array:
    return jax.lax.map(lambda columns: mean_sums(columns, grid), crowds.columns)


@eqx.filter_jit
def _log_odds(network: PortalNetwork, exposed: Exposed) -> jax.Array:
    return network.log_odds(exposed)


@eqx.filter_jit
def _estimate(network: PortalNetwork, exposed: Exposed) -> tuple[jax.Array, jax.Array]:
    return network.estimate(exposed)


def _presence(network: PortalNetwork, sample: Exposed, known: Exposed, grid: Grid) -> dict[str, Any]:
    """A block stands out where the densest voxel and its neighbours do."""

    def densest(exposed: Exposed) -> tuple[np.ndarray, np.ndarray]:
        density = closest_density(_counts(exposed, grid), grid)
        for axis in (1, 2, 3):
            padded = np.concatenate([np.zeros_like(density.take([0], axis)), density], axis)
            density = (np.delete(padded, -1, axis) + density) / 2
        scale = np.median(density)
        return density.max((1, 2, 3)) / scale, np.asarray(exposed.truth)[:, 0] > 0.5

    (score, there), (known_score, known_there) = densest(sample), densest(known)
    odds = np.asarray(_log_odds(network, sample), float)
    calibrated = significance_odds(known_score, known_there, score)
    head_area, area, better = areas_under_curves(odds, score, there)
    return {
        "head": {
            "loss": pair(*cross_entropy(odds, there)),
            "area": pair(*head_area),
            "prompt": roc(odds, there, EFFICIENCIES).tolist(),
        },
        "baselines": [
            {
                "name": BASELINE,
                "loss": pair(*cross_entropy(calibrated, there)),
                "area": pair(*area),
                "head_is_better_by": pair(*better),
                "prompt": roc(score, there, EFFICIENCIES).tolist(),
            }
        ],
        "efficiency": EFFICIENCIES.tolist(),
        "reliability": reliability(1 / (1 + np.exp(-odds)), there),
    }


def _number(network: PortalNetwork, sample: Exposed, known: Exposed, grid: Grid) -> dict[str, Any]:
    question = network.question
    value, sigma = (np.asarray(x, float)[:, 0] for x in _estimate(network, sample))
    truth, known_truth = (np.asarray(p.truth, float)[:, 0] for p in (sample, known))
    profiles = [layer_profile(_counts(p, grid), grid) for p in (known, sample)]
    guess = fitted(profiles[0], known_truth, profiles[1])

    def scaled(x: np.ndarray) -> list[float]:
        return (question.low + question.range * x[:_SHOWN]).tolist()

    return {
        "unit": question.unit,
        "rms": {"head": rms(question.range * (value - truth)), "baseline": rms(question.range * (guess - truth))},
        "pull_width": rms((value - truth) / sigma),
        "estimates": {
            "truth": scaled(truth), "head": scaled(value), "sigma": (question.range * sigma[:_SHOWN]).tolist(),
            "baseline": scaled(guess),
        },
    }  # fmt: skip


def _map(network: PortalNetwork, sample: Exposed, known: Exposed, grid: Grid) -> dict[str, Any]:
    value, sigma = (np.asarray(x, float) for x in _estimate(network, sample))
    truth, known_truth = (np.asarray(p.truth, float) for p in (sample, known))
    density, known_density = (
        np.log(closest_density(_counts(p, grid), grid).reshape(p.number, -1) + 1e-9) for p in (sample, known)
    )
    guess = fitted(known_density.reshape(-1, 1), known_truth.ravel(), density.reshape(-1, 1)).reshape(truth.shape)
    z, x, y = (grid.voxels[i] for i in (2, 0, 1))
    return {
        "rms": {"head": rms(value - truth), "baseline": rms(guess - truth)},
        "pull_width": rms(((value - truth) / sigma).ravel()),
        "maps": {
            name: np.exp(m[:_MAPS]).reshape(-1, z, x, y).tolist()
            for name, m in (("truth", truth), ("head", value), ("baseline", guess))
        },
    }
