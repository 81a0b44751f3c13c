"""Radiation lengths against the printed values of PDG, Atomic and Nuclear Properties of Materials, and against Geant4.

Geant4's come from its NIST materials (11.4), which sum Tsai's formula over the elements of natural isotopes.
"""

from dataclasses import replace

import numpy as np
import pytest

from detopt.detector.elements import BarrelLayer
from detopt.materials import ELEMENTS, MATERIALS, material, radiation_length

# name, X0 in cm as printed, X0 in g/cm2 of Geant4
RADIATION_LENGTHS = [
    ("beryllium", 35.28, 65.19),
    ("carbon", 19.32, 42.697),
    ("aluminium", 8.897, 24.0112),
    ("silicon", 9.370, 21.8229),
    ("titanium", 3.560, 16.1633),
    ("iron", 1.757, 13.8385),
    ("nickel", 1.424, 12.6784),
    ("copper", 1.436, 12.8628),
    ("tungsten", 0.3504, 6.7631),
    ("lead", 0.5612, 6.3702),
    ("uranium", 0.3166, 6.0001),
    ("water", 36.08, 36.083),
    ("air", 30390.0, 36.6161),
    ("concrete", 11.55, 26.5712),
    ("polystyrene", 41.31, 43.7913),
    ("scintillator", 42.54, 43.9056),
    ("polyethylene", 50.31, 44.7738),
    ("acrylic", 34.07, 40.5491),
    ("kapton", 28.57, 40.5762),
    ("mylar", 28.54, 39.951),
    ("argon", 11760.0, 19.5488),
    ("carbon_dioxide", 19650.0, 36.1951),
    ("caesium_iodide", 1.860, 8.3899),
    ("sodium_iodide", 2.588, 9.491),
    ("lead_tungstate", 0.8904, 7.3895),
    ("BGO", 1.118, 7.9716),
    ("glass", 12.63, 28.1706),
    ("bakelite", None, 41.7387),
    ("silica_aerogel", None, 27.2507),
]


@pytest.mark.parametrize(("name", "printed_cm", "geant4"), RADIATION_LENGTHS)
def test_radiation_length(name, printed_cm, geant4):
    seen = material(name)
    if printed_cm is not None:
        np.testing.assert_allclose(seen.X0 / 10, printed_cm, rtol=1e-3)
    np.testing.assert_allclose(seen.X0 / 10 * seen.density, geant4, rtol=2e-4)


def test_all_materials_are_compared():
    assert {m.name for m in MATERIALS.values()} == {name for name, _, _ in RADIATION_LENGTHS}


# g/cm2, as PDG prints them; the four lightest elements have logarithms of their own.
@pytest.mark.parametrize(
    ("symbol", "printed"), [("H", 63.04), ("Be", 65.19), ("B", 52.69), ("C", 42.70), ("N", 37.99), ("O", 34.24)]
)
def test_elements(symbol, printed):
    assert radiation_length(*ELEMENTS[symbol]) == pytest.approx(printed, rel=1e-3)


@pytest.mark.parametrize("name", sorted({m.name for m in MATERIALS.values()}))
def test_fractions_sum_to_one(name):
    assert sum(w for _, w in material(name).fractions) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("Fe", "iron"),
        ("G4_Fe", "iron"),
        ("Pb", "lead"),
        ("G4_Pb", "lead"),
        ("Si", "silicon"),
        ("aluminum", "aluminium"),
        ("Al", "aluminium"),
        ("graphite", "carbon"),
        ("G4_KAPTON", "kapton"),
        ("G4_AIR", "air"),
        ("PbWO4", "lead_tungstate"),
        ("G4_PLASTIC_SC_VINYLTOLUENE", "scintillator"),
        ("shielding_concrete", "concrete"),
        ("G4_CONCRETE", "concrete"),
    ],
)
def test_aliases(alias, name):
    assert material(alias) == material(name)
    assert material(alias).name == name


def test_density_scales_the_length_and_nothing_else():
    silicon = material("silicon")
    np.testing.assert_allclose(replace(silicon, density=silicon.density / 2).X0, 2 * silicon.X0, rtol=1e-14)


def test_a_thickness_of_silicon_in_radiation_lengths():
    sensor = BarrelLayer(name="sensor", radius=30.0, half_length=100.0, material=material("silicon"), thickness=0.3)
    assert sensor.radiation_thickness == pytest.approx(0.3 / 93.70, rel=1e-4)


def test_unknown_material():
    with pytest.raises(KeyError, match="unobtainium"):
        material("unobtainium")
