"""`optimise` of a beam line without a head: a plane that comes nearer sees more of a beam that spreads."""

import pytest

import detopt

STUDY = """
schema: 1
name: nearer
detector:
  schema: 1
  name: two_planes
  frame: beamline
  elements:
    - {name: a, type: plane, z: 0.2 m, span: 20 cm, resolution: 1 mm}
    - {name: b, type: plane, z: 1 m, span: 20 cm, resolution: 1 mm}
source: {type: gun, momentum: [3 GeV, 30 GeV], theta: [0 deg, 10 deg]}
mode: sampled
tracking: {min_hits: 2}
physics: {tails: false}
variables:
  b.z: {bounds: [0.8 m, 2 m]}
objectives:
  efficiency: {type: efficiency}
search: {type: gradient, steps: 20, restarts: 0, learning_rate: 0.1, events: 2048}
audit: {events: 16384}
"""


def test_a_beam_line_is_optimised(tmp_path):
    path = tmp_path / "nearer.yaml"
    path.write_text(STUDY)
    result = detopt.load(path).optimise(seed=1, out=tmp_path / "run").result
    before, after = (result[which]["objectives"]["efficiency"]["value"] for which in ("initial", "final"))
    assert after > 1.3 * before
    assert result["variables"][0]["final"] < 810
    optimum = result["optimum"]
    (gradient,), (price,) = optimum["gradients"], optimum["prices"]
    slope = gradient["objectives"]["efficiency"]
    assert slope["value"] < -2 * slope["error"] < 0, "nearer is better"
    assert gradient["held_by"] == ["its bound"]
    assert price["sense"] == "lower"
    assert price["objectives"]["efficiency"] == pytest.approx(-slope["value"] * price["step"] / after, rel=1e-6)
    assert price["loss"]["value"] < -2 * price["loss"]["error"] < 0
    assert optimum["tolerances"] is None
    assert "not computed in sampled mode" in (tmp_path / "run" / "report.html").read_text()
