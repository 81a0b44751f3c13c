"""The true path of one muon through a beam line or portal: helices between planes, matter at them and behind them.

How a muon steps stands in `detopt.simulation.steps`. A tilted plane is met by Newton's method, from where a level one is.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.detector.medium import Medium
from detopt.detector.stops import Stops
from detopt.simulation.matter import Dice, deflection, loss, mean_loss, median_loss, slower
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import velocity
from detopt.simulation.steps import GRAZING, Vector, ahead, along_helix, arc, deflect, dot, total

__all__ = ["Leg", "Muon", "State", "fly"]

_NEWTON = 3


class Muon(NamedTuple):
    """Where it is, in mm, where it goes (a unit vector), its momentum in GeV, and whether it still goes on."""

    position: Float[Array, "*batch 3"]
    direction: Float[Array, "*batch 3"]
    momentum: Float[Array, "*batch"]
    alive: Bool[Array, "*batch"]


class State(NamedTuple):
    """A muon in components: under vmap each is one long array, and what is used alone need not be moved about."""

    position: Vector
    direction: Vector
    momentum: Array
    alive: Array

    @property
    def muon(self) -> Muon:
        """Its vectors as arrays."""
        return Muon(_together(*self.position), _together(*self.direction), self.momentum, self.alive)


class Leg(NamedTuple):
    """What happened at each stop."""

    crossed: Bool[Array, "*batch s"]  # within its edges, by a muon that was alive
    sides: tuple[Float[Array, "*batch s"], Float[Array, "*batch s"]]  # see `local`
    met: State
    left: State
    voxel: Int[Array, "*batch s"] | None  # that a slice of a volume was taken to be; -1 at other stops

    @property
    def local(self) -> Any:
        """(*batch, s, 2): where, along the plane's two sides, from its middle, in mm; halfway in a slice."""
        return _together(*self.sides)

    @property
    def before(self) -> Muon:
        """The muon at the plane of the stop."""
        return self.met.muon

    @property
    def after(self) -> Muon:
        """The muon behind it."""
        return self.left.muon


def _together(*components: Any) -> Any:
    here: Any = np if isinstance(components[0], np.ndarray) else jnp
    return here.stack(components, -1)


class _Stop(NamedTuple):
    """One row of `Stops`."""

    middle: Float[Array, " 3"]
    axes: Float[Array, "3 3"]
    half: Float[Array, " 2"]
    depth: Float[Array, ""]
    matter: Float[Array, ""]
    body: Float[Array, ""]
    medium: Medium
    first: Int[Array, ""] | None  # voxels, see `Voxels`
    number: Int[Array, " 2"] | None


class _Chances(NamedTuple):
    """What is random or decided about one muon at one stop."""

    dice: Dice | None
    decided: tuple[Array, Array] | None  # along both sides
    held: Array | None


class _Spent(NamedTuple):
    """What the muon has lost since it started, in GeV: on average, and Landau's xi."""

    mean: Float[Array, ""]
    xi: Float[Array, ""]


def _field(stops: Stops, z: Array) -> Vector:
    x = y = jnp.zeros_like(z)
    for field, (begin, end) in zip(stops.field, stops.field_z, strict=True):
        inside = (begin < z) & (z < end)
        x, y = x + jnp.where(inside, field[0], 0.0), y + jnp.where(inside, field[1], 0.0)
    return x, y, jnp.zeros_like(z)


def _turn(stops: Stops, z: Array, charge: Array, momentum: Array) -> Vector:
    """W in the field at z."""
    x, y, none = _field(stops, z)
    per_tesla = 0.299792458e-3 * charge / momentum
    return per_tesla * x, per_tesla * y, none


def _meet(stops: Stops, muon: State, charge: Array, stop: _Stop) -> State:
    """Fly to the plane of a stop, from whichever side; `alive` tells whether the muon gets there."""
    if not stops.tilted and not len(stops.field):
        (x, y, z), (ux, uy, uz), height = muon.position, muon.direction, stop.middle[2]
        met = jnp.abs(uz) > GRAZING
        s = (height - z) / jnp.where(met, uz, 1.0)
        return muon._replace(position=(x + s * ux, y + s * uy, height + 0 * s), alive=muon.alive & met)
    normal, middle = _vector(stop.axes[2]), _vector(stop.middle)
    side = jnp.where(stops.forward * dot(normal, muon.direction) < 0, -1.0, 1.0).astype(muon.momentum.dtype)
    normal = (side * normal[0], side * normal[1], side * normal[2])
    distance = dot(normal, total((1.0, middle), (-1.0, muon.position)))
    if not len(stops.field):
        facing = dot(normal, muon.direction)
        met = stops.forward * facing > GRAZING
        s = jnp.where(met, distance / jnp.where(met, facing, 1.0), 0.0)
        position = total((1.0, muon.position), (s, muon.direction))
        return muon._replace(position=position, alive=muon.alive & met)
    turn = _turn(stops, (muon.position[2] + middle[2]) / 2, charge, muon.momentum)
    tau, met = ahead(stops.forward, muon.direction, turn, normal, distance)

    def closer(_: Any, at: tuple[Array, Array]) -> tuple[Array, Array]:
        tau, met = at
        position, direction = along_helix(muon.position, muon.direction, turn, tau)
        # ds / dtau = 1 / (1 + x).
        slope = dot(normal, direction) / (1 + dot(turn, turn) * tau**2 / 4)
        met = met & (stops.forward * slope > GRAZING)
        left = dot(normal, total((1.0, middle), (-1.0, position)))
        return jnp.where(met, tau + left / jnp.where(met, slope, 1.0), 0.0), met

    if stops.tilted:  # a loop: unrolled it takes several times as long to compile
        tau, met = jax.lax.fori_loop(0, _NEWTON, closer, (tau, met))
    position, direction = along_helix(muon.position, muon.direction, turn, tau)
    return State(position, direction, muon.momentum, muon.alive & met)


def _matter(
    stops: Stops,
    stop: _Stop,
    muon: State,
    charge: Array,
    here: Array,
    spent: _Spent,
    start: Array,
    dice: Dice | None,
    physics: Physics,
    thick: bool,
) -> tuple[State, _Spent]:
    """Take the matter of a stop where there is a muon; only where `thick` may it be more than thin."""
    thin = stop.depth == 0
    bends = bool(len(stops.field)) and thick
    oblique = jnp.abs(dot(_vector(stop.axes[2]), muon.direction) if stops.tilted else muon.direction[2])
    path = stop.matter / jnp.maximum(oblique, GRAZING)
    depth = stops.forward * stop.depth
    middle_z = stop.middle[2] + depth / 2
    upright = (jnp.zeros_like(path), jnp.zeros_like(path), jnp.ones_like(path))
    if bends:
        turn = _turn(stops, middle_z, charge, muon.momentum)
        tau, _ = ahead(stops.forward, muon.direction, turn, upright, depth)
        path = jnp.where(thin, path, tau * arc(dot(turn, turn) * tau**2 / 4)[0])
    path = jnp.where(here, path, 0.0)
    momentum, middle = muon.momentum, muon.momentum
    if physics.energy_loss and stops.slow:
        middle = slower(momentum, mean_loss(stop.medium, path / 2, momentum).mean)[0]
        if physics.straggling:
            assert dice is not None
            gone = loss(stop.medium, path, middle, dice)
        else:
            step = mean_loss(stop.medium, path, middle)
            after = _Spent(spent.mean + step.mean, spent.xi + step.xi)
            gone = median_loss(after.mean, after.xi, start) - median_loss(spent.mean, spent.xi, start)
            spent = after
        momentum, stopped = slower(momentum, gone)
        middle = (muon.momentum + momentum) / 2
        muon = muon._replace(alive=muon.alive & ~stopped)
    position, direction, alive = muon.position, muon.direction, muon.alive
    if bends:
        turn = _turn(stops, middle_z, charge, middle)
        tau, met = ahead(stops.forward, direction, turn, upright, depth)
        position, direction = along_helix(position, direction, turn, tau)
        alive = alive & (met | thin)
    elif thick:
        position = total((1.0, position), (jnp.where(thin, 0.0, path), direction))
    if dice is not None:
        body = jnp.where(path > 0, stop.body, 0.0) / jnp.maximum(oblique, GRAZING)
        bent = deflection(stop.medium, path, body, middle, velocity(middle, physics), dice, physics)
        direction, aside = deflect(direction, bent)
        alive = alive & (stops.forward * direction[2] > GRAZING)
        if thick:
            position = total((1.0, position), (jnp.where(thin, 0.0, 1.0), aside))
    if thick:
        # Out of a slice through its far side.
        facing = jnp.where(alive, direction[2], 1.0)
        far = jnp.where(thin, 0.0, (stop.middle[2] + depth - position[2]) / facing)
        position = total((1.0, position), (far, direction))
    return State(position, direction, momentum, alive), spent


def _voxel(stops: Stops, stop: _Stop, u: Array, v: Array, held: Array | None) -> tuple[_Stop, Array | None]:
    """The stop with the medium of the voxel that the muon is in, and which that is."""
    voxels = stops.voxels
    if voxels is None or stop.first is None or stop.number is None:
        return stop, None
    column, row = (
        jnp.clip(jnp.floor((jax.lax.stop_gradient(at) / half + 1) / 2 * number).astype(jnp.int32), 0, number - 1)
        for at, half, number in zip((u, v), stop.half, stop.number, strict=True)
    )
    index = jnp.where(stop.first < 0, -1, stop.first + column * stop.number[1] + row)
    if held is not None:
        index = jnp.where(held < 0, index, held)
    own = voxels.material[index]
    medium = jax.tree.map(lambda all, one: jnp.where(index < 0, one, all[own]), voxels.medium, stop.medium)
    body = jnp.where(index < 0, stop.body, voxels.body[index])
    return stop._replace(medium=medium, body=body), index


def fly(
    stops: Stops,
    muon: Muon,
    charge: Float[Array, ""],
    dice: Dice | None,
    physics: Physics,
    since: Float[Array, ""] | None = None,
    decided: Int[Array, "s 2"] | None = None,
    held: Int[Array, " s"] | None = None,
) -> Leg:
    """Follow one muon through all stops.

    Args:
        stops: s of them.
        muon: at its start.
        charge: +1 or -1.
        dice: random numbers (s, 5) for each stop; without them the muon is not scattered, and `physics` has no straggling.
        physics: which effects are on.
        since: stops are met from this z on; from the start on where it is not given.
        decided: +1 or -1 where the muon is taken to be within, or beyond, the ends of a stop along one of its sides,
            wherever it is; 0 where it is as it is.
        held: the voxel that a slice of a volume is taken to be; -1 where it is as it is.

    Returns:
        What happened at each stop, in the order of `stops`.
    """
    own = (None, None) if stops.voxels is None else (stops.voxels.first, stops.voxels.number)
    rows = _Stop(stops.middle, stops.axes, stops.half, stops.depth, stops.matter, stops.body, stops.medium, *own)
    ends = None if decided is None else (decided[:, 0], decided[:, 1])
    order = stops.order if stops.sequence is None else np.array(stops.sequence)
    in_order = _taken((rows, _Chances(_components(dice), ends, held)), order)
    origin = stops.forward * (muon.position[2] if since is None else since)
    zero = jnp.zeros_like(muon.momentum)
    carry = (State(_vector(muon.position), _vector(muon.direction), muon.momentum, muon.alive), _Spent(zero, zero))
    parts = []
    for thick, first, last in _stretches(stops):
        # A plane or slice after the other: written out, many of them would take minutes to compile.
        step = _step(stops, charge, origin, muon.momentum, physics, thick)
        some = jax.tree.map(lambda column, a=first, b=last: column[a:b], in_order)
        carry, part = jax.lax.scan(jax.checkpoint(step, prevent_cse=False), carry, some)
        parts.append(part)
    legs = Leg(*jax.tree.map(lambda *x: jnp.concatenate(x), *parts))
    return _taken(legs, jnp.argsort(stops.order) if stops.sequence is None else np.argsort(order))


def _step(stops: Stops, charge: Array, origin: Array, start: Array, physics: Physics, thick: bool) -> Any:
    """What a scan over stops does at each of them."""

    def onwards(carry: tuple[State, _Spent], each: tuple[_Stop, _Chances]) -> tuple[tuple[State, _Spent], tuple]:
        muon, spent = carry
        stop, (dice, decided, held) = each
        in_front = stops.forward * stop.middle[2] >= origin
        came, muon = muon, _choose(in_front, _meet(stops, muon, charge, stop), muon)
        across = total((1.0, muon.position), (-1.0, _vector(stop.middle)))
        if thick:  # a slice is crossed, and its voxel chosen, where the muon is halfway through
            halfway = stop.depth / 2 / jnp.maximum(jnp.abs(muon.direction[2]), GRAZING)
            across = total((1.0, across), (halfway, muon.direction))
        u, v = across[:2]
        if stops.tilted:
            u, v = dot(_vector(stop.axes[0]), across), dot(_vector(stop.axes[1]), across)
        within = [jnp.abs(at) <= stop.half[i] for i, at in enumerate((u, v))]
        if decided is not None:
            within = [jnp.where(d == 0, w, d > 0) for w, d in zip(within, decided, strict=True)]
        crossed = in_front & muon.alive & within[0] & within[1]
        voxel = None
        if thick:
            stop, voxel = _voxel(stops, stop, u, v, held)
        elif stops.voxels is not None:
            voxel = jnp.full_like(u, -1, jnp.int32)
        after, spent_after = _matter(stops, stop, muon, charge, crossed, spent, start, dice, physics, thick)
        spent = _choose(crossed, spent_after, spent)
        # A plane that is missed leaves the muon where it was; one without end that it does not reach, it turned back from.
        lost = in_front & ~muon.alive & (stop.half[0] == jnp.inf)
        onwards = _choose(crossed, after, came._replace(alive=came.alive & ~lost))
        return (onwards, spent), (crossed, (u, v), muon, _choose(crossed, after, muon), voxel)

    return onwards


_MOST_STRETCHES = 5


def _stretches(stops: Stops) -> list[tuple[bool, int, int]]:
    """Stops that follow each other, whether any is thick: few stretches of either kind, or one for all."""
    whole = [(stops.thick, 0, len(stops.names))]
    if stops.sequence is None or not stops.thick:
        return whole
    bulk = [stops.bulk[i] for i in stops.sequence]
    starts = [i for i, thick in enumerate(bulk) if i == 0 or thick != bulk[i - 1]]
    found = [(bulk[a], a, b) for a, b in zip(starts, [*starts[1:], len(bulk)], strict=True)]
    return found if len(found) <= _MOST_STRETCHES else whole


def _taken(columns: Any, order: Any) -> Any:
    """Columns in another order."""
    if isinstance(order, np.ndarray) and (order == np.arange(len(order))).all():
        return columns
    return jax.tree.map(lambda column: column[order], columns)


def _components(dice: Dice | None) -> Dice | None:
    """As columns of each number, so that under vmap each is one long array."""
    if dice is None or isinstance(dice.normal, tuple):
        return dice
    return Dice(*(tuple(x[:, i] for i in range(5)) for x in dice))


def _vector(array: Float[Array, " 3"]) -> Vector:
    return array[0], array[1], array[2]


def _choose(condition: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
