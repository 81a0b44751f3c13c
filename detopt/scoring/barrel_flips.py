"""Flips of a barrel (see `detopt.gradients.flips`): muons on the ends of surfaces, and hits that are there or not."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import surfaces
from detopt.events import Particles, Tracks
from detopt.gradients.flips import Flip
from detopt.inference.features import Exposures, exposures
from detopt.parameters import Space
from detopt.reconstruction.reconstruct import reconstruct
from detopt.scoring.barrel_sums import Sums, columns_of
from detopt.simulation.barrel_ends import ends_of, onto_end, reach, straight_to
from detopt.simulation.generate import Numbers, born, draw_births
from detopt.simulation.helix import solenoid
from detopt.simulation.landing import spread
from detopt.simulation.matter import Dice
from detopt.simulation.physics import Physics
from detopt.simulation.simulate import BarrelDecided, BarrelDraws, barrel_flight, draw_barrel, hits_in_barrel
from detopt.simulation.source import Decay, Gun
from detopt.simulation.streams import stream
from detopt.simulation.transport import Flight

__all__ = ["BarrelFlips"]

FLIPPED = 16  # of the muons of a chunk, one in so many is flipped as well
TOGETHER = 16  # at most so many in one exposure
_LOOKS = 8  # designs beside the initial one
_FIXED = 0.03  # how often ends that do not move are tried, relative to the others
_UNLIKELY = 0.03  # and those that the source hardly reaches
_BEYOND = 0.1  # of the source's range: what is further outside is hardly reached

Group = tuple[float | None, float | None]  # momentum and polar angle; None for those of the source


class _Batch(NamedTuple):
    """M muons of one group that are flipped."""

    group: int
    exposures: int  # that they stand in
    flipped: int  # the first so many of each
    muons: int  # that each has

    @property
    def size(self) -> int:
        return self.exposures * self.flipped


class BarrelFlips:
    """Called as flips((design, condition), head, key), it proposes what the gradient of `Sums` needs beside autodiff."""

    def __init__(
        self,
        source: Gun | Decay,
        physics: Physics,
        space: Space,
        groups: list[Group],
        min_hits: int,
        exposure: int | None,
        chunk: int,
    ) -> None:
        """
        Args:
            source: where the muons come from.
            physics: which effects are on.
            space: the design variables.
            groups: momentum and angle of the muons that are averaged over; a head looks at the first.
            min_hits: hits that make a track.
            exposure: muons that the head looks at together; None without one.
            chunk: muons of a group whose mean the gradient is of.
        """
        self.source, self.physics, self.groups = source, physics, groups
        self.min_hits, self.exposure = min_hits, exposure
        self.angles = [source.angles() if theta is None else (theta, theta) for _, theta in groups]
        self._look_at(space)
        count = math.ceil(chunk / FLIPPED)

        def batch(group: int) -> _Batch:
            muons = exposure if exposure and group == 0 else 1
            flipped = min(muons, TOGETHER)
            return _Batch(group, math.ceil(count / flipped), flipped, muons)

        spreads = [group for group, (low, high) in enumerate(self.angles) if low < high]
        self._at_ends = [batch(group) for group in spreads] if len(self._ends.surface) else []
        self._by_hits = [batch(group) for group in range(len(groups))] if len(self._sensors) else []

    def _look_at(self, space: Space) -> None:
        """What follows the design variables: only that is flipped, or tried often."""
        init = jnp.asarray(space.init, float)

        def numbers(u: Array) -> tuple[Array, ...]:
            design = space.place(u)
            s = surfaces(design)
            B = solenoid(design)
            field = jnp.zeros(0) if B is None else jnp.ravel(B)
            smooth = jnp.concatenate([jnp.ravel(x) for x in (s.position, s.x_over_X0, s.weight, field)])
            return jnp.stack([s.low, s.high], -1), s.position, field, s.efficiency, smooth

        # Where nothing moves at one design it may at another.
        designs = np.concatenate([np.array(init)[None], np.random.default_rng(0).uniform(size=(_LOOKS, len(init)))])
        slopes = jax.jit(jax.vmap(jax.jacfwd(numbers)))(designs)
        ends, place, field, efficiency, smooth = ((np.nan_to_num(np.asarray(x)) != 0).any(0) for x in slopes)
        moves = ends | place[:, None] | field.any(0)
        share = np.where(moves.any(-1), 1.0, _FIXED) if len(init) else np.zeros(moves.shape[:2])
        self._ends = ends_of(surfaces(space.detector), share)
        self._sensors: Int[np.ndarray, " m"] = np.flatnonzero(efficiency.any(-1)).astype(np.int32)
        spread_out = any(low < high for low, high in self.angles)
        ways = {
            "pathwise": smooth.any(0),
            "edges": moves.any((0, 1)) & spread_out,
            "hits": efficiency.any(0),
        }
        self.estimators = {
            name: " + ".join(way for way, goes in ways.items() if goes[i]) or "pathwise"
            for i, name in enumerate(space.names)
        }

    def __call__(self, moving: tuple[Detector, Array], head: Any, key: jax.Array) -> tuple[Flip, ...]:
        batches = [*self._at_ends, *self._by_hits]
        if not batches:
            return ()
        design, fixed = moving[0], jax.lax.stop_gradient(moving)
        stacked, dtype = surfaces(fixed[0]), fixed[1].dtype
        everyone = [
            draw_births(stream(key, f"births {i}"), (b.exposures, b.muons), dtype) for i, b in enumerate(batches)
        ]
        numbers = [jax.tree.map(lambda x, k=b.flipped: x[..., :k], n) for n, b in zip(everyone, batches, strict=True)]
        count, at_ends = (sum(b.size for b in some) for some in (batches, self._at_ends))
        rolled = draw_barrel(stacked, stream(key, "flips"), count, self.physics)
        decided = BarrelDecided(*(jnp.zeros((count, len(stacked.names), *both), jnp.int32) for both in ((2,), ())))
        weights, handles = [], []
        if self._at_ends:
            landed = self._onto_ends(design, fixed[0], numbers, rolled.dice, stream(key, "ends"))
            numbers = [*landed.numbers, *numbers[len(self._at_ends) :]]
            where = jnp.arange(at_ends), landed.surface, landed.upper
            decided = decided._replace(within=decided.within.at[where].set(1))
            weights.append(landed.weight)
            handles.append(landed.room)
        if self._by_hits:
            evenly = jnp.full(len(self._sensors), 1 / len(self._sensors))
            chosen = [spread(evenly, stream(key, f"sensors {i}"), b.size) for i, b in enumerate(self._by_hits)]
            sensor = jnp.asarray(self._sensors)[jnp.concatenate(chosen)]
            decided = decided._replace(fires=decided.fires.at[jnp.arange(at_ends, count), sensor].set(1))
            weights += [jnp.full(b.size, len(self._sensors) / b.size, dtype) for b in self._by_hits]
            handles.append(surfaces(design).efficiency[sensor])
        others = [
            self._seen(fixed, n, stream(key, f"others {i}")) if b.muons > 1 else None
            for i, (n, b) in enumerate(zip(everyone, batches, strict=True))
        ]

        def taken(decided: BarrelDecided) -> Sums:
            """What each flipped muon adds to the sums."""
            particles = self._born(fixed[0], batches, numbers)
            tracks = self._tracks(fixed[0], particles, rolled, decided)
            rows = np.arange(count), np.repeat([b.group for b in batches], [b.size for b in batches])
            columns = jax.tree.map(
                lambda c: jnp.zeros((count, len(self.groups), *c.shape[1:]), c.dtype).at[rows].set(c),
                columns_of(fixed[0], particles, tracks, self.source.charge),
            )
            losses, first = [], 0
            for b, known in zip(batches, others, strict=True):
                seen, truth = jax.tree.map(lambda x, i=first, b=b: x[i : i + b.size], (tracks, particles))
                # Whether a muon is displaced is known; the fraction is that of the exposure it stands in.
                fraction = jnp.zeros(b.exposures, dtype) if known is None else known.fraction
                losses.append(self._losses(head, b, known, exposures(seen, truth, fraction, fixed[1])))
                first += b.size
            return Sums(columns, jnp.concatenate(losses))

        both = jax.vmap(taken)(jax.tree.map(lambda x: jnp.stack([x, -x]), decided))
        on, off = (jax.tree.map(lambda x, i=i: x[i], both) for i in range(2))
        return (Flip(on, off, jnp.concatenate(weights), jnp.concatenate(handles)),)

    def _losses(
        self, head: Any, batch: _Batch, others: Exposures | None, flipped: Exposures
    ) -> Float[Array, "muons 2"]:
        """What the head's losses would be if they were sums over muons, of which each adds as much as the flipped one."""
        if not (self.exposure and batch.group == 0):
            return jnp.zeros((batch.size, 2), flipped.features.dtype)
        losses = head.scores(flipped) if others is None else head.swapped(others, flipped)
        return batch.muons * jnp.stack([loss.reshape(-1) for loss in losses], -1)

    def _born(self, design: Detector, batches: list[_Batch], numbers: list[Numbers]) -> Particles:
        """The muons of some batches, in a row."""
        B = solenoid(design)
        made = [born(self.source, n, B, *self.groups[b.group])[0] for b, n in zip(batches, numbers, strict=True)]
        return jax.tree.map(lambda *each: jnp.concatenate([x.reshape(-1) for x in each]), *made)

    def _seen(self, fixed: tuple[Detector, Array], numbers: Numbers, key: jax.Array) -> Exposures:
        """Whole exposures, as a head sees them."""
        design, condition = fixed
        made, fraction = born(self.source, numbers, solenoid(design))
        particles = jax.tree.map(lambda x: x.reshape(-1), made)
        rolled = draw_barrel(surfaces(design), key, len(particles.theta), self.physics)
        return exposures(self._tracks(design, particles, rolled), particles, fraction[:, 0], condition)

    def _tracks(
        self, design: Detector, particles: Particles, rolled: BarrelDraws, decided: BarrelDecided | None = None
    ) -> Tracks:
        hits = hits_in_barrel(design, particles, self.source.charge, self.physics, rolled, decided)
        return reconstruct(design, particles, hits, self.source.charge, self.physics, self.min_hits)

    def _onto_ends(
        self, design: Detector, fixed: Detector, numbers: list[Numbers], rolled: Dice, key: jax.Array
    ) -> "_Landed":
        """Muons on the ends of surfaces; how far inside they are follows the design."""
        batches, sizes = self._at_ends, [b.size for b in self._at_ends]
        numbers, count = numbers[: len(batches)], sum(sizes)
        rolled = jax.tree.map(lambda x: x[:count], rolled)
        end, chance = self._choose(fixed, key)
        rows, surface, upper = jnp.arange(count), *(jnp.asarray(x)[end] for x in self._ends[:2])

        def with_angles(u: Float[Array, " M"]) -> list[Numbers]:
            parts = jnp.split(u, np.cumsum(sizes)[:-1])
            return [n._replace(angle=p.reshape(n.angle.shape)) for n, p in zip(numbers, parts, strict=True)]

        def flown(design: Detector, numbers: list[Numbers]) -> Flight:
            particles = self._born(design, batches, numbers)
            charge = jnp.full_like(particles.momentum, self.source.charge)
            return barrel_flight(design, surfaces(design), particles, charge, self.physics, rolled).flight

        stacked = surfaces(fixed)
        ends = jnp.stack([stacked.low, stacked.high], -1)[surface, upper]
        radius = jnp.where(jnp.asarray(stacked.cylinder)[surface], stacked.position[surface], ends)
        momentum = self._born(fixed, batches, numbers).momentum
        cosines = np.repeat([[math.cos(a) for a in self.angles[b.group]] for b in batches], sizes, axis=0)
        landing = onto_end(
            lambda u: flown(fixed, with_angles(u)).room[rows, surface, upper],
            straight_to(stacked)[surface, upper],
            cosines,
            jnp.abs(stacked.position[surface]),
            reach(solenoid(fixed), momentum, radius),
            stream(key, "side"),
        )
        landing = jax.lax.stop_gradient(landing)
        # What stands nowhere, or where the source sends nothing, flies somewhere harmless.
        numbers = with_angles(jnp.where(landing.weight > 0, landing.number, 0.5))
        flight = flown(design, numbers)
        # A sum over as many muons as each batch has estimates a mean.
        weight = landing.weight / (chance * jnp.asarray(np.repeat(sizes, sizes), chance.dtype))
        there = (weight > 0) & flight.reached[rows, surface]
        room = jnp.where(there, flight.room[rows, surface, upper], 0.0)
        return _Landed(numbers, surface, upper, jnp.where(there, weight, 0.0), room)

    def _choose(self, fixed: Detector, key: jax.Array) -> tuple[Array, Array]:
        """An end for each muon, and how likely that choice was: where a straight line of the source's range leads."""
        slopes = straight_to(surfaces(fixed))[self._ends.surface, self._ends.upper]
        cosine, chosen, chance = slopes / jnp.sqrt(1 + slopes**2), [], []
        for i, b in enumerate(self._at_ends):
            first, last = (math.cos(a) for a in self.angles[b.group])
            within = jnp.abs((cosine - first) / (last - first) - 0.5) < 0.5 + _BEYOND
            worth = jnp.asarray(self._ends.share, cosine.dtype) * jnp.where(within, 1.0, _UNLIKELY)
            probability = worth / jnp.sum(worth)
            chosen.append(spread(probability, stream(key, str(i)), b.size))
            chance.append(probability[chosen[-1]])
        return jnp.concatenate(chosen), jnp.concatenate(chance)


class _Landed(NamedTuple):
    """M muons on ends."""

    numbers: list[Numbers]  # of each batch
    surface: Int[Array, " M"]
    upper: Int[Array, " M"]
    weight: Float[Array, " M"]
    room: Float[Array, " M"]  # how far inside, in mm
