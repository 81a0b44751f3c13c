"""`detopt pareto` and what is done with a front: run folders, points, refusals."""

import json
import math
import shutil

import numpy as np
import pytest

import detopt
from detopt.study.faults import BadInput
from detopt.study.optimise import Infeasible

pytestmark = pytest.mark.usefixtures("small_networks")


@pytest.fixture(scope="module")
def front(tmp_path_factory, small_text, front_text, small_networks):
    """A finished run."""
    folder = tmp_path_factory.mktemp("front")
    (folder / "small.yaml").write_text(small_text)
    (folder / "study.yaml").write_text(front_text)
    run = detopt.load(folder / "study.yaml").pareto(seed=3, out=folder / "run")
    return folder, run


def test_the_run(front):
    _, run = front
    result, rows = run.front_result, run.front()
    names = {"d0", "cost", "d0_error", "cost_error", "p_nondominated", "kkt"}
    assert names | {"L0.radius", "L1.radius", "L2.x_over_X0"} == set(rows.column_names)
    assert 5 <= rows.num_rows == result["points"] <= 20
    d0, cost = (np.asarray(rows.column(n)) for n in ("d0", "cost"))
    assert (np.diff(d0) > 0).all()
    assert (np.diff(cost) < 0).all()  # none is better in both
    assert (np.asarray(rows.column("p_nondominated")) == 1).all()
    assert np.asarray(rows.column("d0_error")).max() == 0
    assert d0.max() < 0.1  # mm: the worst value of interest
    assert np.median(np.asarray(rows.column("kkt"))) < 0.2
    found = result["hypervolume"]
    assert found["low"] == found["value"] == found["high"] > 0
    history = run.history
    assert history.num_rows <= result["evaluations"] <= 400 + 64
    assert np.asarray(run.rounds.column("hypervolume"))[-1] >= found["value"] - 1e-9
    assert (run.folder / "report.html").stat().st_size > 10_000
    # What 1 % less of d0 costs, at every point: more money, as the front itself has it from one end to the other.
    rates = [r for r in run.rates().to_pylist() if r["better"] == "d0"]
    assert [r["point"] for r in rates] == list(range(rows.num_rows))
    mean = np.log(cost[0] / cost[-1]) / np.log(d0[-1] / d0[0])
    assert min(r["rate"] for r in rates) < mean < max(r["rate"] for r in rates)
    assert result["knee"] is None or 0 < result["knee"] < rows.num_rows - 1
    assert {p.name for p in (run.folder / "figures").glob("*.png")} == {"front.png", "variables.png", "hypervolume.png"}


def test_points_score_as_they_say(front, cli, tmp_path):
    folder, run = front
    row = run.front().slice(2, 1).to_pydict()
    said = json.loads(cli("evaluate", str(folder / "study.yaml"), "--point", f"{run.folder}:2", "--json", "-q").out)
    for name in ("d0", "cost"):
        assert said["objectives"][name]["value"] == pytest.approx(row[name][0], rel=1e-9)
    file = tmp_path / "point.yaml"
    assert cli("point", f"{run.folder}:2", "--out", str(file)).code == 0
    assert detopt.load(file).part("L0").radius == pytest.approx(row["L0.radius"][0], rel=1e-6)
    again = cli("point", f"{run.folder}:2", "--out", str(file))
    assert (again.code, "exists" in again.err) == (2, True)
    for point, says in ((f"{run.folder}:999", "points 0 to"), ("nonsense", "RUN:INDEX"), (f"{folder}:1", "manifest")):
        answer = cli("point", point, "--out", str(tmp_path / "other.yaml"))
        assert answer.code != 0
        assert says in answer.err


def test_json_report_and_list(front, cli):
    folder, run = front
    answer = cli("pareto", str(folder / "study.yaml"), "--seed", "3", "--json", "-q", "--evaluations", "200",
                 "--out", str(folder / "second"))  # fmt: skip
    said = json.loads(answer.out)
    assert set(said) == {"run", "points", "hypervolume", "evaluations", "events", "seconds"}
    assert set(said["hypervolume"]) == {"value", "low", "high"}
    assert cli("report", str(run.folder)).code == 0
    listed = cli("runs", str(folder))
    assert f"a front of {run.front_result['points']} points" in listed.out


def test_same_seed_same_front(front):
    folder, run = front
    again = detopt.load(folder / "study.yaml").pareto(seed=3, out=folder / "again")
    assert again.front().equals(run.front())


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  cost: {type: cost}\n", "", "a front needs two objectives or more, got 1"),
        ("constraints:\n", "constraints:\n  fine: {type: resolution, of: pt, max: 3 %}\n", "worst value of interest"),
        ("type: pareto,", "type: pareto, algorithm: nsga2, gradients: always,", "nsga2 takes no gradients"),
    ],
)
def test_refused(folder, front_text, old, new, says):
    assert old in front_text
    (folder / "study.yaml").write_text(front_text.replace(old, new))
    with pytest.raises(BadInput) as refused:
        detopt.load(folder / "study.yaml").pareto(out=folder / "run")
    assert says in str(refused.value.faults[0])
    assert not (folder / "run").exists()


def test_no_design_is_good_enough(folder, front_text):
    (folder / "study.yaml").write_text(front_text.replace("worst: 100 um", "worst: 1 um"))
    with pytest.raises(Infeasible, match="worst values of interest in all of d0, cost"):
        detopt.load(folder / "study.yaml").pareto(out=folder / "run")


def test_what_does_not_conflict_is_one_point(folder, front_text, cli):
    text = front_text.replace("  cost: {type: cost}\n", "  again: {type: resolution, of: d0, momentum: 1 GeV}\n")
    (folder / "study.yaml").write_text(text)
    answer = cli("pareto", str(folder / "study.yaml"), "-q", "--evaluations", "200", "--out", str(folder / "run"))
    assert answer.code == 0
    assert "The front is one point" in answer.out


def test_with_errors(tmp_path):
    """A sampled front: points are scored again, have errors, and may or may not be on the front."""
    text = (detopt.load("spectrometer_tradeoff").path).read_text()
    text = text.replace("evaluations: 800, points: 50, events: 8192", "evaluations: 200, points: 8, events: 2048")
    (tmp_path / "study.yaml").write_text(text.replace("audit: {events: 100000}", "audit: {events: 8192}"))
    run = detopt.load(tmp_path / "study.yaml").pareto(seed=1, out=tmp_path / "run")
    rows, result = run.front(), run.front_result
    assert 2 <= rows.num_rows <= 8
    assert (np.asarray(rows.column("efficiency_error")) > 0).all()
    chance = np.asarray(rows.column("p_nondominated"))
    assert ((chance > 0) & (chance <= 1)).all()
    found = result["hypervolume"]
    assert found["low"] < found["value"] < found["high"]
    assert all(math.isfinite(v) for v in found.values())
    assert result["events"] == 2048 * result["evaluations"]


def test_compare_points(front, cli):
    _, run = front
    said = json.loads(cli("compare", f"{run.folder}:0", f"{run.folder}:3", "--json").out)
    rows = run.front().to_pylist()
    assert said == detopt.compare(f"{run.folder}:0", f"{run.folder}:3")
    for name in ("d0", "cost"):
        entry = said["objectives"][name]
        assert entry["change"] == rows[3][name] - rows[0][name]
        assert entry["change_error"] == 0
    assert said["variables"]["L0.radius"]["second"] == rows[3]["L0.radius"]
    shown = cli("compare", f"{run.folder}:0", f"{run.folder}:3").out
    assert "the first" in shown  # is better in d0
    assert "the second" in shown  # is cheaper


def test_compare_fronts(front, cli, tmp_path):
    """A front that is worse by a tenth in everything is beaten everywhere; a few points of a front have less of it."""
    _, run = front
    folder = tmp_path / "worse"
    shutil.copytree(run.folder, folder)
    columns = {n: np.asarray(run.front().column(n)) for n in run.front().column_names}
    worse = detopt.open_run(folder)
    worse.write_table({**columns, **{n: 1.1 * columns[n] for n in ("d0", "cost")}}, "front")
    said = json.loads(cli("compare", str(run.folder), str(folder), "--json", "--figure", str(tmp_path / "f.png")).out)
    assert said["first"]["beaten"] == 0
    assert said["second"]["beaten"] == said["second"]["points"] == run.front().num_rows
    assert said["first"]["hypervolume"]["value"] == said["both"] > said["second"]["hypervolume"]["value"]
    assert (tmp_path / "f.png").stat().st_size > 10_000
    shown = cli("compare", str(run.folder), str(folder)).out
    assert "100.0 %" in shown
    answer = cli("compare", str(run.folder), f"{run.folder}:0")
    assert (answer.code, "compare one of its points" in answer.err) == (2, True)
    asked = json.loads((folder / "result.json").read_text())
    asked["objectives"]["d0"]["title"] = "d0 resolution at 2 GeV"
    (folder / "result.json").write_text(json.dumps(asked))
    answer = cli("compare", str(run.folder), str(folder))
    assert (answer.code, "d0 is not the same" in answer.err) == (2, True)
    answer = cli("compare", f"{run.folder}:0", f"{folder}:0", "--figure", "f.txt")
    assert (answer.code, "--figure: f.txt must end in" in answer.err) == (2, True)
    answer = cli("compare", str(run.folder), str(tmp_path / "nowhere"))
    assert (answer.code, "not a run folder" in answer.err) == (2, True)
