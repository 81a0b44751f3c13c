"""The commands, run in this process on a small detector: what they print, what they write, how they refuse."""

import json
import math

import pytest

import detopt
from detopt.cli import app
from detopt.study.library import shipped_files


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


# -- check -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["small.yaml", "study.yaml"])
def test_check(here, cli, file):
    answer = cli("check", "--no-dry-run", file)
    assert answer.code == 0
    assert answer.out.startswith(f"{file}: ok")
    assert ("L2.x_over_X0" in answer.out) == (file == "study.yaml")
    report = json.loads(cli("check", "--json", "--no-dry-run", file).out)
    assert report == {"ok": True, "errors": []}


@pytest.mark.parametrize("path", shipped_files("detectors") + shipped_files("objectives"), ids=lambda p: p.stem)
def test_check_of_what_ships(cli, path):
    assert cli("check", path).code == 0


def test_dry_run(here, cli):
    answer = cli("check", "--json", "study.yaml")
    report = json.loads(answer.out)
    assert (report["ok"], report["errors"]) == (True, [])
    assert [v["name"] for v in report["variables"]] == ["L0.radius", "L1.radius", "L2.x_over_X0"]
    for variable in report["variables"]:
        assert variable["lower"] <= variable["initial"] <= variable["upper"]
        assert variable["estimator"]
    assert report["seconds"] > report["seconds_per_score"] > 0
    assert set(report["score"]) == {"objectives", "constraints", "cost"}
    printed = cli("check", "study.yaml").out
    assert "0.5 % .. 2 %" in printed
    assert "one score takes" in printed


# -- show ------------------------------------------------------------------------------------------------------------------


def test_show(here, cli):
    answer = cli("show", "small.yaml")
    assert answer.code == 0
    assert (here / "small.png").read_bytes().startswith(b"\x89PNG")
    assert all(name in answer.out for name in ("pipe", "L0", "L3", "8.66 x 17.3"))
    assert cli("show", "small.yaml", "--out", "small.svg").code == 0
    assert b"<svg" in (here / "small.svg").read_bytes()


def test_show_a_beamline(here, cli):
    """The second detector of the contract; one that measures little can be shown."""
    (here / "lead_slab.yaml").write_text(
        "schema: 1\nname: lead_slab\nframe: beamline\nelements:\n"
        "  - {name: before, type: plane, z: 0 mm, span: 4 m}\n"
        "  - {name: slab,   type: slab,  z: [10 mm, 110 mm], material: lead}\n"
        "  - {name: after,  type: plane, z: 120 mm, span: 4 m, resolution: 100 um, efficiency: 95 %}\n"
    )
    assert cli("check", "lead_slab.yaml").code == 0
    assert cli("show", "lead_slab.yaml").code == 0
    assert (here / "lead_slab.png").stat().st_size > 1000
    answer = cli("resolution", "lead_slab.yaml")
    assert answer.code == 2
    assert "frame: barrel" in answer.err


@pytest.mark.parametrize("name", ["'a/b'", "''", '"a\\0b"', "'..'", "'.'"])
def test_show_names_that_are_no_file_names(here, cli, small_text, name):
    """The drawing is named after the detector: inside this folder, or refused in words."""
    (here / "odd.yaml").write_text(small_text.replace("name: small\n", f"name: {name}\n"))
    answer = cli("show", "odd.yaml")
    assert answer.code in (0, 2)
    assert "Traceback" not in answer.err
    if answer.code == 2:
        assert answer.err.strip()


# -- resolution ------------------------------------------------------------------------------------------------------------

KEYS = {"p_GeV", "theta_deg", "sigma_pt_over_pt", "sigma_d0_um", "sigma_z0_um"}


def test_resolution(here, cli):
    answer = cli("resolution", "small.yaml", "--json", "--momentum", "1 GeV, 500 MeV/c", "--theta", "90 deg, 1.2 rad")
    rows = json.loads(answer.out)
    assert answer.code == 0
    assert answer.err == ""
    assert [set(row) for row in rows] == [KEYS] * 4
    assert [(r["p_GeV"], r["theta_deg"]) for r in rows] == [
        (1.0, 90.0), (0.5, 90.0), (1.0, pytest.approx(math.degrees(1.2))), (0.5, pytest.approx(math.degrees(1.2))),
    ]  # fmt: skip
    assert all(number(v) and v > 0 for row in rows for v in row.values())
    assert rows == detopt.load("small.yaml").resolution([1.0, 0.5], [math.pi / 2, 1.2])
    table = cli("resolution", "small.yaml", "--momentum", "1 GeV, 500 MeV/c", "--theta", "90 deg, 1.2 rad").out
    assert f"{rows[0]['sigma_d0_um']:.4g}" in table


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ([("field: {type: solenoid, B: 2 T}\n", "")], {"sigma_pt_over_pt"}),
        ([("B: 2 T", "B: 0 T")], {"sigma_pt_over_pt"}),
        (
            [
                (", pitch: {rphi: 30 um, z: 60 um}", ""),
                ("resolution: 5 um", "efficiency: 1"),
                ("resolution: 8 um", "efficiency: 1"),
            ],
            KEYS,
        ),
    ],
    ids=["no field", "dead magnet", "one layer"],
)
def test_what_is_not_measured_is_null(here, cli, small_text, changes, missing):
    for old, new in changes:
        assert old in small_text
        small_text = small_text.replace(old, new)
    (here / "poor.yaml").write_text(small_text)
    answer = cli("resolution", "poor.yaml", "--json", "--momentum", "1 GeV")
    if answer.code == 0:
        (row,) = json.loads(answer.out)
        assert {k for k, v in row.items() if v is None} == missing - {"p_GeV", "theta_deg"}
    else:
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("detopt:")
        assert missing == KEYS


# -- evaluate --------------------------------------------------------------------------------------------------------------


def test_evaluate(here, cli):
    answer = cli("evaluate", "study.yaml", "--json", "--seed", 3)
    score = json.loads(answer.out)
    assert answer.code == 0
    assert set(score) == {"objectives", "constraints", "cost"}
    assert set(score["objectives"]) == {"d0"}
    assert set(score["constraints"]) == {"budget", "gap"}
    for entry in (*score["objectives"].values(), *score["constraints"].values()):
        assert number(entry["value"])
        assert entry["error"] == 0
    assert score["cost"]["total"] == pytest.approx(sum(v for k, v in score["cost"].items() if k != "total"))
    assert score["constraints"]["budget"]["value"] == pytest.approx(score["cost"]["total"] / 250 - 1)
    assert score == detopt.load("study.yaml").evaluate()
    printed = cli("evaluate", "study.yaml").out
    assert "met" in printed
    row = detopt.load("study.yaml").detector.resolution(1.0)[0]
    assert 1e3 * score["objectives"]["d0"]["value"] == pytest.approx(row["sigma_d0_um"], rel=1e-9), "all layers hit"


def test_evaluate_another_detector(here, cli, small_text):
    (here / "other.yaml").write_text(small_text.replace("radius: 20 mm", "radius: 30 mm"))
    assert detopt.load("study.yaml").with_detector("other.yaml").name == "small_study", (
        "over budget, and scored all the same"
    )
    base, other = (
        json.loads(cli("evaluate", "study.yaml", "--json", *more).out) for more in ([], ["--detector", "other.yaml"])
    )
    assert other["objectives"]["d0"]["value"] > 1.1 * base["objectives"]["d0"]["value"]
    answer = cli("evaluate", "study.yaml", "--detector", "absent.yaml")
    assert answer.code == 2
    assert "absent.yaml" in answer.err


# -- new -------------------------------------------------------------------------------------------------------------------


def test_list_of_templates(cli):
    entries = json.loads(cli("new", "--list", "--json").out)
    assert {e["name"] for e in entries} >= {"its2_upgrade", "its2_like", "impact_parameter_1gev"}
    assert all(e["description"] for e in entries)
    printed = cli("new", "--list").out
    assert all(e["name"] in printed for e in entries)


def test_new_study_can_be_checked(here, cli, monkeypatch):
    """The copy is complete: it does not lean on the library."""
    answer = cli("new", "its2_upgrade", "--out", "mine")
    assert answer.code == 0
    files = sorted(str(p.relative_to(here / "mine")) for p in (here / "mine").rglob("*.yaml"))
    assert files == [
        "detectors/its2_like.yaml", "objectives/impact_parameter_1gev.yaml", "objectives/momentum_50gev.yaml", "studies/its2_upgrade.yaml",
    ]  # fmt: skip
    study = detopt.load("mine/studies/its2_upgrade.yaml")
    assert study.detector_path.resolve() == (here / "mine/detectors/its2_like.yaml").resolve()
    assert {p.resolve().parent for p in study.included.values()} == {(here / "mine/objectives").resolve()}
    assert cli("check", "--no-dry-run", "mine/studies/its2_upgrade.yaml").code == 0
    again = cli("new", "its2_upgrade", "--out", "mine")
    assert again.code == 2
    assert "is there already" in again.err


def test_new_detector_and_json(here, cli):
    files = json.loads(cli("new", "its2_like.yaml", "--json").out)["files"]
    assert files == ["detectors/its2_like.yaml"]
    assert cli("check", files[0]).code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["its2_upgrad"], "did you mean 'its2_upgrade'"),
        (["zzz"], "not in the library"),
        (["its2_like", "--out", "small.yaml"], ""),
    ],
)
def test_new_refuses(here, cli, words, message):
    answer = cli("new", *words)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err


# -- runs and report -------------------------------------------------------------------------------------------------------


@pytest.fixture
def unfinished(here):
    run = here / "runs/small_study/2026-01-01T00-00-00"
    run.mkdir(parents=True)
    (run / "manifest.json").write_text(
        json.dumps({"study": "small_study", "seed": 4, "started": "2026-01-01T00:00:00+00:00"})
    )
    return run


def test_runs(unfinished, cli):
    (entry,) = json.loads(cli("runs", "--json").out)
    assert entry == {
        "run": str(unfinished.relative_to(unfinished.parents[2])), "study": "small_study", "seed": 4, "started": "2026-01-01T00:00:00+00:00",
        "finished": False, "seconds": None, "objectives": {},
    }  # fmt: skip
    assert "unfinished" in cli("runs").out


def test_no_runs(here, cli):
    assert cli("runs").code == 0
    assert json.loads(cli("runs", "--json").out) == []


@pytest.mark.parametrize(
    "damage", [("result.json", "{"), ("manifest.json", "{"), ("manifest.json", "[]"), ("result.json", "{}")]
)
def test_one_damaged_run_does_not_hide_the_others(unfinished, cli, damage):
    other = unfinished.parent / "2026-01-02T00-00-00"
    other.mkdir()
    (other / "manifest.json").write_text("{}")
    (other / damage[0]).write_text(damage[1])
    answer = cli("runs", "--json")
    assert answer.code == 0
    assert str(unfinished.name) in answer.out


def test_report_of_what_has_no_result(unfinished, cli):
    for run, message in ((unfinished, "did not get that far"), (unfinished.parent, "no manifest.json")):
        answer = cli("report", run)
        assert answer.code == 2
        assert message in answer.err


# -- options ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "nonsense"),
        (["check"], "Missing argument"),
        (["check", "small.yaml", "--colour"], "--colour"),
        (["resolution", "small.yaml", "--momentum", "3"], "--momentum: needs a unit of energy"),
        (["resolution", "small.yaml", "--momentum", ""], "--momentum"),
        (["resolution", "small.yaml", "--momentum", "1 GeV,"], "--momentum"),
        (["resolution", "small.yaml", "--momentum", "-1 GeV"], "must be > 0"),
        (["resolution", "small.yaml", "--momentum", "1e999 GeV"], "infinite"),
        (["resolution", "small.yaml", "--theta", "180 deg"], "below 180 deg"),
        (["resolution", "small.yaml", "--theta", "0 deg"], "must be > 0"),
        (["resolution", "small.yaml", "--theta", "90 mm"], "needs an angle"),
        (["resolution", "small.yaml", "--mode", "guess"], "--mode"),
        (["show", "small.yaml", "--out", "small.bmp"], "must end in .png"),
        (["show", "small.yaml", "--out", "nowhere/small.png"], "cannot write"),
        (["evaluate", "study.yaml", "--seed", "1.5"], "--seed"),
        (["evaluate", "study.yaml", "--seed", "x"], "--seed"),
        (["evaluate", "study.yaml", "--seed", "-1"], "seed"),
        (["evaluate", "study.yaml", "--seed", "1" + "0" * 30], "seed"),
        (["optimise", "study.yaml", "--seed", "-1", "--out", "run"], "seed"),
        (["optimise", "study.yaml", "--time-limit", "soon"], "--time-limit"),
        (["optimise", "study.yaml", "--out", "."], "not an empty folder"),
        (["optimise", "study.yaml", "--out", "small.yaml"], "not an empty folder"),
    ],
    ids=lambda v: " ".join(v)[:60] if isinstance(v, list) else "",
)
def test_bad_options(here, cli, words, message):
    answer = cli(*words)
    assert answer.code == 2, answer.err
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == "" or words[0] == "show"
    assert not (here / "run").exists()


def test_nothing_to_optimise(here, cli, study_text):
    start, end = study_text.index("variables:"), study_text.index("objectives:")
    (here / "study.yaml").write_text(study_text[:start] + study_text[end:])
    answer = cli("optimise", "study.yaml")
    assert answer.code == 2
    assert "nothing is free" in answer.err
    assert cli("check", "--no-dry-run", "study.yaml").code == 0


def test_every_command_has_help_with_an_example(cli):
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        answer = cli(name, "--help")
        assert answer.code == 0
        assert f"Example: detopt {name}" in answer.out
    assert cli("--version").out == f"detopt {detopt.__version__}\n"
