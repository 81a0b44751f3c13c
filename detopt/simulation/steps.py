"""How a muon steps, in components: along a helix, to a plane, and turned by a kick.

In a uniform field B the direction u turns as du/ds = u x W with W = 0.2998 q B / p (PDG section 35.14). After a path s it
has turned by a = |W| s. With tau = 2 tan(a/2) / |W| instead of s all but the drift along the field is rational, and smooth
where there is no field: with x = (W tau / 2)^2,

    u(tau) = [(1 - x) u + tau u x W + tau^2 / 2 (u.W) W] / (1 + x),
    r(tau) = r + [tau u + tau^2 / 2 u x W] / (1 + x) + tau^3 / 4 g(x) (u.W) W,    s = tau atan(sqrt x) / sqrt x,
    g(x) = [atan(sqrt x) / sqrt x - 1 / (1 + x)] / x.

A plane at right angles to z, and so along the field, is met in closed form: along z, n = u_z and q = (u x W)_z, a distance
d ahead the muon has n' = sqrt(n^2 + 2 q d - W^2 d^2), or it has turned back, and tau = 2 d / (n + n').
"""

import math

from jaxtyping import Array

from detopt.backend import jnp
from detopt.simulation.matter import Deflection

__all__ = ["GRAZING", "Vector", "ahead", "along_helix", "arc", "cross", "deflect", "dot", "total"]

_TERMS = {4: 7, 8: 12}  # of the series of cos and sin up to pi / 2, by the bytes of a number
GRAZING = 1e-3  # cosine of the angle to a plane below which a muon does not reach it

Vector = tuple[Array, Array, Array]  # scalars: under vmap each is one long array, so that all arithmetic vectorises


def cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def dot(a: Vector, b: Vector) -> Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def total(*terms: tuple[Array | float, Vector]) -> Vector:
    """Of vectors, each times a number."""
    (factor, (x, y, z)), *others = terms
    x, y, z = factor * x, factor * y, factor * z
    for factor, vector in others:
        x, y, z = x + factor * vector[0], y + factor * vector[1], z + factor * vector[2]
    return x, y, z


def arc(x: Array) -> tuple[Array, Array]:
    """atan(sqrt x) / sqrt x, and g(x)."""
    small = x < 0.01
    large = jnp.where(small, 1.0, x)
    root = jnp.sqrt(large)
    ratio = jnp.arctan(root) / root
    y = jnp.where(small, x, 0.0)
    series = jnp.zeros_like(y)
    for n in reversed(range(1, 8)):
        series = 2 * n / (2 * n + 1) - y * series
    g = jnp.where(small, series, (ratio - 1 / (1 + large)) / large)
    return jnp.where(small, y * series + 1 / (1 + y), ratio), g


def along_helix(position: Vector, direction: Vector, turn: Vector, tau: Array) -> tuple[Vector, Vector]:
    """Position and direction further on in a field, with W = turn."""
    x = dot(turn, turn) * tau**2 / 4
    part, bent, along = 1 / (1 + x), cross(direction, turn), dot(direction, turn)
    _, g = arc(x)
    half = tau**2 / 2 * part
    return (
        total((1.0, position), (tau * part, direction), (half, bent), (tau**3 / 4 * g * along, turn)),
        total(((1 - x) * part, direction), (tau * part, bent), (half * along, turn)),
    )


def ahead(forward: int, direction: Vector, turn: Vector, normal: Vector, distance: Array) -> tuple[Array, Array]:
    """tau to a plane, exact where it lies along the field, and whether the muon gets there."""
    facing = dot(normal, direction)
    square = facing**2 + 2 * dot(normal, cross(direction, turn)) * distance - dot(turn, turn) * distance**2
    met = (forward * facing > 1e-6) & (square > GRAZING**2)
    both = facing + forward * jnp.sqrt(jnp.where(met, square, 1.0))
    return jnp.where(met, 2 * distance / jnp.where(met, both, 1.0), 0.0), met


def deflect(direction: Vector, by: Deflection) -> tuple[Vector, Vector]:
    """The new direction, and the displacement in mm; the angles are in the planes that hold x and y."""
    x, _, z = direction
    across = jnp.sqrt(jnp.maximum(x**2 + z**2, 1e-12))
    first = (z / across, jnp.zeros_like(x), -x / across)
    second = cross(direction, first)
    tx, ty = by.angles
    cosine, sinc = _turned(tx**2 + ty**2)
    dx, dy = by.aside
    return total((cosine, direction), (sinc * tx, first), (sinc * ty, second)), total((dx, first), (dy, second))


def _turned(square: Array) -> tuple[Array, Array]:
    """cos(a) and sin(a) / a of an angle with a^2 = square, smooth at zero; beyond pi the muon has long turned back.

    Series in the square, of half of the angle.
    """
    quarter = jnp.minimum(square, jnp.pi**2) / 4
    cosine = sinc = jnp.zeros_like(quarter)
    for n in reversed(range(_TERMS[square.dtype.itemsize])):
        cosine = (-1) ** n / math.factorial(2 * n) + quarter * cosine
        sinc = (-1) ** n / math.factorial(2 * n + 1) + quarter * sinc
    return 1 - 2 * quarter * sinc**2, sinc * cosine
