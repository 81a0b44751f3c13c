"""What a design decides about muons of beam lines and portals, as flips (see `detopt.gradients.flips`).

Muons that gain or lose a plane or a body at its ends, hits that an efficiency decides on, cuts of the trigger.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.gradients.flips import Flip
from detopt.parameters import Space
from detopt.scoring.beam_muons import BeamMuons
from detopt.scoring.dependence import dependence
from detopt.simulation.beam_event import BeamDraws, Line, begin, fly_event, line_up, see, undecided
from detopt.simulation.edges import Edge, distance, edges_of, foreseen, onto_edge
from detopt.simulation.landing import Landing, land_anywhere, onto_circle, spread, tried
from detopt.simulation.rays import carriers_of
from detopt.simulation.streams import stream

__all__ = ["BeamFlips"]

# Of the muons of a chunk, one in so many is flipped as well.
FLIPPED = 16
UNFITTED = 4  # where no track is fitted, and a flip takes less time
HITS = 4  # for a hit that an efficiency decides on, where both sides share a flight, one in so many
CANDIDATES = 4  # and one in so many is looked at for it
_SPARE = 0.4
_UNLIKELY = 0.03  # how often what promises nothing is tried nevertheless
_FIXED = 0.03  # how often the edges of what does not move are tried, relative to the others
_FLAT = 1e-3  # cosine of the angle to a plane of a muon that hardly reaches it
_LEAST = 1e-30  # worth of what is never to be tried
_BOTH = np.array([1, -1], np.int32)  # with a decision taken, and without


class BeamFlips:
    """The flips of a chunk of muons: call it as flips(design, key)."""

    def __init__(self, muons: BeamMuons, space: Space, chunk: int) -> None:
        """
        Args:
            muons: of the study.
            space: the design variables; only what follows them is flipped, or tried often.
            chunk: muons whose mean the gradient is of; those of an exposure, where these belong together.
        """
        self.muons, self.space, self.chunk = muons, space, chunk
        self.flipped = math.ceil(chunk / (FLIPPED if muons.fits else UNFITTED))
        line = jax.eval_shape(lambda: line_up(space.detector).stops)
        share = np.zeros((len(line.names), 2))
        self.follows = dependence(self.space) if len(self.space) else None
        self.efficiencies = np.zeros(0, np.int32)  # of sensors whose efficiency is free
        if self.follows is not None:
            for first, last in line.elements:  # the slices of a slab share what one plane would have
                share[max(first, 0) : last + 1] = 1 / (last + 1 - first)
            share *= np.where(self.follows.edges.any(-1), 1.0, _FIXED)
            self.efficiencies = np.flatnonzero(self.follows.efficiency.any(-1)).astype(np.int32)
        self.edges = edges_of(line.bounded, share)
        # Where planes are level a muon has one slope along x and one along y, but for scattering.
        self.leads, self.lane = np.arange(len(self.edges.stop)), np.arange(len(self.edges.stop))
        if muons.unchanging.level and not line.field.shape[0]:
            self.leads, self.lane = np.unique(self.edges.axis, return_index=True, return_inverse=True)[1:]

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
                "cuts": self.muons.cuts and (follows.paths[i] or variable.name.startswith("trigger.")),
            }
            found[variable.name] = " + ".join(way for way, goes in ways.items() if goes) or "pathwise"
        return found

    def __call__(self, design: Detector, key: jax.Array) -> tuple[Flip, ...]:
        """Of one chunk. `design` is differentiated where it says how far a decision is away."""
        return self.on(self.muons.line(design), key)

    def on(self, moving: Line, key: jax.Array) -> tuple[Flip, ...]:
        """The same, of a detector that is lined up."""
        fixed = jax.lax.stop_gradient(moving)
        found = []
        if len(self.edges.stop):
            found.append(self._edge_flips(moving, fixed, stream(key, "edges")))
        if len(self.efficiencies):
            found.append(self._hit_flips(moving, fixed, stream(key, "hits")))
        ways = {"momentum": self._momentum_flips, "angle": self._angle_flips}
        found += [ways[cut](moving, fixed, i, stream(key, cut)) for i, cut in enumerate(self.muons.cuts)]
        return tuple(flip._replace(weight=self.muons.copies * flip.weight) for flip in found)

    def _edge_flips(self, moving: Line, fixed: Line, key: jax.Array) -> Flip:
        """Muons on the edges of planes and bodies."""
        count, dtype = self.flipped, moving.stops.middle.dtype
        drawn = self.muons.draws(key, math.ceil(self.chunk / CANDIDATES), dtype)
        worth, along = self._glance(fixed, drawn)
        event, edge, chance = tried(worth, along, stream(key, "which"), count, self.lane)
        draws = jax.tree.map(lambda x: x[..., event], drawn)
        stop, axis, side = (jnp.asarray(x)[edge] for x in self.edges[:3])
        edges = Edge(stop, axis, side.astype(dtype))
        rest = (self.muons.source, self.muons.start, self.muons.physics)

        def one(edge: Edge, draws: BeamDraws, key: jax.Array) -> tuple[Array, Array, Array, Array]:
            landing = jax.lax.stop_gradient(onto_edge(fixed, *rest, edge, draws, stream(key, "body")))
            held = landing.decided

            def taken(sign: Any) -> Array:
                decided = held._replace(within=held.within.at[edge.stop, edge.axis].set(sign))
                return self.muons.often(fixed, landing.draws, decided, key)

            on, off = jax.vmap(taken)(_BOTH)
            return on, off, landing.weight, distance(moving, *rest, edge, landing.draws, held)

        looks = jax.random.split(stream(key, "looks"), count)
        on, off, weight, handle = jax.vmap(one, in_axes=(0, -1, 0))(edges, draws, looks)
        return Flip(on, off, weight / chance / count, handle)

    def _glance(self, line: Line, draws: BeamDraws) -> tuple[Float[Array, "N E"], Float[Array, "N A"]]:
        """How much each event promises on each edge: tracks in all arms, by a glance at where it flew. And its slopes.

        What an edge gives to the gradient to a position along z is in proportion to the slope there.
        """
        dtype = line.stops.middle.dtype
        stop, axis = self.edges.stop[self.leads], self.edges.axis[self.leads]
        sensors = sorted({i for arm in self.muons.arms for i in arm.sensors})
        stops = np.array([line.sensors.at[i] for i in sensors], int)

        def one(draws: BeamDraws) -> tuple[Array, Array]:
            leg, _ = fly_event(line, self.muons.source, self.muons.start, self.muons.physics, draws)
            crossed = foreseen(line, self.muons.source, self.muons.start, self.edges, leg, stops)
            promise = jnp.ones(len(self.edges.stop))
            for arm in self.muons.arms:
                mine = np.array([sensors.index(i) for i in arm.sensors])
                spare = jnp.sum(crossed[:, mine], axis=1) - arm.min_hits
                # Most is lost with a hit where none is to spare.
                own = jnp.asarray(np.isin(self.edges.stop, stops[mine]))
                promise = promise * jnp.where(spare < 0, 0.0, jnp.where(own & (spare > 0), _SPARE, 1.0))
            sides, direction = line.stops.axes[stop], leg.before.direction[stop]
            slope = jnp.sum(sides[np.arange(len(stop)), axis] * direction, axis=-1)
            facing = jnp.maximum(jnp.abs(jnp.sum(sides[:, 2] * direction, axis=-1)), _FLAT)
            worth = jnp.maximum(promise, _UNLIKELY).astype(dtype) * jnp.asarray(self.edges.probability, dtype)
            return worth, slope / facing

        return jax.lax.stop_gradient(jax.vmap(one, in_axes=-1)(draws))

    def _hit_flips(self, moving: Line, fixed: Line, key: jax.Array) -> Flip:
        """Hits that are there or not."""
        count, number = math.ceil(self.chunk / HITS), len(self.efficiencies)
        draws = self.muons.draws(key, count, moving.stops.middle.dtype)
        sensor = jnp.asarray(self.efficiencies)[spread(jnp.full(number, 1 / number), stream(key, "which"), count)]

        def one(sensor: Array, draws: BeamDraws, key: jax.Array) -> tuple[Array, Array]:
            nothing = undecided(fixed)

            def taken(sign: Any) -> Array:
                return self.muons.often(fixed, draws, nothing._replace(fires=nothing.fires.at[sensor].set(sign)), key)

            on, off = jax.vmap(taken)(_BOTH)
            return on, off

        on, off = jax.vmap(one, in_axes=(0, -1, 0))(sensor, draws, jax.random.split(stream(key, "looks"), count))
        handle = moving.sensors.efficiency[sensor]
        return Flip(on, off, jnp.full(count, number / count, handle.dtype), handle)

    def _momentum_flips(self, moving: Line, fixed: Line, cut: int, key: jax.Array) -> Flip:
        """Muons that just pass a cut on the momentum: their own carries them there.

        It cuts on tracks, so that muons are tried which have them in all arms.
        """
        count, dtype = self.flipped, moving.stops.middle.dtype
        drawn = self.muons.draws(key, math.ceil(self.chunk / CANDIDATES), dtype)

        def promise(draws: BeamDraws) -> Array:
            nothing = undecided(fixed)
            fired = see(fixed, self.muons.flown(fixed, draws, nothing)[0], draws, nothing).fired
            return jnp.where(self.muons.enough(fired), jnp.ones(1, dtype), _UNLIKELY)

        event, _, chance = tried(jax.vmap(promise, in_axes=-1)(drawn), None, stream(key, "which"), count)
        draws = jax.tree.map(lambda x: x[..., event], drawn)
        carrier = carriers_of(self.muons.source, self.muons.start.frame)["momentum"]

        def margin(line: Line, draws: BeamDraws) -> Array:
            return self.muons.margin(cut, line, draws)

        def one(draws: BeamDraws, key: jax.Array) -> tuple[Array, Array, Array, Array]:
            def along(s: Array) -> BeamDraws:
                return draws._replace(numbers={**draws.numbers, carrier.name: carrier.back(s)})

            landing = jax.lax.stop_gradient(
                land_anywhere(lambda d: margin(fixed, d), along, carrier.ends, carrier.density, key, dtype)
            )
            on, off = self.muons.with_and_without(cut, fixed, landing.draws)
            return on, off, landing.weight, margin(moving, landing.draws)

        on, off, weight, handle = jax.vmap(one, in_axes=(-1, 0))(draws, jax.random.split(stream(key, "roots"), count))
        return Flip(on, off, weight / chance / count, jnp.where(weight > 0, handle, 0.0))

    def _angle_flips(self, moving: Line, fixed: Line, cut: int, key: jax.Array) -> Flip:
        """Muons that just pass a cut on the angle by which they are scattered: the errors of their hits carry them there.

        These move nothing else, and the kink is linear in them.
        """
        count, dtype, muons = self.flipped, moving.stops.middle.dtype, self.muons
        drawn = muons.draws(key, math.ceil(self.chunk / CANDIDATES), dtype)
        nothing, limit = undecided(fixed), fixed.trigger.angle

        def places(draws: BeamDraws) -> Landing:
            """Errors of the hits at four places, and how many muons there are."""
            flown = muons.flown(fixed, draws, nothing)

            def kink(errors: Array) -> Array:
                tracks = muons.reconstructed(fixed, flown, draws._replace(errors=errors), nothing).tracks
                both = tracks[0].found & tracks[-1].found
                return jnp.where(both, tracks[-1].parameters[2:4] - tracks[0].parameters[2:4], 0.0)

            return onto_circle(kink, draws.errors, limit)

        def worth(draws: BeamDraws) -> Array:
            return places(draws).weight * begin(muons.source, muons.start, draws.numbers)[2]

        event, place, chance = tried(
            jnp.maximum(jax.vmap(worth, in_axes=-1)(drawn), _LEAST), None, stream(key, "which"), count
        )
        draws = jax.tree.map(lambda x: x[..., event], drawn)

        def one(draws: BeamDraws, place: Array) -> tuple[Array, Array, Array, Array]:
            landing = jax.lax.stop_gradient(jax.tree.map(lambda x: x[place], places(draws)))
            landed = draws._replace(errors=landing.draws)
            on, off = muons.with_and_without(cut, fixed, landed)
            return on, off, landing.weight, muons.margin(cut, moving, landed)

        on, off, weight, handle = jax.vmap(one, in_axes=(-1, 0))(draws, place)
        return Flip(on, off, weight / chance / count, jnp.where(weight > 0, handle, 0.0))
