"""Mean energy loss of heavy charged particles by ionisation, as plain floats; simulations have their own in arrays.

PDG eq. 34.5, and the two terms by which Groom, Mokhov and Striganov, At. Data Nucl. Data Tables 78 (2001) 183 (GMS), go
beyond it, as do PDG's own tables: the spin of the particle, and photons radiated by the electrons that it hits. They add
0.06 % at the minimum and 2.5 % at 100 GeV/c.
"""

import math

from detopt.materials.material import Material

__all__ = ["MUON_MASS", "bethe", "delta", "min_dedx", "minimum"]

MUON_MASS = 0.1056583755  # GeV
_ELECTRON_MASS = 0.51099895e-3  # GeV
_K = 0.307075  # MeV cm2 / mol
_ALPHA = 1 / 137.035999


def delta(material: Material, beta_gamma: float) -> float:
    """Density effect: Sternheimer's parametrisation, PDG eq. 34.7."""
    x = math.log10(beta_gamma)
    if x < material.x0:
        return material.delta0 * 10 ** (2 * (x - material.x0))  # conductors; 0 else
    rest = 2 * math.log(10) * x - material.Cbar
    return rest if x >= material.x1 else rest + material.a * (material.x1 - x) ** material.k


def bethe(material: Material, momentum: float, mass: float = MUON_MASS, *, plain: bool = False) -> float:
    """Mean ionisation loss -dE/dx in MeV cm2/g of a particle of unit charge and spin 1/2.

    Args:
        material: what is crossed.
        momentum: in GeV/c.
        mass: of the particle, in GeV.
        plain: PDG eq. 34.5 as it stands, without the two terms of GMS.
    """
    beta_gamma = momentum / mass
    energy = math.hypot(momentum, mass)
    gamma, beta2 = energy / mass, (momentum / energy) ** 2
    ratio = _ELECTRON_MASS / mass
    t_max = 2 * _ELECTRON_MASS * beta_gamma**2 / (1 + 2 * gamma * ratio + ratio**2)  # PDG eq. 34.4
    bracket = 0.5 * math.log(2 * _ELECTRON_MASS * beta_gamma**2 * t_max / (material.I * 1e-9) ** 2)
    bracket -= beta2 + 0.5 * delta(material, beta_gamma)
    radiated = 0.0
    if not plain:
        bracket += (t_max / energy) ** 2 / 8
        hard = math.log(2 * t_max / _ELECTRON_MASS)
        radiated = _ALPHA / (4 * math.pi) * max(math.log(2 * gamma) - hard / 3, 0.0) * max(hard, 0.0) ** 2
    return _K * material.z_over_a * (bracket / beta2 + radiated)


def minimum(material: Material, mass: float = MUON_MASS) -> tuple[float, float]:
    """(momentum in GeV/c, -dE/dx in MeV cm2/g) where the particle is minimum ionising, by golden section in ln p."""
    low, high = math.log(mass), math.log(30 * mass)
    golden = (math.sqrt(5) - 1) / 2
    while high - low > 1e-6:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if bethe(material, math.exp(left), mass) < bethe(material, math.exp(right), mass):
            high = right
        else:
            low = left
    momentum = math.exp(0.5 * (low + high))
    return momentum, bethe(material, momentum, mass)


def min_dedx(material: Material, mass: float = MUON_MASS) -> float:
    """Smallest mean ionisation loss in MeV cm2/g over all momenta."""
    return minimum(material, mass)[1]
