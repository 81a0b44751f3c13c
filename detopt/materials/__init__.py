"""Materials: composition, density and mean excitation energy, and from them radiation length and energy loss.

Elements, compounds and mixtures are found by name (`material("silicon")`); each knows where its numbers are from.
"""

from detopt.materials.elements import ELEMENTS, Element, radiation_length
from detopt.materials.library import MATERIALS, material, names_of
from detopt.materials.material import Material
from detopt.materials.mixing import FormulaError, compound, mixture, parse_formula
from detopt.materials.stopping import MUON_MASS, bethe, min_dedx, minimum

__all__ = [
    "ELEMENTS",
    "MATERIALS",
    "MUON_MASS",
    "Element",
    "FormulaError",
    "Material",
    "bethe",
    "compound",
    "material",
    "min_dedx",
    "minimum",
    "mixture",
    "names_of",
    "parse_formula",
    "radiation_length",
]
