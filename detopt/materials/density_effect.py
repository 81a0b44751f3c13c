"""The density effect of what nobody has tabulated.

Sternheimer's parameters depend on the density through the plasma energy only, and on the mean excitation energy: Cbar =
2 ln(I / plasma energy) + 1, and a curve delta(x) that keeps its shape moves along x with Cbar / (2 ln 10). So the parameters
of a mixture are taken here as the mean of its parts' over their electrons, moved to the mixture's own Cbar. Compared with
compounds that are tabulated, from their elements: dE/dx of muons above 0.3 GeV/c is within 0.4 % (median), 1.3 % (worst).

`general` is the recipe of Sternheimer and Peierls, Phys. Rev. B 3 (1971) 3681, which PDG and Geant4 use; it knows nothing
but Cbar and I, and is within 0.9 % (median), 2.7 % (worst) for the same compounds; for elements 1.5 % and 3.8 %.
"""

import math
from collections.abc import Sequence

from detopt.materials.material import Material

__all__ = ["GAS", "Parameters", "cbar", "general", "of_parts"]

GAS = 0.01  # g/cm3: below is gas; the lightest foams and aerogels are denser
_TWO_LN10 = 2 * math.log(10)

Parameters = tuple[float, float, float, float, float, float]  # Cbar, x0, x1, a, k, delta0


def cbar(I: float, plasma_energy: float) -> float:
    """Cbar from the mean excitation energy and the plasma energy."""
    return 2 * math.log(I / plasma_energy) + 1


def of_parts(parts: Sequence[tuple[Material, float]], c: float) -> Parameters:
    """Parameters of a mixture with Cbar = c; `parts` are materials and their shares of the electrons, which sum to 1."""

    def mean(key: str) -> float:
        return math.fsum(share * getattr(m, key) for m, share in parts)

    shift = (c - mean("Cbar")) / _TWO_LN10
    x0, x1, k = mean("x0") + shift, mean("x1") + shift, mean("k")
    conducts = all(m.delta0 > 0 for m, _ in parts)
    delta0 = mean("delta0") if conducts else 0.0
    return c, x0, x1, (delta0 + c - _TWO_LN10 * x0) / (x1 - x0) ** k, k, delta0  # delta is delta0 at x0


def general(c: float, I: float, density: float) -> Parameters:
    """The recipe of Sternheimer and Peierls, from Cbar, the mean excitation energy in eV and the density in g/cm3."""
    x0, x1 = _gas(c) if density < GAS else _condensed(c, I)
    return c, x0, x1, (c - _TWO_LN10 * x0) / (x1 - x0) ** 3, 3.0, 0.0


def _condensed(c: float, I: float) -> tuple[float, float]:
    x1, low, offset = (2.0, 3.681, 1.0) if I < 100 else (3.0, 5.215, 1.5)
    return (0.2 if c < low else 0.326 * c - offset), x1


def _gas(c: float) -> tuple[float, float]:
    for below, x0 in ((10.0, 1.6), (10.5, 1.7), (11.0, 1.8), (11.5, 1.9), (12.25, 2.0)):
        if c < below:
            return x0, 4.0
    return (2.0 if c < 13.804 else 0.326 * c - 2.5), 5.0
