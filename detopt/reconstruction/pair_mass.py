"""The mass of two muons from their tracks.

With momenta p1, p2 and directions n1, n2,

    m^2 = 2 mu^2 + 2 (E1 E2 - p1.p2) = 2 mu^2 + 2 mu^2 (p1^2 + p2^2 + mu^2) / (E1 E2 + p1 p2) + p1 p2 |n1 - n2|^2,

where nothing large is subtracted (mu is the muon's mass; PDG, section 49.4, for the invariant mass). Its variance follows
from the covariances of both fits, which are independent.
"""

from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.reconstruction.arms import ArmTrack
from detopt.simulation.muon import MUON_MASS

__all__ = ["mass", "measured_mass"]


def mass(first: Float[Array, " 5"], second: Float[Array, " 5"]) -> Float[Array, ""]:
    """Of two muons in GeV, from (x, y, dx/dz, dy/dz, q/p) of each."""
    p1, p2 = (1 / jnp.abs(track[4]) for track in (first, second))
    ahead = [jnp.stack([track[2], track[3], jnp.ones_like(track[4])]) for track in (first, second)]
    n1, n2 = (way / jnp.sqrt(jnp.sum(way**2)) for way in ahead)
    square = MUON_MASS**2
    energies = jnp.sqrt((p1**2 + square) * (p2**2 + square))
    still = square * (p1**2 + p2**2 + square) / (energies + p1 * p2)
    return jnp.sqrt(2 * square + 2 * still + p1 * p2 * jnp.sum((n1 - n2) ** 2))


def measured_mass(first: ArmTrack, second: ArmTrack) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Measured mass in GeV, and its variance; 1 and 1 where a track is missing."""
    found = first.found & second.found
    away = jnp.asarray([0.0, 0.0, 0.1, 0.0, 1.0], first.parameters.dtype)  # a pair that has a mass
    fitted = [jnp.where(found, t.parameters, sign * away) for t, sign in ((first, 1), (second, -1))]
    true = [jnp.where(found, t.truth, sign * away) for t, sign in ((first, 1), (second, -1))]
    # Where the slopes are taken must not follow the errors of the hits: that would favour pairs that look lighter.
    slopes = jax.grad(mass, argnums=(0, 1))(*true)
    spread = [
        slope @ jnp.where(found, t.covariance, 0.0) @ slope for slope, t in zip(slopes, (first, second), strict=True)
    ]
    variance = jnp.where(found, spread[0] + spread[1], 1.0)
    return jnp.where(found, mass(*fitted), 1.0), variance
