"""Materials that a detector file defines, densities of its elements, and what is said when they are wrong."""

import math

import pytest
from test_bad_input import case, compare, faults, marked
from texts import changed

import detopt
from detopt.materials import FormulaError, compound, material, min_dedx, parse_formula
from detopt.parameters import Space
from detopt.study.detectors import open_detector
from detopt.study.write import detector_with

TEXT = """\
schema: 1
name: absorbers
frame: beamline
materials:
  heavy_concrete: {density: 3.6 g/cm3, fractions: {Fe: 0.5, O: 30 %, water: 0.2}}
  wet_sand: {density: 1900 kg/m3, fractions: {sand: 90 %, water: 10 %}}
  sand: {density: 1.6 g/cm3, formula: SiO2, mean_excitation: 139.2 eV}
  plastic: {density: 1.4 g/cm3, formula: (C10H8O4)2}
elements:
  - {name: P0, type: plane, z: 0 mm, span: 1 m, resolution: 0.1 mm, material: plastic, thickness: 1 mm}
  - {name: shield, type: slab, z: [10 mm, 110 mm], material: heavy_concrete}
  - {name: sand, type: slab, z: [200 mm, 300 mm], material: wet_sand}
  - {name: foil, type: plane, z: 400 mm, span: 1 m, material: G4_Al, thickness: 1 mm, density: 1.35 g/cm3}
  - {name: porous, type: slab, z: [500 mm, 600 mm], material: silicon, density: 1.1645 g/cm3}
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The elements of the file by name."""
    path = tmp_path_factory.mktemp("materials") / "absorbers.yaml"
    path.write_text(TEXT)
    return {e.name: e for e in detopt.load(path).elements}


def test_mixtures_by_mass(parts):
    mix = parts["shield"].material
    assert mix.name == "heavy_concrete"
    shares = dict(mix.fractions)
    assert shares == pytest.approx({"Fe": 0.5, "O": 0.3 + 0.2 * 0.888106, "H": 0.2 * 0.111894}, rel=1e-9)
    lengths = (0.5, material("Fe")), (0.3, material("O")), (0.2, material("water"))
    assert mix.radiation_length == pytest.approx(1 / sum(w / m.radiation_length for w, m in lengths), rel=1e-12)
    assert 10 * mix.radiation_length == pytest.approx(3.6 * mix.X0)
    # Oxygen in something solid is bound, and so are the elements beside it: ICRU 37.
    energies = 1.13 * 286, 106.0, 79.7
    weights = [w * m.z_over_a for w, m in lengths]
    bragg = sum(w * math.log(e) for w, e in zip(weights, energies, strict=True)) / sum(weights)
    assert math.log(mix.I) == pytest.approx(bragg)


def test_materials_of_materials_in_any_order(parts):
    wet = parts["sand"].material
    assert wet.density == pytest.approx(1.9)
    assert dict(wet.fractions)["Si"] == pytest.approx(0.9 * dict(material("SiO2").fractions)["Si"], rel=1e-4)


def test_formulas(parts):
    plastic = parts["P0"].material
    assert plastic == compound("plastic", 1.4, "(C10H8O4)2")
    assert plastic.radiation_length == pytest.approx(material("mylar").radiation_length, rel=1e-3)
    assert min_dedx(plastic) == pytest.approx(min_dedx(material("mylar")), rel=3e-3)
    assert parse_formula("(C10H8O4)2") == {"C": 20, "H": 16, "O": 8}
    assert parse_formula("Ca(OH)2") == {"Ca": 1, "O": 2, "H": 2}
    assert parse_formula("Lu1.8Y0.2SiO5") == {"Lu": 1.8, "Y": 0.2, "Si": 1, "O": 5}


@pytest.mark.parametrize("formula", ["", "sio2", "Si O2)", "(SiO2", "Xx2", "Si-O", "Si0", "()2"])
def test_formulas_that_are_none(formula):
    with pytest.raises(FormulaError, match="formula"):
        parse_formula(formula)


def test_a_density_of_its_own(parts):
    foil, porous = parts["foil"].material, parts["porous"].material
    thinner, solid = foil.X0, material("aluminium").X0
    assert thinner / solid == pytest.approx(2.699 / 1.35)
    assert foil.I == 166.0
    assert porous.Cbar == pytest.approx(material("silicon").Cbar + math.log(2))
    assert porous.x0 == pytest.approx(material("silicon").x0 + 0.5 * math.log10(2))
    assert parts["foil"].radiation_thickness == pytest.approx(1 / foil.X0)


FOIL = "material: G4_Al, thickness: 1 mm, density: 1.35 g/cm3"
SAND = "{density: 1.6 g/cm3, formula: SiO2, mean_excitation: 139.2 eV}"
CONCRETE = "{density: 3.6 g/cm3, fractions: {Fe: 0.5, O: 30 %, water: 0.2}}"

BAD = [
    case("density without material", ("material: G4_Al, thickness: 1 mm, density", "x_over_X0: 1 %, §density"), "density needs material beside it"),
    case("density without unit", ("density: 1.35 g/cm3", "density: §1.35"), "needs a unit of mass/length3"),
    case("density per area", ("density: 1.35 g/cm3", "density: §1.35 g/cm2"), "needs a mass/length3"),
    case("density in kg/m3 taken for g/cm3", ("density: 1.35 g/cm3", "density: §2700 g/cm3"), "must be between 1e-06 and 30 g/cm3"),
    case("too thin", ("density: 1.35 g/cm3", "density: §1e-7 g/cm3"), "must be between"),
    case("negative density", ("density: 1.35 g/cm3", "density: §-1 g/cm3"), "must be between"),
    case("free density", ("density: 1.35 g/cm3", "density: §{init: 1 g/cm3, bounds: [1 g/cm3, 2 g/cm3]}"), "a density is fixed: let the thickness vary"),
    case("a symbol in lower case", ("material: G4_Al", "material: §g4_al"), "did you mean 'G4_Al'"),
    case("own material misspelt", ("material: heavy_concrete", "material: §heavy_concret"), "did you mean 'heavy_concrete'"),
    case("sum", ("Fe: 0.5", "Fe: 0.4"), ("fractions: {Fe", "fractions: §{Fe"), "mass fractions must sum to 1, but sum to 0.9"),
    case("negative", ("Fe: 0.5", "Fe: §-0.5"), "fraction of Fe must be > 0, got -0.5"),
    case("zero", ("Fe: 0.5", "Fe: §0"), "fraction of Fe must be > 0"),
    case("more than all", ("Fe: 0.5", "Fe: §50"), "fraction of Fe must be <= 1"),
    case("with a unit", ("Fe: 0.5", "Fe: §0.5 g"), "needs a number without a dimension"),
    case("unknown element", ("Fe: 0.5", "§Fee: 0.5"), "unknown element or material 'Fee', did you mean 'Fe'"),
    case("unknown material", ("water: 0.2", "§watr: 0.2"), "did you mean 'water'"),
    case("empty fractions", ("fractions: {Fe: 0.5, O: 30 %, water: 0.2}", "fractions: §{}"), "must be a mapping of mass fractions"),
    case("built in", ("heavy_concrete: {", "§lead: {"), ("material: heavy_concrete", "material: lead"), "'lead' is a material that exists already"),
    case("no density", ("heavy_concrete: {density: 3.6 g/cm3, ", "heavy_concrete: §{"), "density is missing"),
    case("zero density", ("density: 3.6 g/cm3", "density: §0 g/cm3"), "must be between"),
    case("free density of a material", ("density: 3.6 g/cm3", "density: §{init: 3 g/cm3, bounds: [1 g/cm3, 4 g/cm3]}"), "a density is fixed"),
    case("nothing inside", (CONCRETE, "§{density: 3.6 g/cm3}"), "needs fractions or formula"),
    case("both", ("formula: SiO2,", "fractions: {Si: 0.5, O: 0.5}, §formula: SiO2,"), "give fractions or formula, not both"),
    case("formula", ("formula: SiO2", "formula: §Si02x"), "formula 'Si02x'"),
    case("formula of the unknown", ("formula: SiO2", "formula: §SzO2"), "unknown element 'Sz'"),
    case("parentheses", ("formula: (C10H8O4)2", "formula: §(C10H8O42"), "parentheses do not match"),
    case("excitation", ("mean_excitation: 139.2 eV", "mean_excitation: §139.2 keV"), "mean_excitation must be <= "),
    case("excitation in mm", ("mean_excitation: 139.2 eV", "mean_excitation: §139.2 mm"), "needs an energy"),
    case("unknown key", ("mean_excitation: 139.2 eV", "§mean_exitation: 139.2 eV"), "did you mean 'mean_excitation'"),
    case("not a mapping", ("sand: " + SAND, "sand: §2.3 g/cm3"), "expected a mapping"),
    case("itself", ("sand: " + SAND, "§sand: {density: 1 g/cm3, fractions: {sand: 1}}"), "made of itself: sand -> sand"),
    case("in a circle", ("  wet_sand: {", "  §wet_sand: {"), (SAND, "{density: 1 g/cm3, fractions: {wet_sand: 1}}"), "wet_sand -> sand -> wet_sand"),
    case("all at once", (CONCRETE, "{density: §3.6 m, fractions: {§Fee: 0.5, O: §-30 %, water: 0.2}}"), (SAND, "{density: 1.6 g/cm3, formula: §SiO2(, mean_excitation: §1 eV}"),
         ("density: 1.35 g/cm3", "density: §1.35"),
         ["mass/length3", "unknown element", "must be > 0", "parentheses", "must be >=", "needs a unit"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "messages"), BAD)
def test_faults(changes, messages, tmp_path):
    text, places = marked(changed(TEXT, changes))
    path = tmp_path / "absorbers.yaml"
    path.write_text(text)
    compare(faults(path), path, places, messages)


@pytest.mark.parametrize(
    "written", ["[lead]", "lead", "{x: }", "{a: {density: , fractions: }}", "{'': {density: 1 g/cm3, formula: Si}}"]
)
def test_other_shapes_are_faults_too(written, tmp_path):
    path = tmp_path / "absorbers.yaml"
    path.write_text(TEXT.replace("materials:\n", f"materials: {written}\nmore:\n"))
    assert faults(path)


def test_a_long_chain_is_refused(tmp_path):
    chain = "".join(f"  m{i}: {{density: 1 g/cm3, fractions: {{m{i + 1}: 1}}}}\n" for i in range(3000))
    path = tmp_path / "absorbers.yaml"
    path.write_text(TEXT.replace("materials:\n", f"materials:\n{chain}  m3000: {{density: 1 g/cm3, formula: Si}}\n"))
    assert any("too deeply" in f.message for f in faults(path))


def test_a_design_keeps_its_materials(tmp_path):
    """What an optimisation writes is read back with the same materials and densities."""
    path = tmp_path / "absorbers.yaml"
    path.write_text(
        TEXT.replace("thickness: 1 mm, density", "thickness: {init: 1 mm, bounds: [0.5 mm, 2 mm]}, density")
    )
    detector, variables = open_detector(path)
    text = detector_with(path.read_text(), Space(detector, tuple(variables)), {"foil.thickness": 1.5})
    (tmp_path / "design.yaml").write_text(text)
    design, _ = open_detector(tmp_path / "design.yaml")
    assert [e.material for e in design.elements] == [e.material for e in detector.elements]
    assert design.part("foil").thickness == pytest.approx(1.5)
