"""Compounds and mixtures from what they are made of: mean excitation energy and density effect by additivity."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from detopt.materials.density_effect import GAS, cbar, of_parts
from detopt.materials.elements import ELEMENTS
from detopt.materials.material import PLASMA, Material
from detopt.materials.pure import PURE

__all__ = ["FormulaError", "compound", "mixture", "parse_formula"]

# eV: mean excitation energies of elements inside compounds, solid or liquid, and in gases; others: 1.13 times that of the
# element, or the element's (Seltzer and Berger, Int. J. Appl. Radiat. Isot. 33 (1982) 1189; ICRU Report 37, table 5.1).
_BOUND = {"H": 19.2, "C": 81.0, "N": 82.0, "O": 106.0, "F": 112.0, "Cl": 180.0}
_BOUND_IN_GAS = {"H": 19.2, "C": 70.0, "N": 82.0, "O": 97.0}


def mixture(
    name: str,
    density: float,
    parts: Iterable[tuple[Material, float]],
    mean_excitation: float | None = None,
    source: str = "",
) -> Material:
    """A mixture of materials.

    Args:
        name: of the mixture.
        density: in g/cm3.
        parts: materials and their mass fractions.
        mean_excitation: in eV; without it, ln I is the mean of the parts' ln I over their electrons (Bragg additivity,
            PDG section 34.2.10). Where one of the parts is an element that alone would be a gas, and the mixture is none,
            the elements of the mixture must be bound: they count as in a `compound`.
        source: where the numbers are from.
    """
    parts = list(parts)
    if density > GAS and any(_alone(m) and m.density < GAS for m, _ in parts):
        parts = [(_bound(m, density) if _alone(m) else m, w) for m, w in parts]
    return _mixed(name, density, parts, mean_excitation, source, "Bragg additivity")


def compound(
    name: str, density: float, formula: str, mean_excitation: float | None = None, source: str = ""
) -> Material:
    """A chemical compound, such as SiO2, at a density in g/cm3. Raises FormulaError.

    Atoms in molecules are bound tighter than alone: without a mean excitation energy in eV, it comes from additivity with
    the energies of ICRU Report 37, which is within 2 % (rms) of those that are tabulated.
    """
    atoms = parse_formula(formula)
    parts = [(PURE[symbol], count * ELEMENTS[symbol].A) for symbol, count in atoms.items()]
    if len(parts) > 1:
        parts = [(_bound(one, density), w) for one, w in parts]
    return _mixed(name, density, parts, mean_excitation, source, "additivity of atoms in compounds (ICRU 37)")


def _mixed(
    name: str, density: float, parts: list[tuple[Material, float]], energy: float | None, source: str, rule: str
) -> Material:
    total = math.fsum(w for _, w in parts)
    z_over_a = math.fsum(w * m.z_over_a for m, w in parts) / total
    electrons = [(m, w * m.z_over_a / total / z_over_a) for m, w in parts]
    if energy is None:
        energy = math.exp(math.fsum(share * math.log(m.I) for m, share in electrons))
        source = f"{source or 'density: as given'}; I: {rule}"
    fractions: dict[str, float] = {}
    for m, w in parts:
        whole = math.fsum(f for _, f in m.fractions)
        for symbol, f in m.fractions:
            fractions[symbol] = fractions.get(symbol, 0.0) + w / total * f / whole
    effect = of_parts(electrons, cbar(energy, PLASMA * math.sqrt(density * z_over_a)))
    source = f"{source}; density effect: mean of the parts'"
    return Material(name, density, tuple(fractions.items()), energy, *effect, source=source)


def _alone(m: Material) -> bool:
    """Whether it is an element."""
    return len(m.fractions) == 1 and m.fractions[0][0] in PURE


def _bound(m: Material, density: float) -> Material:
    """An element as it is inside a compound of some density: other energies, and it conducts no more."""
    symbol = m.fractions[0][0]
    alone = PURE[symbol].I
    energy = _BOUND_IN_GAS.get(symbol, alone) if density < GAS else _BOUND.get(symbol, 1.13 * alone)
    return replace(m, I=energy, delta0=0.0)


# -- chemical formulas -------------------------------------------------------------------------------------------------


class FormulaError(ValueError):
    """A chemical formula that cannot be read; the message says why."""


_TOKEN = re.compile(r"([A-Z][a-z]?|\(|\))([0-9]*(?:\.[0-9]+)?)")


def parse_formula(formula: str) -> Mapping[str, float]:
    """Atoms of a formula: "(C10H8O4)2" -> {"C": 20, "H": 16, "O": 8}. Raises FormulaError."""
    stack: list[dict[str, float]] = [{}]
    rest = formula.replace(" ", "")
    while rest:
        match = _TOKEN.match(rest)
        if match is None:
            raise FormulaError(f"cannot read formula {formula!r} at {rest!r}: it should look like SiO2 or (C10H8O4)2")
        token, count = match[1], float(match[2] or 1)
        if token == "(" and not match[2]:
            stack.append({})
        elif token == ")" and len(stack) > 1:
            for symbol, n in stack.pop().items():
                stack[-1][symbol] = stack[-1].get(symbol, 0.0) + n * count
        elif token in "()":
            raise FormulaError(f"cannot read formula {formula!r}: its parentheses do not match")
        elif token not in PURE:
            raise FormulaError(f"formula {formula!r} has an unknown element {token!r}")
        else:
            stack[-1][token] = stack[-1].get(token, 0.0) + count
        rest = rest[match.end() :]
    if len(stack) > 1:
        raise FormulaError(f"cannot read formula {formula!r}: its parentheses do not match")
    if not stack[0] or not all(0 < n < math.inf for n in stack[0].values()):
        raise FormulaError(f"formula {formula!r} counts no atoms")
    return stack[0]
