"""Gaussian multiple scattering: Highland's width, of thin surfaces and of slices of a body."""

from jaxtyping import Array, Float

from detopt.backend import jnp
from detopt.simulation.physics import Physics
from detopt.simulation.source import MUON_MASS

__all__ = ["beta", "highland", "highland_variance", "velocity"]


def beta(momentum: Float[Array, "*n"], mass: float = MUON_MASS) -> Float[Array, "*n"]:
    """Velocity of a particle of the given momentum (GeV) and mass (GeV)."""
    return momentum / jnp.sqrt(momentum**2 + mass**2)


def velocity(momentum: Float[Array, "*n"], physics: Physics) -> Float[Array, "*n"]:
    """The muon's beta, or that of light where the study says so."""
    return beta(momentum) if physics.velocity == "true" else jnp.ones_like(momentum)


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
    # The bracket turns negative below 4e-12 X0, where nothing scatters.
    bracket = jnp.maximum(1 + 0.038 * jnp.log(x / velocity**2), 0.0)
    return jnp.where(present, 13.6e-3 / (velocity * momentum) * jnp.sqrt(x) * bracket, 0.0)


def highland_variance(
    thickness: Float[Array, ""], body: Float[Array, ""], momentum: Float[Array, ""], velocity: Float[Array, ""]
) -> Float[Array, ""]:
    """Variance of the projected scattering angle in a slice of a body, in rad^2.

    The square of `highland` for the whole body, in proportion: slicing it changes nothing, and all of it scatters alike
    (a logarithm that grows along the way would scatter more at its end). Both thicknesses are x/X0 along the track.
    """
    present = (thickness > 0) & (body > 0)
    x = jnp.where(present, body, 1.0)
    bracket = jnp.maximum(1 + 0.038 * jnp.log(x / velocity**2), 0.0)
    return jnp.where(present, (13.6e-3 / (velocity * momentum) * bracket) ** 2 * thickness, 0.0)
