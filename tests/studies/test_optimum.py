"""What a run says of its optimum: prices against searches with other limits, tolerances against scores."""

import json
import math
import re

import jax
import numpy as np
import pytest

import detopt
from detopt.detector.surfaces import as_arrays
from detopt.report import write_report
from detopt.runs import Run
from detopt.study import optimum
from detopt.study.evaluate import make_evaluator
from detopt.study.optimise import AT_BOUND


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_small):
    folder = tmp_path_factory.mktemp("study")
    study = detopt.load(write_small(folder))
    return study, study.optimise(out=folder / "run")


def loss_of(run):
    return math.log(run.result["final"]["objectives"]["d0"]["value"])


def price(run, name):
    (found,) = [p for p in run.result["optimum"]["prices"] if p["name"] == name]
    return found


def test_shadow_prices_are_what_other_limits_bring(finished, write_small, tmp_path):
    """A search with more money and a wider bound; to second order, prices are the mean of both optima's."""
    (tmp_path / "study").mkdir()
    changes = ("max: 320 kEUR", "max: 324 kEUR"), ("[15 mm, 50 mm]", "[14.8 mm, 50 mm]")
    other = detopt.load(write_small(tmp_path / "study", *changes)).optimise(out=tmp_path / "run")
    expected = 0.0
    for name, shift in (("budget", 4.0), ("L0.radius", 0.2)):
        each = [price(run, name) for run in (finished[1], other)]
        part = shift * sum(p["loss"]["value"] / p["step"] for p in each) / 2
        assert -0.015 < part < -0.005, "both count"
        expected += part
    assert loss_of(other) - loss_of(finished[1]) == pytest.approx(expected, rel=0.01)
    found = price(finished[1], "budget")
    assert found["objectives"]["d0"] == pytest.approx(found["loss"]["value"])


def test_nothing_is_left_of_the_gradient(finished):
    told = finished[1].result["optimum"]
    assert told["residual"] < 1e-3
    assert told["unique"]
    held = {g["variable"]: g["held_by"] for g in told["gradients"]}
    assert held == {
        "L0.radius": ["its bound"], "L3.radius": ["budget"], "L1.pitch": ["budget"], "L0.pitch.rphi": ["its bound"],
    }  # fmt: skip
    assert not any(g["free"] for g in told["gradients"])


def test_gradients_are_those_of_the_score(finished):
    study, run = finished
    evaluate, final = make_evaluator(study), {v["name"]: v["final"] for v in run.result["variables"]}
    score = jax.jit(lambda values: evaluate(as_arrays(study.space.at(values)), None, None).values[0])
    slopes = jax.grad(score)({name: np.float64(x) for name, x in final.items()})
    for g in run.result["optimum"]["gradients"]:
        assert g["objectives"]["d0"]["value"] == pytest.approx(float(slopes[g["variable"]]), rel=1e-5)


def test_one_per_cent_worse_at_the_tolerance(finished):
    study, run = finished
    score = jax.jit(make_evaluator(study))
    final = {v["name"]: v["final"] for v in run.result["variables"]}

    def loss(values):
        return float(np.log(score(as_arrays(study.space.at(values)), None, jax.random.key(0)).values[0]))

    checked = 0
    for t in run.result["optimum"]["tolerances"]:
        for sign, side, room in zip((-1, 1), ("minus", "plus"), t["room"], strict=True):
            if t[side] is None:
                moved = {**final, t["variable"]: final[t["variable"]] + sign * room}
                assert loss(moved) - loss(final) < optimum.RISE
                continue
            moved = {**final, t["variable"]: final[t["variable"]] + sign * t[side]}
            assert loss(moved) - loss(final) == pytest.approx(optimum.RISE, rel=0.1)
            assert t[side] <= room
            checked += 1
    assert checked >= 4


def test_costs_little(finished):
    assert finished[1].result["optimum"]["seconds"] < 0.2 * finished[1].manifest["seconds"]


def test_at_a_bound_means_the_same_everywhere(finished):
    bounds = {p["name"] for p in finished[1].result["optimum"]["prices"] if p["kind"] == "bound"}
    assert bounds == {v["name"] for v in finished[1].result["variables"] if v["at_bound"]}
    assert AT_BOUND == optimum.AT_BOUND


def test_report_tells(finished):
    page = (finished[1].folder / "report.html").read_text()
    for piece in ("What the optimum rests on", "Shadow prices", "Tolerances", "5 kEUR more", "µm/mm"):
        assert piece in page
    assert (finished[1].folder / "figures" / "gradients.pdf").is_file()


def test_older_runs_have_a_report_without(finished, tmp_path):
    run = finished[1]
    for name in ("manifest.json", "study.yaml", "history.parquet", "detector.yaml"):
        (tmp_path / name).write_bytes((run.folder / name).read_bytes())
    result = {k: v for k, v in run.result.items() if k != "optimum"}
    (tmp_path / "result.json").write_text(json.dumps(result))
    page = write_report(Run(tmp_path)).read_text()
    assert "What the optimum rests on" not in page
    assert re.search(r"<h2>Layout", page)


def test_what_fails_costs_no_run():
    def broken():
        raise RuntimeError("Maximum number of iterations reached.")

    assert optimum.unless_it_fails(broken) == {}
    assert optimum.unless_it_fails(lambda: None) == {}
    assert optimum.unless_it_fails(lambda: {"residual": 0.0}) == {"optimum": {"residual": 0.0}}


def test_the_way_is_written(finished):
    """From the initial design to the final one, better in each frame, never more than the report can show."""
    run = finished[1]
    frames = run.path["frames"]
    assert 3 <= len(frames) <= 40
    losses = [f["loss"] for f in frames]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(min(x for x in run.history["best"].to_pylist() if not math.isnan(x)))
    assert [f["step"] for f in frames] == sorted(f["step"] for f in frames)
    initial = {row["name"]: row for row in run.result["layouts"]["initial"]}
    if losses[0] == 0.0:  # the initial design itself
        assert all(row == initial[row["name"]] for row in frames[0]["changed"])
    assert (run.folder / "figures" / "animation.gif").stat().st_size < 1_000_000
