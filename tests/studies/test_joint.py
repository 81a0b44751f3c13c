"""Geometry and head together, on a study that takes seconds: what the run leaves, and that it repeats itself."""

import json

import numpy as np
import pytest
from texts import changed

import detopt
from detopt.inference.stored import leaves
from detopt.runs import RunError
from detopt.search.problem import FEASIBLE
from detopt.study.audit import open_heads

# The whole of it takes minutes; `tests/unit/test_joint_search.py` does the search on a toy.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory, detector_text, joint_text):
    folder = tmp_path_factory.mktemp("joint")
    (folder / "four.yaml").write_text(detector_text)
    (folder / "joint.yaml").write_text(joint_text)
    return detopt.load(folder / "joint.yaml")


@pytest.fixture(scope="module")
def run(study, tmp_path_factory):
    return study.optimise(out=tmp_path_factory.mktemp("runs") / "first")


def test_what_the_folder_holds(run):
    names = {str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file()}
    assert {"study.yaml", "detector.yaml", "detector_without_head.yaml", "history.parquet", "report.html"} <= names
    assert {"checkpoint/state.npz", "heads/initial.npz", "heads/final.npz", "heads/without.npz"} <= names
    with np.load(run.folder / "heads/final.npz") as weights:
        assert len(weights.files) > 4
        assert all(np.isfinite(weights[name]).all() for name in weights.files)
    detopt.load(run.folder / "study.yaml")


def test_heads_can_be_opened(run):
    heads, stored = open_heads(run), run.arrays("heads/final.npz")
    assert set(leaves(heads)) == set(stored)
    assert heads.embed.layers[0].weight.shape == (2, 16, 9)  # heads, width, features
    assert not np.array_equal(stored["embed.layers[0].weight"][0], stored["embed.layers[0].weight"][1])
    assert np.array_equal(leaves(heads)["calibration"], stored["calibration"])
    with pytest.raises(RunError, match="missing"):
        open_heads(run, "nothing")


def test_every_design_is_audited(run):
    result = run.result
    for name in ("initial", "final", "without"):
        score, inference = result[name], result["inference"]["designs"][name]
        assert 0 < score["objectives"]["origin"]["value"] < 1
        assert 0 < score["objectives"]["origin"]["error"] < 0.02
        assert all(c["value"] <= FEASIBLE for c in score["constraints"].values()), (name, score["constraints"])
        # What the audit says on its sample is what the score says on its events.
        loss = inference["head"]["loss"]
        spread = np.hypot(loss["error"], score["objectives"]["origin"]["error"])
        assert abs(loss["value"] - score["objectives"]["origin"]["value"]) < 4 * spread
        for baseline in inference["baselines"]:
            assert loss["value"] < baseline["loss"]["value"]
            difference = baseline["head_is_better_by"]
            assert abs(inference["head"]["area"]["value"] - baseline["area"]["value"] - difference["value"]) < 1e-9
            # The same muons: the difference is known better than either.
            assert difference["error"] < np.hypot(inference["head"]["area"]["error"], baseline["area"]["error"])
    json.dumps(result, allow_nan=False)


def test_the_optimum_is_better(run):
    """Three standard errors and more, at no more than the budget."""
    first, last = (run.result[n]["objectives"]["origin"] for n in ("initial", "final"))
    assert first["value"] - last["value"] > 3 * np.hypot(first["error"], last["error"])


def test_history(run):
    history = run.history
    assert history.num_rows == 20
    validated = history.column("validated").to_numpy(zero_copy_only=False)
    assert np.isfinite(validated).sum() == 2
    assert {"loss", "origin", "pt", "cost", "L0.radius"} <= set(history.column_names)


def test_the_same_seed_gives_the_same_run(run, study, tmp_path):
    again = study.optimise(out=tmp_path / "again")
    assert str(again.history.to_pydict()) == str(run.history.to_pydict())  # NaN is not equal to itself
    assert (again.folder / "detector.yaml").read_text() == (run.folder / "detector.yaml").read_text()
    assert again.result["final"] == run.result["final"]


def test_evaluate_trains_a_head(run, study):
    """The same design, the same keys: the same audit."""
    score = study.evaluate(detector=str(run.folder / "detector.yaml"))
    assert score == run.result["final"]


SET = [
    ("within: 9 mm", "within: 9 mm\n  displaced: [0 %, 100 %]"),
    (
        "head: {type: track, width: 16, layers: 2, batch: 512,",
        "head: {type: set, muons: 32, conditioned: true, batch: 4096,",
    ),
    ("origin: {type: discrimination}", "share: {type: fraction}"),
    ("steps: 20, restarts: 0", "steps: 10, restarts: 1"),
]


def test_a_set_head_for_all_starts(tmp_path, detector_text, joint_text):
    """One head, told of the design, serves two starts; the audit trains others."""
    (tmp_path / "four.yaml").write_text(detector_text)
    (tmp_path / "set.yaml").write_text(changed(joint_text, SET))
    run = detopt.load(tmp_path / "set.yaml").optimise(out=tmp_path / "run")
    assert set(run.history.column("restart").to_pylist()) == {0, 1}
    for name in ("initial", "final", "without"):
        found = run.result["inference"]["designs"][name]
        assert found["rms"]["head"]["value"] < found["rms"]["baseline"]["value"]
        assert abs(found["pull_width"]["value"] - 1) < 0.05 + 4 * found["pull_width"]["error"]
    assert open_heads(run).embed.layers[0].weight.shape == (2, 32, 9 + 3)
