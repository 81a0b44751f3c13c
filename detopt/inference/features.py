"""Tracks to what a head looks at."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float

from detopt.backend import jnp
from detopt.events import Particles, Tracks

__all__ = ["FEATURES", "SIGNIFICANCES", "Exposures", "exposures"]

FEATURES = (
    "log d0 significance",
    "log z0 significance",
    "signed z0 significance",
    "log sigma(d0)",
    "log sigma(z0)",
    "log 1/kappa",
    "cot theta",
    "log chi2",
    "z0 measured",
)

# d0 / sigma(d0) alone, and with z0 / sigma(z0) in quadrature: the primary vertex is known in both.
SIGNIFICANCES = ("d0 significance", "d0 and z0 significance")


class Exposures(NamedTuple):
    """Muons as a head sees them, and the truth that it is to find."""

    features: Float[Array, "exposures muons features"]
    seen: Bool[Array, "exposures muons"]  # there is a track
    significance: Float[Array, "exposures muons 2"]  # for the analytic baselines, see SIGNIFICANCES
    displaced: Bool[Array, "exposures muons"]
    fraction: Float[Array, " exposures"]  # of displaced muons that the exposure was drawn with
    condition: Float[Array, "exposures variables"]  # the design in the unit box, for heads that serve many designs

    @property
    def number(self) -> int:
        """Number of exposures."""
        return len(self.fraction)


def exposures(
    tracks: Tracks, particles: Particles, fraction: Float[Array, " exposures"], condition: Float[Array, " variables"]
) -> Exposures:
    """The features of tracks (exposures x muons in a row)."""
    shape = (len(fraction), -1)
    found, z_found = tracks.found, tracks.z_found

    def safely(condition: Array, value: Array, instead: float = 1.0) -> Array:
        return jnp.where(condition, value, instead)

    sigma_d0 = jnp.sqrt(safely(found, tracks.covariance[:, 0, 0]))
    sigma_z0 = jnp.sqrt(safely(z_found, tracks.covariance[:, 3, 3]))
    d0 = safely(found, tracks.fitted.d0, 0.0) / sigma_d0
    z0 = safely(z_found, tracks.fitted.z0, 0.0) / sigma_z0
    bent = found & (tracks.kappa != 0)
    # The fit of a stiff track may pass through kappa = 0.
    kappa = jnp.abs(safely(bent, tracks.kappa)) + 1e-9
    chi2 = safely(found, tracks.chi2, 0.0) / jnp.maximum(tracks.freedom, 1.0)
    columns = [
        jnp.log1p(d0**2),
        jnp.log1p(z0**2),
        jnp.arcsinh(z0),
        jnp.log(sigma_d0),
        jnp.log(sigma_z0),
        -jnp.log(kappa),
        safely(z_found, tracks.cot_theta, 0.0),
        jnp.log1p(chi2),
        z_found.astype(d0.dtype),
    ]
    return Exposures(
        features=jnp.stack(columns, -1).reshape(*shape, len(columns)),
        seen=found.reshape(shape),
        significance=jnp.stack([jnp.abs(d0), jnp.sqrt(d0**2 + z0**2 + 1e-12)], -1).reshape(*shape, 2),
        displaced=particles.displaced.reshape(shape),
        fraction=fraction,
        condition=jnp.broadcast_to(condition, (len(fraction), len(condition))),
    )
