"""Drawing particles from a source."""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.events import Deviation, Particles
from detopt.simulation.helix import reference
from detopt.simulation.source import MUON_MASS, Decay, Gun

__all__ = ["Numbers", "born", "draw_births", "generate"]


class Numbers(NamedTuple):
    """All that is random in a muon's birth: uniform numbers, independent of each other."""

    angle: Float[Array, "*batch"]
    momentum: Float[Array, "*batch"]
    displaced: Float[Array, "*batch"]
    decay: Float[Array, "5 *batch"]
    fraction: Float[Array, "*batch"]  # the same for all muons of an exposure


def generate(
    source: Gun | Decay,
    key: jax.Array,
    shape: tuple[int, int],
    B: Float[Array, ""] | None,
    dtype: Any,
    momentum: float | None = None,
    theta: float | None = None,
) -> tuple[Particles, Float[Array, " exposures"]]:
    """Draw exposures of muons.

    Args:
        source: what to draw from.
        key: random key.
        shape: number of exposures, and of muons in each.
        B: field in tesla that the muons are born in, or None.
        dtype: of all numbers.
        momentum: instead of the source's, in GeV; such muons are prompt.
        theta: instead of the source's, in rad.

    Returns:
        Particles (exposures, muons), and the fraction of displaced muons that each exposure was drawn with (exposures,).
    """
    particles, fraction = born(source, draw_births(key, shape, dtype), B, momentum, theta)
    return particles, fraction[:, 0]


def draw_births(key: jax.Array, shape: tuple[int, int], dtype: Any) -> Numbers:
    """The numbers of (exposures, muons)."""
    keys = dict(zip(("angle", "momentum", "fraction", "decay", "displaced"), jax.random.split(key, 5), strict=True))
    fraction = jax.random.uniform(keys["fraction"], (shape[0], 1), dtype)
    return Numbers(
        angle=jax.random.uniform(keys["angle"], shape, dtype),
        momentum=jax.random.uniform(keys["momentum"], shape, dtype),
        displaced=jax.random.uniform(keys["displaced"], shape, dtype),
        decay=jax.random.uniform(keys["decay"], (5, *shape), dtype),
        fraction=jnp.broadcast_to(fraction, shape),
    )


def born(
    source: Gun | Decay,
    numbers: Numbers,
    B: Float[Array, ""] | None,
    momentum: float | None = None,
    theta: float | None = None,
) -> tuple[Particles, Float[Array, "*batch"]]:
    """The muons that some numbers make, each on its own, and the fraction of displaced ones among their like."""
    nothing = jnp.zeros_like(numbers.angle)
    low, high = source.angles() if theta is None else (theta, theta)
    angle = nothing + low
    if low < high:
        angle = jnp.arccos(math.cos(low) + numbers.angle * (math.cos(high) - math.cos(low)))
    if momentum is not None or not isinstance(source, Decay):
        low, high = source.momentum if momentum is None else (momentum, momentum)
        p = low * jnp.exp((numbers.momentum if low < high else nothing) * math.log(high / low))
        prompt = Deviation(nothing, nothing, nothing, nothing, nothing)
        return Particles(p, angle, prompt, jnp.zeros(nothing.shape, bool)), nothing
    low, high = source.displaced
    fraction = low + (high - low) * numbers.fraction
    p, away = _decays(source, numbers.decay, angle, B)
    displaced = numbers.displaced < fraction
    start = Deviation(*(jnp.where(displaced, x, 0.0) for x in away))
    return Particles(p, angle, start, displaced), fraction


def _decays(
    source: Decay, u: Float[Array, "5 *batch"], theta: Float[Array, "*batch"], B: Float[Array, ""] | None
) -> tuple[Float[Array, "*batch"], Deviation]:
    """Momenta of the muons, and the helices of those whose hadron flew."""
    hadron, tables = source.properties, _kinematics(source)
    row, rest = tables.draw(u[0], u[1])
    boost = jnp.exp(row) / hadron.mass
    gamma = jnp.sqrt(1 + boost**2)
    rest_p = jnp.sqrt(rest**2 - MUON_MASS**2)
    low, high = (math.hypot(p, MUON_MASS) for p in source.momentum)
    least, most = jnp.maximum(gamma * rest - boost * rest_p, low), jnp.minimum(gamma * rest + boost * rest_p, high)
    energy = least + u[2] * jnp.maximum(most - least, 0.0)  # isotropic in the rest frame is flat in energy
    p = jnp.sqrt(energy**2 - MUON_MASS**2)
    cosine = jnp.clip((energy - gamma * rest) / (boost * rest_p), -1.0, 1.0)
    # The hadron's direction, seen from the muon's.
    ahead = (gamma * rest_p * cosine + boost * rest) / p
    aside = rest_p * jnp.sqrt(1 - cosine**2) / p
    omega = 2 * math.pi * u[3]
    sine, cot = jnp.sin(theta), jnp.cos(theta)
    direction = jnp.stack(
        [
            sine * ahead - cot * aside * jnp.sin(omega),
            aside * jnp.cos(omega),
            cot * ahead + sine * aside * jnp.sin(omega),
        ]
    )
    mean = boost * source.decay_length
    longest = source.within / jnp.maximum(jnp.hypot(direction[0], direction[1]), 1e-6)
    flight = -mean * jnp.log1p(u[4] * jnp.expm1(-longest / mean))
    return p, _perigee(flight[None] * direction, p, theta, B, source.charge)


def _perigee(
    vertex: Float[Array, "3 *batch"],
    momentum: Float[Array, "*batch"],
    theta: Float[Array, "*batch"],
    B: Float[Array, ""] | None,
    charge: int,
) -> Deviation:
    """The helix of a muon that starts at a vertex in direction phi = 0.

    With n the normal to the left of the direction, the centre of the circle is at vertex + n / kappa, and at
    (1 / kappa + d0) n0 seen from the perigee, which has direction phi0 and normal n0.
    """
    kappa, cot_theta = reference(B, momentum, theta, charge)
    x, y, z = vertex
    c = -y - kappa * (x**2 + y**2) / 2
    d0 = -2 * c / (1 + jnp.sqrt(1 - 2 * kappa * c))
    tangent = kappa * x / (1 + kappa * y)
    small = jnp.abs(tangent) < 1e-2
    safe = jnp.where(small, 1.0, tangent)
    ratio = jnp.where(small, 1 - tangent**2 / 3 + tangent**4 / 5, jnp.arctan(safe) / safe)
    arc = x / (1 + kappa * y) * ratio  # from the perigee to the vertex
    zero = jnp.zeros_like(x)
    return Deviation(d0, -kappa * arc, zero, z - arc * cot_theta, zero)


class _Tables(NamedTuple):
    """Inverse distributions of the hadron's momentum and of the muon's energy in its rest frame."""

    log_momentum: Float[np.ndarray, " quantiles"]
    first: float
    step: float
    energy: Float[np.ndarray, "rows quantiles"]  # for hadrons of momentum exp(first + i step)

    def draw(self, u: Float[Array, "*batch"], v: Float[Array, "*batch"]) -> tuple[Array, Array]:
        """Log of the hadron's momentum, and the muon's energy in the rest frame, from two uniform numbers."""
        log_p = _interpolate(jnp.asarray(self.log_momentum[None], u.dtype), jnp.zeros_like(u), u)
        if len(self.energy) == 1:
            return log_p, _interpolate(jnp.asarray(self.energy, u.dtype), jnp.zeros_like(u), v)
        row = (log_p - self.first) / self.step / (len(self.energy) - 1)
        return log_p, _interpolate(jnp.asarray(self.energy, u.dtype), row, v)


def _interpolate(table: Float[Array, "rows columns"], row: Array, column: Array) -> Array:
    """Bilinear interpolation; both coordinates run from 0 to 1."""
    rows, columns = table.shape
    i, j = row * (rows - 1), column * (columns - 1)
    i0 = jnp.clip(jnp.floor(i), 0, max(rows - 2, 0)).astype(jnp.int32)
    j0 = jnp.clip(jnp.floor(j), 0, columns - 2).astype(jnp.int32)
    di, dj = i - i0.astype(i.dtype), j - j0.astype(j.dtype)
    flat = table.ravel()

    def at(i: Array, j: Array) -> Array:
        return flat[jnp.minimum(i, rows - 1) * columns + j]

    first = at(i0, j0) * (1 - dj) + at(i0, j0 + 1) * dj
    second = at(i0 + 1, j0) * (1 - dj) + at(i0 + 1, j0 + 1) * dj
    return first * (1 - di) + second * di


@functools.cache
def _kinematics(source: Decay) -> _Tables:
    """Tables of the decays whose muon counts.

    In the rest frame the decay H -> h mu nu has, by three-body phase space, d Gamma / dE ~ p (s - m_h^2) / s with
    s = M^2 + m_mu^2 - 2 M E the squared mass of h and nu (PDG section 49.4.4.1). Of the isotropic directions, the fraction
    counts that gives the muon an energy within the limits.
    """
    hadron = source.properties
    low, high = (math.hypot(p, MUON_MASS) for p in source.momentum)
    # Points denser at both ends, where the distribution vanishes like a root.
    grid = MUON_MASS + (source.largest_energy - MUON_MASS) * (1 - np.cos(np.linspace(0, np.pi, 4001))) / 2
    energy = (grid[1:] + grid[:-1]) / 2
    momentum = np.sqrt(energy**2 - MUON_MASS**2)
    square = hadron.mass**2 + MUON_MASS**2 - 2 * hadron.mass * energy
    density = momentum * (square - hadron.recoil**2) / square * np.diff(grid)

    first, last = (math.log(p) for p in source.hadron_momentum)
    rows = np.linspace(first, last, 129 if last > first else 1)
    quantiles = np.linspace(0, 1, 513)
    accepted, energies = [], []
    for log_p in rows:
        boost = math.exp(log_p) / hadron.mass
        gamma = math.hypot(1, boost)
        lowest, highest = gamma * energy - boost * momentum, gamma * energy + boost * momentum
        fraction = np.clip(np.minimum(highest, high) - np.maximum(lowest, low), 0, None) / (highest - lowest)
        weight = np.append(0.0, np.cumsum(density * fraction))
        accepted.append(weight[-1])
        energies.append(np.interp(quantiles, weight / max(weight[-1], 1e-300), grid))
    if last == first:
        return _Tables(np.full(2, first), first, 1.0, np.array(energies))
    # Flat in log p before the muon is asked for.
    total = np.append(0.0, np.cumsum((np.array(accepted[1:]) + accepted[:-1]) / 2))
    log_momentum = np.interp(quantiles, total / total[-1], rows)
    return _Tables(log_momentum, first, float(rows[1] - rows[0]), np.array(energies))
