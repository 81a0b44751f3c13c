"""Tracks in beam lines and portals: least squares with the full covariance of resolution and scattering.

A track has parameters (x, y, dx/dz, dy/dz, q/p) where it starts, the last of them where a magnet bends it. It is linear
about the muon's own undisturbed flight, which is where an iterated fit ends up to second order in its own errors; the
derivatives of that flight are taken by JAX, through magnets and past tilted panels.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.detector.stops import Stops
from detopt.reconstruction.square_root import least_squares
from detopt.simulation.flight import Leg, Muon, fly
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import highland_variance, velocity

__all__ = ["LINE", "BeamTrack", "LinearTrack", "fit_line", "linear_track", "straight_track"]

LINE = ("x", "y", "tx", "ty", "q_over_p")  # mm, mm, 1, 1, 1/GeV


class LinearTrack(NamedTuple):
    """What k parameters do at s stops, in the order of the stops."""

    hit: Float[Array, "s 2 k"]  # d (coordinates along the two sides of a plane) / d (parameters)
    kick: Float[Array, "s k 2"]  # change of the parameters that a deflection at a stop amounts to, per rad
    scattering: Float[Array, " s"]  # variance of the projected scattering angle in rad^2
    local: Float[Array, "s 2"]  # of the undisturbed muon, in mm
    crossed: Bool[Array, " s"]


class BeamTrack(NamedTuple):
    """A fitted track: its parameters less those of the undisturbed muon, and their covariance."""

    change: Float[Array, " k"]
    covariance: Float[Array, "k k"]
    chi2: Float[Array, ""]
    freedom: Float[Array, ""]  # measured coordinates less fitted parameters
    found: Bool[Array, ""]


def linear_track(
    stops: Stops,
    muon: Muon,
    charge: Float[Array, ""],
    physics: Physics,
    first: int | Int[Array, ""],
    bends: bool,
    crossed: Bool[Array, " s"] | None = None,
) -> LinearTrack:
    """The undisturbed flight of a muon and its derivatives.

    Args:
        stops: s of them.
        muon: where the track starts.
        charge: +1 or -1.
        physics: which effects are on; the muon is not scattered, and loses the median energy.
        first: stop at which it starts; those behind are not crossed.
        bends: whether q/p is a parameter, so k = 5, or k = 4.
        crossed: what the track is taken to have crossed; what the undisturbed muon crosses where it is not given.
    """
    quiet = Physics(energy_loss=physics.energy_loss, straggling=False, tails=False, velocity=physics.velocity)
    count = len(stops.names)
    start = jnp.concatenate([jnp.zeros(4, muon.momentum.dtype), (charge / muon.momentum)[None]])

    decided = None if crossed is None else jnp.broadcast_to(jnp.where(crossed, 1, -1)[:, None], (count, 2))

    def flight(change: Float[Array, " 5"]) -> tuple[tuple[Array, Array], Leg]:
        x, y, tx, ty, curvature = change + start
        slope_x, slope_y = muon.direction[0] / muon.direction[2] + tx, muon.direction[1] / muon.direction[2] + ty
        one = jnp.ones_like(x)
        direction = stops.forward * jnp.stack([slope_x, slope_y, one]) / jnp.sqrt(1 + slope_x**2 + slope_y**2)
        moved = Muon(muon.position + jnp.stack([x, y, 0 * x]), direction, charge / curvature, muon.alive)
        leg = fly(stops, moved, charge, None, quiet, since=stops.middle[first, 2], decided=decided)
        return (leg.local, _state(leg.after, charge, stops.middle[:, 2])), leg

    (hit, moved), leg = jax.jacfwd(flight, has_aux=True)(jnp.zeros_like(start))
    local = leg.local
    k = 5 if bends else 4
    # What a deflection after a stop amounts to at the start: back through the derivatives.
    turned = jax.vmap(_deflected)(leg.after.direction)  # (s, 2, 2): d (tx, ty) / d (two angles)
    column = jnp.zeros((count, k, 2), local.dtype).at[:, 2:4].set(turned)
    # In a slice it happens in the middle; the state after it is that at its beginning.
    column = column.at[:, :2].set(turned * (-stops.forward * stops.depth / 2)[:, None, None])
    forward = jnp.where(leg.crossed[:, None, None], moved[:, :k, :k], jnp.eye(k, dtype=local.dtype)[None])
    oblique = jnp.abs(jnp.sum(stops.axes[:, 2] * leg.before.direction, -1))
    middle = (leg.before.momentum + leg.after.momentum) / 2
    oblique = jnp.where(leg.crossed, jnp.maximum(oblique, 1e-3), 1.0)
    x_over_X0 = jnp.where(leg.crossed, stops.matter / stops.medium.X0 / oblique, 0.0)
    variance = jax.vmap(highland_variance)(x_over_X0, stops.body / oblique, middle, velocity(middle, physics))
    return LinearTrack(hit[:, :, :k], _solve(forward, column), variance, local, leg.crossed)


def straight_track(
    stops: Stops, rows: Int[np.ndarray, " r"], leg: Leg, first: Int[Array, ""], physics: Physics
) -> LinearTrack:
    """The same in closed form where nothing bends the muon: k = 4, at r thin stops.

    With r0 and D = (dx/dz, dy/dz, 1) where the track starts, a plane with middle m and normal n is met after
    s = n.(m - r0) / n.D; a step e of the start moves that by e - D (n.e) / n.D, and a step of D by s times as much.

    Args:
        stops: all of them.
        rows: which are looked at: thin ones.
        leg: what the muon did; its momentum at each stop tells how much that scatters.
        first: stop at which the track starts.
        physics: which effects are on.
    """
    begin, direction = leg.before.position[first], leg.before.direction[first]
    ahead = direction / jnp.where(direction[2] == 0, 1.0, direction[2])
    axes, crossed = stops.axes[rows], leg.crossed[rows]
    normal = axes[:, 2]
    facing = normal @ ahead
    facing = jnp.where(crossed, facing, 1.0)
    s = jnp.sum(normal * (stops.middle[rows] - begin[None]), -1) / facing
    met = begin[None] + s[:, None] * ahead[None]
    local = jnp.sum(axes[:, :2] * (met - stops.middle[rows])[:, None], -1)
    # Columns x and y of the projection along the flight, then along the two sides.
    slide = jnp.eye(3, 2, dtype=s.dtype)[None] - ahead[None, :, None] * (normal[:, None, :2] / facing[:, None, None])
    shift = axes[:, :2] @ slide
    hit = jnp.concatenate([shift, s[:, None, None] * shift], -1)
    turned = jnp.broadcast_to(_deflected(direction)[None], (len(rows), 2, 2))
    kick = jnp.concatenate([-(met[:, 2] - begin[2])[:, None, None] * turned, turned], 1)
    momentum = (leg.before.momentum + leg.after.momentum)[rows] / 2
    oblique = jnp.maximum(jnp.abs(normal @ direction), 1e-3)
    x_over_X0 = jnp.where(crossed, stops.matter[rows] / stops.medium.X0[rows] / oblique, 0.0)
    variance = jax.vmap(highland_variance)(
        x_over_X0, stops.body[rows] / oblique, momentum, jax.vmap(lambda p: velocity(p, physics))(momentum)
    )
    return LinearTrack(hit, kick, variance, local, crossed)


@jax.custom_vjp
def _solve(matrix: Float[Array, "s k k"], columns: Float[Array, "s k n"]) -> Float[Array, "s k n"]:
    """Gauss and Jordan's elimination; the diagonal is near one. Entry by entry, so that all arithmetic vectorises."""
    k, n = columns.shape[1:]
    # Left to itself the compiler would repeat what comes before for each entry.
    matrix, columns = jax.lax.optimization_barrier((matrix, columns))
    rows = [[matrix[:, i, j] for j in range(k)] + [columns[:, i, j] for j in range(n)] for i in range(k)]
    for i in range(k):
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for j in range(k):
            if j != i:
                factor = rows[j][i]
                rows[j] = [x - factor * y for x, y in zip(rows[j], rows[i], strict=True)]
        rows = jax.lax.optimization_barrier(rows)
    return jnp.stack([jnp.stack(row[k:], -1) for row in rows], 1)


def _solve_forward(matrix: Array, columns: Array) -> tuple[Array, tuple[Array, Array]]:
    solution = _solve(matrix, columns)
    return solution, (matrix, solution)


def _solve_backward(residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    matrix, solution = residuals
    columns = _solve(jnp.swapaxes(matrix, 1, 2), cotangent)
    return -columns @ jnp.swapaxes(solution, 1, 2), columns


_solve.defvjp(_solve_forward, _solve_backward)


def _state(muon: Muon, charge: Array, z: Float[Array, " s"]) -> Float[Array, "s 5"]:
    """Parameters of a track, at the z of each stop's middle."""
    slopes = muon.direction[:, :2] / muon.direction[:, 2:]
    position = muon.position[:, :2] - slopes * (muon.position[:, 2] - z)[:, None]
    return jnp.concatenate([position, slopes, (charge / muon.momentum)[:, None]], -1)


def _deflected(direction: Float[Array, " 3"]) -> Float[Array, "2 2"]:
    """d (tx, ty) / d (angles), for the two planes in which a flight is deflected."""
    x, y, z = direction
    across = jnp.sqrt(x**2 + z**2)
    zero = jnp.zeros_like(x)
    first = jnp.stack([z / across, zero, -x / across])
    second = jnp.stack([-x * y / across, across, -y * z / across])
    both = jnp.stack([first, second], -1)  # (3, 2)
    return (both[:2] - direction[:2, None] / z * both[2][None]) / z


def fit_line(
    order: Int[Array, " s"],
    track: LinearTrack,
    deviation: Float[Array, "s 2"],
    weight: Float[Array, "s 2"],
    min_hits: int,
) -> BeamTrack:
    """Fit one track.

    Args:
        order: of the stops along the flight.
        track: its linear model.
        deviation: measured coordinates less `track.local`, in mm.
        weight: 1 / resolution^2; 0 where nothing was seen.
        min_hits: measured coordinates that make a track, along the side in which it bends; along the other it takes two.
    """
    k = track.hit.shape[2]
    weight = jnp.where(track.crossed[:, None], weight, 0.0)
    measured = jnp.sum(weight > 0, axis=0)
    enough = jnp.asarray([min_hits, 2])
    if k == 5:  # most hits are needed where the magnet bends
        sees_momentum = jnp.sum(jnp.abs(track.hit[:, :, 4]), axis=0)
        enough = jnp.where(sees_momentum[1] > sees_momentum[0], enough[::-1], enough)
    found = jnp.all(measured >= enough)
    root = jnp.sqrt(jnp.where(found, weight, 0.0))
    rows = jnp.concatenate([track.hit, deviation[:, :, None]], -1) * root[:, :, None]
    kicks = jnp.swapaxes(track.kick * jnp.sqrt(track.scattering)[:, None, None], 1, 2)
    held = jnp.where(found, 0.0, jnp.ones(k, rows.dtype))
    change, covariance, chi2 = least_squares(rows[order], kicks[order], held)
    # Hits on one side of a magnet, or planes that stand together, determine no track.
    sure = jnp.isfinite(change).all() & jnp.isfinite(covariance).all() & (jnp.diagonal(covariance) > 0).all()
    found = found & sure
    return BeamTrack(change, covariance, chi2, (jnp.sum(measured) - k).astype(rows.dtype), found)
