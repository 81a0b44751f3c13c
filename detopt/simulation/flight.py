"""The true path of one muon through a beam line or portal: helices between planes, matter at them and behind them.

In a uniform field B the direction u turns as du/ds = u x W with W = 0.2998 q B / p (PDG section 35.14), so that after a path
s, with a = |W| s,

    u(s) = u + s sinc(a) u x W + s^2 (1 - cos a)/a^2 (u x W) x W,
    r(s) = r + s u + s^2 (1 - cos a)/a^2 u x W + s^3 (a - sin a)/a^3 (u x W) x W,

which is an exact helix, whatever its angle to the field. Where it meets a plane is found by Newton's method in s.
"""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.medium import Medium
from detopt.detector.stops import Stops
from detopt.simulation.matter import Deflection, Dice, deflection, loss, mean_loss, median_loss, slower
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import velocity

__all__ = ["Leg", "Muon", "fly"]

_NEWTON = 5


class Muon(NamedTuple):
    """Where it is, in mm, where it goes (a unit vector), its momentum in GeV, and whether it still goes on."""

    position: Float[Array, "*batch 3"]
    direction: Float[Array, "*batch 3"]
    momentum: Float[Array, "*batch"]
    alive: Bool[Array, "*batch"]


class Leg(NamedTuple):
    """What happened at each stop."""

    crossed: Bool[Array, "*batch s"]  # within its edges, by a muon that was alive
    local: Float[Array, "*batch s 2"]  # where, along the plane's two sides, from its middle, in mm
    before: Muon
    after: Muon


class _Stop(NamedTuple):
    """One row of `Stops`."""

    middle: Float[Array, " 3"]
    axes: Float[Array, "3 3"]
    half: Float[Array, " 2"]
    depth: Float[Array, ""]
    matter: Float[Array, ""]
    body: Float[Array, ""]
    medium: Medium


class _Spent(NamedTuple):
    """What the muon has lost since it started, in GeV: on average, and Landau's xi."""

    mean: Float[Array, ""]
    xi: Float[Array, ""]


def _cross(a: Array, b: Array) -> Array:
    """a x b; jnp.cross is slower under vmap."""
    return jnp.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def _along_helix(muon: Muon, turn: Float[Array, " 3"], s: Array) -> tuple[Array, Array]:
    """Position and direction after a path s in a field, with W = turn."""
    square = jnp.sum(turn**2) * s**2  # a^2
    small = square < 0.01
    a2 = jnp.where(small, 1.0, square)
    a = jnp.sqrt(a2)
    x = jnp.where(small, square, 0.0)
    sinc = jnp.where(small, 1 - x / 6 * (1 - x / 20 * (1 - x / 42)), jnp.sin(a) / a)
    versine = jnp.where(small, 1 / 2 - x / 24 * (1 - x / 30 * (1 - x / 56)), (1 - jnp.cos(a)) / a2)
    cubic = jnp.where(small, 1 / 6 - x / 120 * (1 - x / 42 * (1 - x / 72)), (a - jnp.sin(a)) / (a * a2))
    once = _cross(muon.direction, turn)
    twice = _cross(once, turn)
    direction = muon.direction + s * sinc * once + s**2 * versine * twice
    position = muon.position + s * muon.direction + s**2 * versine * once + s**3 * cubic * twice
    return position, direction


def _field(stops: Stops, z: Array) -> Float[Array, " 3"]:
    inside = (stops.field_z[:, 0] < z) & (z < stops.field_z[:, 1])
    return jnp.sum(jnp.where(inside[:, None], stops.field, 0.0), axis=0)


def _meet(stops: Stops, muon: Muon, charge: Array, stop: _Stop) -> Muon:
    """Fly to the plane of a stop. A muon that turns back before it is alive no more."""
    normal = stop.axes[2]
    distance, facing = jnp.dot(normal, stop.middle - muon.position), jnp.dot(normal, muon.direction)
    ahead = stops.forward * facing > 1e-6
    s = jnp.where(ahead, distance / jnp.where(ahead, facing, 1.0), 0.0)
    if not len(stops.field):
        return muon._replace(position=muon.position + s * muon.direction, alive=muon.alive & ahead)
    field = _field(stops, (muon.position[2] + stop.middle[2]) / 2)
    turn = 0.299792458e-3 * charge / muon.momentum * field
    met = ahead
    for _ in range(_NEWTON):
        position, direction = _along_helix(muon, turn, s)
        facing = jnp.dot(normal, direction)
        met = met & (stops.forward * facing > 1e-3)
        s = s + jnp.where(met, jnp.dot(normal, stop.middle - position) / jnp.where(met, facing, 1.0), 0.0)
    s = jnp.where(met, s, 0.0)
    position, direction = _along_helix(muon, turn, s)
    return Muon(position, direction, muon.momentum, muon.alive & met)


def _deflect(direction: Float[Array, " 3"], by: Deflection) -> tuple[Float[Array, " 3"], Float[Array, " 3"]]:
    """The new direction, and the displacement in mm; the angles are in the planes that hold x and y."""
    x, _, z = direction
    across = jnp.sqrt(x**2 + z**2)
    first = jnp.stack([z / across, jnp.zeros_like(x), -x / across])
    second = _cross(direction, first)
    tx, ty = by.angles
    # cos and sin of the whole angle; both series are good to rounding below 1e-2 and smooth at zero.
    square = tx**2 + ty**2
    small = square < 1e-4
    angle = jnp.sqrt(jnp.where(small, 1.0, square))
    cosine = jnp.where(small, 1 - square / 2 * (1 - square / 12), jnp.cos(angle))
    sinc = jnp.where(small, 1 - square / 6 * (1 - square / 20), jnp.sin(angle) / angle)
    dx, dy = by.aside
    turned = cosine * direction + sinc * (tx * first + ty * second)
    return turned, dx * first + dy * second


def _matter(
    stop: _Stop, muon: Muon, turn: Array | None, spent: _Spent, start: Array, dice: Dice, physics: Physics
) -> tuple[Muon, _Spent]:
    """Take the matter of a stop."""
    thin = stop.depth == 0
    oblique = jnp.where(thin, jnp.abs(jnp.dot(stop.axes[2], muon.direction)), jnp.abs(muon.direction[2]))
    path = stop.matter / jnp.maximum(oblique, 1e-3)
    momentum, middle = muon.momentum, muon.momentum
    if physics.energy_loss:
        middle = slower(momentum, mean_loss(stop.medium, path / 2, momentum).mean)[0]
        if physics.straggling:
            gone = loss(stop.medium, path, middle, dice)
        else:
            step = mean_loss(stop.medium, path, middle)
            after = _Spent(spent.mean + step.mean, spent.xi + step.xi)
            gone = median_loss(after.mean, after.xi, start) - median_loss(spent.mean, spent.xi, start)
            spent = after
        momentum, stopped = slower(momentum, gone)
        middle = (muon.momentum + momentum) / 2
        muon = muon._replace(alive=muon.alive & ~stopped)
    body = jnp.where(path > 0, stop.body, 0.0) / jnp.maximum(oblique, 1e-3)
    bent = deflection(stop.medium, path, body, middle, velocity(middle, physics), dice, physics)
    inside = jnp.where(thin, 0.0, path)
    if turn is None:
        position, direction = muon.position + inside * muon.direction, muon.direction
    else:
        position, direction = _along_helix(muon, turn, inside)
    direction, aside = _deflect(direction, bent)
    position = position + jnp.where(thin, 0.0, aside)
    return Muon(position, direction, momentum, muon.alive), spent


def fly(
    stops: Stops,
    muon: Muon,
    charge: Float[Array, ""],
    dice: Dice,
    physics: Physics,
    since: Float[Array, ""] | None = None,
) -> Leg:
    """Follow one muon through all stops.

    Args:
        stops: s of them.
        muon: at its start.
        charge: +1 or -1.
        dice: random numbers (s, 5) for each stop.
        physics: which effects are on.
        since: stops are met from this z on; from the start on where it is not given.

    Returns:
        What happened at each stop, in the order of `stops`.
    """
    rows = _Stop(stops.middle, stops.axes, stops.half, stops.depth, stops.matter, stops.body, stops.medium)
    in_order = jax.tree.map(lambda column: column[stops.order], (rows, dice))
    origin, start = stops.forward * (muon.position[2] if since is None else since), muon.momentum
    zero = jnp.zeros_like(muon.momentum)

    def onwards(carry: tuple[Muon, _Spent], each: tuple[_Stop, Dice]) -> tuple[tuple[Muon, _Spent], Leg]:
        muon, spent = carry
        stop, dice = each
        ahead = stops.forward * stop.middle[2] >= origin
        arrived = _meet(stops, muon, charge, stop)
        muon = _choose(ahead, arrived, muon)
        local = stop.axes[:2] @ (muon.position - stop.middle)
        crossed = ahead & muon.alive & jnp.all(jnp.abs(local) <= stop.half)
        turn = None
        if len(stops.field):
            field = _field(stops, stop.middle[2] + stops.forward * stop.depth / 2)
            turn = 0.299792458e-3 * charge / muon.momentum * field
        safe = stop._replace(matter=jnp.where(crossed, stop.matter, 0.0))
        after, spent_after = _matter(safe, muon, turn, spent, start, dice, physics)
        # Out of a slice through its far side.
        far = stop.middle[2] + stops.forward * stop.depth - after.position[2]
        out = after.position + jnp.where(stop.depth > 0, far / after.direction[2], 0.0) * after.direction
        after = _choose(crossed, after._replace(position=out), muon)
        spent = _choose(crossed, spent_after, spent)
        return (after, spent), Leg(crossed, local, muon, after)

    _, legs = jax.lax.scan(jax.checkpoint(onwards), (muon, _Spent(zero, zero)), in_order)
    back = jnp.argsort(stops.order)
    return jax.tree.map(lambda column: column[back], legs)


def _choose(condition: Array, new: tuple, old: tuple) -> tuple:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
