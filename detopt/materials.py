"""Materials: composition and density, and from them the radiation length.

Densities, compositions: PDG, Atomic and Nuclear Properties of Materials (2020), https://pdg.lbl.gov/AtomicNuclearProperties.
"""

import math
from dataclasses import dataclass

__all__ = ["MATERIALS", "Material", "material"]

# Symbol: (Z, A in g/mol)
ELEMENTS: dict[str, tuple[int, float]] = {
    "H": (1, 1.008), "Be": (4, 9.0121831), "B": (5, 10.81), "C": (6, 12.0107), "N": (7, 14.007), "O": (8, 15.999),
    "Na": (11, 22.98976928), "Mg": (12, 24.305), "Al": (13, 26.9815385), "Si": (14, 28.0855), "Ar": (18, 39.948),
    "K": (19, 39.0983), "Ca": (20, 40.078), "Ti": (22, 47.867), "Fe": (26, 55.845), "Ni": (28, 58.6934),
    "Cu": (29, 63.546), "Ge": (32, 72.63), "I": (53, 126.90447), "Cs": (55, 132.90545196), "W": (74, 183.84),
    "Pb": (82, 207.2), "Bi": (83, 208.9804), "U": (92, 238.02891),
}  # fmt: skip

_ALPHA = 1 / 137.035999
_ELECTRON_RADIUS_CM = 2.8179403e-13
_AVOGADRO = 6.02214076e23


def radiation_length(z: int, a: float) -> float:
    """X0 of an element in g/cm2: PDG eq. 34.25 (Tsai, Rev. Mod. Phys. 46 (1974) 815)."""
    light = {1: (5.31, 6.144), 2: (4.79, 5.621), 3: (4.74, 5.805), 4: (4.71, 5.924)}
    l_rad, l_rad_prime = light.get(z, (math.log(184.15 * z ** (-1 / 3)), math.log(1194 * z ** (-2 / 3))))
    x = (_ALPHA * z) ** 2
    coulomb = x * (1 / (1 + x) + 0.20206 - 0.0369 * x + 0.0083 * x**2 - 0.002 * x**3)
    per_gram = 4 * _ALPHA * _ELECTRON_RADIUS_CM**2 * _AVOGADRO / a * (z**2 * (l_rad - coulomb) + z * l_rad_prime)
    return 1 / per_gram


@dataclass(frozen=True)
class Material:
    """A material: density in g/cm3 and mass fractions of its elements."""

    name: str
    density: float
    fractions: tuple[tuple[str, float], ...]

    @property
    def X0(self) -> float:
        """Radiation length in mm: 1/X0 is the sum of the mass fractions over the elements' X0 (PDG eq. 34.27)."""
        inverse = sum(w / radiation_length(*ELEMENTS[s]) for s, w in self.fractions) / sum(w for _, w in self.fractions)
        return 10 / (inverse * self.density)


def _read(table: str) -> dict[str, Material]:
    materials = {}
    for line in table.strip().splitlines():
        names, density, composition = (piece.strip() for piece in line.split("|"))
        fractions = tuple((s, float(w)) for s, w in (part.split(":") for part in composition.split()))
        for name in names.split():
            materials[name] = Material(names.split()[0], float(density), fractions)
    return materials


# name and aliases | g/cm3 | mass fractions
MATERIALS: dict[str, Material] = _read("""
beryllium Be G4_Be | 1.848 | Be:1
carbon C graphite G4_C | 2.21 | C:1
aluminium Al aluminum G4_Al | 2.699 | Al:1
silicon Si G4_Si | 2.329 | Si:1
titanium Ti G4_Ti | 4.54 | Ti:1
iron Fe G4_Fe | 7.874 | Fe:1
nickel Ni G4_Ni | 8.902 | Ni:1
copper Cu G4_Cu | 8.96 | Cu:1
tungsten W G4_W | 19.3 | W:1
lead Pb G4_Pb | 11.35 | Pb:1
uranium U G4_U | 18.95 | U:1
water G4_WATER | 1.0 | O:0.888106 H:0.111894
air G4_AIR | 0.001205 | Ar:0.012827 O:0.231781 C:0.000124 N:0.755267
concrete shielding_concrete G4_CONCRETE | 2.3 | K:0.013 O:0.529107 Al:0.033872 Si:0.337021 Fe:0.014 Na:0.016 Ca:0.044 Mg:0.002 C:0.001 H:0.01
polystyrene G4_POLYSTYRENE | 1.06 | C:0.922582 H:0.077418
scintillator polyvinyltoluene pvt_scintillator G4_PLASTIC_SC_VINYLTOLUENE | 1.032 | C:0.915 H:0.085
polyethylene G4_POLYETHYLENE | 0.89 | C:0.856289 H:0.143711
acrylic G4_PLEXIGLASS | 1.19 | H:0.080538 C:0.599848 O:0.319614
kapton polyimide G4_KAPTON | 1.42 | O:0.209235 H:0.026362 C:0.691133 N:0.07327
mylar G4_MYLAR | 1.4 | H:0.041959 C:0.625017 O:0.333025
argon Ar Ar_gas G4_Ar | 0.001662 | Ar:1
carbon_dioxide CO2_gas G4_CARBON_DIOXIDE | 0.001842 | C:0.272916 O:0.727084
caesium_iodide CsI G4_CESIUM_IODIDE | 4.51 | I:0.488451 Cs:0.511549
sodium_iodide NaI G4_SODIUM_IODIDE | 3.667 | I:0.846627 Na:0.153373
lead_tungstate PbWO4 G4_PbWO4 | 8.3 | Pb:0.455347 O:0.140462 W:0.404011
BGO G4_BGO | 7.13 | O:0.154126 Bi:0.671054 Ge:0.17482
glass borosilicate_glass_pyrex G4_Pyrex_Glass | 2.23 | B:0.040061 O:0.539564 Na:0.028191 Al:0.011644 K:0.003321 Si:0.37722
bakelite G4_BAKELITE | 1.25 | H:0.057441 C:0.774591 O:0.167968
silica_aerogel SilicaAerogel_PDG | 0.2 | Si:0.453451 O:0.543192 H:0.003357
""")  # noqa: E501


def material(name: str) -> Material:
    """Look a material up by name or alias. Raises KeyError."""
    return MATERIALS[name]
