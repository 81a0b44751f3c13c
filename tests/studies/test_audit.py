"""The audit of one design: `detopt evaluate` of a study with a head."""

import json

import numpy as np
import pytest

import detopt
from detopt.study.audit import Auditor


@pytest.fixture(scope="module")
def audited(tmp_path_factory, detector_text, joint_text):
    folder = tmp_path_factory.mktemp("audit")
    (folder / "four.yaml").write_text(detector_text)
    (folder / "joint.yaml").write_text(joint_text)
    study = detopt.load(folder / "joint.yaml")
    lines = []
    auditor = Auditor(study, lines.append)
    return study, auditor, auditor(study.detector), lines


def test_the_score(audited):
    study, _, found, lines = audited
    origin, pt = (found.score["objectives"][n] for n in ("origin", "pt"))
    assert 0.5 < origin["value"] < 0.95
    assert 0 < origin["error"] < 0.02
    exact = study.detector.resolution([2.0])[0]["sigma_pt_over_pt"]
    assert abs(pt["value"] - exact) < 4 * pt["error"] < 0.1 * exact
    assert found.score["constraints"]["gap"]["error"] == 0
    json.dumps(found.score, allow_nan=False)
    assert any("training 2 heads" in line for line in lines)


def test_the_head_beside_its_baselines(audited):
    inference = audited[2].inference
    head = inference["head"]
    # The sample is not that of the score.
    origin = audited[2].score["objectives"]["origin"]
    assert abs(head["loss"]["value"] - origin["value"]) < 4 * np.hypot(head["loss"]["error"], origin["error"])
    for baseline in inference["baselines"]:
        assert head["loss"]["value"] < baseline["loss"]["value"]
        difference = baseline["head_is_better_by"]
        assert head["area"]["value"] - baseline["area"]["value"] == pytest.approx(difference["value"], abs=1e-9)
        # The same muons: the difference is known better than either.
        assert difference["error"] < np.hypot(head["area"]["error"], baseline["area"]["error"])
        assert np.all(np.diff(baseline["prompt"]) >= 0)
    for row in inference["reliability"]:
        assert abs(row["predicted"] - row["observed"]) < 0.02 + 4 * row["error"]


def test_the_same_again(audited):
    _, auditor, found, _ = audited
    again = auditor(audited[0].detector)
    assert again.score == found.score
    assert again.inference == found.inference
