"""The audit of a design in sampled mode: fresh events, and heads that are trained for it from scratch.

Every design is audited on the same keys, none of which a search has used; so two designs differ by less than their errors
suggest.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.inference.exposure_times import ExposureScan, exposure_scan
from detopt.inference.heads import PortalHead
from detopt.inference.networks import TrackNetwork
from detopt.inference.portal_network import PortalNetwork
from detopt.inference.stored import with_leaves
from detopt.inference.training import batch, train
from detopt.runs import Run, RunError
from detopt.scoring.score import Score
from detopt.simulation.streams import stream
from detopt.study.compare import compare_fractions, compare_tracks
from detopt.study.compare_scenes import compare_scenes
from detopt.study.evaluate import make_sampler, score_as_dict
from detopt.study.measurements import Measurement, measurements
from detopt.study.networks import make_head
from detopt.study.questions import grid_of
from detopt.study.studies import Study, load_study

__all__ = ["Audited", "Auditor", "Pool", "open_heads"]

POOL_CHUNK, POOL_BLOCK = 2048, 8  # muons that are simulated at once, and how often in one call
CALIBRATION = 65_536  # muons; of heads that look at long exposures, as large a part of those that train them
SAMPLE = 131_072  # muons that the figures are made of; of such heads, as many as the score is made of
PART = 8
PARTS = 16  # of a long exposure


@dataclass(frozen=True)
class Audited:
    """A design's score, and how its heads compare with the analytic baseline on the same muons."""

    score: dict[str, Any]
    chunks: Float[np.ndarray, "chunks objectives"]  # see `ChunkedEvaluator.by_chunks`
    spread: Float[np.ndarray, " objectives"]  # variance of the score between heads, of their mean
    inference: dict[str, Any] | None = None
    networks: Any = None  # stacked; None without a head
    odds: tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]] | None = None  # of exposures: log-odds, and truth
    scan: ExposureScan | None = None
    measurements: dict[str, Measurement] = field(default_factory=dict)


class Auditor:
    """Scores designs of one study; compiled once."""

    def __init__(self, study: Study, progress: Callable[[str], None] | None = None) -> None:
        self.study, self.progress = study, progress or (lambda line: None)
        self.evaluate = cast(Any, make_sampler(study, study.audit.events))
        self.key = stream(jax.random.key(study.seed), "audit")
        self._score = jax.jit(self.evaluate.with_means)
        if study.head is not None:
            self._pool = Pool(self.evaluate.exposures)
        if study.audit.longest > 1:
            self._series = Pool(partial(self.evaluate.series, longest=study.audit.longest, parts=PARTS))
        # The heads share the events: only their part of the score is done for each.
        self._scores = eqx.filter_jit(eqx.filter_vmap(self.evaluate.by_chunks, in_axes=(None, eqx.if_array(0), None)))
        self._calibrate = eqx.filter_jit(eqx.filter_vmap(_calibrated, in_axes=(eqx.if_array(0), None)))
        self._train = eqx.filter_jit(eqx.filter_vmap(self._from_scratch, in_axes=(None, 0)))

    def __call__(self, detector: Detector, title: str = "the design") -> Audited:
        """Audit a design of floats."""
        design, study = as_arrays(detector), self.study
        key = stream(self.key, "events")
        if study.head is None:
            self.progress(f"scoring {title}")
            score, chunks, mean = self._score(design, None, key)
            told, measured = score_as_dict(study, score), measurements(study, self.evaluate.peaks(mean))
            for name, measurement in measured.items():
                told["objectives"][name]["statistics_only"] = measurement.statistics_only()
            return Audited(told, np.asarray(chunks), np.zeros(len(study.objectives)), measurements=measured)
        scenes = isinstance(study.head, PortalHead)
        number = max(CALIBRATION, study.audit.head_events // PART) if scenes else CALIBRATION
        known = self._pool(design, stream(self.key, "calibration"), number)
        networks = self.train_heads(design, known, title)
        self.progress(f"scoring {title}")
        scores, chunks = self._scores(design, networks, key)
        spread = jnp.var(scores.values, axis=0, ddof=1) / len(scores.values)
        sample = self._pool(design, stream(self.key, "sample"), study.audit.events if scenes else SAMPLE)
        one = _first(networks)
        inference, odds, scan = self._compared(one, sample, known), None, None
        if scenes and one.question.kind == "presence":
            odds = np.asarray(one.log_odds(sample), float), np.asarray(sample.truth)[:, 0] > 0.5
        if study.audit.longest > 1:
            scan = self._scan(design, title)
            inference["exposures_scanned"] = scan.as_dict()
        score = score_as_dict(study, _combined(scores, spread))
        return Audited(score, np.asarray(chunks).mean(0), np.asarray(spread), inference, networks, odds, scan)

    def _compared(self, network: Any, sample: Any, known: Any) -> dict[str, Any]:
        """One head with its analytic baseline."""
        study = self.study
        if isinstance(network, PortalNetwork):
            return compare_scenes(network, sample, known, grid_of(study))
        compare = compare_tracks if isinstance(network, TrackNetwork) else compare_fractions
        return compare(network, sample, known, study.source.displaced)  # type: ignore[union-attr]

    def train_heads(self, design: Detector, known: Any, title: str) -> Any:
        """Heads from scratch, stacked, and calibrated on known muons."""
        audit = self.study.audit
        self.progress(f"drawing {audit.head_events} muons of {title}")
        pool = self._pool(design, stream(self.key, "training"), audit.head_events)
        self.progress(f"training {audit.heads} heads for {title}")
        networks = self._train(pool, jax.random.split(stream(self.key, "head"), audit.heads))
        return self._calibrate(networks, known)

    def _from_scratch(self, pool: Any, key: jax.Array) -> Any:
        head = self.study.head
        assert head is not None
        first, second = jax.random.split(key)
        network = make_head(self.study, first)
        size = max(CALIBRATION // head.exposure, head.together)
        network = network.normalised(batch(pool, stream(second, "first batch"), size))
        return train(network, pool, head, self.study.audit.head_steps, second)[0]

    def _scan(self, design: Detector, title: str) -> ExposureScan:
        """One more head, for exposures of all lengths."""
        audit, key = self.study.audit, stream(self.key, "longer")
        self.progress(f"drawing longer exposures of {title}")
        pool = self._series(design, stream(key, "training"), audit.head_events)
        self.progress(f"training a head for all exposures of {title}")
        network = _first(self._train(pool, stream(key, "head")[None]))
        del pool  # the next one is as large
        self.progress(f"judging longer and shorter exposures of {title}")
        return exposure_scan(network, self._series(design, stream(key, "events"), audit.longest_events))


def _first(networks: Any) -> Any:
    """Of stacked heads."""
    return jax.tree.map(lambda x: x[0] if eqx.is_array(x) else x, networks)


def _combined(scores: Score, spread: Array) -> Score:
    """Mean over the heads; their spread adds to the statistical error."""
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
    return with_leaves(make_head(study, jax.random.key(0)), arrays)


def _calibrated(network: Any, known: Any) -> Any:
    return network.calibrated(known)


class Pool:
    """Draws many muons of a design, some thousand at a time and on all processors; compiled once for any number."""

    def __init__(self, exposures: Callable[[Detector, jax.Array, int], Any]) -> None:
        """`exposures` gives so many muons, or some more."""

        def block(design: Detector, keys: jax.Array) -> Any:
            drawn = jax.lax.map(lambda k: exposures(design, k, POOL_CHUNK), keys)
            return jax.tree.map(lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), drawn)

        self._block = jax.jit(block)

    def __call__(self, design: Detector, key: jax.Array, number: int) -> Any:
        """At least so many muons."""
        first, *others = jax.random.split(key, (math.ceil(number / (POOL_CHUNK * POOL_BLOCK)), POOL_BLOCK))

        def draw(keys: jax.Array) -> Any:
            return jax.block_until_ready(self._block(design, keys))

        drawn = [draw(first)]  # alone, since it may have to be compiled
        with ThreadPoolExecutor(_processors()) as processors:
            drawn += processors.map(draw, others)
        return jax.tree.map(lambda *each: jnp.concatenate(each), *drawn)


def _processors() -> int:
    """Those that this process may use, where the system says."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
