"""Analytic baselines that a head has to beat, and how far apart two classifiers are. NumPy only.

For single muons: the impact-parameter significance |d0| / sigma(d0), calibrated to a probability. For exposures: the
fraction of muons beyond a cut on it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["AreaUnderCurve", "areas_under_curves", "counted_fraction", "cross_entropy", "roc", "significance_odds"]


def significance_odds(
    significance: Float[np.ndarray, " n"],
    displaced: Bool[np.ndarray, " n"],
    asked: Float[np.ndarray, " m"],
    degree: int = 5,
) -> Float[np.ndarray, " m"]:
    """Log-odds of being displaced at given significances, by logistic regression on muons of known origin.

    A polynomial in log(1 + s^2), fitted by Newton's method.
    """

    def columns(s: np.ndarray) -> np.ndarray:
        x = np.log1p(np.asarray(s, float) ** 2)
        return np.polynomial.chebyshev.chebvander(2 * np.minimum(x, largest) / largest - 1, degree)

    largest = float(np.log1p(np.quantile(significance, 0.999) ** 2))
    table, truth = columns(significance), displaced.astype(float)
    weights = np.zeros(degree + 1)
    for _ in range(30):
        p = 1 / (1 + np.exp(-table @ weights))
        hessian = (table * (p * (1 - p))[:, None]).T @ table + 1e-6 * np.eye(degree + 1)
        step = np.linalg.solve(hessian, table.T @ (truth - p))
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return columns(asked) @ weights


def cross_entropy(odds: Float[np.ndarray, " n"], displaced: Bool[np.ndarray, " n"]) -> tuple[float, float]:
    """Mean cross-entropy in bits, and its error."""
    each = (np.logaddexp(0, odds) - displaced * odds) / np.log(2)
    return float(each.mean()), float(each.std() / np.sqrt(len(each)))


class AreaUnderCurve(NamedTuple):
    """Probability that a displaced muon looks more displaced than a prompt one."""

    value: float
    error: float


def areas_under_curves(
    first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"], displaced: Bool[np.ndarray, " n"]
) -> tuple[AreaUnderCurve, AreaUnderCurve, AreaUnderCurve]:
    """Areas under the ROC curves of two scores of the same muons, and their difference.

    Errors after DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837, which keep the correlation of the two.
    """
    parts = [_placements(np.asarray(score, float), displaced) for score in (first, second)]
    parts.append((parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]))
    found = [
        AreaUnderCurve(float(p.mean()), float(np.sqrt(p.var(ddof=1) / len(p) + q.var(ddof=1) / len(q))))
        for p, q in parts
    ]
    return found[0], found[1], found[2]


def _placements(score: np.ndarray, displaced: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each displaced muon the share of prompt ones below it; for each prompt one that of displaced ones above it."""
    signal, background = score[displaced], score[~displaced]

    def below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
        others = np.sort(others)
        return (np.searchsorted(others, values, "left") + np.searchsorted(others, values, "right")) / (2 * len(others))

    return below(signal, background), 1 - below(background, signal)


def roc(
    score: Float[np.ndarray, " n"], displaced: Bool[np.ndarray, " n"], efficiencies: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Fraction of prompt muons that pass the cut which keeps each efficiency for displaced ones."""
    cuts = np.quantile(score[displaced], 1 - efficiencies)
    prompt = np.sort(score[~displaced])
    return 1 - np.searchsorted(prompt, cuts, "left") / len(prompt)


def counted_fraction(
    calibration: tuple[Float[np.ndarray, "a m"], Bool[np.ndarray, "a m"]],
    significance: Float[np.ndarray, "b m"],
    limits: tuple[float, float],
) -> Float[np.ndarray, " b"]:
    """Fraction of displaced muons in each exposure, from the number beyond the cut that separates best.

    Args:
        calibration: significances and origins of muons of known origin.
        significance: of the muons of each exposure.
        limits: the fraction that is possible.
    """
    known, displaced = calibration
    cuts = np.quantile(known[displaced], np.linspace(0.02, 0.98, 49))
    prompt, signal = np.sort(known[~displaced]), np.sort(known[displaced])
    a = 1 - np.searchsorted(prompt, cuts) / len(prompt)
    b = 1 - np.searchsorted(signal, cuts) / len(signal)
    middle = (a + b) / 2
    best = int(np.argmin(np.where(b > a, middle * (1 - middle), np.inf) / np.maximum(b - a, 1e-9) ** 2))
    share = (significance > cuts[best]).mean(axis=1)
    return np.clip((share - a[best]) / (b[best] - a[best]), *limits)
