"""How much each surface of a barrel deflects a track: what a fit has to know."""

from jaxtyping import Array, Float

from detopt.backend import jnp
from detopt.detector.surfaces import Surfaces
from detopt.simulation.helix import Crossings
from detopt.simulation.matter import mean_loss, median_loss, slower
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import highland, velocity

__all__ = ["kick_variance"]


def kick_variance(
    surfaces: Surfaces, crossings: Crossings, momentum: Float[Array, ""], physics: Physics
) -> Float[Array, " n"]:
    """Variance of the projected scattering angle in each of n surfaces, in rad^2.

    The muon has lost the median energy where it gets there. That it bends more then, no Jacobian knows: a relative
    change of what scattering adds, by as much as it has slowed down.
    """
    thickness = surfaces.x_over_X0 * crossings.obliquity
    if surfaces.slow and physics.energy_loss:
        path = jnp.where(crossings.crossed, thickness * surfaces.medium.X0, 0.0)
        spent = mean_loss(surfaces.medium, path, momentum)
        # Half of its own, and all before it.
        share = (
            jnp.where(crossings.path[None] < crossings.path[:, None], 1.0, 0.0)
            + jnp.eye(len(path), dtype=path.dtype) / 2
        )
        gone = median_loss(jnp.sum(share * spent.mean[None], -1), jnp.sum(share * spent.xi[None], -1), momentum)
        momentum = slower(momentum, gone)[0]
    return highland(thickness, momentum, velocity(momentum, physics)) ** 2
