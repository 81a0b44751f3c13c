"""`evaluate` of beam lines and portals in `sampled` mode, with gradients that count every edge, hit and cut.

Pathwise: positions of hits, widths of scattering, resolutions, fields. By flips (see `detopt.gradients.flips`): muons that
gain or lose a plane or a body at its ends, hits that an efficiency decides on, cuts of the trigger.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.arms import Arm
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector
from detopt.gradients.flips import Flip, with_flips
from detopt.parameters import Space
from detopt.reconstruction.arms import ArmTrack, Reconstructed, fit_arm
from detopt.scoring.chunks import ChunkedEvaluator
from detopt.scoring.dependence import dependence
from detopt.scoring.evaluate import View, score_terms
from detopt.scoring.muon_statistics import needs_tracks, statistics_of
from detopt.scoring.score import Score
from detopt.simulation.beam_event import (
    BeamDraws,
    Decided,
    Line,
    begin,
    draw_events,
    fly_event,
    line_up,
    see,
    undecided,
)
from detopt.simulation.draws import DENSITIES, Start
from detopt.simulation.edges import Edge, distance, edges_of, foreseen, onto_edge
from detopt.simulation.flight import Leg, Muon
from detopt.simulation.landing import land_anywhere, spread, tried
from detopt.simulation.physics import Physics
from detopt.simulation.rays import carriers_of, normals_of
from detopt.simulation.source import Beam, Gun, Source
from detopt.simulation.streams import stream

__all__ = ["BeamEvaluator"]

# Of the muons of a chunk, one in so many is flipped as well.
FLIPPED = 16
UNFITTED = 4  # where no track is fitted, and a flip takes less time
HITS = 4  # for a hit that an efficiency decides on, where both sides share a flight, one in so many
LOOKS = 10  # how often the sensors look at one flight, where that is cheap
CANDIDATES = 4  # and one in so many is looked at for it
_SPARE = 0.4
_UNLIKELY = 0.03  # how often what promises nothing is tried nevertheless
_FIXED = 0.03  # how often the edges of what does not move are tried, relative to the others
_FLAT = 1e-3  # cosine of the angle to a plane of a muon that hardly reaches it
_BOTH = np.array([1, -1], np.int32)  # with a decision taken, and without
_CUTS = ("momentum", "angle")


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
        precision: Any = None,
    ) -> None:
        """
        Args (beside those of `ChunkedEvaluator`):
            start: where particles begin; it must not follow the design.
            arms: which sensors make a track.
        """
        super().__init__(objectives, constraints, prices, source, physics, space, events, precision=precision)
        self.start, self.arms = start, arms
        self.terms = [t for t in (*self.objectives.values(), *self.constraints.values()) if not _is_about_design(t)]
        self._fits = any(map(needs_tracks, self.terms)) or space.detector.trigger is not None
        self.flipped = math.ceil(self.chunk / (FLIPPED if self._fits else UNFITTED))
        self._looks = 1 if self._fits else LOOKS
        self._look_at_design()

    def _look_at_design(self) -> None:
        """What follows the design variables: only that is flipped, or tried often."""
        line = jax.eval_shape(lambda: line_up(self.space.detector).stops)
        self.names, self.sensors = line.names, tuple(s.name for s in self.space.detector.sensors())
        share = np.zeros((len(self.names), 2))
        self.follows = dependence(self.space) if len(self.space) else None
        self.efficiencies = np.zeros(0, np.int32)  # of sensors whose efficiency is free
        if self.follows is not None:
            for first, last in line.elements:  # the slices of a slab share what one plane would have
                share[max(first, 0) : last + 1] = 1 / (last + 1 - first)
            share *= np.where(self.follows.edges.any(-1), 1.0, _FIXED)
            self.efficiencies = np.flatnonzero(self.follows.efficiency.any(-1)).astype(np.int32)
        self.edges = edges_of(line.bounded, share)

    def estimators(self) -> dict[str, str]:
        """How the gradient to each variable comes about."""
        follows, found = self.follows, {}
        if follows is None:
            return {}
        for i, variable in enumerate(self.space.variables):
            ways = {
                "pathwise": follows.paths[i],
                "edges": len(self.edges.stop) and (follows.paths[i] or follows.ends[..., i].any()),
                "hits": follows.efficiency[:, i].any(),
                "cuts": self.cuts and (follows.paths[i] or variable.name.startswith("trigger.")),
            }
            found[variable.name] = " + ".join(way for way, goes in ways.items() if goes) or "pathwise"
        return found

    @property
    def spreads(self) -> bool:
        """Whether the muons of the source start in different ways."""
        if isinstance(self.source, Gun):
            low, high = self.source.angles(self.start.frame)
            return bool(low < high)
        return not isinstance(self.source, Beam) or any((*self.source.spot, *self.source.divergence))

    def lost(self, design: Detector, key: jax.Array, count: int) -> Float[Array, ""]:
        """Fraction of the muons that stop on the way, or turn back in a field."""
        line = line_up(self._cast(design))
        draws = self._draws(key, count, line.stops.middle.dtype)
        legs, _ = jax.vmap(lambda d: fly_event(line, self.source, self.start, self.physics, d))(draws)
        return jnp.mean((legs.crossed & ~legs.after.alive).any(-1))

    def quiet(self, design: Detector) -> Bool[Array, " s"]:
        """Which stops a muon crosses that starts in the middle of the source and is not scattered."""
        line = line_up(self._cast(design))
        still = jax.tree.map(lambda x: x[0], self._draws(jax.random.key(0), 1, line.stops.middle.dtype))
        numbers = {n: jnp.zeros_like(x) if n in normals_of(self.source) else x for n, x in still.numbers.items()}
        straight = replace(self.physics, tails=False, straggling=False)
        zero = still._replace(numbers=numbers, dice=jax.tree.map(jnp.zeros_like, still.dice))
        return fly_event(line, self.source, self.start, straight, zero)[0].crossed

    @property
    def cuts(self) -> tuple[str, ...]:
        """What the trigger looks at."""
        trigger = self.space.detector.trigger
        return tuple(name for name in _CUTS if trigger is not None and getattr(trigger, name) is not None)

    # -- one muon --------------------------------------------------------------------------------------------------------

    def muon(self, line: Line, draws: BeamDraws, decided: Decided) -> Reconstructed:
        """Simulate and reconstruct one muon."""
        return self._reconstructed(line, self._flown(line, draws, decided), draws, decided)

    def _flown(self, line: Line, draws: BeamDraws, decided: Decided) -> tuple[Leg, Muon, Array, Array]:
        """What it does, where it starts, its charge and its weight."""
        leg, _ = fly_event(line, self.source, self.start, self.physics, draws, decided)
        return leg, *begin(self.source, self.start, draws.numbers)

    def _reconstructed(
        self, line: Line, flown: tuple[Leg, Muon, Array, Array], draws: BeamDraws, decided: Decided
    ) -> Reconstructed:
        leg, muon, charge, weight = flown
        sight = see(line, leg, draws, decided)
        tracks: tuple[ArmTrack, ...] = ()
        passes = self._enough(sight.seen)
        if self._fits:
            tracks = tuple(
                fit_arm(line.stops, leg, charge, line.sensors, sight, arm, self.physics) for arm in self.arms
            )
            passes = passes & jnp.stack([t.found for t in tracks]).all() if tracks else passes
        for i, cut in enumerate(self.cuts):
            margin = _margin(cut, line.trigger, tracks)
            passes = passes & jnp.where(decided.passes[i] == 0, margin > 0, decided.passes[i] > 0)
        return Reconstructed(
            weight, muon.momentum, charge, sight.seen, sight.position, line.sensors.resolution, tracks, passes
        )

    def _enough(self, seen: Bool[Array, " n"]) -> Bool[Array, ""]:
        """Whether each arm has the hits that it needs."""
        arms = [jnp.sum(seen[np.array(arm.sensors)]) >= arm.min_hits for arm in self.arms]
        return jnp.stack(arms).all() if arms else jnp.ones((), bool)

    def _statistics(self, line: Line, draws: BeamDraws, decided: Decided) -> Float[Array, " k"]:
        """Of one muon: its weight, then that times the statistics of each term."""
        return self._columns(self.muon(line, draws, decided))

    def _columns(self, muon: Reconstructed) -> Float[Array, " k"]:
        columns = [jnp.ones(1, muon.weight.dtype), *(statistics_of(term, muon) for term in self.terms)]
        return muon.weight * jnp.concatenate(columns)

    def _often(self, line: Line, draws: BeamDraws, decided: Decided, key: jax.Array) -> Float[Array, " k"]:
        """The same flight, seen by the sensors several times: where no track is fitted that costs little."""
        if self._looks == 1:
            return self._statistics(line, draws, decided)
        flown, dtype = self._flown(line, draws, decided), draws.errors.dtype

        def once(key: jax.Array) -> Array:
            first, second = jax.random.split(key)
            again = draws._replace(
                errors=jax.random.normal(first, draws.errors.shape, dtype),
                chance=jax.random.uniform(second, draws.chance.shape, dtype),
            )
            return self._columns(self._reconstructed(line, flown, again, decided))

        return jnp.mean(jax.vmap(once)(jax.random.split(key, self._looks)), axis=0)

    # -- a chunk ---------------------------------------------------------------------------------------------------------

    def _draws(self, key: jax.Array, count: int, dtype: Any) -> BeamDraws:
        return draw_events(self.source, self.names, self.sensors, self.physics, key, count, dtype)

    def _chunk(self, design: Detector, key: jax.Array) -> Float[Array, " k"]:
        line = line_up(design)
        draws, decided = self._draws(key, self.chunk, line.stops.middle.dtype), undecided(line)
        looks = jax.random.split(stream(key, "looks"), self.chunk)
        return jnp.mean(jax.vmap(lambda d, k: self._often(line, d, decided, k))(draws, looks), axis=0)

    def _flips(self, design: Detector, key: jax.Array) -> tuple[Flip, ...]:
        moving = line_up(design)
        fixed = jax.lax.stop_gradient(moving)
        found = []
        if len(self.edges.stop):
            found.append(self._edge_flips(moving, fixed, stream(key, "edges")))
        if len(self.efficiencies):
            found.append(self._hit_flips(moving, fixed, stream(key, "hits")))
        ways = {"momentum": self._momentum_flips, "angle": self._angle_flips}
        found += [ways[cut](moving, fixed, i, stream(key, cut)) for i, cut in enumerate(self.cuts)]
        return tuple(found)

    def _edge_flips(self, moving: Line, fixed: Line, key: jax.Array) -> Flip:
        """Muons on the edges of planes and bodies."""
        count, dtype = self.flipped, moving.stops.middle.dtype
        drawn = self._draws(key, math.ceil(self.chunk / CANDIDATES), dtype)
        event, edge, chance = tried(*self._glance(fixed, drawn), stream(key, "which"), count)
        draws = jax.tree.map(lambda x: x[event], drawn)
        stop, axis, side = (jnp.asarray(x)[edge] for x in self.edges[:3])
        edges = Edge(stop, axis, side.astype(dtype))
        rest = (self.source, self.start, self.physics)

        def one(edge: Edge, draws: BeamDraws, key: jax.Array) -> tuple[Array, Array, Array, Array]:
            landing = jax.lax.stop_gradient(onto_edge(fixed, *rest, edge, draws, stream(key, "body")))
            held = landing.decided

            def taken(sign: Any) -> Array:
                decided = held._replace(within=held.within.at[edge.stop, edge.axis].set(sign))
                return self._often(fixed, landing.draws, decided, key)

            on, off = jax.vmap(taken)(_BOTH)
            return on, off, landing.weight, distance(moving, *rest, edge, landing.draws, held)

        looks = jax.random.split(stream(key, "looks"), count)
        on, off, weight, handle = jax.vmap(one)(edges, draws, looks)
        return Flip(on, off, weight / chance / count, handle)

    def _glance(self, line: Line, draws: BeamDraws) -> tuple[Float[Array, "N E"], Float[Array, "N E"]]:
        """How much each event promises on each edge: tracks in all arms, by a glance at where it flew. And its slope there.

        What an edge gives to the gradient to a position along z is in proportion to that slope.
        """
        dtype, stop = line.stops.middle.dtype, self.edges.stop

        def one(draws: BeamDraws) -> tuple[Array, Array]:
            leg, _ = fly_event(line, self.source, self.start, self.physics, draws)
            crossed = foreseen(line, self.source, self.start, self.edges, leg)
            promise = jnp.ones(len(self.edges.stop))
            for arm in self.arms:
                at = np.array([line.sensors.at[i] for i in arm.sensors])
                spare = jnp.sum(crossed[:, at], axis=1) - arm.min_hits
                # Most is lost with a hit where none is to spare.
                own = jnp.asarray(np.isin(self.edges.stop, at))
                promise = promise * jnp.where(spare < 0, 0.0, jnp.where(own & (spare > 0), _SPARE, 1.0))
            sides, direction = line.stops.axes[stop], leg.before.direction[stop]
            slope = jnp.sum(sides[np.arange(len(stop)), self.edges.axis] * direction, axis=-1)
            facing = jnp.maximum(jnp.abs(jnp.sum(sides[:, 2] * direction, axis=-1)), _FLAT)
            worth = jnp.maximum(promise, _UNLIKELY).astype(dtype) * jnp.asarray(self.edges.probability, dtype)
            return worth, slope / facing

        return jax.lax.stop_gradient(jax.vmap(one)(draws))

    def _hit_flips(self, moving: Line, fixed: Line, key: jax.Array) -> Flip:
        """Hits that are there or not."""
        count, number = math.ceil(self.chunk / HITS), len(self.efficiencies)
        draws = self._draws(key, count, moving.stops.middle.dtype)
        sensor = jnp.asarray(self.efficiencies)[spread(jnp.full(number, 1 / number), stream(key, "which"), count)]

        def one(sensor: Array, draws: BeamDraws, key: jax.Array) -> tuple[Array, Array]:
            nothing = undecided(fixed)

            def taken(sign: Any) -> Array:
                return self._often(fixed, draws, nothing._replace(fires=nothing.fires.at[sensor].set(sign)), key)

            on, off = jax.vmap(taken)(_BOTH)
            return on, off

        on, off = jax.vmap(one)(sensor, draws, jax.random.split(stream(key, "looks"), count))
        handle = moving.sensors.efficiency[sensor]
        return Flip(on, off, jnp.full(count, number / count, handle.dtype), handle)

    def _momentum_flips(self, moving: Line, fixed: Line, cut: int, key: jax.Array) -> Flip:
        """Muons that just pass a cut on the momentum: their own carries them there.

        It cuts on tracks, so that muons are tried which have them in all arms.
        """
        count, dtype = self.flipped, moving.stops.middle.dtype
        drawn = self._draws(key, math.ceil(self.chunk / CANDIDATES), dtype)

        def promise(draws: BeamDraws) -> Array:
            nothing = undecided(fixed)
            seen = see(fixed, self._flown(fixed, draws, nothing)[0], draws, nothing).seen
            return jnp.where(self._enough(seen), jnp.ones(1, dtype), _UNLIKELY)

        event, _, chance = tried(jax.vmap(promise)(drawn), None, stream(key, "which"), count)
        draws = jax.tree.map(lambda x: x[event], drawn)
        carrier = carriers_of(self.source, self.start.frame)["momentum"]

        def margin(line: Line, draws: BeamDraws) -> Array:
            return self._passed_by(cut, line, draws)

        def one(draws: BeamDraws, key: jax.Array) -> tuple[Array, Array, Array, Array]:
            def along(s: Array) -> BeamDraws:
                return draws._replace(numbers={**draws.numbers, carrier.name: carrier.back(s)})

            landing = jax.lax.stop_gradient(
                land_anywhere(lambda d: margin(fixed, d), along, carrier.ends, carrier.density, key, dtype)
            )
            on, off = self._with_and_without(cut, fixed, landing.draws)
            return on, off, landing.weight, margin(moving, landing.draws)

        on, off, weight, handle = jax.vmap(one)(draws, jax.random.split(stream(key, "roots"), count))
        return Flip(on, off, weight / chance / count, jnp.where(weight > 0, handle, 0.0))

    def _angle_flips(self, moving: Line, fixed: Line, cut: int, key: jax.Array) -> Flip:
        """Muons that just pass a cut on the angle by which they are scattered: the errors of their hits carry them there.

        These move nothing else. The kink k, two numbers, is linear in the errors. Along a unit vector w of all errors it is
        k + t d, and meets the cut, |k| = c, at two t or none; the density of ln |k| there is that of a normal number over
        |k.d| / c^2. Two such w are tried, of the largest change of either number of k, and each point of the circle is
        counted in shares (k.d)^2 by both, so that no weight grows without bound where k moves along the circle.
        """
        count, dtype = self.flipped, moving.stops.middle.dtype
        drawn = self._draws(key, math.ceil(self.chunk / CANDIDATES), dtype)
        nothing, limit = undecided(fixed), fixed.trigger.angle

        def places(draws: BeamDraws) -> tuple[Array, Array]:
            """Errors of the hits at four places, and the density of the margin there times the weight of the muon."""
            flown = self._flown(fixed, draws, nothing)

            def kink(errors: Array) -> Array:
                tracks = self._reconstructed(fixed, flown, draws._replace(errors=errors), nothing).tracks
                both = tracks[0].found & tracks[-1].found
                return jnp.where(both, tracks[-1].parameters[2:4] - tracks[0].parameters[2:4], 0.0)

            change = jax.jacrev(kink)(jnp.zeros_like(draws.errors))  # (2, n, 2)
            length = jnp.sqrt(jnp.sum(change**2, axis=(1, 2)))
            some = length > 0
            way = change / jnp.where(some, length, 1.0)[:, None, None]
            along = jnp.einsum("bij,aij->ab", change, way)  # d, for each way
            k, here = kink(draws.errors), jnp.sum(way * draws.errors[None], axis=(1, 2))
            square, middle = jnp.sum(along**2, axis=1), jnp.sum(along * k[None], axis=1)
            left = middle**2 - square * (jnp.sum(k**2) - limit**2)
            met = some & (left > 0)
            root = jnp.sqrt(jnp.where(met, left, 1.0))
            t = jnp.stack([root - middle, -root - middle]) / jnp.where(some, square, 1.0)[None]  # (2, a)
            there = k[None, None] + t[..., None] * along[None]
            turned = jnp.einsum("rab,cb->rac", there, along)  # k.d of both ways, where one has brought it
            own = jnp.diagonal(turned, axis1=1, axis2=2)
            share = jnp.abs(own) / jnp.maximum(jnp.sum(turned**2, axis=-1), 1e-30)
            density = jnp.where(met[None], DENSITIES["normal"](here[None] + t) * share * limit**2, 0.0)
            errors = draws.errors[None, None] + t[..., None, None] * way[None]
            return errors.reshape(4, *draws.errors.shape), density.reshape(4) * flown[3]

        worth = jax.vmap(lambda d: places(d)[1])(drawn)
        event, place, chance = tried(jnp.maximum(worth, 1e-30), None, stream(key, "which"), count)
        draws = jax.tree.map(lambda x: x[event], drawn)

        def one(draws: BeamDraws, place: Array) -> tuple[Array, Array, Array, Array]:
            errors, density = (x[place] for x in places(draws))
            landed = jax.lax.stop_gradient(draws._replace(errors=errors))
            weight = begin(self.source, self.start, draws.numbers)[2]
            on, off = self._with_and_without(cut, fixed, landed)
            handle = self._passed_by(cut, moving, landed)
            return on, off, density / jnp.where(weight > 0, weight, 1.0), handle

        on, off, weight, handle = jax.vmap(one)(draws, place)
        weight = jax.lax.stop_gradient(weight)
        return Flip(on, off, weight / chance / count, jnp.where(weight > 0, handle, 0.0))

    def _passed_by(self, cut: int, line: Line, draws: BeamDraws) -> Float[Array, ""]:
        """How far a muon passes a cut."""
        return _margin(self.cuts[cut], line.trigger, self.muon(line, draws, undecided(line)).tracks)

    def _with_and_without(self, cut: int, line: Line, draws: BeamDraws) -> tuple[Array, Array]:
        """The statistics of a muon that passes a cut, and of one that does not."""
        nothing = undecided(line)

        def taken(sign: Any) -> Array:
            return self._statistics(line, draws, nothing._replace(passes=nothing.passes.at[cut].set(sign)))

        on, off = jax.vmap(taken)(_BOTH)
        return on, off

    # -- the score ---------------------------------------------------------------------------------------------------------

    def _sums(self, design: Detector, head: Any, key: jax.Array) -> Float[Array, "chunks k"]:
        small = self._cast(design)
        chunk = with_flips(self._chunk, self._flips)

        def step(_: None, key: jax.Array) -> tuple[None, Array]:
            return None, chunk(small, key)

        return jax.lax.scan(step, None, jax.random.split(key, self.chunks))[1]

    def _readout(self, design: Detector, mean: Float[Array, " k"]) -> Score:
        means, first = {}, 1
        for term in self.terms:
            size = self._size(term)
            means[term] = mean[first : first + size] / mean[0]
            first += size
        view = View(design, self.prices, None, {}, means=means)
        return score_terms(self.objectives, self.constraints, view)

    def _size(self, term: Any) -> int:
        """Number of statistics of a term."""
        design = self.space.detector

        def of_one(key: jax.Array) -> Array:
            line = line_up(design)
            draws = jax.tree.map(lambda x: x[0], self._draws(key, 1, line.stops.middle.dtype))
            return statistics_of(term, self.muon(line, draws, undecided(line)))

        return jax.eval_shape(of_one, jax.random.key(0)).shape[0]


def _is_about_design(term: Any) -> bool:
    """Whether a term needs no muons."""
    return not hasattr(term, "statistics") and not hasattr(term, "momentum")


def _margin(cut: str, trigger: Any, tracks: tuple[ArmTrack, ...]) -> Float[Array, ""]:
    """How far a muon passes a cut, as the logarithm of a ratio."""
    tiny = 1e-12
    if cut == "momentum":
        curved = next(t for t in tracks if len(t.parameters) == 5)
        return -jnp.log(jnp.abs(jnp.where(curved.found, curved.parameters[4], 1.0)) + tiny) - jnp.log(trigger.momentum)
    first, last = tracks[0], tracks[-1]
    both = first.found & last.found
    kink = jnp.where(both, last.parameters[2:4] - first.parameters[2:4], 1.0)
    return 0.5 * jnp.log(jnp.sum(kink**2) + tiny) - jnp.log(trigger.angle)
