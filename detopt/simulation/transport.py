"""The true path of one particle: exact helices between thin surfaces, a kick of multiple scattering in each.

A helix with perigee parameters (d0, phi, kappa, z0, cot theta) has at transverse radius r, on its outgoing half-turn, with
alpha the angle between its direction and the radius and s the arc length from the perigee,

    r sin(alpha) = kappa (r^2 - d0^2) / 2 - d0,    sin^2(kappa s / 2) = kappa^2 (r^2 - d0^2) / (4 (1 + kappa d0)),
    azimuth = phi + kappa s - alpha,               z = z0 + s cot(theta),

which follow from the triangle of the origin, the point and the centre of the circle. Everything is computed as a
difference from the reference helix (see `detopt.events`), by formulas without cancellation.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.detector.medium import Medium
from detopt.detector.surfaces import Surfaces
from detopt.events import Deviation
from detopt.simulation.helix import Path, helix
from detopt.simulation.matter import Dice, deflection, loss, mean_loss, median_loss, slower
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import velocity

__all__ = ["Flight", "Points", "deviations", "outward_order", "points", "transport"]


class Surface(NamedTuple):
    """One surface, as a row of `Surfaces`."""

    position: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]
    cylinder: Bool[Array, ""]


class Passage(NamedTuple):
    """A helix on a surface, seen from the reference."""

    reached: Bool[Array, ""]  # if the surface did not end
    room: tuple[Float[Array, ""], Float[Array, ""]]  # how far inside its lower and its upper end, in mm
    deviation: tuple[Float[Array, ""], Float[Array, ""]]  # along r-phi, and along z (cylinder) or r (disk), in mm
    radius: Float[Array, ""]
    sin_alpha: Float[Array, ""]
    turn: Float[Array, ""]  # kappa s, minus that of the reference at this radius
    arc: Float[Array, ""]  # s
    longer: Float[Array, ""]  # s, minus that of the reference at this radius


def _arcsine_difference(new: Array, old: Array, difference: Array) -> Array:
    """asin(new) - asin(old), given new - old."""
    a, b = jnp.sqrt(1 - new**2), jnp.sqrt(1 - old**2)
    return jnp.arcsin(difference * b + old * difference * (new + old) / (a + b))


def _even_series(new: Array, old: Array, difference: Array, coefficients: tuple[float, ...]) -> Array:
    """f(new) - f(old) for f(x) = sum c_k x^(2k), given new - old."""
    total, power, sum_of_powers = jnp.zeros_like(new), jnp.ones_like(new), jnp.ones_like(new)
    for c in coefficients:
        total = total + c * sum_of_powers
        power = power * old**2
        sum_of_powers = sum_of_powers * new**2 + power
    return total * difference * (new + old)


_ARCSINE = (1 / 6, 3 / 40, 5 / 112, 35 / 1152, 63 / 2816, 231 / 13312)  # of asin(x) / x, from x^2 on
_SINE = (-1 / 6, 1 / 120, -1 / 5040, 1 / 362880)  # of sin(x) / x
_SMALL = 0.1


def _arcsine_ratio(x: Array) -> Array:
    """asin(x) / x."""
    y = jnp.where(jnp.abs(x) < _SMALL, 1.0, x)
    return jnp.where(jnp.abs(x) < _SMALL, 1 + _even_series(x, jnp.zeros_like(x), x, _ARCSINE), jnp.arcsin(y) / y)


def _arcsine_ratio_difference(new: Array, old: Array, difference: Array, angle: Array) -> Array:
    """asin(new) / new - asin(old) / old, given new - old and asin(new) - asin(old)."""
    small = jnp.abs(new) < _SMALL
    a, b, step = (jnp.where(small, x, 0.0) for x in (new, old, difference))
    series = _even_series(a, b, step, _ARCSINE)
    return jnp.where(small, series, (angle - difference * _arcsine_ratio(old)) / jnp.where(small, 1.0, new))


def _sine_ratio_difference(new: Array, old: Array, difference: Array) -> Array:
    """sin(new) / new - sin(old) / old, given new - old."""
    small = jnp.abs(new) < _SMALL
    a, b, step = (jnp.where(small, x, 0.0) for x in (new, old, difference))
    series = _even_series(a, b, step, _SINE)
    exact = 2 * jnp.cos((new + old) / 2) * jnp.sin(difference / 2) - difference * jnp.sinc(old / np.pi)
    return jnp.where(small, series, exact / jnp.where(small, 1.0, new))


def _at_radius(radius: Array, path: Path, state: Deviation) -> tuple[Array, Array, Array, Array]:
    """Turn, arc length and its excess, and sin(alpha) of a helix at a transverse radius; NaN where it is not reached."""
    h, kappa = -state.d0, path.kappa + state.kappa
    # sqrt((r^2 - h^2) / (1 - kappa h)) = r sqrt(1 + e)
    e = (kappa * h - (h / radius) ** 2) / (1 - kappa * h)
    root = jnp.sqrt(1 + e)
    longer = e / (1 + root)  # root - 1
    old = path.kappa * radius / 2
    new = kappa * radius * root / 2
    difference = radius / 2 * (state.kappa + kappa * longer)
    half_turn = _arcsine_difference(new, old, difference)
    ratio, more = _arcsine_ratio(new), _arcsine_ratio_difference(new, old, difference, half_turn)
    sin_alpha = h / radius + kappa * (radius**2 - h**2) / (2 * radius)
    return 2 * half_turn, radius * root * ratio, radius * (longer * ratio + more), sin_alpha


def _passage(surface: Surface, path: Path, state: Deviation, disks: bool) -> Passage:
    """Where a helix crosses one surface, and how far that is from where the reference does."""
    if disks:
        radius, radius0, met = _disk_radius(surface, path, state)
        met = surface.cylinder | met
        radius, radius0 = (jnp.where(surface.cylinder, surface.position, r) for r in (radius, radius0))
    else:
        radius, radius0, met = surface.position, surface.position, jnp.ones((), bool)
    reached = met & _reached(radius, path, state)
    # Where it is not reached, a straight line through the origin stands in: all is finite there.
    path = Path(*(jnp.where(reached, x, 0.0) for x in path))
    state = Deviation(*(jnp.where(reached, x, 0.0) for x in state))
    h, kappa, cot = -state.d0, path.kappa + state.kappa, path.cot_theta + state.cot_theta
    turn, arc, longer, sin_alpha = _at_radius(radius, path, state)
    along_z = state.z0 + longer * cot + _path_length(radius, path) * state.cot_theta
    sine = path.kappa * radius0 / 2  # of the reference's alpha
    sine_step = h / radius + state.kappa * radius / 2 - kappa * h**2 / (2 * radius)
    azimuth, second, end = state.phi + turn, along_z, state.z0 + arc * cot
    if disks:  # the reference meets a disk at a radius of its own
        wider = jnp.where(surface.cylinder, 0.0, radius - radius0)
        step = path.kappa * wider / 2
        sine_step = sine_step + step
        azimuth = azimuth + 2 * _arcsine_difference(sine + step, sine, step)
        second, end = (jnp.where(surface.cylinder, x, y) for x, y in ((second, wider), (end, radius)))
    azimuth = azimuth - _arcsine_difference(sin_alpha, sine, sine_step)
    room = (end - surface.low, surface.high - end)
    return Passage(reached, room, (radius0 * azimuth, second), radius, sin_alpha, turn, arc, longer)


def _disk_radius(surface: Surface, path: Path, state: Deviation) -> tuple[Array, Array, Array]:
    """Radius where a helix meets a disk, that of the reference, and whether both do on their outgoing half-turn."""
    h, kappa, cot = -state.d0, path.kappa + state.kappa, path.cot_theta + state.cot_theta
    ahead = ~surface.cylinder & (surface.position * path.cot_theta > 0) & (surface.position * cot > 0)
    # It is reached after s = (z - z0) / cot(theta), at a distance that follows from s.
    s0 = jnp.where(ahead, surface.position / jnp.where(ahead, path.cot_theta, 1.0), 1.0)
    ds = jnp.where(ahead, -(state.z0 + s0 * state.cot_theta) / jnp.where(ahead, cot, 1.0), 0.0)
    old, more = path.kappa * s0 / 2, (state.kappa * s0 + kappa * ds) / 2
    chord0 = s0 * jnp.sinc(old / np.pi)
    chord_more = ds * jnp.sinc((old + more) / np.pi) + s0 * _sine_ratio_difference(old + more, old, more)
    chord = chord0 + chord_more
    square = h**2 - kappa * h * chord**2 + chord_more * (chord + chord0)  # r^2 - r0^2
    met = ahead & (jnp.abs(old + more) < np.pi / 2) & (jnp.abs(old) < np.pi / 2)
    met = met & (chord0 > 0) & (chord0**2 + square > h**2) & (jnp.abs(path.kappa * chord0 / 2) < _most(chord0))
    radius0 = jnp.where(met, chord0, 1.0)
    # Not sqrt(r0^2 + square): the difference of the radii is what counts.
    root = jnp.sqrt(jnp.where(met, chord0**2 + square, 1.0))
    return radius0 + jnp.where(met, square / (root + radius0), 0.0), radius0, met


def _path_length(radius: Array, path: Path) -> Array:
    """Arc length of the reference up to a transverse radius."""
    return radius * _arcsine_ratio(path.kappa * radius / 2)


def _reached(radius: Array, path: Path, state: Deviation) -> Array:
    """Whether both the helix and the reference get out to a radius."""
    h, kappa = -state.d0, path.kappa + state.kappa
    sine = h / radius + kappa * (radius**2 - h**2) / (2 * radius)
    square = kappa**2 * (radius**2 - h**2) / (4 * (1 - kappa * h))
    far = (radius > jnp.abs(h)) & (kappa * h < 1)
    most = _most(radius)
    return far & (jnp.abs(sine) < most) & (square < most) & (jnp.abs(path.kappa * radius / 2) < most)


def _most(x: Array) -> float:
    """The largest sine: a track that grazes by less than rounding would turn by the arcsine of one, which has no slope."""
    return 1 - 8 * float(jnp.finfo(x.dtype).eps)


def _kicked(
    passage: Passage,
    path: Path,
    state: Deviation,
    angles: tuple[Float[Array, ""], Float[Array, ""]],
    bent: Float[Array, ""],
) -> Deviation:
    """The helix after a deflection by two projected angles: in the bending plane, and towards larger z.

    `bent` is how much more a slower muon curves, relative to what it did.
    """
    h, kappa, cot = -state.d0, path.kappa + state.kappa, path.cot_theta + state.cot_theta
    sideways, up = angles
    # direction = t + sideways e1 + up e2, in units of sin(theta) in the transverse plane
    csc = jnp.sqrt(1 + cot**2)
    across, ahead = sideways * csc, 1 - up * cot
    square_less_one = up * cot * (up * cot - 2) + across**2
    longer = jnp.sqrt(1 + square_less_one)
    d_cot = (up - cot * square_less_one / (1 + longer)) / longer
    d_psi = jnp.arctan2(across, ahead)
    # kappa ~ 1 / (p sin(theta))
    steeper = d_cot * (2 * cot + d_cot) / (1 + cot**2)
    steeper = steeper / (1 + jnp.sqrt(1 + steeper))
    d_kappa = kappa * (steeper + bent * (1 + steeper))
    # r sin(alpha) - kappa r^2 / 2 = h - kappa h^2 / 2 gives the new h = -d0.
    r, sine = passage.radius, passage.sin_alpha
    cosine = jnp.sqrt(1 - sine**2)
    d_sine = cosine * jnp.sin(d_psi) - 2 * sine * jnp.sin(d_psi / 2) ** 2
    c = h - kappa * h**2 / 2 + r * d_sine - d_kappa * r**2 / 2
    new = Deviation(
        d0=-2 * c / (1 + jnp.sqrt(1 - 2 * (kappa + d_kappa) * c)),
        phi=state.phi,
        kappa=state.kappa + d_kappa,
        z0=state.z0,
        cot_theta=state.cot_theta + d_cot,
    )
    turn, _, longer_arc, _ = _at_radius(r, path, new)
    more_arc = longer_arc - passage.longer
    return new._replace(
        phi=state.phi + d_psi - (turn - passage.turn),
        z0=state.z0 - more_arc * (cot + d_cot) - passage.arc * d_cot,
    )


def outward_order(surfaces: Surfaces, path: Path) -> Int[Array, " n"]:
    """Indices of the surfaces as a particle meets them."""
    if all(surfaces.cylinder):
        return jnp.argsort(surfaces.position)  # for all particles alike
    return jnp.argsort(helix(surfaces, path.kappa, path.cot_theta).path)


def deviations(
    surfaces: Surfaces,
    path: Path,
    state: Deviation,
    momentum: Float[Array, ""],
    physics: Physics,
    crossed: Bool[Array, " n"] | None = None,
) -> Float[Array, "n 2"]:
    """How far from the reference an undisturbed muon meets each surface, in mm along the two axes.

    It is not scattered, and loses the median energy: in what is taken to be crossed, if that is known, or in what it meets.
    """
    if surfaces.slow and physics.energy_loss:
        n, zero = len(surfaces.names), jnp.zeros((), surfaces.position.dtype)
        nothing = Dice(*(jnp.zeros((n, 5), zero.dtype),) * 2)
        within = None if crossed is None else jnp.broadcast_to(jnp.where(crossed, 1, -1)[:, None], (n, 2))
        physics = replace(physics, straggling=False)
        return transport(surfaces, path, state, momentum, nothing, physics, within, scatters=False).moved
    rows = Surface(surfaces.position, surfaces.low, surfaces.high, jnp.asarray(surfaces.cylinder))
    disks = not all(surfaces.cylinder)
    passages = jax.vmap(lambda row: _passage(row, path, state, disks))(rows)
    return jnp.stack(passages.deviation, -1)


class Flight(NamedTuple):
    """A muon on its way through n surfaces, in their order; helices as deviations from the reference."""

    crossed: Bool[Array, " n"]
    reached: Bool[Array, " n"]  # would be crossed if the surface did not end
    room: Float[Array, "n 2"]  # how far inside its lower and its upper end, in mm
    moved: Float[Array, "n 2"]  # from the reference, in mm along the two axes
    before: Deviation  # (n,) the helix on which it arrives, and that on which it goes on
    after: Deviation
    momentum_before: Float[Array, " n"]
    momentum_after: Float[Array, " n"]
    goes_on: Bool[Array, " n"]  # has not stopped here or before


class _Muon(NamedTuple):
    state: Deviation
    momentum: Float[Array, ""]
    goes_on: Bool[Array, ""]
    mean: Float[Array, ""]  # lost so far
    xi: Float[Array, ""]


def transport(
    surfaces: Surfaces,
    path: Path,
    start: Deviation,
    momentum: Float[Array, ""],
    dice: Dice,
    physics: Physics,
    within: Int[Array, "n 2"] | None = None,
    scatters: bool = True,
) -> Flight:
    """Follow one particle outwards through every surface.

    Args:
        surfaces: n thin surfaces.
        path: the reference of the particle.
        start: the particle's own helix.
        momentum: in GeV.
        dice: random numbers for each surface (n, 5).
        physics: which effects are on.
        within: decisions taken beforehand, whether it is inside the two ends of a surface: +1 yes, -1 no, 0 as it comes.
        scatters: whether it is deflected.
    """
    order, disks = outward_order(surfaces, path), not all(surfaces.cylinder)
    slow, medium = surfaces.slow and physics.energy_loss, surfaces.medium
    matter = surfaces.x_over_X0 * medium.X0
    rows = Surface(surfaces.position, surfaces.low, surfaces.high, jnp.asarray(surfaces.cylinder))
    within = jnp.zeros((len(surfaces.names), 2), jnp.int32) if within is None else within
    in_order = jax.tree.map(lambda column: column[order], (rows, medium, matter, dice, within))
    zero = jnp.zeros_like(momentum)

    def step(muon: _Muon, each: tuple[Surface, Medium, Array, Dice, Array]) -> tuple[_Muon, Flight]:
        surface, medium, matter, dice, within = each
        state = muon.state
        passage = _passage(surface, path, state, disks)
        csc = jnp.sqrt(1 + (path.cot_theta + state.cot_theta) ** 2)
        facing = jnp.sqrt(1 - passage.sin_alpha**2) / csc
        if disks:
            facing = jnp.where(surface.cylinder, facing, jnp.abs(path.cot_theta + state.cot_theta) / csc)
        reached, room = passage.reached & muon.goes_on, jnp.stack(passage.room)
        crossed = reached & jnp.where(within == 0, room >= 0, within > 0).all()
        # What is not crossed deflects a straight line by zero: all is finite there, and so are its derivatives.
        through = jnp.where(crossed, matter / jnp.where(crossed, facing, 1.0), 0.0)
        after, middle, bent, stopped = muon, muon.momentum, zero, jnp.zeros((), bool)
        if slow:
            if physics.straggling:
                gone, mean, xi = loss(medium, through, muon.momentum, dice), muon.mean, muon.xi
            else:
                spent = mean_loss(medium, through, muon.momentum)
                mean, xi = muon.mean + spent.mean, muon.xi + spent.xi
                gone = median_loss(mean, xi, momentum) - median_loss(muon.mean, muon.xi, momentum)
            less, stopped = slower(muon.momentum, gone)
            middle, bent = (muon.momentum + less) / 2, muon.momentum / less - 1
            after = _Muon(state, less, muon.goes_on & ~stopped, mean, xi)
        angles = (zero, zero)
        if scatters:
            angles = deflection(
                medium, through, through / medium.X0, middle, velocity(middle, physics), dice, physics
            ).angles
        here, own = (jax.tree.map(lambda x: jnp.where(crossed, x, 0.0), part) for part in (path, state))
        if scatters or slow:
            kicked = _kicked(passage, here, own, angles, bent)
            state = jax.tree.map(lambda new, old: jnp.where(crossed, new, old), kicked, state)
        after = after._replace(state=state)
        flight = Flight(
            crossed, reached, room, jnp.stack(passage.deviation),
            muon.state, state, muon.momentum, after.momentum, after.goes_on,
        )  # fmt: skip
        return after, flight

    # The reverse pass keeps what a muon is between surfaces, not all that happens on them.
    muon = _Muon(start, momentum, jnp.ones((), bool), zero, zero)
    _, flight = jax.lax.scan(jax.checkpoint(step), muon, in_order)
    back = jnp.argsort(order)
    return jax.tree.map(lambda column: column[back], flight)


class Points(NamedTuple):
    """Where a muon is on n surfaces, in the laboratory."""

    position: Float[Array, "n 3"]  # mm
    direction: Float[Array, "n 3"]  # unit vectors


def points(surfaces: Surfaces, path: Path, states: Deviation) -> Points:
    """Where helices, one for each surface (n,), meet it. What is not crossed is somewhere finite."""
    rows = Surface(surfaces.position, surfaces.low, surfaces.high, jnp.asarray(surfaces.cylinder))
    disks = not all(surfaces.cylinder)

    def one(row: Surface, state: Deviation) -> Points:
        passage = _passage(row, path, state, disks)
        half_turn = jnp.clip(path.kappa * passage.radius / 2, -1.0, 1.0)
        psi = state.phi + passage.turn + 2 * jnp.arcsin(half_turn)
        azimuth = psi - jnp.arcsin(jnp.clip(passage.sin_alpha, -1.0, 1.0))
        cot = path.cot_theta + state.cot_theta
        z = jnp.where(row.cylinder, state.z0 + passage.arc * cot, row.position)
        r = passage.radius
        return Points(
            jnp.stack([r * jnp.cos(azimuth), r * jnp.sin(azimuth), z]),
            jnp.stack([jnp.cos(psi), jnp.sin(psi), cot]) / jnp.sqrt(1 + cot**2),
        )

    return jax.vmap(one)(rows, states)
