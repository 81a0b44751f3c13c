"""The momentum of a muon from its own hits: how far they stray from a straight line tells how much the panels scattered it.

Of one track in one projection the hits y are Gaussian around a straight line, with a covariance V(p) of the resolution and
of a kick in each plane passed, whose width follows Highland's formula (PDG eq. 34.16 in section 34.3; Lynch and Dahl, NIM B
58 (1991) 6, doi:10.1016/0168-583X(91)95671-Y). Position and slope of the line are unknown, and are integrated over: H being
the derivatives of y with respect to these two,

    ln L(p) = -1/2 [chi2 + ln det V + ln det (H^T V^-1 H)] + const.

The square-root filter of `detopt.reconstruction.level_fit` gives all of it: a kick that is rotated away leaves a factor
1 + (kick R)^2, and the determinant of what is left at the end is that of R. The first two hits only tell the line, so an arm
with two, or without matter at the planes between its outer ones, says nothing.

A few momenta are tried, of equal shares of the source's muons, and the estimate is exp(mean of ln p) over them, weighted by
their likelihoods in both arms and projections: the posterior mean for that spectrum. It is smooth, is drawn to the middle of
the spectrum where the panels tell little, and never leaves the momenta tried.

What it leaves out: the muon is taken to be as fast below the load as above (it loses some 0.2 GeV in a metre of water), so
that the estimate lies between both momenta; of the two projections, that oblique tracks scatter in both together; hard
single scatters, which make a muon look slow. Beside the hits it uses the slope of the fitted tracks, for the way through the
panels, and which planes were crossed.
"""

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.arms import Arm
from detopt.detector.stops import Stops
from detopt.reconstruction.arms import ArmTrack, Reconstructed, rows_of
from detopt.reconstruction.level_fit import Line, disturbed, measured
from detopt.simulation.beam_event import Sensors
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import highland_variance, velocity

__all__ = ["TRIED", "log_likelihood", "panel_momentum"]

TRIED = 8  # momenta; three times as many make estimates better by a hundredth


def panel_momentum(
    stops: Stops,
    crossed: Bool[Array, " s"],
    sensors: Sensors,
    muon: Reconstructed,
    arms: tuple[Arm, ...],
    momenta: Float[np.ndarray, " K"],
    physics: Physics,
) -> Float[Array, ""]:
    """The momentum in GeV that the scattering in the panels tells; of the muon's own only `hits` and `tracks` are looked at.

    Args:
        stops: s of them.
        crossed: which of them the muon crossed.
        sensors: n of the stops.
        muon: its hits, and a fitted track in each arm.
        arms: those with a magnet are left out.
        momenta: in GeV, all equally likely.
        physics: which velocity to take.
    """
    dtype = stops.middle.dtype
    fit = jnp.zeros(len(momenta), dtype)
    for arm, track in zip(arms, muon.tracks, strict=True):
        if not arm.bends:
            fit = fit + _of_arm(stops, crossed, sensors, muon, arm, track, jnp.asarray(momenta, dtype), physics)
    return jnp.exp(jax.nn.softmax(fit) @ jnp.asarray(np.log(momenta), dtype))


def _of_arm(
    stops: Stops,
    crossed: Bool[Array, " s"],
    sensors: Sensors,
    muon: Reconstructed,
    arm: Arm,
    track: ArmTrack,
    momenta: Float[Array, " K"],
    physics: Physics,
) -> Float[Array, " K"]:
    """ln L of one arm: 0 where it has no track."""
    rows = rows_of(stops, sensors, arm)
    listed, own = rows.tolist(), np.array(arm.sensors)
    place = np.array([listed.index(sensors.at[i]) for i in arm.sensors])
    x, y, tx, ty = (jnp.where(track.found, track.parameters[i], 0.0) for i in range(4))
    # Any straight line may be taken off; the fitted one leaves small numbers.
    hits = muon.hits[own]
    ahead = hits[:, 2] - jnp.where(track.found, track.z, 0.0)
    away = jnp.stack([hits[:, 0] - x - tx * ahead, hits[:, 1] - y - ty * ahead])
    seen = muon.seen[own] & track.found
    z = stops.middle[rows, 2].at[place].set(hits[:, 2])
    deviation = jnp.zeros((2, len(rows)), z.dtype).at[:, place].set(jnp.where(seen[None], away, 0.0))
    weight = jnp.zeros_like(deviation).at[:, place].set(jnp.where(seen[None], sensors.weight[own].T, 0.0))

    stretch = 1 + tx**2 + ty**2
    longer = jnp.sqrt(stretch)
    x_over_X0 = jnp.where(crossed[rows], stops.matter[rows] / stops.medium.X0[rows] * longer, 0.0)
    body = stops.body[rows] * longer
    widen = stretch * jnp.stack([1 + tx**2, 1 + ty**2])  # from the variance of an angle to that of a slope
    order: Array | np.ndarray = jnp.argsort(stops.forward * stops.middle[rows, 2])
    if stops.sequence is not None:
        order = np.array([listed.index(i) for i in stops.sequence if i in listed])

    def at(p: Array) -> Array:
        angle = jax.vmap(highland_variance, (0, 0, None, None))(x_over_X0, body, p, velocity(p, physics))
        kicks = widen[:, None] * angle[None]
        each = (x[:, order] for x in (weight, deviation, kicks))
        return jnp.sum(jax.vmap(log_likelihood, (None, 0, 0, 0))(z[order], *each))

    return jax.lax.map(at, momenta)  # one after the other: all at once they do not fit into the cache


def log_likelihood(
    z: Float[Array, " r"],
    weight: Float[Array, " r"],
    deviation: Float[Array, " r"],
    scattering: Float[Array, " r"],
) -> Float[Array, ""]:
    """ln L of the hits in one projection, without what does not depend on the scattering; 0 of fewer than two hits.

    Left out is -1/2 sum ln(2 pi / weight) over the hits, but for ln(2 pi) of the two that the line takes.

    Args:
        z: of r planes along the flight, in mm.
        weight: 1 / resolution^2 in 1/mm^2; 0 where nothing was seen.
        deviation: of the hits from a straight line, in mm.
        scattering: variance of the slope from each plane.
    """
    root = jnp.where(weight > 0, jnp.sqrt(jnp.where(weight > 0, weight, 1.0)), 0.0)
    kick = jnp.where(scattering > 0, jnp.sqrt(jnp.where(scattering > 0, scattering, 1.0)), 0.0)
    back = jnp.concatenate([jnp.zeros_like(z[:1]), z[:-1] - z[1:]])
    zero = jnp.zeros_like(z[0])

    def onwards(carry: tuple[Line, Array], plane: tuple[Array, Array, Array, Array]) -> tuple[tuple[Line, Array], None]:
        (line, spread), (step, root, value, kick) = carry, plane
        line = measured(line._replace(r12=line.r12 + line.r11 * step), root, value)
        spread = spread + jnp.log1p((line.r22 * kick) ** 2 + (line.r12 * kick) ** 2)
        return (disturbed(line, kick), spread), None

    start = Line(zero, zero, zero, zero, zero, zero), zero
    step = jax.checkpoint(onwards, prevent_cse=False)
    (line, spread), _ = jax.lax.scan(step, start, (back, root, deviation, kick))
    size = line.r11 * line.r22
    some = jnp.sum(weight > 0) >= 2
    return jnp.where(some, -(line.chi2 + spread) / 2 - jnp.log(jnp.where(some, size, 1.0)), 0.0)
