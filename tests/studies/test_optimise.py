"""`optimise` on a small study, once: its promises to the user, its run folder, and what happens when it cannot."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import detopt
from detopt.parameters import get
from detopt.runs import Run, list_runs
from detopt.study.faults import BadInput


class Finished(NamedTuple):
    """The run that the tests look at."""

    study: Any
    run: Run
    result: dict[str, Any]
    history: dict[str, np.ndarray]


def columns(run: Run) -> dict[str, np.ndarray]:
    return {name: np.array(column) for name, column in run.history.to_pydict().items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_small):
    folder = tmp_path_factory.mktemp("study")
    seen = []
    study = detopt.load(write_small(folder))
    run = study.optimise(out=folder / "run", progress=seen.append)
    assert seen
    assert all(a.done <= b.done for a, b in itertools.pairwise(seen))
    return Finished(study, run, run.result, columns(run))


# -- the run folder --------------------------------------------------------------------------------------------------------


def test_files(finished):
    folder = finished.run.folder
    names = {p.name for p in folder.iterdir()}
    assert names >= {
        "study.yaml",
        "manifest.json",
        "history.parquet",
        "detector.yaml",
        "figures",
        "report.html",
        "result.json",
    }
    assert not [n for n in names if n.startswith(".")], "no temporary files stay"
    assert list((folder / "figures").glob("*.png"))
    page = (folder / "report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html")
    assert "L0.radius" in page
    assert not any(f'{attribute}="http' in page for attribute in ("src", "data-src")), "opens offline"


def test_manifest(finished):
    manifest = finished.run.manifest
    assert manifest["study"] == "small"
    assert manifest["seed"] == 3
    assert manifest["detopt"] == detopt.__version__
    assert manifest["packages"]["jax"]
    assert manifest["platform"]
    assert manifest["python"].startswith("3.")
    assert "commit" in manifest
    assert manifest["seconds"] > 0
    assert manifest["started"] <= manifest["finished"]
    assert finished.run.finished
    assert detopt.open_run(finished.run.folder).result == finished.result


def test_history(finished):
    history, names = finished.history, finished.study.space.names
    assert set(history) >= {"step", "restart", "phase", "loss", "best", "violation", "feasible", "d0", "cost", *names}
    assert set(history["restart"]) == {0, 1}
    adam = history["phase"] == "adam"
    assert sorted(set(history["step"][adam])) == list(range(30))
    assert len(history["step"]) == 2 * finished.result["steps"]
    first = (history["step"] == 0) & (history["restart"] == 0)
    assert [history[v.name][first][0] for v in finished.study.space.variables] == pytest.approx(
        [v.init for v in finished.study.space.variables], rel=1e-12
    )
    for restart in (0, 1):
        best = history["best"][history["restart"] == restart]
        known = best[~np.isnan(best)]
        assert np.all(np.diff(known) <= 0), "the best never gets worse"


# -- the promises ----------------------------------------------------------------------------------------------------------


def test_better_and_within_the_constraints(finished):
    initial, final = finished.result["initial"], finished.result["final"]
    assert final["objectives"]["d0"]["value"] < 0.95 * initial["objectives"]["d0"]["value"]
    assert set(final["constraints"]) == {"budget", "gap"}
    assert all(c["value"] <= 0 for c in final["constraints"].values())
    assert final["cost"]["total"] <= 320
    radii = sorted(
        s["position"]
        for s in finished.result["layouts"]["final"]
        if s["resolution"] is not None and s["kind"] == "cylinder"
    )
    assert min(np.diff(radii)) >= 12


def test_no_worse_than_anything_seen(finished):
    """The result is the best feasible design of the whole history, to what tidying may give."""
    history = finished.history
    loss = np.log(
        finished.result["final"]["objectives"]["d0"]["value"] / finished.result["initial"]["objectives"]["d0"]["value"]
    )
    assert loss <= history["loss"][history["feasible"]].min() + 2e-5


def test_bounds_and_ties(finished):
    detector = detopt.load(finished.run.folder / "detector.yaml")
    for variable, row in zip(finished.study.space.variables, finished.result["variables"], strict=True):
        value = get(detector, variable.name)
        assert variable.lower <= value <= variable.upper
        assert {get(detector, name) for name in variable.names} == {value}
        assert row["final"] == value
        assert row["initial"] == variable.init
        assert (row["lower"], row["upper"]) == (variable.lower, variable.upper)
    assert detector.part("L1").pitch == detector.part("L2").pitch
    assert detector.part("L0").pitch[1] == 0.06, "what is not free stays"
    assert "# the beam pipe" in (finished.run.folder / "detector.yaml").read_text()


def assert_scores_equal(a, b, rel):
    assert a.keys() == b.keys()
    for section in ("objectives", "constraints"):
        for name, entry in a[section].items():
            assert entry["value"] == pytest.approx(b[section][name]["value"], rel=rel, abs=rel)
    assert a["cost"] == pytest.approx(b["cost"], rel=rel)


def test_result_feeds_back(finished):
    again = finished.study.evaluate(detector=finished.run.folder / "detector.yaml")
    assert_scores_equal(again, finished.result["final"], 1e-12)


def test_compared_with_itself(finished, cli):
    folder = str(finished.run.folder)
    found = detopt.compare(folder, folder)
    for name, score in finished.result["final"]["objectives"].items():
        assert found["objectives"][name]["first"] == found["objectives"][name]["second"] == score["value"]
        assert found["objectives"][name]["change"] == 0
    for v in finished.result["variables"]:
        assert found["variables"][v["name"]]["second"] == v["final"]
    assert "neither" in cli("compare", folder, folder).out
    answer = cli("compare", folder, folder, "--figure", "both.png")
    assert (answer.code, "--figure is for two fronts" in answer.err) == (2, True)


def test_study_in_the_run_folder_stands_alone(finished, tmp_path):
    (tmp_path / "study.yaml").write_text(finished.run.text("study.yaml"))
    alone = detopt.load(tmp_path / "study.yaml")
    assert alone.space.variables == finished.study.space.variables
    assert_scores_equal(alone.evaluate(), finished.result["initial"], 1e-12)


def test_same_seed_same_numbers(finished, tmp_path):
    again = finished.study.optimise(seed=3, out=tmp_path / "again").result
    for part in ("initial", "final", "variables", "layouts", "steps", "stopped"):
        assert again[part] == finished.result[part], part
    history = columns(Run(tmp_path / "again"))
    assert history.keys() == finished.history.keys()
    for name, column in history.items():
        assert np.array_equal(column, finished.history[name], equal_nan=column.dtype.kind == "f"), name


def test_another_seed_draws_other_starts(finished, cli, monkeypatch, tmp_path):
    """From the command line, and with its JSON."""
    monkeypatch.chdir(tmp_path)
    answer = cli("optimise", finished.study.path, "--seed", 4, "--json", "--quiet")
    assert answer.code == 0
    printed = json.loads(answer.out)
    assert set(printed) >= {"run", "initial", "final", "steps", "seconds"}
    assert set(printed["initial"]) == set(printed["final"]) == {"objectives", "constraints", "cost"}
    assert answer.err == ""
    run = Run(printed["run"])
    assert Path(printed["run"]).parent == Path("runs/small")
    assert run.manifest["seed"] == 4
    history = columns(run)
    first = [{n: h[n][h["step"] == 0] for n in finished.study.space.names} for h in (finished.history, history)]
    for name in finished.study.space.names:
        assert first[0][name][0] == first[1][name][0], "both start from the initial design"
        assert first[0][name][1] != first[1][name][1]
    values = [r["final"]["objectives"]["d0"]["value"] for r in (finished.result, printed)]
    assert values[0] == pytest.approx(values[1], rel=0.02), "and both find the optimum"
    (entry,) = json.loads(cli("runs", "--json").out)
    assert (entry["finished"], entry["seed"]) == (True, 4)
    assert entry["objectives"]["d0"] == {
        "initial": printed["initial"]["objectives"]["d0"]["value"], "final": values[1],
    }  # fmt: skip
    page = Path(printed["run"]) / "report.html"
    page.unlink()
    answer = cli("report", printed["run"])
    assert answer.code == 0
    assert page.is_file()


# -- refusals --------------------------------------------------------------------------------------------------------------


def test_folder_in_use(finished, cli, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").write_text("mine")
    answer = cli("optimise", finished.study.path, "--out", tmp_path / "taken")
    assert answer.code == 2
    assert "not an empty folder" in answer.err
    assert [p.name for p in (tmp_path / "taken").iterdir()] == ["file"]
    again = cli("optimise", finished.study.path, "--out", finished.run.folder)
    assert again.code == 2
    assert Run(finished.run.folder).result == finished.result


def test_infeasible(write_small, cli, tmp_path):
    """No static check can see it; the message names the constraint and by how much it is missed."""
    study = write_small(
        tmp_path, ("  gap:", "  sharp: {type: resolution, of: d0, momentum: 1 GeV, max: 0.1 um}\n  gap:")
    )
    answer = cli("optimise", study, "--out", tmp_path / "run", "--quiet", "--time-limit", 1)
    assert answer.code == 1
    assert "sharp by" in answer.err
    assert "Traceback" not in answer.err
    run = Run(tmp_path / "run")
    assert not run.finished
    assert run.history.num_rows > 0


def test_negative_seed(write_small, tmp_path):
    with pytest.raises(BadInput, match="seed must be"):
        detopt.load(write_small(tmp_path, ("seed: 3", "seed: -3")))


def test_variables_that_the_file_leaves_at_their_defaults(write_small, tmp_path):
    """What the file does not name is added to it."""
    path = write_small(
        tmp_path,
        ("  L0.pitch.rphi: {bounds: [20 um, 100 um]}", "  L3.efficiency: {bounds: [90 %, 100 %]}"),
        ("  L0.radius: {bounds: [15 mm, 50 mm]}", "  L1.resolution_per_pitch: {bounds: [0.1, 0.3]}"),
        ("steps: 30", "steps: 1"),
        ("restarts: 1", "restarts: 0"),
    )  # fmt: skip
    run = detopt.load(path).optimise(out=tmp_path / "run")
    detector = detopt.load(run.folder / "detector.yaml")
    for row in run.result["variables"]:
        assert get(detector, row["name"]) == row["final"]


def test_time_limit(finished, cli, tmp_path):
    answer = cli("optimise", finished.study.path, "--out", tmp_path / "run", "--time-limit", 0.001, "--json", "-q")
    result = json.loads(answer.out)
    assert answer.code == 0
    assert "time limit" in result["stopped"]
    assert result["steps"] < finished.result["steps"]
    assert all(c["value"] <= 0 for c in result["final"]["constraints"].values())


def test_killed(write_small, cli, tmp_path):
    study = write_small(tmp_path, ("steps: 30", "steps: 1000000"))
    environment = {**os.environ, "PYTHONPATH": str(Path(detopt.__file__).parents[1])}
    run = tmp_path / "runs/killed"
    process = subprocess.Popen(
        [sys.executable, "-c", "from detopt.cli import main; main()", "optimise", str(study), "--out", str(run), "-q"],
        env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not (run / "history.parquet").exists():
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)  # somewhere in a later round
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    (found,) = list_runs(tmp_path / "runs")
    assert found.manifest["seed"] == 3
    assert "finished" not in found.manifest
    history = columns(found)
    assert len(history["step"]) % 50 == 0
    assert np.isfinite(history["d0"]).all()
    assert detopt.load(run / "study.yaml").name == "small"
    (entry,) = json.loads(cli("runs", tmp_path / "runs", "--json").out)
    assert entry["finished"] is False
    assert "unfinished" in cli("runs", tmp_path / "runs").out
    assert cli("report", run).code == 2
