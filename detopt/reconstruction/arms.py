"""From the hits of one muon in a beam line or portal to its tracks: one in each arm."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.detector.arms import Arm
from detopt.detector.stops import Stops
from detopt.reconstruction.beam_fit import fit_line, linear_track, straight_track
from detopt.reconstruction.level_fit import Crossing, fit_level
from detopt.simulation.beam_event import Sensors, Sight
from detopt.simulation.flight import Leg, Muon
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import highland_variance, velocity

__all__ = ["ArmTrack", "PairMass", "Reconstructed", "fit_arm", "rows_of"]


class ArmTrack(NamedTuple):
    """A fitted track, with the truth beside it: x, y in mm, dx/dz, dy/dz and, in a magnet, q/p in 1/GeV (k = 4 or 5).

    Both are where the muon met the first plane of the arm.
    """

    found: Bool[Array, ""]
    z: Float[Array, ""]
    parameters: Float[Array, " k"]
    truth: Float[Array, " k"]
    covariance: Float[Array, "k k"]
    chi2: Float[Array, ""]
    freedom: Float[Array, ""]


class PairMass(NamedTuple):
    """The mass of a pair of muons in GeV."""

    truth: Float[Array, ""]
    measured: Float[Array, ""]  # from both tracks; 1 where these were not found
    variance: Float[Array, ""]  # that the fits claim; 1 where they found none
    background: Bool[Array, ""]  # it is not from the resonance


class Reconstructed(NamedTuple):
    """What an objective sees of one muon: n sensors in the order of the detector's file, and a track in each arm."""

    weight: Float[Array, ""]  # of the event; means are weighted
    momentum: Float[Array, ""]  # true, where it starts, in GeV
    charge: Float[Array, ""]
    seen: Bool[Array, " n"]
    hits: Float[Array, "n 3"]  # measured, in the laboratory, in mm
    resolution: Float[Array, "n 2"]  # along the two sides of a sensor, in mm; 0 where nothing is measured
    tracks: tuple[ArmTrack, ...]
    passes: Bool[Array, ""]  # tracks in all arms, and the trigger
    measured: Float[Array, ""] | None = None  # momentum that the panels tell in GeV, where that is asked for
    pair: PairMass | None = None  # where muons come in pairs, this being one of two; both have to pass


def fit_arm(
    listed: Stops, leg: Leg, charge: Float[Array, ""], sensors: Sensors, sight: Sight, arm: Arm, physics: Physics
) -> ArmTrack:
    """Fit the hits of one muon in one arm.

    Args:
        listed: s stops.
        leg: what the muon did.
        charge: +1 or -1.
        sensors: n of the stops.
        sight: what these saw.
        arm: which of them make the track.
        physics: which effects are on.
    """
    if (
        sensors.alike
        and listed.sequence is not None
        and not (listed.tilted or len(listed.field) or _bodies_between(listed))
    ):
        return _fit_level(listed, leg, charge, sensors, sight, arm, physics)
    own, at = np.array(arm.sensors), np.array([sensors.at[i] for i in arm.sensors])
    # The planes may change places when they are free to move.
    first = jnp.asarray(at)[jnp.argmin(listed.forward * listed.middle[at, 2])]
    muon = Muon(*(x[first] for x in leg.before))
    if len(listed.field) or _bodies_between(listed):
        # What the muon crossed is what the track is taken to cross: an undisturbed one may pass beside an edge.
        rows, order = np.arange(len(listed.names)), listed.order
        track = linear_track(listed, muon, charge, physics, first, arm.bends, leg.crossed)
    else:
        rows = rows_of(listed, sensors, arm)
        order = jnp.argsort(listed.forward * listed.middle[rows, 2])
        track = straight_track(listed, rows, leg, first, physics)
    place = np.array([rows.tolist().index(i) for i in at])
    weight = jnp.where(sight.seen[own][:, None], sensors.weight[own], 0.0)
    weights = jnp.zeros((len(rows), 2), weight.dtype).at[place].set(weight)
    deviation = jnp.zeros_like(weights).at[place].set(sight.local[own] - track.local[place])
    fit = fit_line(order, track, deviation, weights, arm.min_hits)
    slopes = muon.direction[:2] / jnp.where(muon.direction[2] == 0, 1.0, muon.direction[2])
    truth = jnp.concatenate([muon.position[:2], slopes, (charge / muon.momentum)[None]])[: len(fit.change)]
    found = fit.found & muon.alive
    return ArmTrack(found, muon.position[2], truth + fit.change, truth, fit.covariance, fit.chi2, fit.freedom)


def _bodies_between(listed: Stops) -> bool:
    """Whether there may be bodies between the sensors of an arm: in a portal they are between the arms."""
    return listed.thick and listed.forward > 0


def _fit_level(
    listed: Stops, leg: Leg, charge: Float[Array, ""], sensors: Sensors, sight: Sight, arm: Arm, physics: Physics
) -> ArmTrack:
    """The same where planes are level, of a known order, and measure x as well as y."""
    assert listed.sequence is not None
    mine = rows_of(listed, sensors, arm).tolist()
    rows = [i for i in listed.sequence if i in mine]
    sensor = {sensors.at[i]: i for i in arm.sensors}
    first = next(i for i in rows if i in sensor)
    (x, y, z0), (ux, uy, uz), _, alive = jax.tree.map(lambda column: column[first], leg.met)
    along = jnp.where(uz == 0, 1.0, uz)
    slope = (ux / along, uy / along)
    oblique = jnp.maximum(jnp.abs(uz), 1e-3)
    crossings, zero = [], jnp.zeros_like(oblique)
    for row in rows:
        crossed, middle = leg.crossed[row], listed.middle[row]
        momentum = (leg.met.momentum[row] + leg.left.momentum[row]) / 2
        x_over_X0 = jnp.where(crossed, listed.matter[row] / listed.medium.X0[row] / oblique, 0.0)
        variance = highland_variance(x_over_X0, listed.body[row] / oblique, momentum, velocity(momentum, physics))
        weight, deviation = zero, (zero, zero)
        if (i := sensor.get(row)) is not None:
            weight = jnp.where(sight.fired[i] & crossed, sensors.weight[i, 0], 0.0)
            path, (u, v) = middle[2] - z0, sight.sides[i]
            deviation = (u - (x + slope[0] * path - middle[0]), v - (y + slope[1] * path - middle[1]))
        crossings.append(Crossing(middle[2], weight, deviation, variance))
    fit = fit_level(crossings, slope, arm.min_hits)
    truth = jnp.stack([x, y, *slope])
    return ArmTrack(fit.found & alive, z0, truth + fit.change, truth, fit.covariance, fit.chi2, fit.freedom)


def rows_of(listed: Stops, sensors: Sensors, arm: Arm) -> Int[np.ndarray, " r"]:
    """The stops that matter for a straight track: its own sensors, and what is thin and no sensor of another arm.

    Bodies separate arms: none is inside one.
    """
    others = {stop for i, stop in enumerate(sensors.at) if i not in arm.sensors}
    thin = [i for i in range(len(listed.names)) if i not in others and not listed.bulk[i]]
    return np.array(thin)
