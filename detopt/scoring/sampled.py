"""`evaluate` of barrels in `sampled` mode: Monte Carlo muons through the detector, the fit and the head.

The terms are those of `expected` mode. Gradients are pathwise, and by flips (see `detopt.gradients.flips`) where a muon
gains or loses a layer at its ends, or a hit that an efficiency decides on. A head that looks at many muons together sees one
of them change: its loss is no sum, and is taken with that muon and without it.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Array, Bool

from detopt.backend import jax, jnp
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector
from detopt.detector.surfaces import surfaces
from detopt.events import Particles, Tracks
from detopt.gradients.flips import with_flips
from detopt.inference.features import Exposures, exposures
from detopt.parameters import Space
from detopt.reconstruction.expected import ExpectedTracks, fewest_hits
from detopt.reconstruction.reconstruct import reconstruct
from detopt.scoring.barrel_flips import BarrelFlips
from detopt.scoring.barrel_sums import Columns, Sums, columns_of
from detopt.scoring.chunks import ChunkedEvaluator
from detopt.scoring.core import GAUSSIAN
from detopt.scoring.evaluate import HeadLoss, View, score_terms
from detopt.scoring.score import Score
from detopt.simulation.generate import generate
from detopt.simulation.helix import solenoid
from detopt.simulation.physics import Physics
from detopt.simulation.simulate import (
    barrel_flight,
    roll,
    simulate,
)
from detopt.simulation.source import Decay, Gun
from detopt.simulation.streams import stream

__all__ = ["SampledEvaluator"]


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
            all_hits: every sensor that is crossed gives a hit, whatever its efficiency.
        """
        super().__init__(
            objectives, constraints, prices, source, physics, space, events, exposure, conditioned, precision
        )
        self.source: Gun | Decay = source
        self.min_hits = fewest_hits(space.detector) + 1 if min_hits is None else min_hits
        self.all_hits = all_hits
        terms = (*self.objectives.values(), *self.constraints.values())
        asked = [(t.momentum, t.theta) for t in terms if hasattr(t, "momentum")]
        self._with_head = any(getattr(t, "needs_head", False) for t in terms)
        self.groups = list(dict.fromkeys([*([(None, None)] if self._with_head else []), *asked]))
        self.flips = BarrelFlips(
            source, physics, space, self.groups, self.min_hits, exposure if self._with_head else None, self.chunk
        )

    def estimators(self) -> dict[str, str]:
        """How the gradient to each variable comes about."""
        return self.flips.estimators

    # -- events ----------------------------------------------------------------------------------------------------------

    def _generate(self, design: Detector, key: jax.Array, group: Any, number: int) -> tuple[Particles, Array]:
        dtype = jnp.result_type(*jax.tree.leaves(design))
        shape, B = (number // self.exposure, self.exposure), solenoid(design)
        particles, fraction = generate(self.source, stream(key, f"source {group}"), shape, B, dtype, *group)
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

    def met(
        self, design: Detector, key: jax.Array, number: int
    ) -> tuple[Bool[Array, "muons n"], Bool[Array, "muons n"]]:
        """Which surfaces the muons of all groups cross, and which they would if no flip decided on that."""
        design = self._cast(design)
        stacked, crossed, would = surfaces(design), [], []
        for group, (low, high) in zip(self.groups, self.flips.angles, strict=True):
            particles, _ = self._generate(design, key, group, self.exposure * math.ceil(number / self.exposure))
            charge = jnp.full_like(particles.momentum, self.source.charge)
            rolled = roll(stacked, key, len(charge), self.physics)
            flight = barrel_flight(design, stacked, particles, charge, self.physics, rolled).flight
            crossed.append(flight.crossed)
            would.append(flight.reached if low < high else flight.crossed)
        return jnp.concatenate(crossed), jnp.concatenate(would)

    def _chunk(self, moving: tuple[Detector, Array], head: Any, key: jax.Array) -> Sums:
        design, condition = moving
        drawn = [self._generate(design, key, group, self.chunk) for group in self.groups]
        particles = jax.tree.map(lambda *each: jnp.concatenate(each), *(p for p, _ in drawn))
        tracks = self._tracks(design, particles, key)
        columns = columns_of(design, particles, tracks, self.source.charge)
        loss = jnp.zeros(2, condition.dtype)
        if self._with_head:
            # The source's own muons come first.
            seen, truth = jax.tree.map(lambda x: x[: self.chunk], (tracks, particles))
            loss = jnp.stack([jnp.mean(s) for s in head.scores(exposures(seen, truth, drawn[0][1], condition))])
        shape = (len(self.groups), self.chunk)
        return Sums(jax.tree.map(lambda c: jnp.mean(c.reshape(*shape, *c.shape[1:]), axis=1), columns), loss)

    # -- the score ---------------------------------------------------------------------------------------------------------

    def _sums(self, design: Detector, head: Any, key: jax.Array) -> Sums:
        """Statistics of every chunk."""
        if not self.groups:
            dtype = jnp.result_type(*jax.tree.leaves(design))
            none = Columns(*(jnp.zeros((self.chunks, *s), dtype) for s in ((0,), (0,), (0,), (0, 5), (0, 5))))
            return Sums(none, jnp.zeros((self.chunks, 2), dtype))
        small, condition = self._cast(design), self._condition(design)

        chunk = with_flips(self._chunk, self.flips)

        def step(_: None, key: jax.Array) -> tuple[None, Sums]:
            return None, chunk((small, condition), head, key)

        return jax.lax.scan(step, None, jax.random.split(key, self.chunks))[1]

    def _readout(self, design: Detector, mean: Sums) -> Score:
        """The score of mean statistics: anything nonlinear happens here."""
        variance = [mean.muons.squares[:, i] / mean.muons.weights[:, i] / GAUSSIAN for i in range(5)]
        if design.field is None:
            variance[2] = jnp.full_like(variance[2], jnp.inf)
        tracks = ExpectedTracks(
            d0=variance[0], phi=variance[1], pt=variance[2], z0=variance[3], theta=variance[4],
            efficiency=mean.muons.tracks, z_efficiency=mean.muons.z_tracks, hits=mean.muons.hits,
        )  # fmt: skip
        rows = {group: (np.array([i]), np.ones(1)) for i, group in enumerate(self.groups)}
        head = HeadLoss(*mean.head) if self._with_head else None
        return score_terms(self.objectives, self.constraints, View(design, self.prices, tracks, rows, head))
