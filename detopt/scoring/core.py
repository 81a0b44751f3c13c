"""Resolutions as the width of the core: single hard scatters make tails whose square has hardly a mean.

Residuals count with a weight that falls off smoothly beyond three standard deviations of the track's own error, and what a
Gaussian would lose by that is put back.
"""

import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jnp

__all__ = ["GAUSSIAN", "core_weight"]

_CORE = 3.0
_Z = np.linspace(-12, 12, 24001)
_GAUSS = np.exp(-(_Z**2) / 2) / (1 + (_Z / _CORE) ** 8)
GAUSSIAN = float((_GAUSS * _Z**2).sum() / _GAUSS.sum())  # weighted mean square of a Gaussian of width one


def core_weight(square: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """The weight of a residual whose square is given in units of the track's variance."""
    # Far out the eighth power would overflow in float32, and weighs nothing.
    return 1 / (1 + (jnp.minimum(square, 1e4) / _CORE**2) ** 4)
