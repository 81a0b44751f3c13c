"""A detector with other numbers, written as YAML and read again: the numbers are there, and nothing else has changed."""

import dataclasses
import itertools
import re

import pytest
from texts import changed

import detopt
from detopt.parameters import Space, Variable, declaration, get, quantities
from detopt.study.detectors import open_detector
from detopt.study.library import shipped_files
from detopt.study.write import detector_with, resolved_study


def free(detector, *names, factor=1.3, unit=""):
    """A variable around the number that stands there."""
    value = get(detector, names[0])
    lower, upper = sorted((value / 2, value * 2)) if value else (0.0, 1.0)
    return Variable(names[0], lower, upper, value, declaration(detector, names[0]).unit, unit, names), value * factor


def written(path, tmp_path, pairs):
    """The detector read back from what was written, and the text."""
    detector, _ = open_detector(path)
    space = Space(detector, tuple(v for v, _ in pairs))
    text = detector_with(path.read_text(), space, {v.name: value for v, value in pairs}, ("one line", "another"))
    (tmp_path / "out.yaml").write_text(text)
    return open_detector(tmp_path / "out.yaml"), text, space.at({v.name: value for v, value in pairs})


def assert_same(found, expected, names):
    """Equal to 1e-6 for the numbers of `names`, exactly for everything else."""
    for name in names:
        assert get(found, name) == pytest.approx(get(expected, name), rel=1e-6), name
    for mine, other in zip((found.field, *found.elements), (expected.field, *expected.elements), strict=True):
        moved = {n.split(".")[1] for n in names if mine is not None and n.split(".")[0] == mine.name}
        for field in dataclasses.fields(mine) if mine is not None else ():
            a, b = getattr(mine, field.name), getattr(other, field.name)
            assert a == (pytest.approx(b, rel=1e-6) if field.name in moved else b), f"{mine.name}.{field.name}"
    assert dataclasses.replace(found, elements=(), field=None) == dataclasses.replace(expected, elements=(), field=None)


def comments(text):
    return [line.strip() for line in text.splitlines() if line.strip().startswith("#")]


@pytest.mark.parametrize("path", shipped_files("detectors"), ids=lambda p: p.stem)
def test_every_shipped_detector(path, tmp_path):
    detector, _ = open_detector(path)
    pairs = [free(detector, "field.B", unit="T")] if detector.field is not None else []
    for i, element in enumerate(detector.elements):
        for name, declared in quantities(type(element)).items():
            value = getattr(element, name)
            if name == "resolution_per_pitch" or value is None or (name == "efficiency" and value == 1.0):
                continue
            if declared.range or declared.vector:  # not to be freed
                continue
            if value in (0.0, (0.0, 0.0)):  # what a file leaves out
                continue
            axes = [f".{a}" for a in element.axes] if isinstance(value, tuple) and value[0] != value[1] else [""]
            factor = 0.97 if name == "efficiency" else 1 + 0.1234567891 / (i + 2)
            pairs += [free(detector, f"{element.name}.{name}{a}", factor=factor) for a in axes]
    (found, frees), text, expected = written(path, tmp_path, pairs)
    assert not frees
    assert_same(found, expected, [v.name for v, _ in pairs])
    assert text.startswith("# one line\n# another\n")
    assert comments(text)[2:] == comments(path.read_text())
    assert not any(
        len(a.strip()) < len(b.strip()) - 100
        for a, b in zip(text.splitlines()[2:], path.read_text().splitlines(), strict=False)
    )


@pytest.fixture
def small(folder):
    return folder / "small.yaml"


def edit(path, *changes):
    path.write_text(changed(path.read_text(), changes))


def check(small, tmp_path, *groups, value=1.1):
    """Write with other numbers for these names (ties are separated by spaces) and compare."""
    detector, _ = open_detector(small)
    pairs = [free(detector, *group.split(), factor=value) for group in groups]
    (found, declared), text, expected = written(small, tmp_path, pairs)
    assert_same(found, expected, [n for v, _ in pairs for n in v.names])
    return declared, text


def test_nothing_changes_without_variables(small, tmp_path):
    text = small.read_text()
    detector, _ = open_detector(small)
    assert detector_with(text, Space(detector, ()), {}) == text


def test_ties_axes_and_field(small, tmp_path):
    _, text = check(
        small, tmp_path, "L0.radius", "L1.resolution L3.resolution", "L0.pitch.z", "L2.resolution.rphi", "field.B"
    )
    assert "# a comment that stays" in text


def test_one_number_for_both_axes_and_one_of_them_is_free(small, tmp_path):
    _, text = check(small, tmp_path, "L1.resolution.rphi")
    assert "resolution: {rphi: 5.5 um, z: 5 um}" in text.replace("0.0055 mm", "5.5 um")


def test_a_detector_that_declares_its_own_variables(small, tmp_path):
    edit(
        small,
        ("radius: 20 mm", "radius: {init: 20 mm, bounds: [15 mm, 35 mm]}"),
        ("resolution: {rphi: 7 um, z: 50 um}", "resolution: {rphi: {init: 7 um, bounds: [5 um, 9 um]}, z: 50 um}"),
        ("resolution: 5 um", "resolution: {init: 5 um, bounds: [3 um, 9 um]}"),
        ("B: 2 T", "B: {init: 2 T, bounds: [1 T, 3 T]}"),
    )
    declared, _ = check(small, tmp_path, "L0.radius", "L2.resolution.rphi", "L1.resolution", "field.B")
    assert [d.name for d in declared] == ["field.B", "L0.radius", "L1.resolution", "L2.resolution.rphi"]
    assert [d.init for d in declared] == pytest.approx([2.2, 22.0, 0.0055, 0.0077])
    assert [(d.lower, d.upper) for d in declared][:2] == [(1.0, 3.0), (15.0, 35.0)]


def test_one_axis_of_a_number_that_was_free_as_a_pair(small, tmp_path):
    edit(small, ("resolution: 5 um", "resolution: {init: 5 um, bounds: [3 um, 9 um]}"))
    check(small, tmp_path, "L1.resolution.rphi")


@pytest.mark.parametrize("name", ["L1.efficiency", "L0.resolution_per_pitch", "L0.efficiency L1.efficiency"])
def test_a_number_that_stands_at_its_default(small, tmp_path, name):
    """The file does not name it, so it has to be added."""
    check(small, tmp_path, name, value=0.95)


def test_one_axis_of_a_default(small, tmp_path):
    check(small, tmp_path, "L0.resolution_per_pitch.z", value=0.95)


def test_anchors_do_not_carry_a_number_elsewhere(small, tmp_path):
    edit(
        small,
        ("pitch: {rphi: 30 um, z: 60 um}", "pitch: &pixel {rphi: 30 um, z: 60 um}"),
        ("resolution: 5 um", "pitch: *pixel"),
    )
    check(small, tmp_path, "L0.pitch.rphi")


def test_disk_written_with_the_axes_of_a_barrel(small, tmp_path):
    edit(
        small,
        ("- {name: L3, type: barrel_layer, radius: 160 mm, half_length: 1 m, x_over_X0: 1e-2, resolution: 8 um}",
         "- {name: D, type: disk, z: -1.5 m, inner_radius: 20 mm, outer_radius: 90 mm, resolution: {rphi: 5 um, z: 9 um}}"),
    )  # fmt: skip
    check(small, tmp_path, "D.resolution.r", "D.outer_radius")


def test_block_style_quotes_and_units_stay(small, tmp_path):
    edit(small, ("name: small", 'name: "small"'), ("radius: 80 mm", "radius: 8 cm   # close"))
    detector, _ = open_detector(small)
    variable, value = free(detector, "L2.radius", unit="cm")
    _, text, _ = written(small, tmp_path, [(variable, value)])
    assert 'name: "small"' in text
    assert re.search(r"^ +radius: 10.4 cm +# close$", text, re.MULTILINE)


@pytest.mark.parametrize("end", ["lower", "upper"])
def test_a_design_on_its_bounds_can_be_fed_back(folder, study_text, end):
    """Seven digits are written; bounds with more digits must still hold the number."""
    bounds = {"lower": "[15.123456789 mm, 35 mm]", "upper": "[15 mm, 34.987654321 mm]"}[end]
    (folder / "study.yaml").write_text(study_text.replace("[15 mm, 35 mm]", bounds).replace("250 kEUR", "1 MEUR"))
    study = detopt.load(folder / "study.yaml")
    values = {v.name: getattr(v, end) for v in study.space.variables}
    out = folder / "out.yaml"
    out.write_text(detector_with((folder / "small.yaml").read_text(), study.space, values))
    again = study.with_detector(out)
    assert get(again.detector, "L0.radius") == pytest.approx(values["L0.radius"], rel=1e-6)


@pytest.mark.parametrize(
    "entry",
    [
        "L3.pitch: {bounds: [10 um, 90 um]}",
        "L2.pitch.rphi: {bounds: [10 um, 90 um]}",
        "L2.pitch.z: {bounds: [10 um, 900 um]}",
        "L3.radius: {init: 150 mm, fixed: true}",
        "L3.radius: {init: 150 mm, bounds: [100 mm, 200 mm]}",
    ],
)
def test_what_a_study_changes_is_written(folder, study_text, entry):
    """The file of the initial values is the study's initial detector, also where the study has changed it."""
    text = study_text.replace("L1.radius: {bounds: [25 mm, 70 mm]}", entry).replace("250 kEUR", "1 MEUR")
    (folder / "study.yaml").write_text(text)
    study = detopt.load(folder / "study.yaml")
    values = {v.name: v.init for v in study.space.variables}
    (folder / "out.yaml").write_text(detector_with((folder / "small.yaml").read_text(), study.space, values))
    found, _ = open_detector(folder / "out.yaml")
    for name in ("L3.radius", "L2.resolution.rphi", "L2.pitch.rphi", "L2.pitch.z", "L3.pitch", "L3.resolution"):
        try:
            expected = get(study.detector, name)
        except KeyError:
            continue
        assert get(found, name) == pytest.approx(expected, rel=1e-6), name


def test_resolved_study_is_a_study(folder, study_text, small_text, root):
    objective = (root / "objectives/impact_parameter_1gev.yaml").read_text()
    text = study_text.replace(
        "d0: {type: resolution, of: d0, momentum: 1 GeV, goal: minimise, weight: 1}",
        "d0: objectives/impact_parameter_1gev.yaml",
    )
    (folder / "study.yaml").write_text(text)
    (folder / "alone").mkdir()
    (folder / "alone/study.yaml").write_text(resolved_study(text, small_text, {("objectives", "d0"): objective}))
    (folder / "small.yaml").rename(folder / "hidden.yaml")
    one = detopt.load(folder / "alone/study.yaml")
    (folder / "hidden.yaml").rename(folder / "small.yaml")
    two = detopt.load(folder / "study.yaml")
    assert one.detector == two.detector
    assert one.space.variables == two.space.variables
    assert (one.objectives, one.constraints, one.prices, one.search) == (
        two.objectives,
        two.constraints,
        two.prices,
        two.search,
    )


def test_every_two_shipped_detectors_differ():
    """The round trip above compares what it should."""
    loaded = [detopt.load(p) for p in shipped_files("detectors")]
    assert all(a != b for a, b in itertools.combinations(loaded, 2))
