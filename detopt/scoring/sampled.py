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
from detopt.scoring.evaluate import HeadLoss, View, score_terms
from detopt.scoring.score import Score
from detopt.simulation.generate import generate
from detopt.simulation.helix import particle_path
from detopt.simulation.physics import Physics
from detopt.simulation.simulate import simulate
from detopt.simulation.source import Decay, Gun
from detopt.simulation.streams import stream

__all__ = ["SampledEvaluator"]

# A resolution is the width of the core: single hard scatters make tails whose square has hardly a mean. Residuals count
# with a weight that falls off smoothly beyond _CORE standard deviations of the track's own error.
_CORE = 3.0
_Z = np.linspace(-12, 12, 24001)
_GAUSS = np.exp(-(_Z**2) / 2) / (1 + (_Z / _CORE) ** 8)
_GAUSSIAN = float((_GAUSS * _Z**2).sum() / _GAUSS.sum())  # of a Gaussian of width one
CHUNK = 2048  # muons; more do not fit into the processor's cache
FEWEST_CHUNKS = 8  # for an error


class Sums(NamedTuple):
    """Means over the muons of a chunk, for each of G groups of muons, and over its exposures for the head."""

    tracks: Float[Array, "*chunks G"]
    z_tracks: Float[Array, "*chunks G"]
    squares: Float[
        Array, "*chunks G 5"
    ]  # weighted, of the residuals of tracks, kappa relative; 0 for what is not found
    weights: Float[Array, "*chunks G 5"]
    head: Float[Array, "*chunks 2"]


class SampledEvaluator:
    """`evaluate` of one study in `sampled` mode: call it as evaluate(design, head, key)."""

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
        Args:
            objectives: terms by name, see `detopt.scoring.terms`.
            constraints: likewise.
            prices: for the cost.
            source: where the muons come from.
            physics: which effects are on.
            space: the design variables, for heads that look at them.
            events: muons for each momentum and angle that a term asks for, rounded up to whole chunks.
            min_hits: hits that make a track; one more than the fit needs where it is not given.
            exposure: muons that a head looks at together.
            conditioned: whether heads look at the design variables.
            precision: dtype of the events; that of the design where it is not given.
            all_hits: every sensor that is crossed gives a hit, whatever its efficiency.
        """
        self.objectives, self.constraints, self.prices = dict(objectives), dict(constraints), prices
        self.source, self.physics, self.space = source, physics, space
        self.min_hits = fewest_hits(space.detector) + 1 if min_hits is None else min_hits
        self.exposure, self.conditioned, self.precision = exposure, conditioned, precision
        self.all_hits = all_hits
        self.chunk = exposure * math.ceil(min(CHUNK, events / FEWEST_CHUNKS) / exposure)
        self.chunks = max(math.ceil(events / self.chunk), FEWEST_CHUNKS)
        terms = (*self.objectives.values(), *self.constraints.values())
        asked = [(t.momentum, t.theta) for t in terms if hasattr(t, "momentum")]
        self._with_head = any(getattr(t, "needs_head", False) for t in terms)
        self.groups = list(dict.fromkeys([*([(None, None)] if self._with_head else []), *asked]))

    @property
    def events(self) -> int:
        """Muons for each momentum and angle."""
        return self.chunks * self.chunk

    # -- events ----------------------------------------------------------------------------------------------------------

    def _cast(self, design: Detector) -> Detector:
        return design if self.precision is None else jax.tree.map(lambda x: x.astype(self.precision), design)

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
        # Far out the eighth power would overflow in float32, and weighs nothing.
        weight = counted.astype(dtype) / (1 + (jnp.minimum(pull2, 1e4) / _CORE**2) ** 4)
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

    def limits(self, design: Detector) -> Float[Array, " rows"]:
        """The constraints of a design; none of them may be sampled."""
        return score_terms({}, self.constraints, View(design, self.prices, None, {})).excess

    # -- the score ---------------------------------------------------------------------------------------------------------

    def _sums(self, design: Detector, head: Any, key: jax.Array) -> Sums:
        """Statistics of every chunk."""
        small, condition = self._cast(design), self._condition(design)

        # The reverse pass keeps nothing of a chunk, and computes it again.
        chunk = eqx.filter_checkpoint(self._chunk)

        def step(_: None, key: jax.Array) -> tuple[None, Sums]:
            return None, chunk(small, head, condition, key)

        return jax.lax.scan(step, None, jax.random.split(key, self.chunks))[1]

    def _readout(self, design: Detector, mean: Sums) -> Score:
        """The score of mean statistics: anything nonlinear happens here."""
        variance = [mean.squares[:, i] / mean.weights[:, i] / _GAUSSIAN for i in range(5)]
        if design.field is None:
            variance[2] = jnp.full_like(variance[2], jnp.inf)
        tracks = ExpectedTracks(
            d0=variance[0], phi=variance[1], pt=variance[2], z0=variance[3], theta=variance[4],
            efficiency=mean.tracks, z_efficiency=mean.z_tracks,
        )  # fmt: skip
        rows = {group: (np.array([i]), np.ones(1)) for i, group in enumerate(self.groups)}
        head = HeadLoss(*mean.head) if self._with_head else None
        return score_terms(self.objectives, self.constraints, View(design, self.prices, tracks, rows, head))

    def __call__(self, design: Detector, head: Any, key: jax.Array) -> Score:
        """Score a design whose numbers are arrays (see `as_arrays`) with one head, on events of one key."""
        dtype = jnp.result_type(*jax.tree.leaves(design))
        if self.groups:
            sums = jax.tree.map(lambda x: x.astype(dtype), self._sums(design, head, key))
        else:
            sums = Sums(*(jnp.zeros((self.chunks, *s), dtype) for s in ((0,), (0,), (0, 5), (0, 5), (2,))))
        mean = jax.tree.map(lambda x: jnp.mean(x, axis=0), sums)
        # Delta method: what each chunk would change by itself, to first order.
        deviation = jax.tree.map(lambda x, m: x - m[None], sums, mean)

        def change(deviation: Sums) -> tuple[Array, Array]:
            score = jax.jvp(lambda m: self._readout(design, m), (mean,), (deviation,))[1]
            return score.values, score.excess

        errors = [
            jnp.sqrt(jnp.sum(c**2, axis=0) / (self.chunks * (self.chunks - 1))) for c in jax.vmap(change)(deviation)
        ]
        score = self._readout(design, mean)
        return eqx.tree_at(lambda s: (s.errors, s.excess_errors), score, tuple(errors))
