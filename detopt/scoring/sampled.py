"""`evaluate` in `sampled` mode: Monte Carlo muons through the detector, the fit and the head.

A scan over chunks of additive statistics, then one readout with the same terms as `expected` mode has: memory stays flat
in the number of events, and the spread of the chunks gives the errors.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector
from detopt.events import Particles, Tracks
from detopt.inference.features import Exposures, exposures
from detopt.parameters import Space
from detopt.reconstruction.expected import ExpectedTracks, fewest_hits
from detopt.reconstruction.reconstruct import reconstruct
from detopt.scoring.chunks import ChunkedEvaluator
from detopt.scoring.core import GAUSSIAN, core_weight
from detopt.scoring.evaluate import HeadLoss, View, score_terms
from detopt.scoring.score import Score
from detopt.simulation.generate import generate
from detopt.simulation.helix import particle_path
from detopt.simulation.physics import Physics
from detopt.simulation.simulate import simulate
from detopt.simulation.source import Decay, Gun
from detopt.simulation.streams import stream

__all__ = ["SampledEvaluator"]


class Sums(NamedTuple):
    """Means over the muons of a chunk, for each of G groups of muons, and over its exposures for the head."""

    tracks: Float[Array, "*chunks G"]
    z_tracks: Float[Array, "*chunks G"]
    squares: Float[
        Array, "*chunks G 5"
    ]  # weighted, of the residuals of tracks, kappa relative; 0 for what is not found
    weights: Float[Array, "*chunks G 5"]
    head: Float[Array, "*chunks 2"]


class SampledEvaluator(ChunkedEvaluator):
    """Scores of a barrel; see `ChunkedEvaluator`."""

    def __init__(
        self,
        objectives: Mapping[str, Any],
        constraints: Mapping[str, Any],
        prices: Prices,
        source: Gun | Decay,
        physics: Physics,
        space: Space,
        events: int,
        min_hits: int | None = None,
        exposure: int = 1,
        conditioned: bool = False,
        precision: Any = None,
        all_hits: bool = False,
    ) -> None:
        """
        Args (beside those of `ChunkedEvaluator`):
            events: muons for each momentum and angle that a term asks for.
            min_hits: hits that make a track; one more than the fit needs where it is not given.
            exposure: muons that a head looks at together.
            conditioned: whether heads look at the design variables.
            all_hits: every sensor that is crossed gives a hit, whatever its efficiency.
        """
        super().__init__(objectives, constraints, prices, source, physics, space, events, exposure, precision)
        self.source: Gun | Decay = source
        self.min_hits = fewest_hits(space.detector) + 1 if min_hits is None else min_hits
        self.conditioned, self.all_hits = conditioned, all_hits
        terms = (*self.objectives.values(), *self.constraints.values())
        asked = [(t.momentum, t.theta) for t in terms if hasattr(t, "momentum")]
        self._with_head = any(getattr(t, "needs_head", False) for t in terms)
        self.groups = list(dict.fromkeys([*([(None, None)] if self._with_head else []), *asked]))

    def estimators(self) -> dict[str, str]:
        """How the gradient to each variable comes about: all that is not pathwise is refused in barrels."""
        return dict.fromkeys(self.space.names, "pathwise")

    # -- events ----------------------------------------------------------------------------------------------------------

    def _generate(self, design: Detector, key: jax.Array, group: Any, number: int) -> tuple[Particles, Array]:
        dtype = jnp.result_type(*jax.tree.leaves(design))
        field = None if design.field is None else design.field.B
        particles, fraction = generate(
            self.source, stream(key, f"source {group}"), (number // self.exposure, self.exposure), field, dtype, *group
        )
        return jax.tree.map(lambda x: x.reshape(-1), particles), fraction

    def _tracks(self, design: Detector, particles: Particles, key: jax.Array) -> Tracks:
        hits = simulate(design, particles, self.source.charge, self.physics, key, self.all_hits)
        return reconstruct(design, particles, hits, self.source.charge, self.physics, self.min_hits)

    def exposures(self, design: Detector, key: jax.Array, number: int) -> Exposures:
        """Fresh muons of the source, as heads see them; `number` is rounded up to whole exposures."""
        condition, design = self._condition(design), self._cast(design)
        number = self.exposure * math.ceil(number / self.exposure)
        particles, fraction = self._generate(design, key, (None, None), number)
        return exposures(self._tracks(design, particles, key), particles, fraction, condition)

    def _condition(self, design: Detector) -> Float[Array, " variables"]:
        """What a head is told of the design: its variables in the unit box, or nothing."""
        dtype = jnp.result_type(*jax.tree.leaves(self._cast(design)))
        if not (self.conditioned and self.space.variables):
            return jnp.zeros(0, dtype)
        return jnp.stack(self.space.coordinates(design, jnp.log)).astype(dtype)

    def crossed(self, design: Detector, key: jax.Array, number: int) -> Bool[Array, "muons n"]:
        """Which surfaces the muons of all groups hit: to find edges."""
        design = self._cast(design)
        found = []
        for group in self.groups:
            particles, _ = self._generate(design, key, group, self.exposure * math.ceil(number / self.exposure))
            found.append(simulate(design, particles, self.source.charge, self.physics, key, all_hits=True).seen)
        return jnp.concatenate(found)

    def _chunk(self, design: Detector, head: Any, condition: Array, key: jax.Array) -> Sums:
        drawn = [self._generate(design, key, group, self.chunk) for group in self.groups]
        particles = jax.tree.map(lambda *each: jnp.concatenate(each), *(p for p, _ in drawn))
        tracks = self._tracks(design, particles, key)

        def mean(column: Array) -> Array:
            return jnp.mean(column.reshape(len(self.groups), self.chunk, *column.shape[1:]), axis=1)

        residual = jnp.stack([f - t for f, t in zip(tracks.fitted, particles.start, strict=True)], -1)
        kappa = particle_path(design, particles.momentum, particles.theta, self.source.charge).kappa
        kappa = jnp.where(kappa == 0, 1.0, kappa)  # without a field pT is not measured, and must not spoil the rest
        sine2 = jnp.sin(particles.theta) ** 2
        pull2 = residual**2 / jnp.maximum(jnp.diagonal(tracks.covariance, axis1=1, axis2=2), 1e-30)
        residual = residual.at[:, 2].divide(kappa).at[:, 4].multiply(sine2)
        counted = jnp.stack([tracks.found] * 3 + [tracks.z_found] * 2, -1)
        dtype = residual.dtype
        weight = jnp.where(counted, core_weight(pull2), 0.0)
        loss = jnp.zeros(2, dtype)
        if self._with_head:
            # The source's own muons come first.
            seen, truth = jax.tree.map(lambda x: x[: self.chunk], (tracks, particles))
            loss = jnp.stack([jnp.mean(s) for s in head.scores(exposures(seen, truth, drawn[0][1], condition))])
        return Sums(
            mean(tracks.found.astype(dtype)),
            mean(tracks.z_found.astype(dtype)),
            mean(weight * jnp.where(counted, residual, 0.0) ** 2),
            mean(weight),
            loss,
        )

    # -- the score ---------------------------------------------------------------------------------------------------------

    def _sums(self, design: Detector, head: Any, key: jax.Array) -> Sums:
        """Statistics of every chunk."""
        if not self.groups:
            dtype = jnp.result_type(*jax.tree.leaves(design))
            return Sums(*(jnp.zeros((self.chunks, *s), dtype) for s in ((0,), (0,), (0, 5), (0, 5), (2,))))
        small, condition = self._cast(design), self._condition(design)

        # The reverse pass keeps nothing of a chunk, and computes it again.
        chunk = eqx.filter_checkpoint(self._chunk)

        def step(_: None, key: jax.Array) -> tuple[None, Sums]:
            return None, chunk(small, head, condition, key)

        return jax.lax.scan(step, None, jax.random.split(key, self.chunks))[1]

    def _readout(self, design: Detector, mean: Sums) -> Score:
        """The score of mean statistics: anything nonlinear happens here."""
        variance = [mean.squares[:, i] / mean.weights[:, i] / GAUSSIAN for i in range(5)]
        if design.field is None:
            variance[2] = jnp.full_like(variance[2], jnp.inf)
        tracks = ExpectedTracks(
            d0=variance[0], phi=variance[1], pt=variance[2], z0=variance[3], theta=variance[4],
            efficiency=mean.tracks, z_efficiency=mean.z_tracks,
        )  # fmt: skip
        rows = {group: (np.array([i]), np.ones(1)) for i, group in enumerate(self.groups)}
        head = HeadLoss(*mean.head) if self._with_head else None
        return score_terms(self.objectives, self.constraints, View(design, self.prices, tracks, rows, head))
