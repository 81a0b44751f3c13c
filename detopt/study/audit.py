"""The audit of a design in sampled mode: fresh events, and heads that are trained for it from scratch.

Every design is audited on the same keys, none of which a search has used; so two designs differ by less than their errors
suggest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.inference.baseline import areas_under_curves, counted_fraction, cross_entropy, roc, significance_odds
from detopt.inference.features import SIGNIFICANCES, Exposures
from detopt.inference.networks import SetNetwork, TrackNetwork, make_network, normalised
from detopt.inference.stored import with_leaves
from detopt.inference.training import calibrate, train
from detopt.runs import Run, RunError
from detopt.scoring.score import Score
from detopt.simulation.streams import stream
from detopt.study.evaluate import make_sampler, score_as_dict
from detopt.study.studies import Study, load_study

__all__ = ["Audited", "Auditor", "Pool", "open_heads"]

POOL_CHUNK, POOL_BLOCK = 2048, 8  # muons that are simulated at once, and how often in one call
CALIBRATION = 65_536  # muons
SAMPLE = 131_072  # muons that the figures are made of
EFFICIENCIES = np.round(np.arange(0.01, 1.0, 0.01), 2)


@dataclass(frozen=True)
class Audited:
    """A design's score, and how its heads compare with the analytic baseline on the same muons."""

    score: dict[str, Any]
    inference: dict[str, Any] | None
    networks: Any  # stacked; None without a head


class Auditor:
    """Scores designs of one study; compiled once."""

    def __init__(self, study: Study, progress: Callable[[str], None] | None = None) -> None:
        self.study, self.progress = study, progress or (lambda line: None)
        self.evaluate = make_sampler(study, study.audit.events)
        self.key = stream(jax.random.key(study.seed), "audit")
        self._score = jax.jit(self.evaluate)
        self._pool = Pool(self.evaluate)
        # The heads share the events: only their part of the score is done for each.
        self._scores = eqx.filter_jit(eqx.filter_vmap(self.evaluate, in_axes=(None, eqx.if_array(0), None)))
        self._calibrate = eqx.filter_jit(eqx.filter_vmap(calibrate, in_axes=(eqx.if_array(0), None)))
        self._train = eqx.filter_jit(eqx.filter_vmap(self._from_scratch, in_axes=(None, 0)))

    def __call__(self, detector: Detector, title: str = "the design") -> Audited:
        """Audit a design of floats."""
        design, study = as_arrays(detector), self.study
        key = stream(self.key, "events")
        if study.head is None:
            self.progress(f"scoring {title}")
            return Audited(score_as_dict(study, self._score(design, None, key)), None, None)
        known = self._pool(design, stream(self.key, "calibration"), CALIBRATION)
        networks = self.train_heads(design, known, title)
        self.progress(f"scoring {title}")
        scores = self._scores(design, networks, key)
        score = self._combined(scores)
        sample = self._pool(design, stream(self.key, "sample"), SAMPLE)
        first = jax.tree.map(lambda x: x[0] if eqx.is_array(x) else x, networks)
        compare = _compare_tracks if study.head.objective == "discrimination" else _compare_fractions
        limits = study.source.displaced  # type: ignore[union-attr]
        return Audited(score_as_dict(study, score), compare(first, sample, known, limits), networks)

    def train_heads(self, design: Detector, known: Exposures, title: str) -> Any:
        """Heads from scratch, stacked, and calibrated on known muons."""
        audit = self.study.audit
        self.progress(f"drawing {audit.head_events} muons of {title}")
        pool = self._pool(design, stream(self.key, "training"), audit.head_events)
        self.progress(f"training {audit.heads} heads for {title}")
        networks = self._train(pool, jax.random.split(stream(self.key, "head"), audit.heads))
        return self._calibrate(networks, known)

    def _from_scratch(self, pool: Exposures, key: jax.Array) -> Any:
        head = self.study.head
        assert head is not None
        first, second = jax.random.split(key)
        network = make_network(head, pool.condition.shape[1], first, pool.features.dtype)
        network = normalised(network, jax.tree.map(lambda x: x[: max(CALIBRATION // head.exposure, 1)], pool))
        return train(network, pool, head, self.study.audit.head_steps, second)[0]

    def _combined(self, scores: Score) -> Score:
        """Mean over the heads; their spread adds to the statistical error."""
        heads = len(scores.values)
        spread = jnp.var(scores.values, axis=0, ddof=1) / heads
        errors = jnp.sqrt(jnp.mean(scores.errors, axis=0) ** 2 + spread)
        mean = jax.tree.map(lambda x: jnp.mean(x, axis=0), scores)
        return eqx.tree_at(lambda s: s.errors, mean, errors)


def open_heads(run: Run, design: str = "final") -> Any:
    """The heads that the audit of a run trained for one of its designs ("initial", "final", "without"), stacked.

    Raises:
        RunError: the run has no such heads.
        BadInput: its study cannot be read.
    """
    arrays = run.arrays(f"heads/{design}.npz")
    study = load_study(run.folder / "study.yaml")
    if study.head is None:
        raise RunError(f"{run.folder} has no head")
    variables = len(study.space) if study.head.conditioned else 0
    return with_leaves(make_network(study.head, variables, jax.random.key(0), jnp.float32), arrays)


class Pool:
    """Draws many muons of a design, some thousand at a time; compiled once for any number."""

    def __init__(self, evaluate: Any) -> None:
        def block(design: Detector, keys: jax.Array) -> Exposures:
            drawn = jax.lax.map(lambda k: evaluate.exposures(design, k, POOL_CHUNK), keys)
            return jax.tree.map(lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), drawn)

        self._block = jax.jit(block)

    def __call__(self, design: Detector, key: jax.Array, number: int) -> Exposures:
        """At least so many muons."""
        blocks = math.ceil(number / (POOL_CHUNK * POOL_BLOCK))
        drawn = [self._block(design, keys) for keys in jax.random.split(key, (blocks, POOL_BLOCK))]
        return jax.tree.map(lambda *each: jnp.concatenate(each), *drawn)


@eqx.filter_jit
def _log_odds(network: TrackNetwork, sample: Exposures) -> jax.Array:
    return network.log_odds(sample)


@eqx.filter_jit
def _estimate(network: SetNetwork, sample: Exposures) -> tuple[jax.Array, jax.Array]:
    return network.estimate(sample)


def _compare_tracks(network: Any, sample: Exposures, known: Exposures, limits: tuple[float, float]) -> dict[str, Any]:
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
                "loss": _pair(*cross_entropy(calibrated, displaced)),
                "area": _pair(*area),
                "head_is_better_by": _pair(*difference),
                "prompt": roc(one, displaced, EFFICIENCIES).tolist(),
            }
        )
    return {
        "muons": len(odds),
        "head": {
            "loss": _pair(*cross_entropy(odds, displaced)),
            "area": _pair(*head_area),
            "prompt": roc(odds, displaced, EFFICIENCIES).tolist(),
        },
        "baselines": baselines,
        "efficiency": EFFICIENCIES.tolist(),
        "reliability": _reliability(1 / (1 + np.exp(-odds)), displaced),
    }


def _reliability(probability: np.ndarray, displaced: np.ndarray) -> list[dict[str, float]]:
    """Predicted against observed share of displaced muons, in ten bins of equal content."""
    rows = []
    for part in np.array_split(np.argsort(probability), 10):
        p, share = float(probability[part].mean()), float(displaced[part].mean())
        rows.append({"predicted": p, "observed": share, "error": math.sqrt(max(p * (1 - p), 1e-9) / len(part))})
    return rows


def _compare_fractions(
    network: Any, sample: Exposures, known: Exposures, limits: tuple[float, float]
) -> dict[str, Any]:
    """A head against counting muons beyond a cut on their significance."""
    mean, sigma = (np.asarray(x, float) for x in _estimate(network, sample))
    truth = np.asarray(sample.fraction, float)
    calibration = np.asarray(known.significance, float)[..., 1], np.asarray(known.displaced)
    counted = counted_fraction(calibration, np.asarray(sample.significance, float)[..., 1], limits)
    pulls = (mean - truth) / sigma
    width = float(np.sqrt((pulls**2).mean()))
    return {
        "baseline": f"counting beyond a cut on the {SIGNIFICANCES[1]}",
        "exposures": len(truth),
        "rms": {"head": _rms(mean - truth), "baseline": _rms(counted - truth)},
        "pull_width": _pair(width, float((pulls**2).std() / math.sqrt(len(pulls)) / (2 * width))),
        "estimates": {
            "truth": truth[:400].tolist(), "head": mean[:400].tolist(), "sigma": sigma[:400].tolist(),
            "baseline": counted[:400].tolist(),
        },
    }  # fmt: skip


def _rms(error: np.ndarray) -> dict[str, float]:
    square = error**2
    root = math.sqrt(square.mean())
    return _pair(root, float(square.std() / math.sqrt(len(square)) / (2 * root)))


def _pair(value: float, error: float) -> dict[str, float]:
    return {"value": float(value), "error": float(error)}
