"""The `materials:` of a detector file: mixtures by mass and compounds by formula, which its elements then name.

materials:
  heavy_concrete: {density: 3.6 g/cm3, fractions: {Fe: 0.5, O: 30 %, water: 0.2}}
  quartz_foam: {density: 0.3 g/cm3, formula: SiO2, mean_excitation: 139 eV}
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from detopt.materials import MATERIALS, FormulaError, Material, compound, mixture, parse_formula
from detopt.parameters import Quantity
from detopt.study.document import Document, Place
from detopt.study.schema import near, read, read_density, read_number, sentence

__all__ = ["Definition", "materials_of", "read_materials"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_EXCITATION = Quantity("eV", "mean excitation energy", min=10e-9, max=2000e-9)  # GeV: hydrogen 19 eV, uranium 890 eV
_DEEPEST = 30
_SHARE = Quantity("", "mass fraction", above=0, max=1)


@dataclass(frozen=True, kw_only=True)
class Definition:
    """The keys of a material; their values are read below."""

    density: Any
    fractions: Any = None
    formula: Any = None
    mean_excitation: Any = None


@dataclass(frozen=True)
class _Recipe:
    """A definition without faults of its own: atoms by formula, or mass fractions of other materials."""

    density: float
    formula: str | None
    fractions: dict[str, float]
    mean_excitation: float | None  # eV


def read_materials(data: Any, document: Document, place: Place) -> Mapping[str, Material]:
    """Read the mapping `materials`; faults are noted in the document.

    Returns:
        All materials by name: those of the library, and those defined here. One with a fault has a stand-in, so that
        elements that name it are not faults as well.
    """
    if data is None:
        return MATERIALS
    if not isinstance(data, dict):
        document.fault(place, "materials must be a mapping of names: {name: {density: …, fractions: {…}}}")
        return MATERIALS
    recipes = {name: _read_recipe(name, entry, data, document, (*place, name)) for name, entry in data.items()}
    built: dict[str, Material] = {}
    for name in recipes:
        _build(name, recipes, built, (), document, place)
    return {**built, **MATERIALS}


def materials_of(path: Path) -> Mapping[str, Material]:
    """All materials that the elements of a detector file may name. Raises BadInput."""
    document = Document(path)
    known = read_materials(document.data.get("materials"), document, ("materials",))
    document.raise_faults()
    return known


def _read_recipe(name: str, entry: Any, data: Any, document: Document, place: Place) -> _Recipe | None:
    before = len(document.faults)
    if not _NAME.fullmatch(name):
        document.fault(place, f"name {name!r} must be a word of letters, digits, _ and -", key=True)
    elif name in MATERIALS:
        document.fault(place, f"{name!r} is a material that exists already: choose another name", key=True)
    written = read(Definition, entry, document, place, skip=())
    if written is None:
        return None

    def check(key: str, value: Any, reader: Any) -> Any:
        try:
            return None if value is None else reader(value)
        except PydanticCustomError as error:
            document.fault((*place, key), sentence(key, error.message()))
            return None
        except FormulaError as error:
            document.fault((*place, key), str(error))
            return None

    density = check("density", written["density"], read_density)
    if written["density"] is None:
        document.fault((*place, "density"), "density is empty: write, say, density: 2.3 g/cm3")
    energy = check("mean_excitation", written["mean_excitation"], lambda v: read_number(v, "eV", _EXCITATION))
    fractions, formula = written["fractions"], written["formula"]
    if fractions is None and formula is None:
        document.fault(place, "a material needs fractions or formula")
    elif fractions is not None and formula is not None:
        document.fault((*place, "formula"), "give fractions or formula, not both", key=True)
    shares = _read_fractions(fractions, data, document, (*place, "fractions")) if fractions is not None else {}
    if formula is not None and not isinstance(formula, str):
        document.fault((*place, "formula"), "formula must be text such as SiO2")
    elif formula is not None:
        check("formula", formula, parse_formula)
    if len(document.faults) > before:
        return None
    return _Recipe(density, formula, shares, None if energy is None else 1e9 * energy)


def _read_fractions(written: Any, data: Any, document: Document, place: Place) -> dict[str, float]:
    """Mass fractions by name, summing to one."""
    if not isinstance(written, dict) or not written:
        document.fault(place, "fractions must be a mapping of mass fractions: {Fe: 0.7, O: 30 %}")
        return {}
    shares = {}
    for part, value in written.items():
        if part not in MATERIALS and part not in data:
            known = [*data, *MATERIALS]
            document.fault((*place, part), f"unknown element or material {part!r}{near(part, known)}", key=True)
        try:
            shares[part] = read_number(value, "", _SHARE)
        except PydanticCustomError as error:
            document.fault((*place, part), sentence(f"fraction of {part}", error.message()))
    total = math.fsum(shares.values())
    if len(shares) == len(written) and abs(total - 1) > 1e-3:
        document.fault(place, f"mass fractions must sum to 1, but sum to {total:.6g}")
    return shares


def _build(
    name: str,
    recipes: Mapping[str, _Recipe | None],
    built: dict[str, Material],
    above: tuple[str, ...],
    document: Document,
    place: Place,
) -> Material:
    """The material of a recipe, and before it those that it is made of."""
    if name in MATERIALS:
        return MATERIALS[name]
    if name in built:
        return built[name]
    recipe, stand_in = recipes[name], MATERIALS["silicon"]
    if len(above) > _DEEPEST:
        document.fault((*place, name), "materials are made of materials too deeply", key=True)
        return stand_in
    if name in above:
        loop = " -> ".join((*above[above.index(name) :], name))
        document.fault((*place, name), f"a material cannot be made of itself: {loop}", key=True)
        return stand_in
    if recipe is None:
        built[name] = stand_in
    elif recipe.formula is not None:
        built[name] = compound(name, recipe.density, recipe.formula, recipe.mean_excitation, _source(recipe))
    else:
        parts = [
            (_build(part, recipes, built, (*above, name), document, place), share)
            for part, share in recipe.fractions.items()
        ]
        built.setdefault(name, mixture(name, recipe.density, parts, recipe.mean_excitation, _source(recipe)))
    return built[name]


def _source(recipe: _Recipe) -> str:
    return "density, composition: detector file" + ("; I: detector file" if recipe.mean_excitation else "")
