"""A table of layers becomes a detector, or is refused where it stands."""

from pathlib import Path

import pytest

import detopt
from detopt.study.faults import BadInput
from detopt.study.from_csv import detector_from_csv

GOOD = """\
name,radius [mm],half_length [cm],x_over_X0 [%],pitch,efficiency [%]
pipe,20,150,0.22,,
L0,23.2,13.5,0.36,28 um,99

L1,31.3,13.5,0.36,28 um,99
"""


@pytest.fixture
def table(tmp_path) -> Path:
    return tmp_path / "2024 layers.csv"


def test_layers(table, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table.write_text(GOOD)
    answer = cli("new", "--from-csv", table, "--field", "0.5 T", "--out", tmp_path)
    assert answer.code == 0, answer.err
    detector = detopt.load(tmp_path / "detectors" / "2024 layers.yaml")
    assert detector.name == "2024 layers"
    assert [e.name for e in detector.elements] == ["pipe", "L0", "L1"]
    assert detector.elements[1].radius == 23.2
    assert detector.elements[1].half_length == 135
    assert detector.elements[1].pitch == (0.028, 0.028)
    assert detector.elements[0].pitch is None
    assert detector.field.B == 0.5
    assert cli("new", "--from-csv", table, "--out", tmp_path).code == 2  # is there already


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_and_a_byte_order_mark(table, separator):
    table.write_text("\ufeff" + GOOD.replace(",", separator), encoding="utf-8")
    assert "radius: 23.2 mm, half_length: 13.5 cm" in detector_from_csv(table)


def test_planes(table):
    table.write_text("type,name,z [mm],span [mm],resolution [um]\nplane,a,0,100,10\nplane,b,50,100,10\n")
    text = detector_from_csv(table)
    assert "frame: beamline" in text
    assert "{name: a, type: plane, z: 0 mm, span: 100 mm, resolution: 10 um}" in text


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (GOOD.replace("31.3", "-3"), 5, "radius must be > 0, got -3 mm"),
        (GOOD.replace("radius [mm]", "radius"), 2, "unit"),
        (GOOD.replace("pitch", "pitsch"), 3, "did you mean 'pitch'"),
        (GOOD.replace("28 um,99\n\n", "28 um,99,7\n\n"), 3, "7 cells in 6 columns"),
        ("name,z [mm]\na,1\n", 2, "needs a type"),
        ("name,type\na,plain\n", 2, "did you mean 'plane'"),
        ("name,radius [mm],radius [cm]\na,1,1\n", 1, "twice"),
        ("name,ra dius [mm]\na,1\n", 1, "expected a field with its unit"),
        ("name,radius [mm]\n", None, "no elements"),
        ("", None, "no elements"),
        ("name,type,radius [mm]\na,barrel_layer,1\nb,panel,\n", None, "do not go into one detector"),
        (GOOD.replace("L1", 'a "b" {c}: d'), 5, "name"),
    ],
)  # fmt: skip
def test_refusals(table, cli, text, line, told):
    table.write_text(text)
    with pytest.raises(BadInput) as refused:
        detector_from_csv(table)
    assert any(fault.line == line and told in fault.message for fault in refused.value.faults), refused.value
    assert all(fault.file == str(table) for fault in refused.value.faults)


def test_a_field_that_is_none(table, cli):
    table.write_text(GOOD)
    answer = cli("new", "--from-csv", table, "--field", "strong")
    assert answer.code == 2
    assert "strong" in answer.err


@pytest.mark.parametrize(
    "words", [["--field", "1 T"], ["its2_like", "--from-csv", "x.csv"], ["--from-csv", "nowhere.csv"]]
)
def test_commands_that_make_no_sense(cli, words):
    answer = cli("new", *words)
    assert answer.code == 2
    assert "Traceback" not in answer.err
