"""`detopt optimise` that is stopped and goes on finds what it would have found, bit for bit; or says why it cannot."""

import json
import shutil

import pytest
from test_beam_optimise import STUDY as BEAM
from texts import changed

import detopt
from detopt.runs import RunError

CHOICES = """
choices:
  inner: {fine: {L1.x_over_X0: 0.4 %}, light: {L1.x_over_X0: 0.6 %}, middle: {}}
  rule: {loose: {}, tight: {tracking.min_hits: 4}}
seed: 3"""


class Stop(Exception):
    """Instead of a kill."""


def stop_at(call):
    """A progress callback that raises when it is called for so many times."""
    calls = 0

    def progress(_):
        nonlocal calls
        calls += 1
        if calls == call:
            raise Stop

    return progress


def said(run):
    """Everything that a run says, but for times."""
    result = {k: v for k, v in run.result.items() if k != "seconds"}
    if "optimum" in result:
        result["optimum"] = {k: v for k, v in result["optimum"].items() if k != "seconds"}
    files = [(run.folder / name).read_bytes() for name in ("detector.yaml", "history.parquet", "path.json")]
    return result, files


def stopped(study, out, call):
    with pytest.raises(Stop):
        study.optimise(out=out, progress=stop_at(call))
    return out


@pytest.fixture(scope="module")
def studies(tmp_path_factory, write_small, detector_text, joint_text):
    folder = tmp_path_factory.mktemp("studies")
    (folder / "beam.yaml").write_text(changed(BEAM, [("restarts: 0", "restarts: 1")]))
    (folder / "joint.yaml").write_text(changed(joint_text, [("restarts: 0", "restarts: 1")]))
    choices = write_small(folder, ("\nseed: 3", CHOICES)).rename(folder / "choices.yaml")
    return {
        "expected": write_small(folder),
        "choices": choices,
        "beam": folder / "beam.yaml",
        "joint": folder / "joint.yaml",
    }


@pytest.fixture(scope="module")
def whole(studies, tmp_path_factory):
    """The same without being stopped."""
    made = {}

    def run(name):
        if name not in made:
            made[name] = detopt.load(studies[name]).optimise(out=tmp_path_factory.mktemp("whole") / "run")
        return made[name]

    return run


LONG = {"marks": pytest.mark.slow}


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("expected", (1,)),
        ("expected", (2, 2)),
        ("choices", (1, 2)),
        pytest.param("beam", (2,), **LONG),
        pytest.param("beam", (4, 2), **LONG),
        pytest.param("joint", (6, 5), **LONG),
    ],
)
def test_goes_on_bit_for_bit(studies, whole, name, calls, tmp_path):
    out = stopped(detopt.load(studies[name]), tmp_path / "run", calls[0])
    for call in calls[1:]:
        with pytest.raises(Stop):
            detopt.resume(out, progress=stop_at(call))
    run = detopt.resume(out)
    assert said(run) == said(whole(name))
    assert run.complete
    assert len(run.manifest["resumed"]) == len(calls)


def test_stopped_while_the_report_is_written(studies, whole, tmp_path, monkeypatch):
    def fail(run):
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr("detopt.report.page.write_report", fail)
        with pytest.raises(Stop):
            detopt.load(studies["expected"]).optimise(out=tmp_path / "run")
    assert said(detopt.resume(tmp_path / "run")) == said(whole("expected"))


def test_after_a_time_limit_it_goes_on(studies, whole, tmp_path, cli):
    answer = cli("optimise", studies["expected"], "--out", tmp_path / "run", "--time-limit", 0, "-q")
    assert answer.code == 0, answer.err
    first = detopt.open_run(tmp_path / "run")
    assert first.result["stopped"] == "the time limit was reached"
    assert "detopt resume" in answer.out
    answer = cli("resume", tmp_path / "run", "-q")
    assert answer.code == 0, answer.err
    assert "has converged" in answer.out
    assert said(first) == said(whole("expected"))
    assert "nothing is left to do" in cli("resume", tmp_path / "run").err


def test_ctrl_c_says_how_to_go_on(studies, tmp_path, cli, monkeypatch):
    from detopt.study.optimise import Search

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Search, "_store", interrupted)
    answer = cli("optimise", studies["expected"], "--out", tmp_path / "run", "-q")
    assert answer.code == 130
    assert f"continue with: detopt resume {tmp_path / 'run'}" in answer.err


def test_refusals(studies, tmp_path):
    out = stopped(detopt.load(studies["expected"]), tmp_path / "run", 1)
    with pytest.raises(RunError, match="--cluster is for fronts"):
        detopt.resume(out, cluster="2")
    other = shutil.copytree(out, tmp_path / "edited")
    text = (other / "study.yaml").read_text()
    (other / "study.yaml").write_text(text.replace("min: 12 mm", "min: 13 mm"))
    with pytest.raises(RunError, match="not what the run began with"):
        detopt.resume(other)
    (out / "checkpoint" / "state.npz").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(RunError, match="damaged"):
        detopt.resume(out)
    with detopt.open_run(out).lock(), pytest.raises(RunError, match="being worked on"):
        detopt.resume(out)
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["asked"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="could not resume"):
        detopt.resume(out)
