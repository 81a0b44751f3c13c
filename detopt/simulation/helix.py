"""A particle from the origin on an exact helix: where it crosses each surface, and how its hits move.

In a field along z the transverse projection is a circle of curvature kappa = 0.2998 B / pT; s is the arc length along it.
With the direction at the origin along x, and a = kappa s,

    x = sin(a) / kappa,   y = (1 - cos(a)) / kappa,   z = s cot(theta).

To first order a track is displaced by its helix parameters (d0, phi, kappa, z0, cot theta) at the origin, and a kick at a
surface equals a change of these parameters for all that comes later. Both maps are in closed form here.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jnp
from detopt.detector.detector import Detector
from detopt.detector.surfaces import Surfaces

__all__ = [
    "PARAMETERS",
    "Crossings",
    "Path",
    "curvature",
    "helix",
    "is_transverse",
    "particle_path",
    "reference",
    "solenoid",
]

PARAMETERS = ("d0", "phi", "kappa", "z0", "cot_theta")


class Path(NamedTuple):
    """The helix of a particle from the origin, in the plane phi = 0."""

    kappa: Float[Array, "*batch"]  # 1/mm
    cot_theta: Float[Array, "*batch"]


class Crossings(NamedTuple):
    """Where one track meets n surfaces."""

    crossed: Bool[Array, " n"]
    path: Float[Array, " n"]  # transverse arc length in mm; it orders the surfaces
    hit: Float[Array, "n 2 5"]  # d (measured coordinates) / d (helix parameters)
    kick: Float[Array, "n 5 2"]  # d (helix parameters) / d (the two projected scattering angles)
    obliquity: Float[Array, " n"]  # path through a thin surface / its thickness


def curvature(
    B: Float[Array, ""], momentum: Float[Array, "*batch"], theta: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Curvature in 1/mm of a singly charged track: 0.299792458 B[T] / pT[GeV] per metre (PDG section 35.14)."""
    return 0.299792458e-3 * B / (momentum * jnp.sin(theta))


def reference(
    B: Float[Array, ""] | None, momentum: Float[Array, "*batch"], theta: Float[Array, "*batch"], charge: Any
) -> Path:
    """The helix of a particle from the origin in a solenoid, or without a field.

    A field along +z turns a positive charge clockwise, so that its curvature is negative.
    """
    # Sines and cosines leave cot(90 deg) at 6e-17 instead of 0: a disk would be hit a light year away.
    cot_theta = jnp.where(is_transverse(theta), 0.0, jnp.cos(theta) / jnp.sin(theta))
    return Path(jnp.zeros_like(momentum) if B is None else -charge * curvature(B, momentum, theta), cot_theta)


def solenoid(detector: Detector) -> Float[Array, ""] | None:
    """The field of a barrel in tesla; None without one."""
    return None if detector.field is None else detector.field.B


def particle_path(
    detector: Detector, momentum: Float[Array, "*batch"], theta: Float[Array, "*batch"], charge: Any
) -> Path:
    """The reference of a particle in a detector's field."""
    return reference(solenoid(detector), momentum, theta, charge)


def is_transverse(theta: Any) -> Any:
    """Whether a track leaves at right angles to the beam."""
    return abs(theta - np.pi / 2) < max(1e-12, 4 * float(np.finfo(getattr(theta, "dtype", float)).eps))


def _series(x: Array, exact: Array, *coefficients: float, limit: float = 0.1) -> Array:
    """`exact` away from zero, and the power series sum c_k x^(2k) near it (a 0/0 has no gradient)."""
    square = jnp.where(jnp.abs(x) < limit, x, 0.0) ** 2
    return jnp.where(jnp.abs(x) < limit, jnp.polyval(jnp.asarray(coefficients[::-1], x.dtype), square), exact)


def _away_from_zero(x: Array) -> Array:
    return jnp.where(jnp.abs(x) < 0.1, 1.0, x)


def _circle(a: Array) -> tuple[Array, Array, Array, Array]:
    """sin(a)/a, (1 - cos(a))/a and their derivatives with respect to a."""
    b = _away_from_zero(a)
    sine, cosine = jnp.sin(b), jnp.cos(b)
    x = _series(a, sine / b, 1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880)
    y = a * _series(a, (1 - cosine) / b**2, 1 / 2, -1 / 24, 1 / 720, -1 / 40320, 1 / 3628800)
    dx = a * _series(a, (b * cosine - sine) / b**3, -1 / 3, 1 / 30, -1 / 840, 1 / 45360, -1 / 3991680)
    dy = _series(a, (b * sine - 1 + cosine) / b**2, 1 / 2, -1 / 8, 1 / 144, -1 / 5760, 1 / 403200)
    return x, y, dx, dy


def helix(surfaces: Surfaces, kappa: Float[Array, ""], cot_theta: Float[Array, ""]) -> Crossings:
    """Cross each surface once, on the outgoing half-turn.

    Args:
        surfaces: n cylinders and disks.
        kappa: curvature in 1/mm; zero is a straight line (and gives the parabola of small angles).
        cot_theta: cotangent of the polar angle.
    """
    position, is_cylinder = surfaces.position, np.asarray(surfaces.cylinder)
    # A cylinder is reached after s = 2 asin(kappa r / 2) / kappa, if the circle is wide enough.
    u = kappa * position / 2
    reached = jnp.abs(u) < 1
    v = jnp.where(reached & is_cylinder, u, 0.0)
    w = _away_from_zero(v)
    arc = position * _series(v, jnp.arcsin(w) / w, 1.0, 1 / 6, 3 / 40, 5 / 112, 35 / 1152, 63 / 2816, 231 / 13312)
    towards = position * cot_theta > 0
    straight = jnp.where(towards, position / jnp.where(towards, cot_theta, 1.0), 0.0)
    s = jnp.where(is_cylinder, arc, straight)

    a = kappa * s
    x, y, dx, dy = _circle(a)
    x, y, dx, dy = s * x, s * y, s**2 * dx, s**2 * dy
    # Where the surface ends: z of a cylinder, the radius of the crossing for a disk.
    chord = jnp.where(is_cylinder, 0.0, jnp.sqrt(jnp.where(s > 0, x**2 + y**2, 1.0)))
    along = jnp.where(is_cylinder, s * cot_theta, chord)
    crossed = jnp.where(is_cylinder, reached, towards & (jnp.abs(a) < jnp.pi))
    crossed = crossed & (along >= surfaces.low) & (along <= surfaces.high)

    zero, one = jnp.zeros_like(s), jnp.ones_like(s)
    cot = cot_theta * one
    tangent = jnp.stack([jnp.cos(a), jnp.sin(a), cot], -1)  # unit length in the transverse plane
    radial = jnp.stack([jnp.cos(a / 2), jnp.sin(a / 2), zero], -1)
    azimuthal = jnp.stack([-jnp.sin(a / 2), jnp.cos(a / 2), zero], -1)
    along_z = jnp.stack([zero, zero, one], -1)
    cylinder = is_cylinder[:, None]
    normal = jnp.where(cylinder, radial, along_z)
    axes = jnp.stack([azimuthal, jnp.where(cylinder, along_z, radial)], 1)  # (n, 2, 3)

    # How the point at arc length s moves with each helix parameter, (n, 5, 3) ...
    displacement = jnp.stack(
        [
            jnp.stack([zero, one, zero], -1),
            jnp.stack([-y, x, zero], -1),
            jnp.stack([dx, dy, zero], -1),
            jnp.stack([zero, zero, one], -1),
            jnp.stack([zero, zero, s], -1),
        ],
        1,
    )
    # ... and how the hit does, which stays on the surface: slide along the track until it is back there.
    facing = jnp.sum(normal * tangent, -1)
    facing = jnp.where(crossed, facing, 1.0)
    slide = jnp.einsum("nc,npc->np", normal, displacement) / facing[:, None]
    moved = displacement - slide[:, :, None] * tangent[:, None, :]
    hit = jnp.where(crossed[:, None, None], jnp.einsum("nac,npc->nap", axes, moved), 0.0)

    # A kick in the bending plane turns the later track by dphi = angle / sin(theta) about the surface's point. A turn
    # about that point is a turn about the origin plus a shift; a shift along the track's own direction at the origin
    # slides the track along itself, which turns it by -kappa and lowers it by -cot(theta) per mm.
    csc = jnp.sqrt(1 + cot_theta**2)
    turn = jnp.stack([-x, jnp.cos(a), zero, -cot * y, zero], -1)
    # A kick out of it changes cot(theta) by csc^2 and, at constant momentum, the curvature.
    d_kappa = kappa * cot_theta
    bend = jnp.stack([-dy, kappa * dx, one, cot * dx, zero], -1) - s[:, None] * turn
    polar = csc**2 * jnp.stack([zero, zero, zero, -s, one], -1)
    kick = jnp.stack([csc * turn, polar + d_kappa * bend], -1)
    obliquity = csc / jnp.abs(facing)
    return Crossings(crossed, s, hit, jnp.where(crossed[:, None, None], kick, 0.0), obliquity)
