"""Studies with events: what mode, source, head and objectives need of each other."""

import json
import subprocess
import sys

import pytest
from texts import changed

import detopt
from detopt.study.faults import BadInput

STUDY = """\
schema: 1
name: sampled_study
detector: small.yaml
source:
  type: decay
  hadron: D+
  hadron_momentum: [3 GeV, 15 GeV]
  momentum: [1 GeV, 8 GeV]
  theta: [70 deg, 110 deg]
  within: 9 mm
mode: sampled
head: {type: track, width: 8}
variables:
  L0.radius: {bounds: [15 mm, 35 mm]}
objectives:
  origin: {type: discrimination}
  d0: {type: resolution, of: d0, momentum: 1 GeV}
search: {type: gradient, steps: 10, events: 4096}
seed: 1
"""

CASES = {
    "discrimination without a head": ([("head: {type: track, width: 8}\n", "")], "discrimination needs a head"),
    "a head that nothing uses": ([("  origin: {type: discrimination}\n", "")], "no objective uses the head"),
    "the other head": ([("type: track", "type: set")], "discrimination needs a head of type track"),
    "a fraction without a range": (
        [("type: track", "type: set"), ("type: discrimination", "type: fraction")],
        "a fraction is estimated where it differs",
    ),
    "odds that are not even": ([("within: 9 mm", "within: 9 mm\n  displaced: 20 %")], "displaced: 50 %"),
    "a head in expected mode": ([("mode: sampled", "mode: expected")], "needs events: mode: sampled"),
    "a gun": (
        [(STUDY[STUDY.index("  type: decay") : STUDY.index("mode:")], "  {type: gun, momentum: 1 GeV}\n")],
        "it needs source: {type: decay",
    ),
    "decays beyond the beam pipe": ([("within: 9 mm", "within: 11 mm")], "would reach pipe at 10 mm"),
    "decays beyond a layer's bounds": ([("[15 mm, 35 mm]", "[8 mm, 35 mm]")], "would reach L0 at 8 mm"),
    "muons that no such hadron makes": (
        [("momentum: [1 GeV, 8 GeV]", "momentum: [20 GeV, 30 GeV]")],
        "no muon of a D+",
    ),
    "an unknown hadron": ([("hadron: D+", "hadron: D*")], "expected B0 | B+"),
    "a sampled limit": (
        [("search:", "constraints:\n  pt: {type: resolution, of: pt, momentum: 1 GeV, max: 5 %}\nsearch:")],
        "cannot hold exactly",
    ),
    "the parabola": ([("seed: 1", "physics: {bending: parabola}\nseed: 1")], "sampled tracks are exact"),
    "weights on a grid": ([("steps: 10,", "steps: 10, placement: grid,")], "placement: grid needs mode: expected"),
    "no events": ([("events: 4096", "events: 0")], "events must be between 1"),
    "one muon in an exposure": (
        [("type: track, width: 8", "type: set, muons: 1"), ("type: discrimination", "type: fraction")],
        "muons must be between 2",
    ),
    "one head in the audit": ([("seed: 1", "audit: {heads: 1}\nseed: 1")], "heads must be between 2"),
    "a learning rate": ([("width: 8", "learning_rate: 2")], "must be <= 1"),
}


@pytest.fixture
def sampled(folder):
    """A function that writes a study with some changes, and returns its path."""

    def write(changes):
        (folder / "sampled.yaml").write_text(changed(STUDY, changes))
        return folder / "sampled.yaml"

    return write


def test_the_study_itself(sampled):
    study = detopt.load(sampled([]))
    assert study.mode == "sampled"
    assert study.head.width == 8
    assert study.source.hadron == "D+"


@pytest.mark.parametrize(("changes", "message"), CASES.values(), ids=CASES)
def test_bad_combinations(sampled, changes, message):
    with pytest.raises(BadInput) as refused:
        detopt.load(sampled(changes))
    found = refused.value.faults
    assert any(message in f.message for f in found), "\n".join(map(str, found))
    assert all(f.line is not None for f in found)


def test_decays_in_expected_mode(sampled):
    head = [
        ("mode: sampled\nhead: {type: track, width: 8}", "mode: expected"),
        ("  origin: {type: discrimination}\n", ""),
    ]
    detopt.load(sampled(head))
    with pytest.raises(BadInput, match="averages over the muons of decays"):
        detopt.load(sampled([*head, (", momentum: 1 GeV}\nsearch", "}\nsearch")]))


def test_a_head_in_a_file(sampled, folder):
    (folder / "small_head.yaml").write_text("schema: 1\nname: small head\ntype: track\nwidth: 4\nlayers: 1\n")
    path = sampled([("head: {type: track, width: 8}", "head: small_head.yaml")])
    assert detopt.load(path).head.width == 4
    (folder / "small_head.yaml").write_text("schema: 1\ntype: track\nwidht: 4\n")
    with pytest.raises(BadInput, match="did you mean 'width'") as refused:
        detopt.load(path)
    assert refused.value.faults[0].file == str(folder / "small_head.yaml")


def test_an_objective_in_a_file_needs_its_head_too(sampled, folder):
    (folder / "share.yaml").write_text("schema: 1\nname: share\ntype: fraction\n")
    with pytest.raises(BadInput, match="fraction needs a head of type set"):
        detopt.load(sampled([("origin: {type: discrimination}", "origin: share.yaml")]))


def test_muons_that_gain_a_layer_together(sampled, cli):
    """All of them have one angle: no draw carries a single one across the end."""
    longer = ("L0.radius: {bounds: [15 mm, 35 mm]}", "L3.half_length: {bounds: [40 mm, 1 m]}")
    path = sampled([longer, ("of: d0, momentum: 1 GeV}", "of: d0, momentum: 1 GeV, theta: 70 deg}")])
    answer = cli("check", path)
    assert answer.code == 2
    assert "of the muons get to L3 in some designs and not in others" in answer.err


def test_sampled_resolution(folder, cli):
    answer = cli(
        "resolution", folder / "small.yaml", "--momentum", "1 GeV", "--mode", "sampled", "--events", 16384, "--json"
    )
    (row,) = json.loads(answer.out)
    (exact,) = detopt.load(folder / "small.yaml").resolution([1.0])
    for name, value in exact.items():
        if name.startswith("sigma"):
            assert abs(row[name] - value) < 4 * row[f"{name}_error"] < 0.05 * value


def test_sampled_resolution_in_a_new_process(folder):
    """Nothing else may have made a detector known to JAX before."""
    done = subprocess.run(
        [
            sys.executable, "-c", "from detopt.cli import main; main()", "resolution", folder / "small.yaml",
            "--mode", "sampled", "--events", "1000", "--momentum", "5 GeV", "--json",
        ],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["sigma_d0_um"] > 0
