"""`evaluate` of beam lines and portals in `sampled` mode, with gradients that count every edge, hit and cut.

Pathwise: positions of hits, widths of scattering, resolutions, fields. By flips: see `detopt.scoring.beam_flips`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.arms import Arm
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector
from detopt.gradients.flips import with_flips
from detopt.parameters import Space
from detopt.reconstruction.arms import Reconstructed
from detopt.scoring.beam_flips import BeamFlips
from detopt.scoring.beam_muons import BeamMuons
from detopt.scoring.beam_pairs import BeamPairs
from detopt.scoring.chunks import ChunkedEvaluator
from detopt.scoring.evaluate import HeadLoss, View, score_terms
from detopt.scoring.muon_statistics import of_pairs, statistics_of
from detopt.scoring.peak import Channel, Pairs, channel_of
from detopt.scoring.score import Score
from detopt.simulation.beam_event import fly_event, undecided
from detopt.simulation.draws import Start
from detopt.simulation.physics import Physics
from detopt.simulation.rays import normals_of
from detopt.simulation.source import Beam, Gun, Resonance, Source
from detopt.simulation.streams import stream

__all__ = ["BeamEvaluator"]


class BeamEvaluator(ChunkedEvaluator):
    """See `ChunkedEvaluator`. Terms give the statistics of one muon, and are means of these over the source."""

    def __init__(
        self,
        objectives: Mapping[str, Any],
        constraints: Mapping[str, Any],
        prices: Prices,
        source: Source,
        physics: Physics,
        space: Space,
        events: int,
        start: Start,
        arms: tuple[Arm, ...],
        *,
        columns: Callable[[Reconstructed], Float[Array, " f"]] | None = None,
        momenta: Float[np.ndarray, " K"] | None = None,
        usual: float | None = None,
        exposure: int = 1,
        conditioned: bool = False,
        precision: Any = None,
    ) -> None:
        """
        Args (beside those of `ChunkedEvaluator`):
            start: where particles begin; it must not follow the design.
            arms: which sensors make a track.
            columns: see `BeamMuons`.
            momenta: see `BeamMuons`.
            usual: see `BeamMuons`.
        """
        super().__init__(
            objectives, constraints, prices, source, physics, space, events, exposure, conditioned, precision
        )
        self.terms = [t for t in (*self.objectives.values(), *self.constraints.values()) if not _is_about_design(t)]
        kind = BeamPairs if isinstance(source, Resonance) else BeamMuons
        self.muons = kind(space, source, start, physics, arms, self.terms, columns, momenta, usual)
        self.flips = BeamFlips(self.muons, space, exposure if exposure > 1 else self.chunk)

    def estimators(self) -> dict[str, str]:
        """How the gradient to each variable comes about."""
        return self.flips.estimators()

    @property
    def spreads(self) -> bool:
        """Whether the muons of the source start in different ways."""
        if isinstance(self.source, Gun):
            low, high = self.source.angles(self.muons.start.frame)
            return bool(low < high)
        return not isinstance(self.source, Beam) or any((*self.source.spot, *self.source.divergence))

    def lost(self, design: Detector, key: jax.Array, count: int) -> Float[Array, ""]:
        """Fraction of the muons that stop on the way, or turn back in a field."""
        line = self.muons.line(self._cast(design))
        draws = self.muons.draws(key, count, line.stops.middle.dtype)
        legs, _ = jax.vmap(lambda d: fly_event(line, self.source, self.muons.start, self.physics, d), in_axes=-1)(draws)
        return jnp.mean((legs.crossed & ~legs.after.alive).any(-1))

    def quiet(self, design: Detector) -> Bool[Array, " s"]:
        """Which stops a muon crosses that starts in the middle of the source and is not scattered."""
        line = self.muons.line(self._cast(design))
        still = jax.tree.map(lambda x: x[..., 0], self.muons.draws(jax.random.key(0), 1, line.stops.middle.dtype))
        numbers = {n: jnp.zeros_like(x) if n in normals_of(self.source) else x for n, x in still.numbers.items()}
        straight = replace(self.physics, tails=False, straggling=False)
        zero = still._replace(numbers=numbers, dice=jax.tree.map(jnp.zeros_like, still.dice))
        return fly_event(line, self.source, self.muons.start, straight, zero)[0].crossed

    # -- the score ---------------------------------------------------------------------------------------------------------

    def _chunk(self, design: Detector, key: jax.Array) -> Float[Array, " k"]:
        line = self.muons.line(design)
        draws, decided = self.muons.draws(key, self.chunk, line.stops.middle.dtype), undecided(line)
        if self.muons.looks == 1:
            pieces = jax.vmap(lambda d: self.muons.pieces(line, d, decided), in_axes=-1)(draws)
            return self.muons.total(pieces) / self.chunk
        looks = jax.random.split(stream(key, "looks"), self.chunk)
        return jnp.mean(
            jax.vmap(lambda d, k: self.muons.often(line, d, decided, k), in_axes=(-1, 0))(draws, looks), axis=0
        )

    def _sums(self, design: Detector, head: Any, key: jax.Array) -> Any:
        small = self._cast(design)
        chunk = with_flips(self._chunk, self.flips)

        def step(_: None, key: jax.Array) -> tuple[None, Array]:
            return None, chunk(small, key)

        return jax.lax.scan(step, None, jax.random.split(key, self.chunks))[1]

    def _readout(self, design: Detector, mean: Any) -> Score:
        return self._scored(design, mean)

    def _scored(self, design: Detector, mean: Float[Array, " k"], head: HeadLoss | None = None) -> Score:
        """From the mean statistics of muons, and what the head does."""
        view = View(design, self.prices, None, {}, head, self._means(mean), self._pairs())
        return score_terms(self.objectives, self.constraints, view)

    def peaks(self, mean: Float[Array, " k"]) -> dict[str, Channel]:
        """The measurements among the objectives, of mean statistics."""
        asked = {name: term for name, term in self.objectives.items() if of_pairs(term)}
        means, pairs = self._means(mean), self._pairs()
        return {} if pairs is None else {name: channel_of(t, means[t], pairs) for name, t in asked.items()}

    def _means(self, mean: Float[Array, " k"]) -> dict[Any, Float[Array, " n"]]:
        """Of the statistics of each term."""
        means, first = {}, 1
        for term in self.terms:
            size = self._size(term)
            means[term] = mean[first : first + size] / mean[0]
            first += size
        return means

    def _pairs(self) -> Pairs | None:
        """What was simulated, of a resonance."""
        if not isinstance(self.source, Resonance):
            return None
        low, high = self.source.continuum or (0.0, 0.0)
        return Pairs(self.source.shape[0], high - low, self.events / (2 if self.source.continuum else 1))

    def _size(self, term: Any) -> int:
        """Number of statistics of a term."""
        design = self.space.detector

        def of_one(key: jax.Array) -> Array:
            line = self.muons.line(design)
            draws = jax.tree.map(lambda x: x[..., 0], self.muons.draws(key, 1, line.stops.middle.dtype))
            return statistics_of(term, self.muons.muon(line, draws, undecided(line)))

        return jax.eval_shape(of_one, jax.random.key(0)).shape[0]


def _is_about_design(term: Any) -> bool:
    """Whether a term needs no muons."""
    return not (hasattr(term, "statistics") or hasattr(term, "momentum") or of_pairs(term))
