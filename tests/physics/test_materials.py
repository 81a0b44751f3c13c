"""Materials against PDG, Geant4 and PUMAS: radiation length, energy loss, mean excitation energy, density effect.

PDG: Atomic and Nuclear Properties of Materials (2020). Geant4: release 11.4.1, whose NIST materials sum Tsai's formula over
the elements of natural isotopes, and whose loss of muons has radiative corrections of its own.
"""

import math
import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from detopt.detector.elements import BarrelLayer
from detopt.materials import (
    ELEMENTS,
    MATERIALS,
    MUON_MASS,
    bethe,
    compound,
    material,
    min_dedx,
    minimum,
    mixture,
    names_of,
    radiation_length,
)
from detopt.materials.density_effect import cbar, general
from detopt.materials.pure import PURE
from detopt.materials.stopping import delta

pytestmark = pytest.mark.physics

# name, X0 in cm as printed by PDG, X0 in g/cm2 of Geant4
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

# name, X0 in cm by PDG eq. 34.25 and 34.27, smallest dE/dx in MeV cm2/g by PDG eq. 34.5, of PDG's compositions and figures
COMPUTED = [
    ("beryllium", 35.27601, 1.5936),
    ("carbon", 19.31988, 1.741),
    ("aluminium", 8.89634, 1.614),
    ("silicon", 9.37014, 1.6633),
    ("titanium", 3.56022, 1.4761),
    ("iron", 1.75749, 1.4503),
    ("nickel", 1.42422, 1.467),
    ("copper", 1.43559, 1.4021),
    ("tungsten", 0.35042, 1.1447),
    ("lead", 0.56121, 1.1222),
    ("uranium", 0.31663, 1.0812),
    ("water", 36.08224, 1.979),
    ("air", 30387.01, 1.8145),
    ("concrete", 11.55263, 1.71),
    ("standard_rock", 10.0159, 1.6867),
    ("polystyrene", 41.31248, 1.9349),
    ("scintillator", 42.54014, 1.9547),
    ("polyethylene", 50.3077, 2.0774),
    ("acrylic", 34.07462, 1.928),
    ("kapton", 28.57464, 1.8187),
    ("mylar", 28.53613, 1.847),
    ("carbon_dioxide", 19649.55, 1.8185),
    ("argon", 11762.31, 1.5187),
    ("liquid_argon", 14.00344, None),
    ("caesium_iodide", 1.8603, 1.2422),
    ("sodium_iodide", 2.58823, 1.3042),
    ("lead_tungstate", 0.8903, 1.2285),
    ("BGO", 1.11804, 1.25),
    ("glass", 12.63239, 1.6945),
    ("bakelite", 33.39083, 1.8874),
    ("silica_aerogel", 136.25, 1.7394),
    ("argon_co2_70_30", 13372.34, None),
    ("argon_co2_93_7", 12102.17, None),
]

# Geant4's ionisation loss of muons in MeV cm2/g at kinetic energies in GeV.
GEANT4 = {
    "ArCO2_70_30": [(0.3, 1.61581), (10, 2.396539)],
    "G4_Be": [(1, 1.683184), (30, 2.086169)],
    "G4_C": [(0.3, 1.744162), (3, 2.022154), (100, 2.463425)],
    "G4_Al": [(1, 1.741789), (30, 2.229556)],
    "G4_Si": [(0.3, 1.663209), (1, 1.801092), (10, 2.174887), (100, 2.446338)],
    "G4_Fe": [(0.3, 1.44964), (1, 1.57858), (3, 1.757395), (10, 1.939006), (30, 2.076713), (100, 2.201978)],
    "G4_Cu": [(1, 1.529186), (100, 2.150258)],
    "G4_W": [(0.3, 1.143258), (10, 1.609578)],
    "G4_Pb": [(0.3, 1.123303), (1, 1.263379), (10, 1.607699), (100, 1.852001)],
    "G4_U": [(0.3, 1.080867), (3, 1.382066), (30, 1.671862), (100, 1.781201)],
    "G4_WATER": [(0.3, 1.98644), (3, 2.294207), (100, 2.787406)],
    "G4_AIR": [(0.5, 1.873604), (5, 2.457241), (50, 2.91512)],
    "G4_CONCRETE": [(1, 1.831668), (20, 2.286252)],
    "G4_POLYSTYRENE": [(1, 2.046032)],
    "G4_KAPTON": [(10, 2.279613)],
    "G4_Ar": [(1, 1.711555), (100, 2.673319)],
    "G4_lAr": [(2, 1.756024), (50, 2.186829)],
    "G4_CESIUM_IODIDE": [(0.3, 1.241639), (20, 1.838181)],
    "G4_PbWO4": [(1, 1.385352), (100, 1.957562)],
    "G4_PLEXIGLASS": [(5, 2.311443)],
    "G4_SODIUM_IODIDE": [(0.3, 1.305426)],
}

# Kinetic energy in GeV, ionisation in MeV cm2/g, range in g/cm2 (all losses), density effect.
# Aluminium: PDG's table of 2021 (Groom, Mokhov and Striganov); others: PUMAS 1.1 (Niess), for the same materials.
ANCHORS = {
    "aluminium": [
        (0.1, 1.797, 39.34, 0.1276), (0.3, 1.616, 160.5, 0.445), (1.0, 1.744, 577.3, 1.4347), (3.0, 1.92, 1659.0, 2.9106),
        (10.0, 2.097, None, 4.9717), (30.0, 2.233, None, 7.0746), (100.0, 2.36, None, 9.468), (1000.0, 2.589, None, 14.0713),
    ],
    "iron": [
        (0.1, 1.61, 43.98, None), (0.3, 1.448, 179.3, None), (1.0, 1.576, 642.3, None), (3.0, 1.759, 1829.0, None),
        (10.0, 1.941, None, None), (100.0, 2.206, None, None),
    ],
    "lead": [
        (0.1, 1.217, 59.14, None), (0.3, 1.13, 234.9, None), (1.0, 1.27, 816.4, None), (10.0, 1.616, None, None),
        (100.0, 1.859, None, None),
    ],
    "standard_rock": [
        (0.1, 1.908, 36.96, None), (1.0, 1.812, 551.8, None), (10.0, 2.174, None, None), (100.0, 2.448, None, None),
    ],
}  # fmt: skip

MOMENTA = (0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 100.0)  # GeV/c


def momentum(kinetic):
    return math.sqrt(kinetic * (kinetic + 2 * MUON_MASS))


def worst(one, other):
    """Largest relative difference of dE/dx."""
    return max(abs(bethe(one, p) / bethe(other, p) - 1) for p in MOMENTA)


# -- radiation length --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "printed_cm", "geant4"), RADIATION_LENGTHS)
def test_radiation_length(name, printed_cm, geant4):
    seen = material(name)
    if printed_cm is not None:
        np.testing.assert_allclose(seen.X0 / 10, printed_cm, rtol=1e-3)
    np.testing.assert_allclose(seen.X0 / 10 * seen.density, geant4, rtol=2e-4)
    np.testing.assert_allclose(seen.radiation_length, geant4, rtol=2e-4)


@pytest.mark.parametrize(("name", "x0_cm", "least"), COMPUTED)
def test_pdg(name, x0_cm, least):
    """Geant4's X0 of liquid argon and of the gas mixtures. The terms beyond PDG eq. 34.5 add 0.05 % to 0.08 %."""
    seen = material(name)
    np.testing.assert_allclose(seen.X0 / 10, x0_cm, rtol=1e-3)
    if least is not None:
        np.testing.assert_allclose(min_dedx(seen), least, rtol=1.5e-3)
        at, _ = minimum(seen)
        np.testing.assert_allclose(bethe(seen, at, plain=True), least, rtol=3e-4)


# g/cm2, as PDG prints them; the four lightest elements have logarithms of their own.
@pytest.mark.parametrize(
    ("symbol", "printed"), [("H", 63.04), ("Be", 65.19), ("B", 52.69), ("C", 42.70), ("N", 37.99), ("O", 34.24)]
)
def test_elements(symbol, printed):
    assert radiation_length(*ELEMENTS[symbol]) == pytest.approx(printed, rel=1e-3)
    assert MATERIALS[symbol].radiation_length == pytest.approx(printed, rel=1e-3)


# Geant4's own materials: X0 in cm, I in eV, density effect.
@pytest.mark.parametrize(
    ("name", "x0_cm", "excitation", "effect"),
    [
        ("G4_C", 21.34852, 81, (3.067981, -0.01870958, 2.50239, 0.2024, 3.0036, 0.1)),
        ("G4_Si", 9.36607, 173, (4.4351, 0.2014, 2.8715, 0.14921, 3.2546, 0.14)),
        ("G4_Be", 35.27598, 63.7, (2.7847, 0.0392, 1.6922, 0.80392, 2.4339, 0.14)),
        ("G4_WATER", 36.08298, 78, (3.580141, 0.2570333, 2.817433, 0.09115096, 3.4773, 0)),
        ("G4_POLYETHYLENE", 47.63169, 57.4, (3.0016, 0.137, 2.5177, 0.121082, 3.4292, 0)),
        ("G4_PLEXIGLASS", 34.07488, 74, (3.329665, 0.2328514, 2.032851, 0.3870618, 3, 0)),
        ("G4_PbWO4", 0.8924532, 542.7415, (5.641545, 0.3391436, 3, 0.2165545, 3, 0)),
        ("G4_NYLON-6-6", 36.7677, 63.9, (3.0634, 0.1336, 2.5834, 0.1181856, 3.3826, 0)),
        ("G4_Fe", 1.757493, 286, (4.2911, -0.0012, 3.1531, 0.1468, 2.9632, 0.12)),
        ("G4_Pb", 0.5612533, 823, (6.2018, 0.3776, 3.8073, 0.09359, 3.1608, 0.14)),
        ("G4_lAr", 14.00344, 188, (5.214615, 0.2, 3, 0.1955895, 3, 0)),
        ("G4_GLASS_PLATE", 10.69216, 145.4, (4.0602, 0.1237, 3.0649, 0.07677255, 3.5381, 0)),
    ],
)
def test_geant4(name, x0_cm, excitation, effect):
    seen = material(name)
    np.testing.assert_allclose(seen.X0 / 10, x0_cm, rtol=1e-4)
    np.testing.assert_allclose(seen.I, excitation, rtol=1e-5)
    np.testing.assert_allclose((seen.Cbar, seen.x0, seen.x1, seen.a, seen.k, seen.delta0), effect, rtol=1e-4, atol=5e-5)


# -- energy loss -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GEANT4)
def test_energy_loss_against_geant4(name):
    """Within 0.75 % (uranium at 0.3 GeV, where Geant4 has corrections for inner shells); light materials within 0.2 %."""
    for kinetic, expected in GEANT4[name]:
        np.testing.assert_allclose(bethe(material(name), momentum(kinetic)), expected, rtol=7.5e-3)


def test_energy_loss_beyond_the_plain_formula():
    """PDG eq. 34.5 alone is 0.9 % low at 10 GeV/c and 2.4 % low at 100 GeV/c."""
    iron = material("iron")
    short = [1 - bethe(iron, p, plain=True) / bethe(iron, p) for p in (0.36, 1.0, 10.0, 100.0)]
    np.testing.assert_allclose(short, (0.0006, 0.002, 0.010, 0.026), atol=1.5e-3)


@pytest.mark.parametrize("name", ANCHORS)
def test_energy_loss_and_range(name):
    one = material(name)
    tolerance = 1e-3 if name == "aluminium" else 5e-3
    for kinetic, expected, _, effect in ANCHORS[name]:
        np.testing.assert_allclose(bethe(one, momentum(kinetic)), expected, rtol=tolerance)
        if effect is not None:
            assert delta(one, momentum(kinetic) / MUON_MASS) == pytest.approx(effect, abs=2e-3)
    ranges = [(kinetic, length) for kinetic, _, length, _ in ANCHORS[name] if length is not None]
    for (low, short), (high, long) in pairwise(ranges):
        energies = np.geomspace(low, high, 200)
        path = np.trapezoid([1e3 / bethe(one, momentum(t)) for t in energies], energies)
        np.testing.assert_allclose(path, long - short, rtol=5e-3)  # some radiation, from 1 GeV


def test_minimum_is_one():
    for name in ("hydrogen", "silicon", "lead", "G10", "helium"):
        at, least = minimum(material(name))
        assert all(bethe(material(name), at * factor) > least for factor in (0.9, 1.1))
        heavier, _ = minimum(material(name), mass=0.938272)
        assert heavier / at == pytest.approx(0.938272 / MUON_MASS, rel=0.05)  # the same beta gamma


def test_density_effect_at_high_energy():
    """From x1 on the loss depends on the plasma energy, and no more on I: PDG eq. 34.6."""
    silicon = material("silicon")
    assert 0.5 * delta(silicon, 1e5) == pytest.approx(math.log(1e5 * silicon.plasma_energy / silicon.I) - 0.5, abs=1e-3)


@pytest.mark.parametrize(("name", "energy"), [("silicon", 31.05), ("lead", 61.07), ("water", 21.47), ("air", 0.71)])
def test_plasma_energy(name, energy):
    """eV, as PDG prints them."""
    assert material(name).plasma_energy == pytest.approx(energy, rel=2e-3, abs=5e-3)


# -- what is not tabulated ---------------------------------------------------------------------------------------------

TABULATED = [
    m
    for m in {id(m): m for m in MATERIALS.values()}.values()
    if len(m.fractions) > 1 and m.source.endswith("(2020)") and m.k != 3.0 and m.name not in ("water", "ice")
]  # PDG's Cbar of water and ice belongs to another I than PDG's; k is 3 where PDG itself used the recipe


def with_effect(one, effect):
    return replace(one, **dict(zip(("Cbar", "x0", "x1", "a", "k", "delta0"), effect, strict=True)))


def test_density_effect_of_mixtures():
    """From elements and the tabulated I: median 0.4 %, worst 1.3 %; the recipe of Sternheimer and Peierls 0.9 %, 2.7 %."""
    assert len(TABULATED) > 40
    ours, recipe = [], []
    for m in TABULATED:
        parts = [(PURE[symbol], w) for symbol, w in m.fractions]
        ours.append(worst(mixture("ours", m.density, parts, m.I), m))
        effect = general(cbar(m.I, m.plasma_energy), m.I, m.density)
        recipe.append(worst(with_effect(m, effect), m))
    assert np.median(ours) < 0.0045 < 0.008 < np.median(recipe) < 0.01
    assert max(ours) < 0.0135 < 0.025 < max(recipe) < 0.03


def test_mixtures_from_their_elements_alone():
    """Without I as well: median 0.5 %, worst 1.5 %."""
    errors = [worst(mixture("ours", m.density, [(PURE[s], w) for s, w in m.fractions]), m) for m in TABULATED]
    assert np.median(errors) < 0.006
    assert max(errors) < 0.015


def test_recipe_for_elements():
    """Sternheimer and Peierls against what is tabulated: median 1.6 %, worst 3.8 % (ytterbium)."""
    elements = [m for m in PURE.values() if m.k != 3.0]
    errors = [worst(with_effect(m, general(cbar(m.I, m.plasma_energy), m.I, m.density)), m) for m in elements]
    assert np.median(errors) == pytest.approx(0.016, abs=0.002)
    assert max(errors) < 0.04


# Mean excitation energies of ICRU 37 in eV.
@pytest.mark.parametrize(
    ("formula", "density", "expected"),
    [
        ("SiO2", 2.32, 139.2), ("Al2O3", 3.97, 145.2), ("CaCO3", 2.8, 136.4), ("CsI", 4.51, 553.1), ("NaI", 3.667, 452.0),
        ("Bi4Ge3O12", 7.13, 534.1), ("GaAs", 5.31, 384.9), ("Fe2O3", 5.2, 227.3), ("CH2", 0.94, 57.4),
        ("CH4", 6.67e-4, 41.7), ("C2H4", 1.175e-3, 50.7), ("UO2", 10.96, 720.6), ("BaF2", 4.89, 375.9),
    ],
)  # fmt: skip
def test_mean_excitation_energy_of_compounds(formula, density, expected):
    np.testing.assert_allclose(compound("it", density, formula).I, expected, rtol=0.02)


def test_mean_excitation_energy_where_additivity_is_poor():
    """ICRU's energy for polystyrene is measured: additivity is 4 % below, and dE/dx 0.5 % above."""
    known = material("polystyrene")
    ours = compound("ours", known.density, "C8H8")
    np.testing.assert_allclose(1 - ours.I / known.I, 0.04, atol=0.005)
    assert worst(ours, known) < 0.008


def test_alloys_are_like_their_metals():
    iron = material("iron")
    assert worst(mixture("iron", iron.density, [(iron, 0.3), (iron, 0.7)]), iron) < 1e-3
    assert min_dedx(material("steel")) == pytest.approx(min_dedx(iron), rel=1e-3)
    steel, geant4 = material("stainless_steel").X0, 17.3802  # mm
    assert steel == pytest.approx(geant4, rel=1e-3)


# -- density -----------------------------------------------------------------------------------------------------------


def test_density_scales_the_length_and_moves_the_density_effect():
    silicon = material("silicon")
    thin = silicon.with_density(silicon.density / 2)
    np.testing.assert_allclose(thin.X0, 2 * silicon.X0, rtol=1e-14)
    assert (thin.I, thin.a, thin.k, thin.fractions) == (silicon.I, silicon.a, silicon.k, silicon.fractions)
    # delta is a function of beta gamma times the plasma energy.
    for beta_gamma in (0.5, 3.0, 30.0, 3000.0):
        assert delta(thin, beta_gamma * math.sqrt(2)) == pytest.approx(delta(silicon, beta_gamma), rel=1e-12)
    assert bethe(thin, 100.0) > bethe(silicon, 100.0)
    back = thin.with_density(silicon.density)
    assert (back.Cbar, back.x0, back.x1) == pytest.approx((silicon.Cbar, silicon.x0, silicon.x1))


def test_density_by_a_table():
    """Polyethylene of PDG and of Geant4 differ in density only."""
    moved = material("polyethylene").with_density(0.94)
    assert worst(moved, material("G4_POLYETHYLENE")) < 5e-4


# -- the library -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({m.name for m in MATERIALS.values()}))
def test_every_material(name):
    one = material(name)
    assert one.name == name
    assert name in names_of(one)
    assert sum(w for _, w in one.fractions) == pytest.approx(1, abs=1e-3)
    assert 5e-5 < one.density < 23
    assert 10 < one.I < 900
    assert one.source
    assert one.radiation_length < 95
    assert 1.0 < min_dedx(one) < 4.2
    # The parametrisation joins at x1, and Cbar is what I and plasma energy say (PDG's water excepted, see above).
    assert one.x0 < one.x1
    assert cbar(one.I, one.plasma_energy) == pytest.approx(one.Cbar, abs=0.2)
    joint = 2 * math.log(10) * one.x0 - one.Cbar + one.a * (one.x1 - one.x0) ** one.k
    assert joint == pytest.approx(one.delta0, abs=0.3)


def test_all_elements():
    assert [ELEMENTS[s].Z for s in PURE] == list(range(1, 93))
    for symbol, one in PURE.items():
        assert material(symbol) is material(one.name)
        assert f"G4_{symbol}" in MATERIALS


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
        ("PbWO4", "lead_tungstate"),
        ("G4_PLASTIC_SC_VINYLTOLUENE", "scintillator"),
        ("shielding_concrete", "concrete"),
        ("G4_CONCRETE", "concrete"),
        ("FR4", "G10"),
        ("SiO2", "quartz"),
        ("StandardRock", "standard_rock"),
        # Geant4's density, I or density effect is another.
        ("G4_C", "G4_C"),
        ("G4_Si", "G4_Si"),
        ("G4_AIR", "G4_AIR"),
        ("G4_WATER", "G4_WATER"),
    ],
)
def test_aliases(alias, name):
    assert material(alias) == material(name)
    assert material(alias).name == name
    assert alias in names_of(material(name))


def test_equal_by_content():
    silicon = material("silicon")
    twin = pickle.loads(pickle.dumps(silicon))
    assert twin is not silicon
    assert twin == silicon
    assert hash(twin) == hash(silicon)
    assert silicon != silicon.with_density(2.33)
    assert silicon != replace(silicon, x0=0.2)
    assert str(silicon) == "silicon"


def test_a_thickness_of_silicon_in_radiation_lengths():
    sensor = BarrelLayer(name="sensor", radius=30.0, half_length=100.0, material=material("silicon"), thickness=0.3)
    assert sensor.radiation_thickness == pytest.approx(0.3 / 93.70, rel=1e-4)


def test_unknown_material():
    with pytest.raises(KeyError, match="unobtainium"):
        material("unobtainium")
