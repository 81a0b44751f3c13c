"""Mean energy loss of heavy charged particles by ionisation, as plain floats; simulations have their own in arrays."""

import math

from detopt.materials.material import Material

__all__ = ["MUON_MASS", "bethe", "delta", "min_dedx", "minimum"]

MUON_MASS = 0.1056583755  # GeV
_ELECTRON_MASS = 0.51099895e-3  # GeV
_K = 0.307075  # MeV cm2 / mol


def delta(material: Material, beta_gamma: float) -> float:
    """Density effect: Sternheimer's parametrisation, PDG eq. 34.7."""
    x = math.log10(beta_gamma)
    if x < material.x0:
        return material.delta0 * 10 ** (2 * (x - material.x0))  # conductors; 0 else
    rest = 2 * math.log(10) * x - material.Cbar
    return rest if x >= material.x1 else rest + material.a * (material.x1 - x) ** material.k


def bethe(material: Material, momentum: float, mass: float = MUON_MASS) -> float:
    """Mean ionisation loss -dE/dx in MeV cm2/g of a particle of unit charge: PDG eq. 34.5, T_max of eq. 34.4.

    Args:
        material: what is crossed.
        momentum: in GeV/c.
        mass: of the particle, in GeV.
    """
    beta_gamma = momentum / mass
    energy = math.hypot(momentum, mass)
    gamma, beta2 = energy / mass, (momentum / energy) ** 2
    ratio = _ELECTRON_MASS / mass
    t_max = 2 * _ELECTRON_MASS * beta_gamma**2 / (1 + 2 * gamma * ratio + ratio**2)
    logarithm = 0.5 * math.log(2 * _ELECTRON_MASS * beta_gamma**2 * t_max / (material.I * 1e-9) ** 2)
    return _K * material.z_over_a / beta2 * (logarithm - beta2 - 0.5 * delta(material, beta_gamma))


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
