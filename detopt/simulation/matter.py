"""What matter does to a muon: multiple scattering with its tails, and energy loss with its straggling.

Both are sums of many independent collisions, most of them soft. With Lambda(x) the expected number of collisions beyond x,
the largest has Lambda(x_1) = Gamma_1, the second Lambda(x_2) = Gamma_2, where Gamma_k are arrival times of a unit Poisson
process (LePage's series). So the largest collisions are drawn one by one, in order, and all that are smaller are
Gaussian, with their exact mean and variance (Asmussen and Rosinski, J. Appl. Probab. 38 (2001) 482). Nothing has to be
cut, so cutting matter into slices changes nothing; and for fixed random numbers everything moves smoothly with
thickness, momentum and material: its derivative is the derivative of the simulation.

Without tails, scattering is Gaussian with the width of Highland's formula for the whole body.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.medium import ELECTRON_MASS, Medium
from detopt.simulation.bits import circle
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import highland_variance
from detopt.simulation.source import MUON_MASS

__all__ = ["SLOWEST", "Deflection", "Dice", "Lost", "deflection", "dice", "loss", "mean_loss", "median_loss", "slower"]

SLOWEST = 0.02  # GeV: a muon of less momentum has stopped, a few micrometres of iron further on
_NEWTON = 3  # steps, from where they start: then what they solve is right to 1e-4 in the worst case, mostly to 1e-6
_FLAT = 0.02  # Newton's method takes no slope to be less than this
_EARLIEST = 1e-8  # a uniform number can be zero, and no collision is infinitely hard


class Dice(NamedTuple):
    """The random numbers of one passage through matter: arrays of five, or five arrays."""

    normal: Any  # two angles, energy, two displacements
    uniform: Any  # two largest energy transfers; largest angle: size, azimuth, where


class Deflection(NamedTuple):
    """Two projected angles in rad, and the two displacements that go with them, in mm."""

    angles: tuple[Float[Array, ""], Float[Array, ""]]
    aside: tuple[Float[Array, ""], Float[Array, ""]]


def dice(key: jax.Array, number: int, dtype: Any, physics: Physics, thin: bool) -> Dice:
    """Draw for so many muons what this physics needs; what it does not need is filled up."""
    first, second = jax.random.split(key)
    straggling = physics.energy_loss and physics.straggling
    normals = 2 + straggling if thin else 5
    begin, end = 0 if straggling else 2, (4 if thin else 5) if physics.tails else 2
    normal = jax.random.normal(first, (number, normals), dtype)
    uniform = jax.random.uniform(second, (number, max(end - begin, 0)), dtype)
    return Dice(
        jnp.pad(normal, ((0, 0), (0, 5 - normals))),
        jnp.pad(uniform, ((0, 0), (begin, 5 - max(end, begin)))),
    )


# -- scattering ------------------------------------------------------------------------------------------------------------


def deflection(
    medium: Medium,
    path: Float[Array, ""],
    body: Float[Array, ""],
    momentum: Float[Array, ""],
    beta: Float[Array, ""],
    dice: Dice,
    physics: Physics,
) -> Deflection:
    """Multiple scattering over a path.

    Args:
        medium: the material.
        path: length in mm; zero scatters by zero.
        body: x/X0 of all of the body that this is a slice of, for Highland's logarithm.
        momentum: in the middle of the path, in GeV.
        beta: velocity there.
        dice: random numbers.
        physics: which effects are on.
    """
    here = path > 0
    length = jnp.where(here, path, 1.0)
    if physics.tails:
        q2, soft = _largest_deflection(medium, length, momentum, beta, dice.uniform[2])
        width = jnp.sqrt(soft / 2) / momentum
        hard = jnp.where(q2 > 0, jnp.sqrt(jnp.where(q2 > 0, q2, 1.0)), 0.0) / momentum
        cosine, sine = circle(dice.uniform[3])
        hard_x, hard_y, left = hard * cosine, hard * sine, 1 - dice.uniform[4]
    else:
        variance = highland_variance(length / medium.X0, body, momentum, beta)
        width = jnp.sqrt(jnp.where(variance > 0, variance, 1.0)) * (variance > 0)
        hard_x = hard_y = left = jnp.zeros_like(width)
    z = dice.normal
    # Displacement and angle of a uniform scatterer correlate by sqrt(3) / 2 (PDG section 34.3).
    x, y = width * z[0] + hard_x, width * z[1] + hard_y
    aside_x = width * z[0] * length / 2 + width * length / 12**0.5 * z[3] + hard_x * left * length
    aside_y = width * z[1] * length / 2 + width * length / 12**0.5 * z[4] + hard_y * left * length
    return Deflection(
        angles=(jnp.where(here, x, 0.0), jnp.where(here, y, 0.0)),
        aside=(jnp.where(here, aside_x, 0.0), jnp.where(here, aside_y, 0.0)),
    )


def _beyond(y: Array, size: Array) -> Array:
    """Integral of 1 / (y^2 (1 + y / b)^2) from y on: 1/s + 1/(1 + s) + 2 ln(s / (1 + s)), over b, with s = y / b."""
    s = y / size
    # Where s is large three terms cancel; there it is the series of the integral itself.
    far = s > 30
    near = jnp.where(far, 1.0, s)
    exact = 1 / near + 1 / (1 + near) + 2 * jnp.log(near / (1 + near))
    r = 1 / jnp.where(far, s, 30.0)
    return jnp.where(far, r**3 * (1 / 3 - r / 2 + 3 * r**2 / 5 - 2 * r**3 / 3), exact) / size


def _below(x: Array, screening: Array, size: Array) -> Array:
    """Integral of x / ((x + a)^2 (1 + x / b)^2) from 0 to x, for a much smaller than b."""
    r, s = x / screening, x / size
    return jnp.log1p(r) - r / (1 + r) - jnp.log1p(s) - s / (1 + s)


def _largest_deflection(
    medium: Medium, path: Array, momentum: Array, beta: Array, uniform: Array
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Squared momentum transfer of the hardest scatter, and the sum of those of all others, in GeV^2."""
    nuclei, electrons = medium.rutherford * path / beta**2, medium.electrons * path / beta**2
    screening = medium.screening * (1.13 + 3.76 * medium.coulomb / beta**2)
    # Of an electron at rest q2 is 2 m T (1 - T / T_max), at most (m p / M)^2; spread as 1/T^2 (1 - beta^2 T / T_max) its
    # logarithm ends at 4 e^(-3/2) of that. The form 1 / (1 + q2 / b)^2 ends it one e later.
    size_e = 4 * jnp.exp(-0.5) * (ELECTRON_MASS * momentum / MUON_MASS) ** 2
    arrival = jnp.maximum(-jnp.log1p(-uniform), _EARLIEST)

    # Solve Lambda(y) = arrival for y = q2 + a, by Newton's method in the logarithms, from pure Rutherford scattering of
    # the nuclei: Lambda falls as 1/y and then as 1/y^3.
    def number(log_y: Array) -> Array:
        y = jnp.exp(log_y)
        return nuclei * _beyond(y, medium.size) + electrons * _beyond(y, size_e)

    def closer(log_y: Array) -> Array:
        y = jnp.exp(log_y)
        density = nuclei / (1 + y / medium.size) ** 2 + electrons / (1 + y / size_e) ** 2
        value = number(log_y)
        return log_y + (value / (density / y)) * jnp.log(value / arrival)

    start = (nuclei + electrons) / arrival
    start = jnp.log(start) - 2 / 3 * jnp.log1p(start / medium.size / 3)
    log_y = _root(lambda log_y: jnp.log(number(log_y) / arrival), closer, start)
    y = jnp.exp(log_y)
    # Fewer scatters than that: there is none.
    q2 = jnp.maximum(y - screening, 0.0)
    hard = q2 > 0
    q2 = jnp.where(hard, q2, 1e-6 * screening)
    soft = nuclei * _below(q2, screening, medium.size) + electrons * _below(q2, screening, size_e)
    return jnp.where(hard, q2, 0.0), jnp.maximum(soft, 1e-30)


def _root(falling: Callable[[Array], Array], closer: Callable[[Array], Array], start: Array) -> Array:
    """Where a falling function is zero, by a few steps; its derivative is that of the root, not that of the steps."""

    def solve(_: Any, start: Array) -> Array:
        return jax.lax.fori_loop(0, _NEWTON, lambda _, x: closer(x), start)

    def tangent(slope: Callable[[Array], Array], y: Array) -> Array:
        return y / jnp.minimum(slope(jnp.ones_like(y)), -_FLAT)

    return jax.lax.custom_root(falling, start, solve, tangent)


# -- energy loss ---------------------------------------------------------------------------------------------------------


class Lost(NamedTuple):
    """Energy lost over a path in GeV, and what straggling is measured by."""

    mean: Float[Array, "*n"]
    xi: Float[Array, "*n"]
    largest: Float[Array, "*m"]  # of a single transfer


def mean_loss(medium: Medium, path: Float[Array, "*n"], momentum: Float[Array, "*m"]) -> Lost:
    """Mean energy loss of a muon by ionisation: Bethe's formula, PDG eq. 34.5, with Sternheimer's density effect.

    xi = K/2 Z/A rho x / beta^2; the largest transfer to an electron is PDG eq. 34.4.
    """
    energy = jnp.sqrt(momentum**2 + MUON_MASS**2)
    beta, boost, largest = momentum / energy, momentum / MUON_MASS, largest_transfer(momentum)
    x = jnp.log10(boost)
    plateau = 2 * jnp.log(10.0) * x - medium.cbar
    rising = medium.a * jnp.maximum(medium.x1 - x, 0.0) ** medium.k
    insulator = medium.delta0 * 10 ** (2 * jnp.minimum(x - medium.x0, 0.0))
    density = jnp.where(x < medium.x0, insulator, plateau + rising)
    xi = medium.loss * path / beta**2
    logarithm = jnp.log(2 * ELECTRON_MASS * boost**2 * largest / medium.excitation**2)
    return Lost(xi * jnp.maximum(logarithm - 2 * beta**2 - density, 1.0), xi, largest)


def largest_transfer(momentum: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Of energy to an electron at rest, in GeV: PDG eq. 34.4."""
    gamma, ratio = jnp.sqrt((momentum / MUON_MASS) ** 2 + 1), ELECTRON_MASS / MUON_MASS
    return 2 * ELECTRON_MASS * (momentum / MUON_MASS) ** 2 / (1 + 2 * gamma * ratio + ratio**2)


def median_loss(mean: Float[Array, "*n"], xi: Float[Array, "*n"], momentum: Float[Array, "*m"]) -> Float[Array, "*n"]:
    """Median energy loss of muons that lose `mean` on average, with Landau's xi: all in GeV.

    Landau's distribution has its median at mean + xi (ln kappa + beta^2 + 0.4228 + 1.3558), kappa = xi / T_max (PDG
    section 34.2.9; Landau, J. Phys. USSR 8 (1944) 201); where kappa is large it is Gaussian, and mean and median agree.
    """
    some = xi > 0
    x = jnp.where(some, xi, 1.0)
    below = jnp.log(largest_transfer(momentum) / x) - momentum**2 / (momentum**2 + MUON_MASS**2) - 1.7786
    return mean - jnp.where(some, x * jax.nn.softplus(below), 0.0)


def loss(medium: Medium, path: Float[Array, ""], momentum: Float[Array, ""], dice: Dice) -> Float[Array, ""]:
    """Energy lost over a path with straggling, in GeV: the two hardest delta rays, and all softer ones.

    d number / dT = xi / T^2 (1 - beta^2 T / T_max), PDG eq. 34.7.
    """
    here = (path > 0) & (medium.loss > 0)
    lost = mean_loss(medium, jnp.where(here, path, 1.0), momentum)
    beta2 = momentum**2 / (momentum**2 + MUON_MASS**2)
    xi, largest = jnp.where(here, lost.xi, 1.0), lost.largest
    first = jnp.maximum(-jnp.log1p(-dice.uniform[0]), _EARLIEST)
    second = first - jnp.log1p(-dice.uniform[1])

    def transfer(arrival: Array) -> Array:
        """Solve 1/t - 1 + beta^2 ln t = arrival T_max / xi = target for y = -ln t, with t = T / T_max."""
        target, rest = arrival * largest / xi, 1 - beta2

        def excess(y: Array) -> Array:
            return target - (jnp.exp(y) - 1 - beta2 * y)

        def closer(y: Array) -> Array:
            grown = jnp.exp(y)
            return jnp.maximum(y + (target - (grown - 1 - beta2 * y)) / jnp.maximum(grown - beta2, _FLAT), 0.0)

        # The exponential's series to second order gives too much, and so does one step of y = ln(1 + target + beta^2 y)
        # from there: Newton's method comes down to the root of a convex function.
        series = jnp.sqrt(rest**2 + 2 * target) - rest
        return _root(excess, closer, jnp.log1p(target + beta2 * series))

    y1, y2 = transfer(first), transfer(second)
    t1, t2 = jnp.exp(-y1), jnp.exp(-y2)
    soft = lost.mean - xi * (y2 - beta2 * (1 - t2))
    variance = xi * largest * t2 * (1 - beta2 * t2 / 2)
    z = dice.normal[2]
    # Cornish and Fisher's first term carries the skewness of what is left: its third moment over its variance.
    third = largest * t2 * (1 / 2 - beta2 * t2 / 3) / (1 - beta2 * t2 / 2)
    total = (t1 + t2) * largest + soft + jnp.sqrt(variance) * z + third * (z**2 - 1) / 6
    return jnp.where(here, jnp.maximum(total, 0.0), 0.0)


def slower(momentum: Float[Array, "*m"], lost: Float[Array, "*n"]) -> tuple[Float[Array, "*n"], Bool[Array, "*n"]]:
    """Momentum in GeV after a loss of energy, and whether the muon has stopped (it keeps the least momentum then)."""
    least = (SLOWEST**2 + MUON_MASS**2) ** 0.5
    energy = jnp.sqrt(momentum**2 + MUON_MASS**2) - lost
    stopped = energy <= least
    return jnp.sqrt(jnp.where(stopped, least, energy) ** 2 - MUON_MASS**2), stopped
