"""Muons moved onto the edges of planes and bodies: what the gradient of an acceptance is made of.

The event stays the same but for one continuous draw, which is solved for: the number of the source that carries the muon
sideways, where it has one; otherwise one direction in the space of all its normal numbers, those of a beam's spot and
divergence and those of scattering, the direction in which the muon moves most. Along any fixed direction, independent
normal numbers are normal.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.simulation.beam_event import BeamDraws, Line, fly_event
from detopt.simulation.draws import DENSITIES, Carrier, Start
from detopt.simulation.flight import Leg
from detopt.simulation.landing import Landing, land
from detopt.simulation.physics import Physics
from detopt.simulation.rays import carriers_of, normals_of
from detopt.simulation.source import Source

__all__ = ["Edge", "Edges", "distance", "edges_of", "foreseen", "onto_edge"]

_MISSED = 0.01  # of half the span: what is further from the edge before the last step has not landed


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


def distance(
    line: Line, source: Source, start: Start, physics: Physics, edge: Edge, draws: BeamDraws
) -> Float[Array, ""]:
    """How far a muon is inside an edge, in mm."""
    leg, _ = fly_event(line, source, start, physics, draws)
    return line.stops.half[edge.stop, edge.axis] - edge.side * leg.local[edge.stop, edge.axis]


def onto_edge(line: Line, source: Source, start: Start, physics: Physics, edge: Edge, draws: BeamDraws) -> Landing:
    """Move a muon onto an edge. Nothing here is differentiated afterwards."""
    carriers = carriers_of(source, start.frame)
    half = line.stops.half[edge.stop, edge.axis]

    def inside(moved: BeamDraws) -> Array:
        return distance(line, source, start, physics, edge, moved)

    if "x" in carriers and "y" in carriers:
        return land(inside, *_by_number(draws, carriers["x"], carriers["y"], edge.axis == 0), _MISSED * half)
    return land(inside, *_by_direction(draws, normals_of(source), inside), _MISSED * half)


Way = tuple[Callable[[Array], BeamDraws], Array, Callable[[Array], Array]]  # along a scale, from where, how dense


def _by_number(draws: BeamDraws, along_x: Carrier, along_y: Carrier, first: Bool[Array, ""]) -> Way:
    """Along x or y of the laboratory; the sides of a panel are turned against them by less than 90 deg."""
    numbers = draws.numbers

    def along(s: Array) -> BeamDraws:
        moved = dict(numbers)
        for carrier, chosen in ((along_x, first), (along_y, ~first)):
            moved[carrier.name] = jnp.where(chosen, carrier.back(s), moved[carrier.name])
        return draws._replace(numbers=moved)

    here = jnp.where(first, along_x.onto(numbers[along_x.name]), along_y.onto(numbers[along_y.name]))
    return along, here, lambda s: jnp.where(first, along_x.density(s), along_y.density(s))


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
    return (lambda s: with_normals(normal + (s - here) * way)), here, DENSITIES["normal"]


def foreseen(line: Line, source: Source, start: Start, edges: Edges, leg: Leg) -> Bool[Array, "E s"]:
    """Which stops one muon would roughly cross on each edge: where it is sent to matters for how often that is tried."""
    carriers, half = carriers_of(source, start.frame), line.stops.half
    rows = np.arange(len(edges.stop))
    here = leg.local[edges.stop, edges.axis]
    there = jnp.asarray(edges.side, here.dtype) * half[edges.stop, edges.axis]
    if "x" not in carriers or "y" not in carriers:
        return jnp.broadcast_to(leg.crossed, (len(rows), len(half)))
    if carriers["x"].radial:
        factor = there / jnp.where(here == 0, 1.0, here)
        local = leg.local[None] * factor[:, None, None]
    else:
        local = jnp.broadcast_to(leg.local, (len(rows), *leg.local.shape))
        local = local.at[rows, :, edges.axis].add((there - here)[:, None])
    return (jnp.abs(local) <= half[None]).all(-1).at[rows, edges.stop].set(True)
