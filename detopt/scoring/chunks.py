"""`evaluate` by Monte Carlo: a scan over chunks of additive statistics, then one readout.

Memory stays flat in the number of events, and the spread of the chunks gives the errors.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector
from detopt.parameters import Space
from detopt.scoring.evaluate import limits_of
from detopt.scoring.peak import Channel
from detopt.scoring.score import Score
from detopt.simulation.physics import Physics
from detopt.simulation.source import Source

__all__ = ["CHUNK", "FEWEST_CHUNKS", "ChunkedEvaluator"]

CHUNK = 2048  # muons; more do not fit into the processor's cache
FEWEST_CHUNKS = 8  # for an error


class ChunkedEvaluator(ABC):
    """`evaluate` of one study in `sampled` mode: call it as evaluate(design, head, key)."""

    def __init__(
        self,
        objectives: Mapping[str, Any],
        constraints: Mapping[str, Any],
        prices: Prices,
        source: Source,
        physics: Physics,
        space: Space,
        events: int,
        exposure: int = 1,
        conditioned: bool = False,
        precision: Any = None,
    ) -> None:
        """
        Args:
            objectives: terms by name, see `detopt.scoring.terms`.
            constraints: likewise.
            prices: for the cost.
            source: where the muons come from.
            physics: which effects are on.
            space: the design variables.
            events: rounded up to whole chunks.
            exposure: muons that belong together.
            conditioned: whether heads look at the design variables.
            precision: dtype of the events; that of the design where it is not given.
        """
        self.objectives, self.constraints, self.prices = dict(objectives), dict(constraints), prices
        self.source, self.physics, self.space = source, physics, space
        self.exposure, self.conditioned, self.precision = exposure, conditioned, precision
        self.chunk = exposure * math.ceil(min(CHUNK, events / FEWEST_CHUNKS) / exposure)
        self.chunks = max(math.ceil(events / self.chunk), FEWEST_CHUNKS)

    @property
    def events(self) -> int:
        """Muons of each kind that a score takes."""
        return self.chunks * self.chunk

    def limits(self, design: Detector) -> Float[Array, " rows"]:
        """The constraints of a design; none of them may be sampled."""
        return limits_of(self.constraints, self.prices, design)

    def _cast(self, design: Detector) -> Detector:
        return design if self.precision is None else jax.tree.map(lambda x: x.astype(self.precision), design)

    def _condition(self, design: Detector) -> Float[Array, " variables"]:
        """What a head is told of the design: its variables in the unit box, or nothing."""
        dtype = jnp.result_type(*jax.tree.leaves(self._cast(design)))
        if not (self.conditioned and self.space.variables):
            return jnp.zeros(0, dtype)
        return jnp.stack(self.space.coordinates(design, jnp.log)).astype(dtype)

    @abstractmethod
    def _sums(self, design: Detector, head: Any, key: jax.Array) -> Any:
        """Mean statistics of every chunk."""

    @abstractmethod
    def _readout(self, design: Detector, mean: Any) -> Score:
        """The score of mean statistics: anything nonlinear happens here."""

    def peaks(self, mean: Any) -> dict[str, Channel]:
        """The measurements among the objectives, of mean statistics; there are none where muons do not come in pairs."""
        return {}

    def __call__(self, design: Detector, head: Any, key: jax.Array) -> Score:
        """Score a design whose numbers are arrays (see `as_arrays`) with one head, on events of one key."""
        return self.by_chunks(design, head, key)[0]

    def by_chunks(self, design: Detector, head: Any, key: jax.Array) -> tuple[Score, Float[Array, "chunks objectives"]]:
        """The score, and how far each chunk of events by itself would be from it, to first order.

        The chunks of two designs on one key are the same muons: what these have in common drops out of a difference.
        """
        return self.with_means(design, head, key)[:2]

    def with_means(
        self, design: Detector, head: Any, key: jax.Array
    ) -> tuple[Score, Float[Array, "chunks objectives"], Any]:
        """The same, and the mean statistics that the score is made of."""
        dtype = jnp.result_type(*jax.tree.leaves(design))
        sums = jax.tree.map(lambda x: x.astype(dtype), self._sums(design, head, key))
        mean = jax.tree.map(lambda x: jnp.mean(x, axis=0), sums)
        # Delta method: what each chunk would change by itself, to first order.
        deviation = jax.tree.map(lambda x, m: x - m[None], sums, mean)

        def change(deviation: Any) -> tuple[Array, Array]:
            score = jax.jvp(lambda m: self._readout(design, m), (mean,), (deviation,))[1]
            return score.values, score.excess

        changes = jax.vmap(change)(deviation)
        errors = [jnp.sqrt(jnp.sum(c**2, axis=0) / (self.chunks * (self.chunks - 1))) for c in changes]
        score = self._readout(design, mean)
        return eqx.tree_at(lambda s: (s.errors, s.excess_errors), score, tuple(errors)), changes[0], mean
