"""A search for a front that is stopped and goes on finds what it would have found, bit for bit; or says why it cannot."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.runs import Run, RunError, new_run
from detopt.study import front_points, pareto, resume
from detopt.study.front_simulator import FrontSimulator, Scale
from detopt.study.interruption import asked
from detopt.study.run_inputs import write_inputs
from detopt.study.settings import ParetoSearch
from detopt.study.studies import load_study

pytestmark = pytest.mark.usefixtures("tiny_networks")


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
    result = {k: v for k, v in run.front_result.items() if k != "seconds"}
    tables = [(run.folder / f"{name}.parquet").read_bytes() for name in ("front", "history")]
    return result, tables, run.rounds.drop_columns(["seconds"]).to_pydict()


def no_report(run):
    (run.folder / "report.html").write_text("its report is tested elsewhere")


@pytest.fixture(scope="module")
def quick():
    """Simulators are compiled once for a study, and reports are short."""
    made = {}

    def simulator(study, scale=None, cluster=None):
        key = asked(replace(study, front=ParetoSearch()))
        if key not in made:
            made[key] = FrontSimulator(study)
        found = copy.copy(made[key])
        found.scale = found.scale if scale is None else scale
        return found

    with pytest.MonkeyPatch.context() as patch:
        for module in (pareto, resume):
            patch.setattr(module, "FrontSimulator", simulator)
        patch.setattr("detopt.report.front.write_front_report", no_report)
        yield


@pytest.fixture(scope="module")
def exact(tmp_path_factory, small_text, front_text, tiny_networks, quick):
    """A folder with a study, and a run that was not stopped. It says 400 evaluations, and is asked for 240."""
    folder = tmp_path_factory.mktemp("exact")
    (folder / "small.yaml").write_text(small_text)
    (folder / "study.yaml").write_text(front_text)
    return folder, shorter(folder).pareto(seed=3, out=folder / "whole")


def shorter(folder):
    """What the option --evaluations makes of a study."""
    study = load_study(folder / "study.yaml")
    return replace(study, front=replace(study.front, evaluations=240))


def stopped(folder, call, out):
    """A run that was stopped at a call of its progress."""
    with pytest.raises(Stop):
        shorter(folder).pareto(seed=3, out=out, progress=stop_at(call))
    return Run(out)


@pytest.mark.parametrize("calls", [(1,), (3, 1), (4, 1)], ids=str)
def test_goes_on_bit_for_bit(exact, tmp_path, calls):
    """Stopped after the first sample, before gradients, and among them; again and again."""
    folder, whole = exact
    run = stopped(folder, calls[0], tmp_path / "run")
    for call in calls[1:]:
        with pytest.raises(Stop):
            detopt.resume(run.folder, progress=stop_at(call))
    again = detopt.resume(run.folder)
    assert said(again) == said(whole)
    assert len(run.manifest["resumed"]) == len(calls)
    seconds = np.asarray(again.rounds.column("seconds"))
    assert (np.diff(seconds) > 0).all()
    assert again.front_result["seconds"] > seconds[-1]


def test_an_audit_goes_on(exact, tmp_path):
    """What was scored again before a kill is not scored once more; other designs are."""
    folder, _ = exact
    study, u = load_study(folder / "study.yaml"), np.random.default_rng(1).uniform(size=(5, 3))

    def audited(designs, keys):
        for key in keys[: len(designs)]:
            values = np.asarray(jax.random.uniform(key, (2,), jnp.float32, 1.0, 2.0))
            yield np.stack([values, 0.1 * values])

    simulator, done = SimpleNamespace(scale=Scale(np.ones(2), np.ones(2), np.ones(2)), audited=audited), []

    def audit(name, purpose, designs, progress=lambda p: done.append(p.done)):
        done.clear()
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "manifest.json").touch()
        return front_points._Audit(study, simulator, Run(tmp_path / name), progress)(designs, purpose)

    whole = [audit("whole", purpose, u) for purpose in ("choose", "publish")]
    assert not np.array_equal(*whole)
    with pytest.raises(Stop):
        audit("run", "choose", u, stop_at(3))
    np.testing.assert_array_equal(audit("run", "choose", u), whole[0])
    assert done == [4, 5]
    np.testing.assert_array_equal(audit("run", "publish", u), whole[1])
    assert done == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(audit("run", "choose", u), whole[0])
    assert done == []
    audit("run", "choose", u[:4])
    assert done == [1, 2, 3, 4]


@pytest.mark.parametrize("lost", [["report.html"], ["result.json"], ["result.json", "front.parquet"]], ids=str)
def test_killed_at_the_end(exact, tmp_path, lost):
    """Before the report is written, before the result, and before the front."""
    _, whole = exact
    shutil.copytree(whole.folder, tmp_path / "run")
    run = Run(tmp_path / "run")
    for name in ("report.html", *lost):
        (run.folder / name).unlink(missing_ok=True)
    if "result.json" in lost:
        run.write_json("manifest.json", {k: v for k, v in run.manifest.items() if k not in ("finished", "seconds")})
    assert run.finished == (lost == ["report.html"])
    assert not run.complete
    assert said(detopt.resume(run.folder)) == said(whole)
    assert run.complete


def test_a_checkpoint_that_is_missing_or_damaged(exact, tmp_path, cli):
    folder, whole = exact
    run = stopped(folder, 2, tmp_path / "run")
    checkpoint = run.folder / "checkpoint" / "state.npz"
    content = checkpoint.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for damaged in (b"", b"nonsense", content[:1000], content[:-10], flipped):
        checkpoint.write_bytes(damaged)
        with pytest.raises(RunError, match="is damaged"):
            detopt.resume(run.folder)
    np.savez(checkpoint, other=1)
    answer = cli("resume", run.folder)
    assert answer.code == 2
    assert "is damaged" in answer.err
    assert "Traceback" not in answer.err
    shutil.rmtree(checkpoint.parent)
    with pytest.warns(UserWarning, match="starts from the beginning"):
        again = detopt.resume(run.folder)
    assert said(again) == said(whole)


def test_nothing_is_left_to_do(exact, cli):
    _, whole = exact
    before = said(whole), whole.manifest, (whole.folder / "report.html").read_bytes()
    answer = cli("resume", whole.folder)
    assert answer.code == 2
    assert answer.err == f"detopt: {whole.folder} is finished: nothing is left to do\n"
    assert before == (said(whole), whole.manifest, (whole.folder / "report.html").read_bytes())


def test_refused(exact, tmp_path, cli, study_text, small_text):
    folder, _ = exact
    answer = cli("resume", folder)
    assert (answer.code, "is not a run folder" in answer.err) == (2, True)
    run = stopped(folder, 1, tmp_path / "run")
    manifest, study = run.manifest, run.text("study.yaml")
    run.write_json("manifest.json", {**manifest, "asked": "other"})
    answer = cli("resume", run.folder)
    assert (answer.code, "is not what the run began with" in answer.err) == (2, True)
    run.write_json("manifest.json", {k: v for k, v in manifest.items() if k != "asked"})
    assert "of a version that could not resume" in cli("resume", run.folder).err
    run.write_json("manifest.json", manifest)
    run.write_text("study.yaml", study.replace("worst: 100 um", "worst: 99 um"))
    assert "it was edited" in cli("resume", run.folder).err
    (run.folder / "study.yaml").unlink()
    assert "stopped before it began" in cli("resume", run.folder).err


def test_other_versions(exact, tmp_path, cli):
    """The same numbers are not promised, and the run says so; it goes on all the same."""
    folder, whole = exact
    run = stopped(folder, 4, tmp_path / "run")
    packages = {**run.manifest["packages"], "jaxlib": "0.1"}
    run.write_json("manifest.json", {**run.manifest, "packages": packages})
    answer = cli("resume", run.folder, "-q", "--json")
    assert answer.code == 0
    assert "note: the numbers may differ" in answer.err
    assert "jaxlib was 0.1 and is " in answer.err
    assert "jaxlib was 0.1" in run.manifest["resumed"][0]["differences"][0]
    assert json.loads(answer.out)["points"] == whole.front_result["points"]


def test_time_limits(exact, tmp_path, cli):
    """A front is published; to resume goes on with the rest."""
    folder, whole = exact
    out = tmp_path / "run"
    answer = cli("pareto", folder / "study.yaml", "--seed", "3", "--evaluations", "240", "--out", out, "-q",
                 "--time-limit", "0")  # fmt: skip
    assert (answer.code, "the time limit was reached" in answer.out) == (0, True)
    answer = cli("resume", out, "-q", "--time-limit", "0")
    assert (answer.code, "the time limit was reached" in answer.out) == (0, True)
    run = Run(out)
    assert run.rounds.num_rows == 3
    answer = cli("resume", out, "-q")
    assert (answer.code, "it has spent its 240 evaluations" in answer.out) == (0, True)
    assert said(run) == said(whole)
    assert "nothing is left to do" in cli("resume", out).err


def test_interrupted(exact, tmp_path, cli, monkeypatch):
    """SIGTERM, as Ctrl-C, says how to go on; what the command line said instead of the study holds on."""
    folder, whole = exact
    with monkeypatch.context() as patch:
        patch.setattr(pareto, "publish", lambda *_: signal.raise_signal(signal.SIGTERM))
        answer = cli("pareto", folder / "study.yaml", "--seed", "3", "--evaluations", "240", "-q",
                     "--out", tmp_path / "a run")  # fmt: skip
    assert answer.code == 130
    assert answer.err.endswith(f"detopt: stopped; continue with: detopt resume '{tmp_path / 'a run'}'\n")
    assert cli("resume", tmp_path / "a run", "-q").code == 0
    assert said(Run(tmp_path / "a run")) == said(whole)


def test_one_at_a_time(exact, tmp_path, cli):
    """A second process is refused; one that is gone holds nothing."""
    folder, whole = exact
    run = stopped(folder, 4, tmp_path / "run")
    with run.lock():
        answer = cli("resume", run.folder)
        assert answer.code == 2
        assert f"is being worked on by process {os.getpid()} on " in answer.err
    script = f"import os\nfrom detopt.runs import Run\nwith Run({str(run.folder)!r}).lock():\n    print('held', flush=True)\n    input()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"process {other.pid} on"):
            detopt.resume(run.folder)
        other.kill()
    leftover = run.folder / ".history.parquet.abcd_123"
    leftover.write_text("half of a fi")
    assert said(detopt.resume(run.folder)) == said(whole)
    assert not leftover.exists()


@pytest.mark.parametrize("name", ["tracker_tradeoff", "spectrometer_tradeoff", "portal_stations"])
def test_a_study_is_known_again(root, tmp_path, name):
    """From the run folder, what ships reads as what the run began with."""
    study = load_study(root / "studies" / f"{name}.yaml")
    run = new_run(study.name, {"study": study.name, "seed": 0}, tmp_path / "run")
    write_inputs(run, study)
    assert asked(load_study(run.folder / "study.yaml")) == asked(study)
    assert asked(replace(study, min_hits=4)) != asked(study)
