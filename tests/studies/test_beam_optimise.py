"""`optimise` of a beam line without a head: a plane that comes nearer sees more of a beam that spreads."""

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
  b.z: {bounds: [0.5 m, 2 m]}
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
    assert result["variables"][0]["final"] < 700
