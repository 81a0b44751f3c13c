"""All materials by name: elements, what PDG lists, some that are built here, and Geant4's where they differ."""

from detopt.materials.material import Material
from detopt.materials.mixing import compound, mixture
from detopt.materials.pure import PDG_SOURCE, PURE
from detopt.materials.tables import GEANT4, GEANT4_ALIASES, PDG

__all__ = ["MATERIALS", "material", "names_of"]

_GEANT4 = "density, I, density effect: Geant4 11.4, NIST database"

# Spelt otherwise, or how PDG calls the gas.
_ELEMENT_ALIASES = {
    "aluminum": "aluminium",
    "sulfur": "sulphur",
    "cesium": "caesium",
    "graphite": "carbon",
    "Ar_gas": "argon",
    "carbon_graphite": "carbon",
}


def material(name: str) -> Material:
    """Look a material up by name or alias. Raises KeyError."""
    return MATERIALS[name]


def names_of(one: Material) -> tuple[str, ...]:
    """Under which names a material is found, its own first."""
    return (one.name, *(name for name, m in MATERIALS.items() if m is one and name != one.name))


def _listed(table: str, source: str) -> dict[str, Material]:
    found: dict[str, Material] = {}
    for line in table.strip().splitlines():
        names, numbers, composition = (piece.split() for piece in line.split("|"))
        density, i, *effect = (float(v) for v in numbers)
        fractions = tuple((symbol, float(w)) for symbol, w in (part.split(":") for part in composition))
        found |= dict.fromkeys(names, Material(names[0], density, fractions, i, *effect, source=source))
    return found


def _built(known: dict[str, Material]) -> dict[str, Material]:
    """What has no table: alloys, gas mixtures, boards, foams."""
    found: dict[str, Material] = {}

    def add(names: str, one: Material) -> None:
        found.update(dict.fromkeys(names.split(), one))

    def mix(names: str, density: float, source: str, **parts: float) -> None:
        listed = [((known | found)[part], share) for part, share in parts.items()]
        add(names, mixture(names.split()[0], density, listed, source=source))

    def molecule(names: str, density: float, formula: str, source: str) -> None:
        add(names, compound(names.split()[0], density, formula, source=source))

    mix("steel carbon_steel", 7.85, "density, composition: S235, EN 10025", Fe=0.984, Mn=0.014, C=0.002)
    mix("stainless_steel", 8.0, "density, composition: AISI 304, as Geant4", Fe=0.7462, Cr=0.169, Ni=0.0848)
    mix("brass", 8.47, "density, composition: CuZn37, EN 12163", Cu=0.63, Zn=0.37)
    mix("bronze", 8.8, "density, composition: CuSn8, EN 12163", Cu=0.92, Sn=0.08)
    mix("heavymet tungsten_alloy", 18.0, "density, composition: W95NiCu, ASTM B777 class 3", W=0.95, Ni=0.035, Cu=0.015)
    molecule("epoxy", 1.2, "C21H24O4", "density, composition: resin of bisphenol A, cured, about")
    mix("G10 FR4 g10 fr4", 1.85, "density, composition: NEMA FR-4, 60 % E-glass by mass, about", e_glass=0.6, epoxy=0.4)
    mix(
        "carbon_fibre carbon_fiber CFRP",
        1.56,
        "density, composition: 60 % fibre of 1.8 g/cm3 in epoxy by volume",
        carbon=0.69,
        epoxy=0.31,
    )
    molecule("rohacell", 0.052, "C8H11NO2", "density, composition: polymethacrylimide foam, grade 51")
    molecule("LYSO", 7.1, "Lu1.8Y0.2SiO5", "density, composition: 10 % yttrium, as commonly sold")
    molecule("isobutane iC4H10", 2.489e-3, "C4H10", "density: as PDG's butane")
    molecule("R134a C2H2F4", 4.25e-3, "C2H2F4", "density: 20 C, 1 atm")
    molecule("SF6", 6.07e-3, "SF6", "density: 20 C, 1 atm")
    # By volume 70 % and 93 % argon, at 20 C and 1 atm.
    argon_co2 = "density: mean by volume"
    mix("argon_co2_70_30 ArCO2_70_30", 1.716e-3, argon_co2, argon=0.67796, carbon_dioxide=0.32204)
    mix("argon_co2_93_7 ArCO2_93_7", 1.6746e-3, argon_co2, argon=0.923, carbon_dioxide=0.077)
    return found


def _library() -> dict[str, Material]:
    found = {name: one for symbol, one in PURE.items() for name in (one.name, symbol)} | _listed(PDG, PDG_SOURCE)
    found |= _built(found)
    found |= {alias: found[name] for alias, name in _ELEMENT_ALIASES.items()}
    own = _listed(GEANT4, _GEANT4)
    found |= {f"G4_{symbol}": one for symbol, one in PURE.items()}
    for line in GEANT4_ALIASES.strip().splitlines():
        name, alias = line.split()
        found[alias] = found[name]
    return found | own


MATERIALS: dict[str, Material] = _library()
