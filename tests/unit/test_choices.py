"""Reading choices: each combination of options is an ordinary study."""

import re
from dataclasses import replace

import numpy as np
import pytest

import detopt
from detopt.study.faults import BadInput
from detopt.study.front_box import FrontBox

STUDY = """\
schema: 1
name: choices
detector: six.yaml
source: {type: gun, momentum: 10 GeV, theta: 90 deg}
variables:
  L1.radius: {bounds: [40 mm, 90 mm]}
  L3.radius: {bounds: [150 mm, 250 mm], same_for: []}
  L4.x_over_X0: {bounds: [0.2 %, 2 %], same_for: [L5, L3]}
choices:
  layers:
    six: {}
    five: {without: [L4]}
  inner:
    pixels: {}
    strips: {L0.pitch: {rphi: 80 um, z: 10 mm}, L0.x_over_X0: 0.3 %}   # in place of its resolution
  rule:
    loose: {tracking.min_hits: 4}
    tight: {tracking.min_hits: 5}
objectives:
  d0: {type: resolution, of: d0}
  cost: {type: cost}
constraints:
  floor: {type: material_floor, structure: 0.1 %, services: 0.1 %, at_pitch: 50 um, elements: [L3, L4]}
cost: {sensor_area: 100 kEUR/m2}
rivals:
  heavy: {L4.x_over_X0: 1 %, L1.radius: 80 mm}
seed: 1
"""
LAYER = "  - {{name: L{i}, type: barrel_layer, radius: {r} mm, half_length: 1 m, x_over_X0: 0.5 %, {hits}}}\n"
DETECTOR = """\
# A barrel to choose from.
schema: 1
name: six
frame: barrel
field: {type: solenoid, B: 2 T}
elements:
""" + "".join(
    LAYER.format(i=i, r=r, hits="resolution: 10 um" if i == 0 else "pitch: 50 um")
    for i, r in enumerate((30, 60, 100, 200, 300, 400))
)


def study(folder, *replaced):
    text = STUDY
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    (folder / "six.yaml").write_text(DETECTOR)
    (folder / "study.yaml").write_text(text)
    return detopt.load(folder / "study.yaml")


def test_each_combination_is_a_study(tmp_path):
    drawn = study(tmp_path)
    assert drawn.combinations == 8
    assert len(drawn.detector.elements) == 6
    plain = drawn.variant({"layers": "six", "inner": "pixels", "rule": "loose"})
    assert plain.detector == drawn.detector
    assert (plain.min_hits, plain.choices, drawn.min_hits) == (4, {}, None)
    other = drawn.variant({"layers": "five", "inner": "strips", "rule": "tight"})
    assert [e.name for e in other.detector.elements] == ["L0", "L1", "L2", "L3", "L5"]
    assert other.min_hits == 5
    strips = other.detector.part("L0")
    assert (strips.pitch, strips.resolution, strips.x_over_X0) == ((0.08, 10.0), None, 0.003)
    # What led the others is gone: the first that is left leads.
    assert other.space.names == ("L1.radius", "L3.radius", "L5.x_over_X0")
    assert other.space.variables[-1].names == ("L5.x_over_X0", "L3.x_over_X0")
    assert other.constraints["floor"].elements == ("L3",)
    assert other.rivals["heavy"]["L1.radius"] == 80.0
    assert "# A barrel to choose from." in other.document.text


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        ("    six: {}\n", "", "11:5: choices: ", "layers needs two options or more"),
        ("without: [L4]", "without: [L9]", "12:22: choices.layers.five.without", "no element 'L9'"),
        ("without: [L4]", "without: L4", "12:21: ", "without lists the elements that are not there"),
        ("{without: [L4]}", "none", "12:11: ", "an option says what it changes"),
        ("tracking.min_hits: 5", "traking.min_hits: 5", "18:13: ", "did you mean 'tracking'"),
        ("L0.x_over_X0: 0.3 %", "L0.x_over_X0.rphi: 0.3 %", "15:49: ", "as in L5.pitch: {rphi: 80 um, z: 10 cm}"),
        (
            "L0.x_over_X0: 0.3 %",
            "L1.radius: 50 mm",
            "15:49: ",
            "L1.radius is a design variable, and no option can set it",
        ),
        (
            "L0.x_over_X0: 0.3 %",
            "L0.x_over_X0: 3 ps",
            "15:5: choices.inner",
            "strips with the first option of the others: ",
        ),
        ("L0.x_over_X0: 0.3 %", "L0.thicknes: 3 mm", "15:5: choices.inner", "did you mean 'thickness'"),
        ("tracking.min_hits: 5", "tracking.min_hits: 7", "18:5: choices.rule", "min_hits must be 3 to 6 here, got 7"),
        (
            "without: [L4]",
            "without: [L4, L3, L2, L1]",
            "12:5: choices.layers",
            "five with the first option of the others: ",
        ),
        ("choices:\n", "choices: 3\nmore:\n", "9:10: ", "choices must be a mapping"),
    ],
)
def test_refused(tmp_path, old, new, where, message):
    with pytest.raises(BadInput, match=re.escape(message)) as refused:
        study(tmp_path, (old, new))
    assert f"study.yaml:{where}" in str(refused.value)


def test_sampled_studies_are_told_that_they_cannot(tmp_path):
    sampled = study(tmp_path, ("seed: 1", "mode: sampled\nseed: 1"), ("  cost: {type: cost}\n", ""))
    with pytest.raises(BadInput, match="9:1: choices: combinations are tried in expected mode"):
        sampled.optimise(out=tmp_path / "run")


def test_what_was_replaced_since_stays_replaced(tmp_path):
    drawn = study(tmp_path)
    drawn = replace(drawn, seed=7, front=replace(drawn.front, evaluations=300))
    variant = drawn.variant({"layers": "six", "inner": "pixels", "rule": "loose"})
    assert (variant.seed, variant.front.evaluations) == (7, 300)


def test_one_choice_may_set_what_another_does_without(tmp_path):
    drawn = study(tmp_path, ("strips: {L0.pitch", "strips: {L4.pitch: 20 um, L0.pitch"))
    other = drawn.variant({"layers": "five", "inner": "strips", "rule": "loose"})
    assert "L4" not in [e.name for e in other.detector.elements]


def test_options_that_do_not_go_together(tmp_path):
    """Each is good with the first options of the others, and five hits of four layers are not: no design, and no failure."""
    drawn = study(tmp_path, ("five: {without: [L4]}", "four: {without: [L4, L2]}"), ("L1.radius: {bounds: [40 mm, 90 mm]}", "L0.radius: {bounds: [20 mm, 50 mm]}"),
                  ("L1.radius: 80 mm", "L0.radius: 40 mm"))  # fmt: skip
    box = FrontBox(drawn)
    assert box.variant((0, 0, 1)) is not None
    assert box.variant((1, 0, 0)) is not None
    assert box.variant((1, 0, 1)) is None
    u = np.tile(drawn.space.init, (2, 1))
    table = box.table(box.codes.with_codes(u, np.array([[0, 0, 0], [1, 0, 1]])))
    assert table["layers"] == ["six", "four"]
    assert np.isnan(table["L3.radius"]).tolist() == [False, True]


def test_optimise_takes_the_best_combination(tmp_path, cli):
    """Light layers inside point back better at 10 GeV/c and cost the same here: all four combinations are tried."""
    text = (
        STUDY[: STUDY.index("  rule:")]
        + """\
objectives: {d0: {type: resolution, of: d0}}
search: {type: gradient, steps: 10, restarts: 0}
"""
    )
    (tmp_path / "six.yaml").write_text(DETECTOR)
    (tmp_path / "study.yaml").write_text(text.replace("L0.pitch: {rphi: 80 um, z: 10 mm}", "L0.resolution: 4 um"))
    answer = cli("optimise", str(tmp_path / "study.yaml"), "-q", "--out", str(tmp_path / "run"))
    assert answer.code == 0
    run = detopt.open_run(tmp_path / "run")
    choices = run.result["choices"]
    assert (choices["tried"], choices["combinations"], choices["chosen"]["inner"]) == (4, 4, "strips")
    losses = [c["loss"] for c in choices["best"]]
    assert losses == sorted(losses)
    assert choices["best"][0]["chosen"] == choices["chosen"]
    assert "inner strips" in answer.out.replace("\n", " ")
    # The file has the option, the score is that of the file, and no worse than after the short search.
    final = detopt.load(run.folder / "detector.yaml")
    assert final.part("L0").resolution == (0.004, 0.004)
    value = run.result["final"]["objectives"]["d0"]["value"]
    again = detopt.load(tmp_path / "study.yaml").evaluate(detector=str(run.folder / "detector.yaml"))
    assert again["objectives"]["d0"]["value"] == pytest.approx(value, rel=1e-12)
    assert np.log(value / run.result["initial"]["objectives"]["d0"]["value"]) <= losses[0] + 1e-5
    assert "All 4 combinations were tried" in (run.folder / "report.html").read_text()
