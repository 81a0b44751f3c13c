"""The track of one muon through level planes that measure x and y alike: two straight lines, fitted one by one.

A deflection by independent angles of one width s turns the slope t = (dx/dz, dy/dz) by a vector of covariance
s^2 (1 + t^2) (1 + t t^T): along t its width is s (1 + t^2), across it s sqrt(1 + t^2). Where the resolution is the same in
all directions the two lines along and across t know nothing of each other, and each has two parameters.

Each is the square-root information filter of `detopt.reconstruction.square_root`, written out for two parameters that move
along from plane to plane: position and slope where the muon is.
"""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.reconstruction.beam_fit import BeamTrack

__all__ = ["Crossing", "Line", "disturbed", "fit_level", "measured"]

_TINY = 1e-20  # where there is nothing to rotate; its inverse has a cube in float32

Row = tuple[Array, Array]


class Crossing(NamedTuple):
    """A level plane that the muon may have crossed."""

    z: Float[Array, ""]  # mm
    weight: Float[Array, ""]  # 1 / resolution^2 along x as along y; 0 where nothing was seen
    deviation: tuple[Float[Array, ""], Float[Array, ""]]  # of the measured from the undisturbed x and y, in mm
    scattering: Float[Array, ""]  # variance of the projected angle in rad^2


class Line(NamedTuple):
    """R (position, slope) = v to unit errors, with R upper triangular."""

    r11: Array
    r12: Array
    r22: Array
    v1: Array
    v2: Array
    chi2: Array


def fit_level(crossings: list[Crossing], slope: tuple[Array, Array], min_hits: int) -> BeamTrack:
    """Fit one track.

    Args:
        crossings: along the flight.
        slope: dx/dz and dy/dz of the muon where the track starts.
        min_hits: measured planes that make a track.
    """
    tx, ty = slope
    square = tx**2 + ty**2
    flat = square <= _TINY
    scale = jax.lax.rsqrt(jnp.where(flat, 1.0, square))
    ex, ey = jnp.where(flat, 1.0, tx * scale), jnp.where(flat, 0.0, ty * scale)
    stretch = 1 + square
    lengthwise, sideways, hits = _walked(crossings, (ex, ey), stretch)
    found = hits >= max(min_hits, 2)
    along, across = _solved(lengthwise, found), _solved(sideways, found)

    def back(a: Array, b: Array) -> Row:
        """From along and across the slope to x and y."""
        return ex * a - ey * b, ey * a + ex * b

    (one, two), zero = (along, across), jnp.zeros_like(tx)
    change = jnp.stack([*back(one[0], two[0]), *back(one[1], two[1])])
    blocks = []
    for first, second in zip(one[2:5], two[2:5], strict=True):  # position, both, slope
        mixed = ex * ey * (first - second)
        blocks.append((ex**2 * first + ey**2 * second, mixed, ey**2 * first + ex**2 * second))
    (a, b, c), (d, e, f), (g, h, i) = blocks
    rows = [[a, b, d, e], [b, c, e, f], [d, e, g, h], [e, f, h, i]]
    chi2 = one[5] + two[5]
    sure = jnp.isfinite(chi2 + one[0] + two[0] + g + i) & (one[4] > zero) & (two[4] > zero)
    covariance = jnp.stack([jnp.stack(row) for row in rows])
    return BeamTrack(change, covariance, chi2, 2 * hits - 4, found & sure)


def _walked(crossings: list[Crossing], along: tuple[Array, Array], stretch: Array) -> tuple[Line, Line, Array]:
    """From the outside in: what is known where the first plane is met, along and across the slope; how many measured.

    A loop: written out, the compiler would work out each plane again for every number of the next one.
    """
    (ex, ey), zero = along, jnp.zeros_like(stretch)
    widths = stretch, jnp.sqrt(stretch)

    def inwards(carry: tuple[Line, Line, Array], each: tuple[Crossing, Array]) -> tuple[tuple[Line, Line, Array], None]:
        at, step = each
        some = at.weight > 0
        root = jnp.where(some, jnp.sqrt(jnp.where(some, at.weight, 1.0)), 0.0)
        turns = at.scattering > 0
        kick = jnp.where(turns, jnp.sqrt(jnp.where(turns, at.scattering, 1.0)), 0.0)
        (dx, dy), found = at.deviation, []
        for line, width, value in zip(carry[:2], widths, (ex * dx + ey * dy, ex * dy - ey * dx), strict=True):
            moved = line._replace(r12=line.r12 + line.r11 * step)
            found.append(measured(disturbed(moved, kick * width), root, value))
        return (found[0], found[1], carry[2] + some), None

    nothing = Line(zero, zero, zero, zero, zero, zero)
    z = jnp.stack([at.z for at in crossings])
    steps = jnp.concatenate([z[1:] - z[:-1], jnp.zeros_like(z[:1])])
    columns = jax.tree.map(lambda *x: jnp.stack(x), *crossings)
    step = jax.checkpoint(inwards, prevent_cse=False)
    return jax.lax.scan(step, (nothing, nothing, zero), (columns, steps), reverse=True)[0]


def _solved(line: Line, found: Bool[Array, ""]) -> tuple[Array, ...]:
    """Position, slope, their variance, covariance, variance, and chi2."""
    r11, r12, r22 = (
        jnp.where(found & (line.r22 != 0), r, held) for r, held in zip(line[:3], (1.0, 0.0, 1.0), strict=True)
    )
    i11, i22 = 1 / r11, 1 / r22
    i12 = -r12 * i11 * i22
    slope = line.v2 * i22
    position = line.v1 * i11 + i12 * line.v2
    return position, slope, i11**2 + i12**2, i12 * i22, jnp.where(line.r22 != 0, i22**2, 0.0), line.chi2


def _inverse_root(square: Array) -> Array:
    return jax.lax.rsqrt(jnp.maximum(square, _TINY))


def disturbed(line: Line, kick: Array) -> Line:
    """Let the slope change by a kick of this width, seen from before it."""
    r11, r12, r22, v1, v2, chi2 = line
    a, b = r22 * kick, r12 * kick
    grown = 1 + a**2
    p = jax.lax.rsqrt(grown)
    q = jax.lax.rsqrt(grown + b**2)
    cosine, sine = grown * p * q, b * q * a * p
    return Line(cosine * r11, cosine * r12 - sine * r22, p * r22, cosine * v1 - sine * v2, p * v2, chi2)


def measured(line: Line, root: Array, value: Array) -> Line:
    """One more measurement of the position, of error 1 / root."""
    r11, r12, r22, v1, v2, chi2 = line
    square = r11**2 + root**2
    q = _inverse_root(square)
    cosine, sine, value = r11 * q, root * q, root * value
    left, rest = -sine * r12, cosine * value - sine * v1
    lower = r22**2 + left**2
    p = _inverse_root(lower)
    return Line(
        square * q,
        cosine * r12,
        lower * p,
        cosine * v1 + sine * value,
        (r22 * v2 + left * rest) * p,
        chi2 + ((r22 * rest - left * v2) * p) ** 2,
    )
