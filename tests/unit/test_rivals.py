"""Designs that an optimum is compared with, and by how much two designs differ that saw the same muons."""

import re

import numpy as np
import pytest

import detopt
from detopt.study.audit import Audited
from detopt.study.faults import BadInput
from detopt.study.paired import difference

STUDY = """\
schema: 1
name: slope
detector:
  schema: 1
  name: three
  frame: barrel
  field: {type: solenoid, B: 2 T}
  elements:
    - {name: L0, type: barrel_layer, radius: 30 mm, half_length: 1 m, resolution: 10 um, x_over_X0: 0.5 %}
    - {name: L1, type: barrel_layer, radius: 100 mm, half_length: 1 m, resolution: 10 um, x_over_X0: 0.5 %}
    - {name: L2, type: barrel_layer, radius: 300 mm, half_length: 1 m, resolution: 10 um, x_over_X0: 0.5 %}
    - {name: L3, type: barrel_layer, radius: 400 mm, half_length: 1 m, resolution: 10 um, x_over_X0: 0.5 %}
source: {type: gun, momentum: 5 GeV, theta: 90 deg}
variables:
  L0.radius: {bounds: [25 mm, 60 mm]}
  L1.radius: {bounds: [80 mm, 250 mm]}
rivals:
  close: {L0.radius: 2.6 cm}
  even: {L0.radius: 60 mm, L1.radius: 180 mm}
objectives:
  pt: {type: resolution, of: pt}
search: {type: gradient, steps: 10, restarts: 0}
"""


def load(folder, text=STUDY, replaced=None):
    for old, new in (replaced or {}).items():
        assert old in text
        text = text.replace(old, new)
    (folder / "study.yaml").write_text(text)
    return detopt.load(folder / "study.yaml")


def test_what_is_not_given_is_as_in_the_initial_design(tmp_path):
    study = load(tmp_path)
    assert study.rivals == {
        "close": {"L0.radius": 26.0, "L1.radius": 100.0},
        "even": {"L0.radius": 60.0, "L1.radius": 180.0},
    }


def test_rivals_are_scored(tmp_path):
    study = load(tmp_path)
    run = study.optimise(out=tmp_path / "run")
    scores = run.result["rivals"]
    assert set(scores) == {"close", "even"}
    begin, end = STUDY.index("rivals:"), STUDY.index("objectives:")
    for name, radii in {"close": (26, 100), "even": (60, 180)}.items():
        drawn = {f"radius: {old} mm": f"radius: {new} mm" for old, new in zip((30, 100), radii, strict=True)}
        alone = load(tmp_path, STUDY[:begin] + STUDY[end:], drawn).evaluate()
        assert scores[name]["objectives"]["pt"]["value"] == pytest.approx(alone["objectives"]["pt"]["value"])
    assert "The optimum against other designs" in (run.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{L0.radius: 2.6 cm}", "{L0.radius: 2 cm}", "L0.radius of a rival must lie within its bounds 25 mm .. 60 mm"),
        ("{L0.radius: 2.6 cm}", "{L0.radus: 2 cm}", "L0.radus is no design variable, did you mean 'L0.radius'?"),
        ("{L0.radius: 2.6 cm}", "{L2.radius: 2 cm}", "L2.radius is no design variable"),
        ("{L0.radius: 2.6 cm}", "{L0.radius: 2 kg}", "kg"),
        ("{L0.radius: 2.6 cm}", "{}", "close must say what differs from the initial design"),
        ("close:", "final:", "a rival's name"),
        ("  close: {L0.radius: 2.6 cm}\n  even: {L0.radius: 60 mm, L1.radius: 180 mm}", "  [close]", "rivals must be a mapping"),
    ],
)  # fmt: skip
def test_bad_input(tmp_path, old, new, message):
    with pytest.raises(BadInput, match=re.escape(message)) as caught:
        load(tmp_path, replaced={old: new})
    assert all(f.line for f in caught.value.faults)


def test_only_pictures_of_voxels_last_longer(tmp_path):
    with pytest.raises(BadInput, match="only heads of type voxels"):
        load(tmp_path, replaced={"search:": "audit: {longest: 2}\nsearch:"})


def audited(values, spread=0.0, odds=None):
    values = np.asarray(values, float)
    score = {"objectives": {"one": {"value": values.mean(), "error": values.std(ddof=1) / len(values) ** 0.5}}}
    return Audited(score, (values - values.mean())[:, None], np.array([spread]), odds=odds)


def test_what_two_designs_have_in_common_drops_out():
    random = np.random.default_rng(0)
    common, own = random.normal(size=1000), 0.05 * random.normal(size=(2, 1000))
    before, after = audited(common + own[0]), audited(common + own[1] - 0.02)
    found = difference(before, after)["objectives"]["one"]
    exact = own[1] - own[0] - 0.02
    assert found["value"] == pytest.approx(exact.mean())
    assert found["error"] == pytest.approx(exact.std(ddof=1) / 1000**0.5, rel=1e-2)
    with_heads = difference(before, audited(common + own[1], spread=0.04**2))["objectives"]["one"]
    assert with_heads["error"] == pytest.approx(np.hypot(found["error"], 0.04), rel=1e-2)


def test_areas_of_the_same_exposures():
    random = np.random.default_rng(0)
    there = random.uniform(size=2000) < 0.5
    seen = there + random.normal(size=2000)
    worse = seen + 0.3 * random.normal(size=2000)
    found = difference(audited([1, 2], odds=(worse, there)), audited([1, 2], odds=(seen, there)))
    assert found["area"]["value"] > 2 * found["area"]["error"] > 0
