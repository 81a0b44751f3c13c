"""A front of designs some of which have other layers, or layers of another kind, than others."""

import json

import numpy as np
import pytest

import detopt

pytestmark = pytest.mark.usefixtures("small_networks")

CHOICES = """\
choices:
  layers:
    four: {}
    three: {without: [L1]}
  inner:
    plain: {}
    light: {L0.x_over_X0: 0.2 %, L0.pitch: {rphi: 20 um, z: 200 um}}
tracking: {min_hits: 3}
"""


@pytest.fixture(scope="module")
def front(tmp_path_factory, small_text, front_text, small_networks):
    folder = tmp_path_factory.mktemp("front")
    (folder / "small.yaml").write_text(small_text)
    text = front_text.replace(", same_for: [L0]", "").replace("objectives:\n", CHOICES + "objectives:\n")
    (folder / "study.yaml").write_text(text)
    study = detopt.load(folder / "study.yaml")
    return study, study.pareto(out=folder / "run")


def test_points_of_several_combinations(front):
    _, run = front
    rows = run.front().to_pylist()
    assert run.front_result["choices"] == {"layers": ["four", "three"], "inner": ["plain", "light"]}
    # Three layers are cheaper, four are better.
    assert {row["layers"] for row in rows} == {"four", "three"}
    assert rows[0]["layers"] == "four"
    for row in rows:
        assert np.isnan(row["L1.radius"]) == (row["layers"] == "three")
    history = run.history.to_pylist()
    assert len({(row["layers"], row["inner"]) for row in history}) == 4
    assert "three" in (run.folder / "report.html").read_text()


def test_each_point_is_what_it_says(front, cli, tmp_path):
    study, run = front
    rows = run.front().to_pylist()
    few = next(i for i, row in enumerate(rows) if row["layers"] == "three")
    assert cli("point", f"{run.folder}:{few}", "--out", str(tmp_path / "few.yaml")).code == 0
    detector = detopt.load(tmp_path / "few.yaml")
    assert [e.name for e in detector.elements] == ["pipe", "L0", "L2", "L3"]
    # Scored by itself it has the same values; constraints hold.
    for i in (0, few):
        assert cli("point", f"{run.folder}:{i}", "--out", str(tmp_path / f"{i}.yaml")).code == 0
        found = study.evaluate(detector=str(tmp_path / f"{i}.yaml"))
        for name, score in found["objectives"].items():
            assert score["value"] == pytest.approx(rows[i][name], rel=1e-6)
        assert found["constraints"]["gap"]["value"] <= 0


def test_points_with_and_without_a_layer_side_by_side(front, cli):
    _, run = front
    rows = run.front().to_pylist()
    few = next(i for i, row in enumerate(rows) if row["layers"] == "three")
    said = json.loads(cli("compare", f"{run.folder}:0", f"{run.folder}:{few}", "--json").out)
    assert said["variables"]["L1.radius"]["first"] == rows[0]["L1.radius"]
    assert said["variables"]["L1.radius"]["second"] is said["variables"]["L1.radius"]["change"] is None
    assert said["choices"]["layers"] == {"first": "four", "second": "three"}
    assert cli("compare", f"{run.folder}:0", f"{run.folder}:{few}").code == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_front_is_the_union_of_those_of_each_combination(front):
    """Nearly as much hypervolume as the best designs of searches with the options held."""
    from detopt.search.fronts import hypervolume

    study, run = front
    reference = np.log([0.1, float(run.front_result["objectives"]["cost"]["worst"])])

    def logarithms(run):
        return np.log(np.array([[row["d0"], row["cost"]] for row in run.front().to_pylist()]))

    held = [
        logarithms(study.variant({"layers": layers, "inner": "light"}).pareto(out=run.folder.parent / layers))
        for layers in ("four", "three")
    ]
    assert hypervolume(logarithms(run), reference) > 0.97 * hypervolume(np.concatenate(held), reference)
