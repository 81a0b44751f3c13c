"""One material: what it is made of, how dense it is, and the numbers of its energy loss.

"PDG" is the Review of Particle Physics, chapter "Passage of particles through matter" (2022), whose equations are cited.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

from detopt.materials.elements import ELEMENTS, radiation_length

__all__ = ["PLASMA", "Material"]

PLASMA = 28.816  # eV: hbar omega_p = 28.816 eV sqrt(density / (g/cm3) Z / A), PDG table 34.1


@dataclass(frozen=True)
class Material:
    """A material; made by hand rarely: see `mixture` and `compound`.

    It is static metadata of traced code, so it is hashable, and equal to another with the same content.
    """

    name: str
    density: float  # g/cm3
    fractions: tuple[tuple[str, float], ...]  # element symbol, mass fraction
    I: float  # mean excitation energy in eV
    Cbar: float  # density effect, PDG eq. 34.7, in the notation of PDG; as are the next five
    x0: float
    x1: float
    a: float
    k: float
    delta0: float
    source: str = field(default="", compare=False, kw_only=True)  # where density, I and density effect are from

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash((self.density, self.I, self.Cbar))  # of floats only: cheap, and the same in every process

    @cached_property
    def X0(self) -> float:
        """Radiation length in mm."""
        return 10 * self.radiation_length / self.density

    @cached_property
    def radiation_length(self) -> float:
        """Radiation length in g/cm2: 1/X0 is the sum of mass fractions over the elements' X0 (PDG eq. 34.27)."""
        total = sum(w for _, w in self.fractions)
        return total / sum(w / radiation_length(*ELEMENTS[symbol]) for symbol, w in self.fractions)

    @cached_property
    def z_over_a(self) -> float:
        """Electrons per unit of molar mass in mol/g: the mean of Z/A by mass."""
        total = sum(w for _, w in self.fractions)
        return sum(w * ELEMENTS[symbol].Z / ELEMENTS[symbol].A for symbol, w in self.fractions) / total

    @property
    def plasma_energy(self) -> float:
        """Plasma energy in eV."""
        return PLASMA * math.sqrt(self.density * self.z_over_a)

    def with_density(self, density: float) -> "Material":
        """The same stuff at another density in g/cm3.

        X0 in mm scales; I stays. The density effect depends on momentum and density through their product with the
        plasma energy only: Cbar falls by ln(r), x0 and x1 by log10(r) / 2, where r is the ratio of the densities (PDG
        below eq. 34.7; Sternheimer and Peierls, Phys. Rev. B 3 (1971) 3681).
        """
        ratio = density / self.density
        shift = 0.5 * math.log10(ratio)
        return replace(
            self,
            density=density,
            Cbar=self.Cbar - math.log(ratio),
            x0=self.x0 - shift,
            x1=self.x1 - shift,
            source=f"{self.source}; density as given, from {self.density:g} g/cm3",
        )
