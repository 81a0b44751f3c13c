"""What a study may ask about the scenes of a portal, and what is refused."""

import re

import pytest

import detopt
from detopt.study.faults import BadInput
from detopt.study.questions import question_of

STUDY = """\
schema: 1
name: found
detector: box.yaml
source: {type: cosmic, exposure: 10 s, momentum: [1 GeV, 1000 GeV], aim: load}
mode: sampled
head: {type: voxels, muons: 200, batch: 8}
tracking: {min_hits: 2}
variables: {below.z: {bounds: [-1 m, -0.5 m]}}
objectives:
  asked: {type: detection, of: block}
search: {type: gradient, steps: 2, restarts: 0}
audit: {events: 10000, head_events: 100000}
seed: 1
"""
DETECTOR = """\
schema: 1
name: box
frame: portal
elements:
  - {name: top, type: panel, z: 1.2 m, span: 1 m, resolution: 1 mm}
  - {name: above, type: panel, z: 1 m, span: 1 m, resolution: 1 mm}
  - name: load
    type: volume
    corner: [-20 cm, -20 cm, 0 cm]
    size: [40 cm, 40 cm, 40 cm]
    voxels: [4, 4, 4]
    scene:
      type: random
      shapes:
        - {name: block, type: box, material: lead, present: 50 %, x: [-10 cm, 10 cm], y: 0 m, z: 20 cm, size: [10 cm, 10 cm, 10 cm]}
        - {name: pool, type: level, material: water, bottom: 0 cm, height: [5 cm, 20 cm]}
  - {name: under, type: panel, z: -0.3 m, span: 1 m, resolution: 1 mm}
  - {name: below, type: panel, z: -0.7 m, span: 1 m, resolution: 1 mm}
"""


def study(folder, **changes):
    text, detector = STUDY, DETECTOR
    for old, new in changes.pop("replaced", {}).items():
        assert old in text or old in detector
        text, detector = text.replace(old, new), detector.replace(old, new)
    (folder / "box.yaml").write_text(detector)
    (folder / "study.yaml").write_text(text)
    return detopt.load(folder / "study.yaml")


@pytest.mark.parametrize(
    ("objective", "kind", "unit"),
    [
        ("{type: detection, of: block}", "presence", ""),
        ("{type: estimate, of: pool.height}", "number", "mm"),
        ("{type: image}", "map", ""),
    ],
)
def test_questions(tmp_path, objective, kind, unit):
    loaded = study(tmp_path, replaced={"{type: detection, of: block}": objective})
    question = question_of(loaded)
    assert (question.kind, question.unit) == (kind, unit)
    if kind == "number":
        assert (question.low, question.high) == (50.0, 200.0)


def test_an_exposure_is_what_the_source_brings(tmp_path):
    loaded = study(tmp_path, replaced={"muons: 200, ": ""})
    # 0.4 m x 0.4 m for 10 s; above 1 GeV some 0.6 to 0.7 muons a cm2 and minute.
    assert 0.5 < loaded.head.exposure / (1600 / 6) < 0.8


@pytest.mark.parametrize(
    ("replaced", "where", "message"),
    [
        ({"head: {type: voxels, muons: 200, batch: 8}\n": ""}, "study.yaml:9:10: objectives: ", "is what a head finds out"),
        ({"type: voxels, muons: 200, batch: 8": "type: set"}, "head", "looks at tracks of a barrel"),
        ({"of: block": "of: blok"}, "study.yaml:10:32: objectives.asked", "no shape 'blok' of load is there sometimes; those are block"),
        ({"type: detection, of: block": "type: estimate, of: pool.depth"}, "objectives.asked", "what does: block.x, pool.height"),
        ({"type: detection, of: block": "type: estimate, of: block.x"}, "objectives.asked", "block is not always there"),
        ({"muons: 200": "muons: 20"}, "study.yaml:6:29: head", "20 muons are fewer than a head of a portal needs: at least 50"),
        ({"head_events: 100000": "head_events: 10000"}, "study.yaml:12:37: audit", "10000 muons are 50 exposures, too few"),
        ({"type: cosmic, exposure: 10 s,": "type: gun,", ", aim: load": ""}, "source", "exposures are of cosmic muons"),
        ({"aim: load}": "aim: load, sampling: flat_log}"}, "study.yaml:4:90: source", "sampling: natural"),
        ({"  - {name: under, type: panel, z: -0.3 m, span: 1 m, resolution: 1 mm}\n  - {name: below, type: panel, z: -0.7 m, "
          "span: 1 m, resolution: 1 mm}\n": "", "below.z: {bounds: [-1 m, -0.5 m]}": "top.z: {bounds: [1.1 m, 1.5 m]}"},
         "study.yaml:3:11", "needs tracks above and below the volume"),
        ({"      type: random\n      shapes:\n": "      type: shapes\n      shapes:\n"}, "shapes", "unknown key 'name'"),
        ({"asked: {type: detection, of: block}": "asked: {type: image}\n  more: {type: detection, of: block}"},
         "study.yaml:11:9: objectives", "one question a head"),
        ({"type: voxels": "type: deep_set", "type: detection, of: block": "type: image"}, "study.yaml:6:14: head",
         "asked asks for a map, which a head makes voxel by voxel: type: voxels"),
        ({"type: voxels": "type: deep_set", "events: 10000,": "events: 10000, longest: 4,"}, "study.yaml:12:33: audit",
         "only heads of type voxels have exposures that could last longer"),
        ({"asked: {type: detection, of: block}": "asked: {type: efficiency}"}, "head", "no objective uses the head"),
    ],
)  # fmt: skip
def test_refused(tmp_path, replaced, where, message):
    with pytest.raises(BadInput, match=re.escape(message)) as refused:
        study(tmp_path, replaced=replaced)
    assert where in str(refused.value)
    assert re.search(r"(study|box)\.yaml:\d+:\d+: ", str(refused.value))


THREE = {
    "batch: 8": "batch: 8, momentum: measured",
    "  - {name: under,": "  - {name: side, type: panel, z: -0.1 m, span: 1 m, resolution: 1 mm, x_over_X0: 2 %}\n  - {name: under,",
    "z: -0.3 m, span: 1 m, resolution: 1 mm": "z: -0.3 m, span: 1 m, resolution: 0.2 mm, x_over_X0: 2 %",
}


def test_measured_momentum_says_how_good_it_is(tmp_path):
    """Three planes on one side are enough; and so is a sheet between them that measures nothing."""
    loaded = study(tmp_path, replaced=THREE)
    assert loaded.head.momentum == "measured"
    (note,) = (n for n in loaded.notes if "momentum" in n)
    assert note == (
        "head: momentum: the panels of box tell a muon of 1 GeV at 1 to 1, of 3 GeV at 1 to 1 from a much faster one: take "
        "thicker or finer panels, or momentum: unknown"
    )
    sheet = "  - {name: sheet, type: panel, z: -0.2 m, span: 1 m, x_over_X0: 50 %}\n  - {name: below,"
    thin = {k: v.replace(", x_over_X0: 2 %", "") for k, v in THREE.items()}
    better = study(tmp_path, replaced={**thin, "  - {name: below,": sheet, "resolution: 1 mm": "resolution: 0.1 mm"})
    (note,) = (n for n in better.notes if "momentum" in n)
    assert re.fullmatch(
        r"head: momentum: the panels of box tell a muon of 1 GeV at more than 100 to 1, of 3 GeV .*a much faster one",
        note,
    )


@pytest.mark.parametrize(
    ("replaced", "where", "message"),
    [
        ({"batch: 8": "batch: 8, momentum: measured"}, "study.yaml:6:54: head: ",
         "tells nothing: top, above are 2 with 0 % of X0 in between, and under, below are 2 with 0 % of X0 in between"),
        ({k: v.replace(", x_over_X0: 2 %", "") for k, v in THREE.items()}, "study.yaml:6:54: head: ",
         "side, under, below are 3 with 0 % of X0 in between. Add a third plane, give the middle ones their x_over_X0"),
        ({"batch: 8": "batch: 8, momentum: guessed"}, "study.yaml:6:54: head: ", "momentum: expected unknown | measured | known, got 'guessed'"),
    ],
)  # fmt: skip
def test_momentum_that_panels_cannot_tell_is_refused(tmp_path, replaced, where, message):
    with pytest.raises(BadInput, match=re.escape(message)) as refused:
        study(tmp_path, replaced=replaced)
    assert where in str(refused.value)


def test_matter_that_a_variable_may_add_is_enough(tmp_path):
    thin = {k: v.replace(", x_over_X0: 2 %", ", x_over_X0: 0 %") for k, v in THREE.items()}
    free = {"variables: {below.z: {bounds: [-1 m, -0.5 m]}}": "variables: {under.x_over_X0: {bounds: [0 %, 5 %]}}"}
    assert study(tmp_path, replaced={**thin, **free}).head.momentum == "measured"
