"""Gaussian multiple scattering: Highland's width, of thin surfaces and of slices of a body."""

from jaxtyping import Array, Float

from detopt.backend import jnp
from detopt.simulation.physics import Physics
from detopt.simulation.source import MUON_MASS

__all__ = ["beta", "bracket", "highland", "highland_variance", "unit_width", "velocity"]


def beta(momentum: Float[Array, "*n"], mass: float = MUON_MASS) -> Float[Array, "*n"]:
    """Velocity of a particle of the given momentum (GeV) and mass (GeV)."""
    return momentum / jnp.sqrt(momentum**2 + mass**2)


def velocity(momentum: Float[Array, "*n"], physics: Physics) -> Float[Array, "*n"]:
    """The muon's beta, or that of light where the study says so."""
    return beta(momentum) if physics.velocity == "true" else jnp.ones_like(momentum)


def unit_width(momentum: Float[Array, "*m"], velocity: Float[Array, "*m"]) -> Float[Array, "*m"]:
    """Width in rad of one radiation length, but for the logarithm: 13.6 MeV / (beta p), PDG eq. 34.16."""
    return 13.6e-3 / (velocity * momentum)


def bracket(thickness: Float[Array, "*n"], velocity: Float[Array, "*m"]) -> Float[Array, "..."]:
    """1 + 0.038 ln(x / (X0 beta^2)), PDG eq. 34.16; it would turn negative below 4e-12 X0, where nothing scatters."""
    return jnp.maximum(1 + 0.038 * jnp.log(thickness / velocity**2), 0.0)


def highland(
    thickness: Float[Array, " n"], momentum: Float[Array, "*m"], velocity: Float[Array, "*m"]
) -> Float[Array, " n"]:
    """Width of the projected scattering angle in rad.

    theta_0 = 13.6 MeV / (beta p) sqrt(x/X0) [1 + 0.038 ln(x / (X0 beta^2))], PDG eq. 34.16 (Lynch and Dahl, NIM B 58
    (1991) 6). `thickness` is x/X0 along the track of each surface (n,), and each has its own logarithm; zero gives zero,
    with a finite gradient.
    """
    present = thickness > 0
    x = jnp.where(present, thickness, 1.0)
    return jnp.where(present, unit_width(momentum, velocity) * jnp.sqrt(x) * bracket(x, velocity), 0.0)


def highland_variance(
    thickness: Float[Array, ""], body: Float[Array, ""], momentum: Float[Array, ""], velocity: Float[Array, ""]
) -> Float[Array, ""]:
    """Variance of the projected scattering angle in a slice of a body, in rad^2.

    The square of `highland` for the whole body, in proportion: slicing it changes nothing, and all of it scatters alike
    (a logarithm that grows along the way would scatter more at its end). Both thicknesses are x/X0 along the track.
    """
    present = (thickness > 0) & (body > 0)
    x = jnp.where(present, body, 1.0)
    return jnp.where(present, (unit_width(momentum, velocity) * bracket(x, velocity)) ** 2 * thickness, 0.0)
