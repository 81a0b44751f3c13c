"""What the README and the pages of the documentation show is run."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import detopt
from detopt.study.source_option import source_from


@pytest.fixture(scope="module")
def pages(root) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def readme(pages) -> str:
    """All of them, the README first."""
    return "\n".join(page.read_text() for page in pages)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"(?m)^```{language}\n(.*?)^```", text, re.DOTALL)


def test_the_first_study(readme, root, tmp_path):
    text = re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)[1]
    (tmp_path / "first.yaml").write_text(text)
    result = detopt.load(tmp_path / "first.yaml").optimise(out=tmp_path / "run").result
    before, after = (result[k]["objectives"]["d0"]["value"] for k in ("initial", "final"))
    assert after < 0.95 * before
    assert result["final"]["constraints"]["gap"]["value"] <= 0


def test_the_python_lines(readme, root, tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1]
    monkeypatch.chdir(root)
    code = code.replace("run = study.optimise()", "").replace("lead.parquet", f"{tmp_path}/lead.parquet")
    exec(code, {})
    assert (tmp_path / "lead.hits.parquet").is_file()
    assert re.match(r"0\.024\d+\n\[\{'p_GeV': 1\.0", capsys.readouterr().out)


def test_the_simulations(readme, cli, tmp_path, monkeypatch):
    """All of them can be asked for, and the first is run (tests/report simulates every detector of the library)."""
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(c) for c in re.findall(r"^detopt simulate (.*)$", readme, re.MULTILINE)]
    assert len(commands) >= 3
    for detector, *words in commands:
        options = dict(zip(words[::2], words[1::2], strict=True))
        frame = detopt.load(detector).frame
        source_from(options.get("--source", "gun"), frame, options.get("--momentum"), options.get("--exposure"))
    answer = cli("simulate", *commands[0], "--events", 100, "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["rows"]["truth"] == 600


def test_materials_of_ones_own(readme, tmp_path):
    (lines,) = re.findall(r"```yaml\n(materials:\n.*?)```", readme, re.DOTALL)
    layer = "  - {name: a, type: plane, z: 0 mm, span: 1 m, material: %s, thickness: 1 cm}\n"
    body = "schema: 1\nname: own\nframe: beamline\nelements:\n" + layer % "heavy_concrete"
    (tmp_path / "own.yaml").write_text(body + (layer % "spinel").replace("name: a", "name: b") + lines)
    detector = detopt.load(tmp_path / "own.yaml")
    # By mass 0.1709 Mg, 0.3793 Al, 0.4498 O, of which PDG has X0 at 25.03, 24.01 and 34.24 g/cm2.
    expected = 1 / (0.1709 / 25.03 + 0.3793 / 24.01 + 0.4498 / 34.24)
    found = detector.elements[1].material.X0
    assert found == pytest.approx(10 * expected / 3.58, rel=1e-3)


def test_the_numbers_of_the_demonstration(readme, root):
    """The figures of `make demo` before; after, `test_its2` holds it to 10 %."""
    score = detopt.load(root / "studies/its2_upgrade.yaml").evaluate()["objectives"]
    assert f"from {1e3 * score['d0']['value']:.1f} um" in readme
    assert f"from {100 * score['pt']['value']:.1f} %" in readme


def test_files_that_are_named_exist(pages, root):
    for page in pages:
        text = page.read_text()
        named = re.findall(r"(?<![\w/])((?:tests|studies|detectors|objectives)/[\w/.]+\.(?:py|yaml|md))", text)
        linked = [
            link for link in re.findall(r"\]\((\w[\w./-]+|\.\.[\w./-]+)(?:#[\w-]+)?\)", text) if "://" not in link
        ]
        missing = [n for n in named if not (root / n).exists() and n not in OF_THE_READER]
        missing += [n for n in linked if not (page.parent / n).exists()]
        assert missing == [], page


OF_THE_READER = {"detectors/layers.yaml", "detectors/mine.yaml", "studies/mine.yaml"}


def test_what_a_newcomer_does(root, tmp_path, monkeypatch, cli):
    """Getting started, but for the search of the front."""
    text = (root / "docs" / "getting-started.md").read_text()
    monkeypatch.chdir(tmp_path)
    (table,), (study, objectives) = blocks(text, "csv"), blocks(text, "yaml")
    Path("layers.csv").write_text(table)
    Path("study.yaml").write_text(study)
    for line in (line for block in blocks(text, "sh") for line in block.splitlines()):
        words = shlex.split(line)
        if words[0] == "detopt" and words[1] in ("new", "show", "resolution", "check", "optimise"):
            answer = cli(*words[1:])
            assert answer.code == 0, (line, answer.err)
    before, after = (detopt.open_run("runs/first").result[k]["objectives"]["d0"]["value"] for k in ("initial", "final"))
    assert f"{1e3 * before:.2f} um" in text
    assert f"{1e3 * after:.2f} um" in text
    front = re.sub(r"(?m)^objectives:\n(  .*\n)+", objectives, study)
    Path("front.yaml").write_text(front)
    assert list(detopt.load("front.yaml").objectives) == ["d0", "pt", "cost"]


def test_the_scene_files(readme, tmp_path, monkeypatch):
    """Each of the two ways to write one is read."""
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(np\.savez.*?)```", readme, re.DOTALL)
    index = np.array([[[0, 1], [0, 0]]])
    volume = "corner: [-1 m, -1 m, -1 m], size: [2 m, 2 m, 2 m], scene: {type: file, path: cargo.npz}"
    (tmp_path / "cargo.yaml").write_text(
        f"schema: 1\nname: cargo\nframe: portal\nelements:\n  - {{name: load, type: volume, {volume}}}\n"
    )
    for line in code.strip().splitlines():
        exec(line, {"np": np, "X0": np.where(index, 5.612, 304e3), "index": index})
        load = detopt.load("cargo.yaml").part("load")
        assert load.voxels == (1, 2, 2)
        assert load.scene.materials[load.scene.index[0, 0, 1]].density == pytest.approx(11.35, rel=1e-3)


def test_the_measurement(readme, root, tmp_path):
    """Its lines fit into the study that ships."""
    (lines,) = re.findall(r"```yaml\n(source: \{type: resonance.*?)```", readme, re.DOTALL)
    text = (root / "studies/jpsi_peak.yaml").read_text()
    kept = re.sub(r"(?m)^(source|objectives):\n(  .*\n)+", "", text)
    assert kept.count("\n") < text.count("\n") - 10
    (tmp_path / "threshold_plane.py").write_text((root / "studies/threshold_plane.py").read_text())
    (tmp_path / "own.yaml").write_text(kept + lines)
    assert detopt.load(tmp_path / "own.yaml").objectives["rate"].systematics.bump == 0.05
