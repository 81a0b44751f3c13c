"""Scenes from `.npz` files: what is read, what is refused with a reason, and that a run folder holds what it needs."""

import zipfile

import numpy as np
import pytest
from texts import changed

import detopt
from detopt.detector.layout import _listed
from detopt.detector.voxel_map import map_of_X0
from detopt.materials import material, min_dedx
from detopt.runs import new_run
from detopt.study import library, templates
from detopt.study.detectors import open_detector
from detopt.study.faults import BadInput
from detopt.study.run_inputs import write_inputs
from detopt.study.write import detector_with

DETECTOR = """\
schema: 1
name: mapped
frame: portal
materials:
  slag: {density: 2.9 g/cm3, formula: CaSiO3}
elements:
  - {name: upper, type: panel, z: 0.8 m, span: 2 m, resolution: 1 mm}
  - {name: upper_2, type: panel, z: 0.4 m, span: 2 m, resolution: 1 mm}
  - name: load
    type: volume
    corner: [-30 cm, -20 cm, -0.1 m]
    size: [60 cm, 40 cm, 20 cm]
    voxels: [3, 4, 2]
    scene: {type: file, path: maps/cargo.npz}
  - {name: lower, type: panel, z: -0.4 m, span: 2 m, resolution: 1 mm}
  - {name: lower_2, type: panel, z: -0.8 m, span: 2 m, resolution: 1 mm}
"""
STUDY = """\
schema: 1
name: mapped_study
detector: mapped.yaml
source: {type: cosmic, momentum: [1 GeV, 100 GeV], aim: load}
mode: sampled
variables:
  upper.z: {bounds: [0.5 m, 2 m]}
objectives:
  efficiency: {type: efficiency}
seed: 1
"""
SHAPE = (3, 4, 2)
INDEX = np.arange(24).reshape(SHAPE) % 4
NAMES = ["air", "lead", "slag", "iron", "uranium"]
X0 = np.full(SHAPE, 304e3)
X0[1, 2, 0] = 5.6


@pytest.fixture
def load(tmp_path):
    """A function that writes the detector and its map, and reads them."""
    (tmp_path / "maps").mkdir()

    def written(*changes, **arrays):
        (tmp_path / "mapped.yaml").write_text(changed(DETECTOR, changes))
        if arrays:
            np.savez(tmp_path / "maps" / "cargo.npz", **arrays)
        return detopt.load(tmp_path / "mapped.yaml")

    return written


def test_indices_of_materials(load):
    filling = load(material=INDEX.astype(np.uint8), materials=NAMES).part("load").scene
    assert [str(m) for m in filling.materials] == ["air", "lead", "slag", "iron"]
    np.testing.assert_array_equal(filling.index, INDEX)


@pytest.mark.parametrize("factor", [None, 1e-3])
def test_radiation_lengths(load, factor):
    arrays = {"X0": X0} if factor is None else {"X0": (factor * X0).astype(np.float32), "unit": "m"}
    filling = load(**arrays).part("load").scene
    np.testing.assert_allclose(np.array([m.X0 for m in filling.materials])[filling.index], X0, rtol=1e-6)
    assert max(filling.slices) > 1  # 10 cm of lead
    heavy = min(filling.materials, key=lambda m: m.X0)
    assert min_dedx(heavy) == pytest.approx(min_dedx(material("lead")), rel=0.01)


def test_voxels_come_from_the_file(load):
    load_ = load(("    voxels: [3, 4, 2]\n", ""), X0=X0).part("load")
    assert load_.voxels == load_.scene.voxels == SHAPE
    uniform = (
        ("    voxels: [3, 4, 2]\n", ""),
        ("{type: file, path: maps/cargo.npz}", "{type: uniform, material: lead}"),
    )
    with pytest.raises(BadInput, match="voxels is missing"):
        load(*uniform)


def test_many_radiation_lengths_become_classes():
    """At most 256 of them, none far from what was given, and as much scattering in all."""
    random = np.random.default_rng(1)
    dense = np.exp(random.uniform(np.log(3), np.log(3e5), (20, 20, 20)))
    found = map_of_X0(dense)
    given = np.array([m.X0 for m in found.materials])[found.index]
    assert 200 < len(found.materials) <= 256
    assert len(_listed([str(m) for m in found.materials])) < 200  # in tables
    assert np.abs(np.log(given / dense)).max() < np.log(1e5) / 256
    assert (1 / given).sum() == pytest.approx((1 / dense).sum(), rel=1e-9)
    noisy = map_of_X0(17.6 * (1 + 1e-6 * random.normal(size=(4, 4, 4))))
    assert len(noisy.materials) <= 2


@pytest.mark.parametrize("name", ["air", "water", "concrete", "iron", "copper", "lead", "uranium"])
def test_a_standard_is_found_again(name):
    """What portals look into comes back as itself; X0 says no more."""
    found = map_of_X0(np.full((1, 1, 1), material(name).X0)).materials[0]
    assert found.density == pytest.approx(material(name).density, rel=1e-9)
    assert found.fractions == material(name).fractions


def bad(name, words, changes=(), line=14, **arrays):
    return pytest.param(changes, arrays, words, line, id=name)


BAD_X0 = X0.copy()
BAD_X0[0, 3, 1] = np.nan
ZERO = X0 - X0[1, 2, 0]


@pytest.mark.parametrize(
    ("changes", "arrays", "words", "line"),
    [
        bad("no file", "no such file: paths are relative"),
        bad("a wrong name", "no such file, did you mean 'cargo.npz'?", [("cargo.npz", "carga.npz")], X0=X0),
        bad("no path", "path is missing", [(", path: maps/cargo.npz", "")], X0=X0),
        bad("another key", "unknown key 'unit'", [("cargo.npz", "cargo.npz, unit: m")], X0=X0),
        bad("a folder above", "beside this file or in a folder below", [("maps/", "../maps/")], X0=X0),
        bad("an absolute path", "beside this file or in a folder below", [("maps/", "/maps/")], X0=X0),
        bad("no .npz", "a scene is a .npz file", [("cargo.npz", "cargo.h5")], X0=X0),
        bad("another shape", "voxels are 3 x 4 x 3, and X0 in maps/cargo.npz is 3 x 4 x 2", [("[3, 4, 2]", "[3, 4, 3]")], 13, X0=X0),
        bad("flat", "X0 must have 1 to 500 voxels along each of x, y and z, got float64 of shape (12, 2)", X0=X0.reshape(12, 2)),
        bad("empty", "got float64 of shape (3, 0, 2)", X0=np.ones((3, 0, 2))),
        bad("a wrong key", "has 'x0', which is none of X0, unit, material, materials", x0=X0),
        bad("nothing", "it needs X0, or material and materials", unit="mm"),
        bad("both", "one of them says what the voxels are", X0=X0, material=INDEX, materials=NAMES),
        bad("no materials", "material without materials", material=INDEX),
        bad("materials beside X0", "they go with material", X0=X0, materials=NAMES),
        bad("a unit beside material", "it goes with X0", material=INDEX, materials=NAMES, unit="mm"),
        bad("not a number", "X0[0, 3, 1] is nan mm, as are 1 of 24: it must be finite", X0=BAD_X0),
        bad("zero", "X0[1, 2, 0] is 0 mm, as are 1 of 24: it must be > 0", X0=ZERO),
        bad("metres", "shorter than in any matter: is unit missing", X0=X0 / 1e6),
        bad("micrometres", "longer than in any gas", X0=X0 * 1e3),
        bad("complex numbers", "X0 must be real numbers, got complex128", X0=X0 + 0j),
        bad("an unknown unit", "unit: ", X0=X0, unit="parsec"),
        bad("the wrong dimension", "unit: needs a length", X0=X0, unit="GeV"),
        bad("no unit", "unit must be one text", X0=X0, unit=1.0),
        bad("an unknown material", "unknown material 'leed', did you mean 'lead'?", material=INDEX, materials=["air", "leed", "slag", "iron"]),
        bad("an index too high", "material[0, 1, 1] is 3, and 6 of 24 are such: with 3 materials they are 0 to 2", material=INDEX, materials=NAMES[:3]),
        bad("a negative index", "material[0, 0, 0] is -1", material=INDEX - 1, materials=NAMES),
        bad("indices with a point", "material must be whole numbers, got float64", material=INDEX * 1.0, materials=NAMES),
        bad("no names", "materials must be a list of names", material=INDEX, materials=[1, 2, 3, 4]),
        bad("pickle", "holds Python objects, which are not read", X0=np.array([None, {}], object)),
    ],
)  # fmt: skip
def test_refused(load, changes, arrays, words, line):
    with pytest.raises(BadInput) as refused:
        load(*changes, **arrays)
    (fault,) = refused.value.faults
    assert words in fault.message
    assert fault.line == line
    assert fault.file.endswith("mapped.yaml")


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 and then nothing", "raw"])
def test_files_that_are_no_arrays(load, tmp_path, content):
    file = tmp_path / "maps" / "cargo.npz"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("X0", content)
    with pytest.raises(BadInput, match=r"cargo.npz: (is no .npz file|holds something that is no array)") as refused:
        load()
    assert refused.value.faults[0].line == 14


def test_a_run_folder_holds_the_map(load, tmp_path):
    """Its study and its detector are read from the folder alone."""
    load(material=INDEX, materials=NAMES)
    (tmp_path / "study.yaml").write_text(STUDY)
    study = detopt.load(tmp_path / "study.yaml")
    run = new_run("mapped_study", {"study": "mapped_study", "seed": 1}, tmp_path / "run")
    text = write_inputs(run, study)
    run.write_text("detector.yaml", detector_with(text, study.space, {"upper.z": 900.0}, folder=run.folder))
    (tmp_path / "maps" / "cargo.npz").unlink()
    again, (found, _) = detopt.load(run.folder / "study.yaml"), open_detector(run.folder / "detector.yaml")
    assert again.detector.part("load") == study.detector.part("load") == found.part("load")
    assert found.part("upper").z == 900.0
    assert (run.folder / "cargo.npz").is_file()


def test_templates_bring_their_maps(load, tmp_path, monkeypatch):
    load(X0=X0)
    (tmp_path / "detectors").mkdir()
    for name in ("mapped.yaml", "maps"):
        (tmp_path / name).rename(tmp_path / "detectors" / name)
    monkeypatch.setattr(library, "shipped", lambda: tmp_path)
    copied = templates.copy_template("mapped", tmp_path / "mine")
    assert [str(f.relative_to(tmp_path / "mine")) for f in copied] == [
        "detectors/mapped.yaml",
        "detectors/maps/cargo.npz",
    ]
    assert detopt.load(copied[0]).part("load").voxels == SHAPE
