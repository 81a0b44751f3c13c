"""`detopt gradients`: what it prints, draws and answers with."""

import json

import pytest

KEYS = {
    "objective", "name", "unit", "gradient", "gradient_error", "difference", "difference_error", "bias_percent", "z",
    "estimator", "events_for_10_percent", "verdict", "ok",
}  # fmt: skip
PORTAL = """\
schema: 1
name: two_by_two
detector:
  schema: 1
  name: four_planes
  frame: portal
  elements:
    - {name: a, type: plane, z: 1.0 m, span: 1 m, resolution: 1 mm, efficiency: 90 %}
    - {name: b, type: plane, z: 0.8 m, span: 1 m, resolution: 1 mm, efficiency: 90 %}
    - {name: c, type: plane, z: 0.2 m, span: 1 m, resolution: 1 mm, efficiency: 90 %}
source: {type: cosmic, momentum: [1 GeV, 100 GeV], aim: a}
mode: sampled
tracking: {min_hits: 3}
variables:
  c.span: {bounds: [0.5 m, 1.5 m]}
  c.efficiency: {bounds: [60 %, 95 %], init: 90 %}
objectives:
  seen: {type: efficiency}
search: {type: gradient, events: 4096}
seed: 2
"""


@pytest.fixture
def portal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "portal.yaml"
    path.write_text(PORTAL)
    return path


@pytest.fixture
def study_file(tmp_path, write_small, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_small(tmp_path)


def test_exact_study(study_file, cli):
    answer = cli("gradients", study_file, "--json", "--quiet")
    found = json.loads(answer.out)
    assert answer.code == 0
    assert found["ok"]
    assert [p["name"] for p in found["parameters"]] == ["L0.radius", "L3.radius", "L1.pitch", "L0.pitch.rphi"]
    for row in found["parameters"]:
        assert row.keys() >= KEYS
        assert row["z"] is None
        assert row["estimator"] == "pathwise"
        assert row["unit"] == "mm"


def test_sampled_study(portal, cli, tmp_path):
    answer = cli("gradients", portal, "--json", "--quiet", "--keys", 240, "--out", tmp_path / "g.png")
    found = json.loads(answer.out)
    assert found["ok"]
    assert answer.code == 0
    rows = {p["name"]: p for p in found["parameters"]}
    assert rows["c.span"]["estimator"] == "edges"
    assert rows["c.efficiency"]["estimator"] == "hits"
    # All three planes must see the muon: the efficiency is linear in that of c, and 1 / 0.9 of it is the slope.
    seen = found["values"]["seen"]["value"]
    assert rows["c.efficiency"]["gradient"] == pytest.approx(seen / 0.9, rel=0.1)
    assert 0 < rows["c.span"]["events_for_10_percent"] < 1e6
    assert (tmp_path / "g.png").stat().st_size > 10_000


def test_what_is_not_right_is_an_error(study_file, cli, monkeypatch):
    """Whatever the numbers: the answer of the check is the exit code."""
    from detopt.gradients import check

    monkeypatch.setattr(check, "EXACT", 0.0)
    answer = cli("gradients", study_file, "--quiet")
    assert answer.code == 1
    assert "fail" in answer.out


def test_check_names_the_estimators(portal, cli):
    answer = cli("check", portal)
    assert answer.code == 0
    assert "edges" in answer.out
    assert "hits" in answer.out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("mode: sampled", "mode: expected"), "mode: sampled"),
        (("aim: a}", "aim: c}"), "which c.span changes"),
        (("type: efficiency", "type: resolution, of: pt"), "pt is of barrels"),
        (("type: efficiency", "type: resolution, of: momentum"), "momentum needs a magnet"),
        (("type: efficiency", "type: resolution, of: angle"), "angle is between two tracks"),
        (("{min_hits: 3}", "{min_hits: 4}"), "cannot have 4 hits"),
        (
            ("type: cosmic, momentum: [1 GeV, 100 GeV], aim: a", "type: gun, momentum: 3 GeV, theta: 10 deg"),
            "make a ring",
        ),
        (("source: {type: cosmic", "source: {type: resonance"), "resonance"),
    ],
)
def test_what_does_not_go_together(portal, cli, change, message):
    portal.write_text(PORTAL.replace(*change))
    answer = cli("check", portal, "--no-dry-run")
    assert answer.code == 2
    assert message in answer.err


def test_a_pencil_on_an_edge_is_refused(portal, cli):
    text = PORTAL.replace(
        "type: cosmic, momentum: [1 GeV, 100 GeV], aim: a", "type: beam, momentum: 3 GeV, centre: {x: 30 cm}"
    )
    portal.write_text(text)
    answer = cli("gradients", portal, "--quiet")
    assert answer.code == 2
    assert "the score jumps there" in answer.err


def test_nothing_free(portal, cli):
    head, _, tail = PORTAL.partition("variables:")
    portal.write_text(head + "objectives:" + tail.partition("objectives:")[2])
    answer = cli("gradients", portal, "--quiet")
    assert answer.code == 2
    assert "nothing is free" in answer.err
