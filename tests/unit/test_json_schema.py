"""The JSON Schema accepts what detopt accepts, and marks what an editor can know to be wrong."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

import detopt
from detopt.study.faults import BadInput
from detopt.study.json_schema import KINDS, json_schema, properties


@pytest.fixture(scope="module")
def validator():
    """As editors use it."""
    schema = json_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def parsed(text):
    return YAML(typ="safe", pure=True).load(text)


def test_every_file_that_ships(root, validator):
    files = [f for folder in ("detectors", "objectives", "studies") for f in sorted((root / folder).glob("*.yaml"))]
    assert len(files) > 25
    assert {f.name: e.message for f in files for e in validator.iter_errors(parsed(f.read_text()))} == {}


def test_small_files(small_text, study_text, front_text, validator):
    assert [e.message for t in (small_text, study_text, front_text) for e in validator.iter_errors(parsed(t))] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("radius: 20 mm", "radius: 20"),
        ("radius: 20 mm", "radius: 20 GeV"),
        ("radius: 20 mm", "radios: 20 mm"),
        ("x_over_X0: 0.5 %", "x_over_X0: 2.5"),
        ("{rphi: 30 um, z: 60 um}", "{rphi: 30 um, x: 60 um}"),
        ("type: solenoid, B: 2 T", "type: solenoids, B: 2 T"),
        ("type: solenoid, B: 2 T", "type: solenoid"),
        ("frame: barrel", "frame: barel"),
        ("schema: 1", "schema: 2"),
        ("half_length: 1 m, x_over_X0: 0.3 %", "x_over_X0: 0.3 %"),
    ],
)
def test_faults_of_detectors(small_text, validator, old, new, tmp_path):
    """What the schema refuses, detopt refuses."""
    text = small_text.replace(old, new)
    assert text != small_text
    assert not validator.is_valid(parsed(text))
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(BadInput):
        detopt.load(tmp_path / "wrong.yaml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mode: expected", "mode: expect"),
        ("max: 250 kEUR", "maximum: 250 kEUR"),
        ("steps: 30", "steps: 30.5"),
        ("steps: 30", "steps: 0"),
        ("of: d0", "of: d1"),
        ("bounds: [15 mm, 35 mm]", "bound: [15 mm, 35 mm]"),
        ("momentum: 1 GeV, goal", "momentum: 1 mm, goal"),
        ("momentum: 1 GeV, goal", "momentum: {init: 1 GeV, bounds: [1 GeV, 2 GeV]}, goal"),
    ],
)
def test_faults_of_studies(study_text, validator, old, new):
    text = study_text.replace(old, new)
    assert text != study_text
    assert not validator.is_valid(parsed(text))


def test_every_field_says_what_it_means():
    """Numbers always; the rest by a comment in its class, where a word of it is not enough."""
    silent = {
        f"{kind}.{word}.{name}"
        for kind, classes in KINDS.items()
        for word, cls in classes.items()
        for name, value in properties(cls).items()
        if "description" not in value and "pattern" in str(value)
    }
    assert silent == set()


def test_the_command(cli, tmp_path):
    answer = cli("schema", "--out", tmp_path / "a" / "s.json")
    assert answer.code == 0
    assert json.loads((tmp_path / "a" / "s.json").read_text()) == json.loads(cli("schema").out)
    (tmp_path / "file").write_text("")
    assert cli("schema", "--out", tmp_path / "file" / "s.json").code == 2


def test_copies_name_the_schema(cli, tmp_path, validator):
    """It lies where their first lines say, and results of a search do not carry the line elsewhere."""
    files = json.loads(cli("new", "its2_upgrade", "--out", tmp_path, "--json").out)["files"]
    for file in files:
        text = Path(file).read_text()
        assert text.startswith("# yaml-language-server: $schema=../detopt.schema.json\n")
        assert validator.is_valid(parsed(text))
    assert (tmp_path / "detopt.schema.json").is_file()
    assert "yaml-language-server" not in detopt.load(files[0]).text
