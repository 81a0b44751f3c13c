"""Flux of muons at sea level, as functions of momentum p in GeV and cosine of the zenith angle (0: horizontal).

Both formulas are smooth, also in float32, from a few MeV to 10 TeV and at all zenith angles; where they were measured is
another matter (`Cosmic.warnings`). Neither tells mu+ from mu-: they are their sum.
"""

from jaxtyping import Array, Float

from detopt.backend import jnp
from detopt.simulation.muon import MUON_MASS

__all__ = ["flux", "guan", "reyna"]

# Below these values, where powers have infinite slopes or no flux is left, a formula keeps what it has there. Hardly any
# muon is concerned.
_GUAN_COSINE, _REYNA_COSINE, _REYNA_MOMENTUM = 1e-6, 1e-2, 0.05


def guan(momentum: Float[Array, "*#batch"], cosine: Float[Array, "*#batch"]) -> Float[Array, "..."]:
    """dI/dE/dOmega in 1/(cm2 s sr GeV), per GeV of energy.

    Gaisser's formula with a term for muons that decay or lose energy on their way, and the zenith angle at the height where
    muons are made, since the Earth is round: Guan et al. 2015, arXiv:1509.06176, eqs. 2 and 3. E is the total energy.
    """
    energy = jnp.sqrt(momentum**2 + MUON_MASS**2)
    c = jnp.maximum(cosine, _GUAN_COSINE)
    p1, p2, p3, p4, p5 = 0.102573, -0.068287, 0.958633, 0.0407253, 0.817285  # Chirkin, hep-ph/0407078
    star = jnp.sqrt((c**2 + p1**2 + p2 * c**p3 + p4 * c**p5) / (1 + p1**2 + p2 + p4))
    parents = 1 / (1 + 1.1 * energy * star / 115) + 0.054 / (1 + 1.1 * energy * star / 850)  # pions and kaons
    return 0.14 * (energy + 3.64 / star**1.29) ** -2.7 * parents


def reyna(momentum: Float[Array, "*#batch"], cosine: Float[Array, "*#batch"]) -> Float[Array, "..."]:
    """dI/dp/dOmega in 1/(cm2 s sr GeV), per GeV of momentum: Reyna 2006, hep-ph/0604145.

    The vertical flux at p cos(zenith) times the cosine cubed.
    """
    c = jnp.maximum(cosine, _REYNA_COSINE)
    x = jnp.log10(jnp.maximum(momentum * c, _REYNA_MOMENTUM))
    exponent = 0.2455 + 1.288 * x - 0.2555 * x**2 + 0.0209 * x**3
    return 0.00253 * c**3 * 10 ** (-exponent * x)


def flux(model: str, momentum: Float[Array, "*#batch"], cosine: Float[Array, "*#batch"]) -> Float[Array, "..."]:
    """dI/dp/dOmega in 1/(cm2 s sr GeV), per GeV of momentum, of "guan" or "reyna"."""
    if model == "reyna":
        return reyna(momentum, cosine)
    velocity = momentum / jnp.sqrt(momentum**2 + MUON_MASS**2)  # dE/dp
    return guan(momentum, cosine) * velocity
