"""Muons moved onto the edges of planes and bodies: what the gradient of an acceptance is made of.

The event stays the same but for one continuous draw, which is solved for: the number of the source that carries the muon
sideways, where it has one; otherwise one direction in the space of all its normal numbers, those of a beam's spot and
divergence and those of scattering, the direction in which the muon moves most. Along any fixed direction, independent
normal numbers are normal.

A muon that is carried past the side of a body loses its slices one by one, and each takes its own scatter away: there may be
several places where it stands on the edge, or none. The places are found by holding fixed which slices are crossed: the
muon stands at s', crosses there the slices P, and on with these it is on the edge at r. For s' of density q, r counts if it
is within half of a width h of s', over h q(s'): each place of the true flight whose slices are crossed within h/2 counts
once, on average. What remains is that the sides of bodies are blurred by h, a fraction of their span.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.simulation.beam_event import BeamDraws, Decided, Line, begin, fly_event, undecided
from detopt.simulation.draws import DENSITIES, Carrier, Start
from detopt.simulation.flight import Leg
from detopt.simulation.landing import land
from detopt.simulation.physics import Physics
from detopt.simulation.rays import carriers_of, normals_of
from detopt.simulation.source import Cosmic, Source

__all__ = ["Edge", "Edges", "OnEdge", "distance", "edges_of", "foreseen", "onto_edge"]

_MISSED = 0.01  # of half the span: what is further from the edge before the last step has not landed
_BLUR = 0.2  # of the span of a body; of a voxel half
_STEPS = 3
_FAR = 6.0  # in units of a normal number's width


# Along a scale, from where, how dense, and between which ends.
Way = tuple[Callable[[Array], BeamDraws], Array, Callable[[Array], Array], tuple[Array, Array]]


class Edges(NamedTuple):
    """All E edges that muons may be moved onto, and how often each is tried."""

    stop: Int[np.ndarray, " E"]
    axis: Int[np.ndarray, " E"]
    side: Float[np.ndarray, " E"]  # +1 or -1
    probability: Float[np.ndarray, " E"]


class Edge(NamedTuple):
    """One of them."""

    stop: Int[Array, ""]
    axis: Int[Array, ""]
    side: Float[Array, ""]


def edges_of(bounded: tuple[bool, ...], share: Float[np.ndarray, "s 2"]) -> Edges:
    """The four sides of every stop that ends, tried as often as the share of its axis says."""
    rows = [
        (i, axis, side)
        for i, ends in enumerate(bounded)
        for axis in (0, 1)
        for side in (-1.0, 1.0)
        if ends and share[i, axis] > 0
    ]
    chance = np.array([share[i, axis] for i, axis, _ in rows])
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return Edges(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int32),
        np.array(columns[2]),
        chance / max(chance.sum(), 1),
    )


class OnEdge(NamedTuple):
    """A muon on an edge, and which bodies in front of it are taken to be crossed on the way."""

    draws: BeamDraws
    weight: Float[Array, ""]  # see `Landing`
    decided: Decided


def distance(
    line: Line, source: Source, start: Start, physics: Physics, edge: Edge, draws: BeamDraws, decided: Decided
) -> Float[Array, ""]:
    """How far a muon is inside an edge, in mm."""
    leg, _ = fly_event(line, source, start, physics, draws, decided)
    return _inside(line, leg, edge)


def _inside(line: Line, leg: Leg, edge: Edge) -> Float[Array, ""]:
    return line.stops.half[edge.stop, edge.axis] - edge.side * leg.local[edge.stop, edge.axis]


def _straight_on(line: Line, leg: Leg, edge: Edge) -> Float[Array, " s"]:
    """How far inside an edge a muon would be that flies straight on from behind each stop."""
    middle, axes, ahead = line.stops.middle[edge.stop], line.stops.axes[edge.stop], leg.after.direction
    facing = jnp.sum(ahead * axes[2][None], axis=-1)
    path = jnp.sum((middle[None] - leg.after.position) * axes[2][None], axis=-1)
    there = leg.after.position + (path / jnp.where(facing == 0, 1.0, facing))[:, None] * ahead - middle[None]
    return line.stops.half[edge.stop, edge.axis] - edge.side * jnp.sum(there * axes[edge.axis][None], axis=-1)


def onto_edge(
    line: Line, source: Source, start: Start, physics: Physics, edge: Edge, draws: BeamDraws, key: jax.Array
) -> OnEdge:
    """Move a muon onto an edge. Nothing here is differentiated afterwards."""
    carriers = carriers_of(source, start.frame)
    missed = _MISSED * line.stops.half[edge.stop, edge.axis]

    def flown(moved: BeamDraws, decided: Decided | None = None) -> Leg:
        return fly_event(line, source, start, physics, moved, decided)[0]

    def inside(moved: BeamDraws) -> Array:
        return _inside(line, flown(moved), edge)

    if "x" in carriers and "y" in carriers:
        way = _by_number(draws, carriers["x"], carriers["y"], edge.axis == 0)
        parallel = isinstance(source, Cosmic)  # of others a number may turn the flight
    else:
        way, parallel = _by_direction(draws, normals_of(source), inside), False
    if not (np.array(line.stops.bulk) & line.stops.bounded).any():
        landing = land(inside, *way[:3], missed)
        return OnEdge(landing.draws, landing.weight, undecided(line))
    shifts = parallel and not line.stops.tilted and not len(line.stops.field)

    def shift(s: Array) -> Array:
        """The slope of the distance: that of where the muon starts."""

        def place(s: Array) -> Array:
            return begin(source, start, way[0](s).numbers)[0].position[:2]

        moved = jax.jvp(place, (s,), (jnp.ones_like(s),))[1]
        return -edge.side * jnp.where(edge.axis == 0, moved[0], moved[1])

    steps = 1 if parallel else _STEPS
    return _past_bodies(line, flown, edge, way, missed, key, steps, shift if shifts else None)


def _past_bodies(
    line: Line,
    flown: Callable[..., Leg],
    edge: Edge,
    way: Way,
    missed: Array,
    key: jax.Array,
    steps: int,
    shift: Callable[[Array], Array] | None,
) -> OnEdge:
    """Where bodies may be crossed or missed, see above. `shift` is the slope of the distance where it is known."""
    along, begin, density, (first, final) = way
    stops = line.stops
    place = jnp.argsort(stops.order)
    bodies = jnp.array(stops.bulk) & (stops.half < jnp.inf).any(-1) & (place < place[edge.stop])

    def held(crossed: Array, voxel: Array | None = None) -> Decided:
        """The slices in front of the edge that are crossed, and no others; of volumes, as which voxels."""
        within, nothing = jnp.where(bodies, jnp.where(crossed, 1, -1), 0).astype(jnp.int32), undecided(line)
        voxel = nothing.voxel if voxel is None else jnp.where(bodies, voxel, -1)
        return nothing._replace(within=jnp.stack([within, within], axis=-1), voxel=voxel)

    def here(s: Array, decided: Decided) -> tuple[Array, Array, Leg]:
        """How far inside, its slope, and the flight."""

        def inside(s: Array) -> tuple[Array, Leg]:
            leg = flown(along(s), decided)
            return _inside(line, leg, edge), leg

        if shift is not None:  # all of the flight moves alike
            value, leg = inside(s)
            return value, shift(s), leg
        value, slope, leg = jax.jvp(inside, (s,), (jnp.ones_like(s),), has_aux=True)
        return value, jnp.where(slope == 0, 1.0, slope), leg

    # Without any of the bodies, and with all of them at their densest: between these two it is looked for.
    densest = None if stops.voxels is None else stops.voxels.densest
    every, none = held(jnp.ones_like(bodies), densest), held(jnp.zeros_like(bodies))
    grain = _BLUR * 2 * stops.half
    if stops.voxels is not None:
        grain = jnp.where(stops.voxels.first[:, None] < 0, grain, stops.half / stops.voxels.number)
    some = bodies.any()
    blur = jnp.where(some, jnp.min(jnp.where(bodies[:, None], grain, jnp.inf)), 1.0)
    chance = jax.random.uniform(key, (), begin.dtype)

    def nearer(at: _Search, value: Array, slope: Array, leg: Leg) -> _Search:
        """Without bodies; the last time the next flight is from the same place, with all of them."""
        del leg
        last = at.step == steps - 1
        decided = jax.tree.map(lambda a, b: jnp.where(last, a, b), every, none)
        there = at.s - value / slope
        return at._replace(s=jnp.where(last, at.s, there), clear=there, slope=slope, decided=decided)

    def choose(at: _Search, value: Array, slope: Array, leg: Leg) -> _Search:
        """A random place between all where it may be. The slope is that without bodies, for all of them."""
        del slope
        full = at.s - value / at.slope
        # As well where it would be if it left the bodies after any of the slices, or entered them there.
        left = jnp.where(bodies, at.s - _straight_on(line, leg, edge) / at.slope, full)
        places = jnp.concatenate([jnp.stack([at.clear, full]), left, at.clear + full - left])
        width = blur / jnp.abs(at.slope)
        low, high = (jnp.clip(end(places), first, final) for end in (jnp.min, jnp.max))
        span = high - low + width
        looked = low - width / 2 + chance * span
        return at._replace(s=looked, looked=looked, width=width, span=span, decided=undecided(line))

    def meet(at: _Search, value: Array, slope: Array, leg: Leg) -> _Search:
        """What it crosses there is what it is taken to cross."""
        return at._replace(s=at.s - value / slope, decided=held(_within(leg, stops.half), leg.voxel))

    def land_on(at: _Search, value: Array, slope: Array, leg: Leg) -> _Search:
        """With these, on the edge."""
        del leg
        return at._replace(s=at.s - value / slope, value=value, slope=slope)

    def stage(_: Any, at: _Search) -> _Search:
        found = here(at.s, at.decided)
        # One flight in the program for all stages: it takes most of the time to compile.
        number = jnp.clip(at.step - steps + 1, 0, 3)
        return jax.lax.switch(number, (nearer, choose, meet, land_on), at, *found)._replace(step=at.step + 1)

    nothing = jnp.zeros_like(begin)
    at = _Search(jnp.zeros((), jnp.int32), begin, none, begin, jnp.ones_like(begin), begin, *(nothing,) * 3)
    at = jax.lax.fori_loop(0, steps + 3, stage, at)
    landed = (jnp.abs(at.value) < missed) & ((jnp.abs(at.s - at.looked) < at.width / 2) | ~some) & jnp.isfinite(at.s)
    there = jnp.where(landed, at.s, begin)
    weight = jnp.where(landed, density(there) / jnp.abs(at.slope) * at.span / at.width, 0.0)
    return OnEdge(along(there), weight, at.decided)


class _Search(NamedTuple):
    """Where a muon is looked for that stands on an edge below bodies."""

    step: Int[Array, ""]
    s: Float[Array, ""]
    decided: Decided
    clear: Float[Array, ""]  # where it is without any of the bodies
    slope: Float[Array, ""]  # of the distance from the edge with s
    looked: Float[Array, ""]
    width: Float[Array, ""]
    span: Float[Array, ""]
    value: Float[Array, ""]


def _by_number(draws: BeamDraws, along_x: Carrier, along_y: Carrier, first: Bool[Array, ""]) -> Way:
    """Along x or y of the laboratory; the sides of a panel are turned against them by less than 90 deg."""
    numbers = draws.numbers

    def along(s: Array) -> BeamDraws:
        moved = dict(numbers)
        for carrier, chosen in ((along_x, first), (along_y, ~first)):
            moved[carrier.name] = jnp.where(chosen, carrier.back(s), moved[carrier.name])
        return draws._replace(numbers=moved)

    here = jnp.where(first, along_x.onto(numbers[along_x.name]), along_y.onto(numbers[along_y.name]))
    low, high = (jnp.where(first, along_x.ends[i], along_y.ends[i]).astype(here.dtype) for i in (0, 1))
    return along, here, lambda s: jnp.where(first, along_x.density(s), along_y.density(s)), (low, high)


def _by_direction(draws: BeamDraws, names: tuple[str, ...], inside: Callable[[BeamDraws], Array]) -> Way:
    normal, unravel = jax.flatten_util.ravel_pytree(({name: draws.numbers[name] for name in names}, draws.dice.normal))

    def with_normals(values: Array) -> BeamDraws:
        numbers, rolled = unravel(values)
        return draws._replace(numbers={**draws.numbers, **numbers}, dice=draws.dice._replace(normal=rolled))

    # Taken where all normal numbers are zero: it must not depend on where the muon is along it.
    steepest = jax.grad(lambda values: inside(with_normals(values)))(jnp.zeros_like(normal))
    length = jnp.sqrt(jnp.sum(steepest**2))
    way = steepest / jnp.where(length > 0, length, 1.0)
    here = jnp.sum(way * normal)
    ends = (jnp.full_like(here, -_FAR), jnp.full_like(here, _FAR))
    return (lambda s: with_normals(normal + (s - here) * way)), here, DENSITIES["normal"], ends


def _within(leg: Leg, half: Float[Array, "s 2"]) -> Bool[Array, " s"]:
    """Which stops a muon passes between the sides of."""
    u, v = leg.sides
    return (jnp.abs(u) <= half[:, 0]) & (jnp.abs(v) <= half[:, 1])


def foreseen(
    line: Line, source: Source, start: Start, edges: Edges, leg: Leg, stops: Int[np.ndarray, " n"]
) -> Bool[Array, "E n"]:
    """Which of some stops one muon would roughly cross on each edge: it matters for how often that is tried."""
    carriers, half = carriers_of(source, start.frame), line.stops.half
    if "x" not in carriers or "y" not in carriers:
        return jnp.broadcast_to(leg.crossed[stops], (len(edges.stop), len(stops)))
    first = edges.axis == 0
    own = [side[edges.stop] for side in leg.sides]
    here = jnp.where(first, own[0], own[1])
    there = jnp.asarray(edges.side, here.dtype) * half[edges.stop, edges.axis]
    crossed = jnp.asarray(edges.stop[:, None] == stops[None])
    inside = jnp.ones_like(crossed)
    for axis, side in enumerate(leg.sides):
        if carriers["x"].radial:
            at = side[stops][None] * (there / jnp.where(here == 0, 1.0, here))[:, None]
        else:
            at = side[stops][None] + jnp.where(edges.axis == axis, there - here, 0.0)[:, None]
        inside = inside & (jnp.abs(at) <= half[stops, axis][None])
    return crossed | inside
