"""Heads against their analytic baselines, on the same events. Barrels: tracks and exposures of the displaced fraction."""

import math
from typing import Any

import equinox as eqx
import numpy as np

from detopt.backend import jax
from detopt.inference.baseline import areas_under_curves, counted_fraction, cross_entropy, roc, significance_odds
from detopt.inference.features import SIGNIFICANCES, Exposures
from detopt.inference.networks import SetNetwork, TrackNetwork

__all__ = ["EFFICIENCIES", "compare_fractions", "compare_tracks", "pair", "reliability", "rms"]

EFFICIENCIES = np.round(np.arange(0.01, 1.0, 0.01), 2)


@eqx.filter_jit
def _log_odds(network: TrackNetwork, sample: Exposures) -> jax.Array:
    return network.log_odds(sample)


@eqx.filter_jit
def _estimate(network: SetNetwork, sample: Exposures) -> tuple[jax.Array, jax.Array]:
    return network.estimate(sample)


def compare_tracks(network: Any, sample: Exposures, known: Exposures, limits: tuple[float, float]) -> dict[str, Any]:
    """A head against impact-parameter significances, on the same muons: those that have a track."""

    def columns(pool: Exposures) -> tuple[np.ndarray, np.ndarray]:
        seen = np.asarray(pool.seen)[:, 0]
        return np.asarray(pool.significance)[seen, 0].astype(float), np.asarray(pool.displaced)[seen, 0]

    significance, displaced = columns(sample)
    known_significance, known_displaced = columns(known)
    odds = np.asarray(_log_odds(network, sample))[np.asarray(sample.seen)].astype(float)
    baselines = []
    for i, name in enumerate(SIGNIFICANCES):
        one = significance[:, i]
        calibrated = significance_odds(known_significance[:, i], known_displaced, one)
        head_area, area, difference = areas_under_curves(odds, one, displaced)
        baselines.append(
            {
                "name": name,
                "loss": pair(*cross_entropy(calibrated, displaced)),
                "area": pair(*area),
                "head_is_better_by": pair(*difference),
                "prompt": roc(one, displaced, EFFICIENCIES).tolist(),
            }
        )
    return {
        "muons": len(odds),
        "head": {
            "loss": pair(*cross_entropy(odds, displaced)),
            "area": pair(*head_area),
            "prompt": roc(odds, displaced, EFFICIENCIES).tolist(),
        },
        "baselines": baselines,
        "efficiency": EFFICIENCIES.tolist(),
        "reliability": reliability(1 / (1 + np.exp(-odds)), displaced),
    }


def reliability(probability: np.ndarray, displaced: np.ndarray) -> list[dict[str, float]]:
    """Predicted against observed share of displaced muons, in ten bins of equal content."""
    rows = []
    for part in np.array_split(np.argsort(probability), 10):
        p, share = float(probability[part].mean()), float(displaced[part].mean())
        rows.append({"predicted": p, "observed": share, "error": math.sqrt(max(p * (1 - p), 1e-9) / len(part))})
    return rows


def compare_fractions(network: Any, sample: Exposures, known: Exposures, limits: tuple[float, float]) -> dict[str, Any]:
    """A head against counting muons beyond a cut on their significance."""
    mean, sigma = (np.asarray(x, float) for x in _estimate(network, sample))
    truth = np.asarray(sample.fraction, float)
    calibration = np.asarray(known.significance, float)[..., 1], np.asarray(known.displaced)
    counted = counted_fraction(calibration, np.asarray(sample.significance, float)[..., 1], limits)
    return {
        "baseline": f"counting beyond a cut on the {SIGNIFICANCES[1]}",
        "exposures": len(truth),
        "rms": {"head": rms(mean - truth), "baseline": rms(counted - truth)},
        "pull_width": rms((mean - truth) / sigma),
        "estimates": {
            "truth": truth[:400].tolist(), "head": mean[:400].tolist(), "sigma": sigma[:400].tolist(),
            "baseline": counted[:400].tolist(),
        },
    }  # fmt: skip


def rms(error: np.ndarray) -> dict[str, float]:
    square = error**2
    root = math.sqrt(square.mean())
    return pair(root, float(square.std() / math.sqrt(len(square)) / (2 * root)))


def pair(value: float, error: float) -> dict[str, float]:
    return {"value": float(value), "error": float(error)}
