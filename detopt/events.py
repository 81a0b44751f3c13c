"""What flows from the source to the answer: particles, their hits, and the tracks that are fitted to these.

All describe a particle by how it deviates from its reference, the helix that starts at the origin with the particle's own
momentum and polar angle, in the plane phi = 0. Deviations are small numbers, so float32 carries them to a part in 1e7 of
themselves and not of the detector's size.
"""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float

__all__ = ["Deviation", "Hits", "Particles", "Rays", "Tracks", "Truth"]


class Deviation(NamedTuple):
    """Perigee parameters of a helix minus those of the reference (which has d0 = phi = z0 = 0)."""

    d0: Float[Array, "*batch"]  # mm; positive to the left of the flight
    phi: Float[Array, "*batch"]  # rad
    kappa: Float[Array, "*batch"]  # 1/mm
    z0: Float[Array, "*batch"]  # mm
    cot_theta: Float[Array, "*batch"]


class Particles(NamedTuple):
    """What the source made."""

    momentum: Float[Array, "*batch"]  # GeV
    theta: Float[Array, "*batch"]  # polar angle in rad
    start: Deviation  # zero for a particle from the origin
    displaced: Bool[Array, "*batch"]  # born in a decay away from the origin


class Hits(NamedTuple):
    """What the detector saw of one particle, on each of its n surfaces."""

    seen: Bool[Array, "*batch n"]
    deviation: Float[Array, "*batch n 2"]  # measured minus reference along the two axes, in mm
    crossed: Bool[Array, "*batch n"]  # flown through, seen or not: all of these scatter


class Tracks(NamedTuple):
    """Least-squares tracks."""

    fitted: Deviation  # from the reference, which a real fit would not know: for residuals only
    kappa: Float[Array, "*batch"]  # 1/mm, as measured
    cot_theta: Float[Array, "*batch"]  # as measured
    covariance: Float[Array, "*batch 5 5"]  # in mm, rad, 1/mm, mm, 1
    chi2: Float[Array, "*batch"]
    freedom: Float[Array, "*batch"]  # number of measured coordinates minus number of fitted parameters
    found: Bool[Array, "*batch"]  # enough hits for a track
    z_found: Bool[Array, "*batch"]  # and enough that measure the second coordinate
    hits: Float[Array, "*batch"]  # their number, whether they make a track or not


class Rays(NamedTuple):
    """Particles in the laboratory as a source made them: N events of m particles each."""

    position: Float[Array, "N m 3"]  # mm
    direction: Float[Array, "N m 3"]  # unit vectors
    momentum: Float[Array, "N m"]  # GeV
    charge: Float[Array, "N m"]  # +1 or -1
    weight: Float[Array, " N"]  # of the event; their sum is the number of events expected, where the source knows it


class Truth(NamedTuple):
    """What N particles really did at n elements, in the order of the detector's file. Positions in mm, momenta in GeV."""

    entered: Bool[Array, "N n"]
    left: Bool[Array, "N n"]  # on the far side; not where it stopped inside, or left a slab through its side
    stopped: Bool[Array, "N n"]  # there
    entry_position: Float[Array, "N n 3"]
    entry_momentum: Float[Array, "N n 3"]
    exit_position: Float[Array, "N n 3"]
    exit_momentum: Float[Array, "N n 3"]
