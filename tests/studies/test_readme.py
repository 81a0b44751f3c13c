"""What the README shows is run."""

import re

import pytest

import detopt


@pytest.fixture(scope="module")
def readme(root) -> str:
    return (root / "README.md").read_text()


def test_the_first_study(readme, root, tmp_path):
    text = re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)[1]
    (tmp_path / "first.yaml").write_text(text)
    result = detopt.load(tmp_path / "first.yaml").optimise(out=tmp_path / "run").result
    before, after = (result[k]["objectives"]["d0"]["value"] for k in ("initial", "final"))
    assert after < 0.95 * before
    assert result["final"]["constraints"]["gap"]["value"] <= 0


def test_the_python_lines(readme, root, monkeypatch, capsys):
    code = re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1]
    monkeypatch.chdir(root)
    exec(code.replace("run = study.optimise()", ""), {})
    assert re.match(r"0\.024\d+\n\[\{'p_GeV': 1\.0", capsys.readouterr().out)


def test_the_numbers_of_the_demonstration(readme, root):
    """The figures of `make demo` before; after, `test_its2` holds it to 10 %."""
    score = detopt.load(root / "studies/its2_upgrade.yaml").evaluate()["objectives"]
    assert f"from {1e3 * score['d0']['value']:.1f} um" in readme
    assert f"from {100 * score['pt']['value']:.1f} %" in readme


def test_files_that_are_named_exist(readme, root):
    named = re.findall(r"`((?:tests|studies|detectors)/[\w/.]+\.(?:py|yaml))`", readme) + re.findall(
        r"\]\((\w[\w./]+)\)", readme
    )
    assert named
    assert [n for n in named if not (root / n).exists()] == []
