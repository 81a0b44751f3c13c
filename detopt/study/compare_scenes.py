"""Heads of portals against points of closest approach, on the same exposures."""

from typing import Any

import equinox as eqx
import numpy as np

from detopt.backend import jax
from detopt.inference.baseline import areas_under_curves, cross_entropy, roc, significance_odds
from detopt.inference.scene_baseline import closest_density, fitted, layer_profile
from detopt.inference.voxel_network import Pictures, VoxelNetwork
from detopt.study.compare import EFFICIENCIES, pair, reliability, rms

__all__ = ["compare_scenes"]

_SHOWN = 400  # estimates that are kept
_MAPS = 3  # and maps
BASELINE = "points of closest approach"


def compare_scenes(network: VoxelNetwork, sample: Pictures, known: Pictures) -> dict[str, Any]:
    """One head and its baseline; `known` exposures calibrate the latter."""
    kind = network.question.kind
    found = {"presence": _presence, "number": _number, "map": _map}[kind](network, sample, known)
    return {"exposures": sample.number, "muons_each": int(sample.muons[0]), "baseline": BASELINE, **found}


def _counts(pictures: Pictures) -> np.ndarray:
    return np.asarray(pictures.sums, float) * np.asarray(pictures.muons, float)[:, None, None, None, None]


@eqx.filter_jit
def _log_odds(network: VoxelNetwork, pictures: Pictures) -> jax.Array:
    return network.log_odds(pictures)


@eqx.filter_jit
def _estimate(network: VoxelNetwork, pictures: Pictures) -> tuple[jax.Array, jax.Array]:
    return network.estimate(pictures)


def _presence(network: VoxelNetwork, sample: Pictures, known: Pictures) -> dict[str, Any]:
    """A block stands out where the densest voxel and its neighbours do."""

    def densest(pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
        density = closest_density(_counts(pictures), network.grid)
        for axis in (1, 2, 3):
            padded = np.concatenate([np.zeros_like(density.take([0], axis)), density], axis)
            density = (np.delete(padded, -1, axis) + density) / 2
        scale = np.median(density)
        return density.max((1, 2, 3)) / scale, np.asarray(pictures.truth)[:, 0] > 0.5

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


def _number(network: VoxelNetwork, sample: Pictures, known: Pictures) -> dict[str, Any]:
    question = network.question
    value, sigma = (np.asarray(x, float)[:, 0] for x in _estimate(network, sample))
    truth, known_truth = (np.asarray(p.truth, float)[:, 0] for p in (sample, known))
    profiles = [layer_profile(_counts(p), network.grid) for p in (known, sample)]
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


def _map(network: VoxelNetwork, sample: Pictures, known: Pictures) -> dict[str, Any]:
    value, sigma = (np.asarray(x, float) for x in _estimate(network, sample))
    truth, known_truth = (np.asarray(p.truth, float) for p in (sample, known))
    density, known_density = (
        np.log(closest_density(_counts(p), network.grid).reshape(p.number, -1) + 1e-9) for p in (sample, known)
    )
    guess = fitted(known_density.reshape(-1, 1), known_truth.ravel(), density.reshape(-1, 1)).reshape(truth.shape)
    z, x, y = (network.grid.voxels[i] for i in (2, 0, 1))
    return {
        "rms": {"head": rms(value - truth), "baseline": rms(guess - truth)},
        "pull_width": rms(((value - truth) / sigma).ravel()),
        "maps": {
            name: np.exp(m[:_MAPS]).reshape(-1, z, x, y).tolist()
            for name, m in (("truth", truth), ("head", value), ("baseline", guess))
        },
    }
