"""`detopt image`: a picture and numbers, or a reason."""

import json

PORTAL = """\
schema: 1
name: small
frame: portal
elements:
  - {name: a, type: panel, z: 60 cm, span: 1 m, resolution: 0.1 mm}
  - {name: b, type: panel, z: 30 cm, span: 1 m, resolution: 0.1 mm}
  - {name: load, type: volume, corner: [-20 cm, -20 cm, -10 cm], size: [40 cm, 40 cm, 20 cm], voxels: [4, 4, 2],
     scene: {type: uniform, material: iron}}
  - {name: c, type: panel, z: -30 cm, span: 1 m, resolution: 0.1 mm}
  - {name: d, type: panel, z: -60 cm, span: 1 m, resolution: 0.1 mm}
"""


def test_a_picture_and_numbers(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(PORTAL)
    answer = cli("image", "small.yaml", "--exposure", "120 s", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    # 0.765 muons a minute and cm2 through 40 cm x 40 cm, or a few more at all angles and momenta.
    assert 1600 < found["muons"] < 4000
    assert 0.3 * found["muons"] < found["seen"] < found["muons"]
    assert 0.7 < found["median_ratio"]["likelihood"] < 1.4
    assert (tmp_path / found["figure"]).stat().st_size > 10_000
    assert found["figure"] == "small_image.png"


def test_refused_with_a_reason(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(PORTAL.replace("z: -60 cm", "z: 90 cm"))
    answer = cli("image", "small.yaml", "--exposure", "10 s")
    assert answer.code == 2
    assert "two planes that measure above load, and two below" in answer.err
    assert "Traceback" not in answer.err
    assert cli("image", "muon_portal", "--exposure", "10 s").code == 2


def test_a_figure_that_cannot_be(cli, tmp_path, monkeypatch):
    """It is said before anything is simulated."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(PORTAL)
    answer = cli("image", "small.yaml", "--exposure", "120 s", "--out", "picture.txt")
    assert answer.code == 2
    assert "picture.txt must end in .png, .pdf or .svg" in answer.err
