"""The page of a front: what it holds."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import detopt
from detopt.study.points import point_yaml

from .front_run import front_run, tracker_study


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front")
    return front_run(tracker_study(folder, "</script><script>alert(1)</script> &"), 12, folder / "run")


@pytest.fixture(scope="module")
def page(run) -> str:
    return detopt.explore(run.folder).read_text()


def known(page: str) -> dict[str, Any]:
    return json.loads(re.search(r'<script type="application/json" id="known">(.*?)</script>', page, re.DOTALL).group(1))


def lines(design: dict[str, Any], base: list[str]) -> list[str]:
    file = design["file"]
    return file if isinstance(file, list) else [file.get(str(i), line) for i, line in enumerate(base)]


def test_holds_every_design(run, page):
    data, front = known(page), run.front()
    assert len(data["designs"]) == 12
    assert data["designs"][3]["values"][0] == pytest.approx(front.column("d0")[3].as_py() * 1e3, rel=1e-6)  # um
    assert data["designs"][3]["words"][3].endswith("kEUR")
    assert data["initial"]["variables"][0] == 23.2
    assert data["knee"] == 4
    assert data["designs"][4]["name"] == "point 4, the knee"
    assert len(data["cloud"][0]) == 36


def test_yaml_is_that_of_the_point(run, page):
    data = known(page)
    base = data["initial"]["file"]
    for i in (0, 11):
        written = lines(data["designs"][i], base)
        assert written[1:] == point_yaml(f"{run.folder}:{i}", run.folder).split("\n")[1:]  # but for the first comment
    assert detopt.load("its2_like").elements[1].radius == 23.2


def test_layout_and_curves(run, page):
    data = known(page)
    third = data["designs"][2]
    rows = {row["name"]: row for row in (data["rows"][i] for i in third["layout"])}
    assert rows["L3"]["position"] == pytest.approx(run.front().column("L3.radius")[2].as_py(), rel=1e-6)
    momenta, d0 = third["curves"][:2]
    assert momenta[0] == 0.2
    assert d0[0] > d0[-1] > 0


def test_nothing_from_yaml_is_markup(page):
    assert "alert(1)</script>" not in page
    assert page.count("</script>") == 3
    assert known(page)["description"] == "</script><script>alert(1)</script> &"


def test_command(run, cli, tmp_path):
    answer = cli("explore", run.folder, "--out", tmp_path / "page.html")
    assert answer.code == 0
    assert answer.out.strip() == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 8e6


@pytest.mark.parametrize(
    ("words", "told"), [(["nowhere"], "not a run folder"), (["{run}", "--out", "no/page.html"], "cannot write")]
)
def test_refusals(run, cli, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    answer = cli("explore", *(word.format(run=run.folder) for word in words))
    assert answer.code in (1, 2)
    assert told in answer.err


def test_one_optimum_has_no_front(cli, tmp_path):
    (tmp_path / "manifest.json").write_text('{"study": "x", "seed": 1, "started": "now"}')
    answer = cli("explore", tmp_path)
    assert "one optimum" in answer.err
    assert "Traceback" not in answer.err


def test_unfinished(cli, tmp_path):
    (tmp_path / "manifest.json").write_text('{"study": "x", "seed": 1, "started": "now", "kind": "front"}')
    assert "missing" in cli("explore", Path(tmp_path)).err
