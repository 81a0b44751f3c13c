"""What a muon meets in a material, as numbers that stack into arrays: one row for each surface or slice of a body.

Coulomb scattering is screened Rutherford scattering. In the squared transverse momentum q2 = (p theta)^2, per length,

    d rate / d q2 = C / (beta^2 (q2 + a)^2 (1 + q2 / b)^2),

on nuclei with C = 4 pi n Z^2 (alpha hbar c)^2. The screening is Moliere's (Bethe, Phys. Rev. 89 (1953) 1256),
a = (hbar c / 0.885 a_B)^2 Z^(2/3) (1.13 + 3.76 (alpha Z / beta)^2), times 1 + exp(-Z^2 / 1000): light atoms are smaller
than Thomas and Fermi have them, by what Geant4's model WentzelVI fits to data (Ivanchenko et al., J. Phys. Conf. Ser. 219
(2010) 032045). The size of the nucleus ends it at b = 12 (hbar c / R)^2, R = 1.27 A^0.27 fm (exponential form factor,
Butkevich et al., NIM A 488 (2002) 282). The Z electrons add the same with Z^2 -> Z, up to the angle that an electron at
rest can give. In a mixture C adds up, and a and b are means of their logarithms: both enter by their logarithm only.
"""

import functools
import math
from typing import Any, NamedTuple

from jaxtyping import Array, Float

from detopt.backend import jnp
from detopt.materials import ELEMENTS, Material, material

__all__ = ["ELECTRON_MASS", "Medium", "media"]

ELECTRON_MASS = 0.51099895e-3  # GeV
_ALPHA = 1 / 137.035999
_HBAR_C = 1.973269804e-13  # GeV mm
_HALF_K = 0.1535374e-3  # GeV cm2 / g: 2 pi N_A r_e^2 m_e
_AVOGADRO = 6.02214076e23


class Medium(NamedTuple):
    """A material, or n of them. Energies in GeV, lengths in mm."""

    X0: Float[Array, "*n"]
    rutherford: Float[Array, "*n"]  # C of nuclei in GeV^2 / mm
    electrons: Float[Array, "*n"]  # C of electrons in GeV^2 / mm
    screening: Float[Array, "*n"]  # a / (1.13 + 3.76 (alpha Z / beta)^2) in GeV^2
    coulomb: Float[Array, "*n"]  # (alpha Z)^2
    size: Float[Array, "*n"]  # b of nuclei in GeV^2
    loss: Float[Array, "*n"]  # xi beta^2 / length in GeV / mm; 0 where nothing is lost
    excitation: Float[Array, "*n"]  # mean excitation energy in GeV
    cbar: Float[Array, "*n"]  # Sternheimer's density effect, as are the next five
    x0: Float[Array, "*n"]
    x1: Float[Array, "*n"]
    a: Float[Array, "*n"]
    k: Float[Array, "*n"]
    delta0: Float[Array, "*n"]


def media(listed: list[Material | None], dtype: Any) -> Medium:
    """The materials as arrays (n,).

    None stands for matter of which only x/X0 is known: it scatters as silicon of that x/X0 does (the shape of the tails
    hardly depends on the material), and takes no energy.
    """
    unknown = {**_numbers(material("silicon")), "loss": 0.0}
    rows = [unknown if m is None else _numbers(m) for m in listed]
    return Medium(**{name: jnp.asarray([row[name] for row in rows], dtype) for name in Medium._fields})


@functools.lru_cache(maxsize=1024)
def _numbers(m: Material) -> dict[str, float]:
    total = sum(w for _, w in m.fractions)
    rutherford = electrons = screening = coulomb = size = 0.0
    for symbol, w in m.fractions:
        z, a = ELEMENTS[symbol][:2]
        atoms = m.density * 1e-3 * _AVOGADRO * w / total / a  # per mm3
        weight = 4 * math.pi * atoms * z**2 * (_ALPHA * _HBAR_C) ** 2
        radius = 1.27e-12 * a**0.27  # mm
        rutherford += weight
        electrons += weight / z
        light = 1 + math.exp(-(z**2) / 1000)
        screening += weight * math.log(light * (_ALPHA * ELECTRON_MASS / 0.885) ** 2 * z ** (2 / 3))
        coulomb += weight * (_ALPHA * z) ** 2
        size += weight * math.log(12 * (_HBAR_C / radius) ** 2)
    return {
        "X0": m.X0,
        "rutherford": rutherford,
        "electrons": electrons,
        "screening": math.exp(screening / rutherford),
        "coulomb": coulomb / rutherford,
        "size": math.exp(size / rutherford),
        "loss": _HALF_K * m.z_over_a * m.density / 10,
        "excitation": m.I * 1e-9,
        "cbar": m.Cbar,
        "x0": m.x0,
        "x1": m.x1,
        "a": m.a,
        "k": m.k,
        "delta0": m.delta0,
    }
