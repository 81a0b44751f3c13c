"""The lessons run as they stand, as scripts and as notebooks."""

import os
import runpy
import sys
from pathlib import Path

import jupytext
import nbformat
import notebooks  # beside the lessons
import pytest
from nbclient import NotebookClient

from detopt.report.style import Drawing

LONG = ("02", "04", "06")  # to compile
NAMES = [path.name for path in notebooks.LESSONS]


def some_slow(names):
    """Those that take long are slow."""
    return [pytest.param(name, marks=pytest.mark.slow if name.startswith(LONG) else ()) for name in names]


def test_there_are_six():
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04", "05", "06"]


@pytest.mark.parametrize("lesson", some_slow(NAMES))
def test_lesson(lesson, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [lesson, "--quick", "--out", str(tmp_path)])
    told = runpy.run_path(str(notebooks.HERE / lesson), run_name="__main__")
    assert "nan" not in capsys.readouterr().out.replace("inan", "")
    assert 2 <= len(list(tmp_path.glob("*.png"))) <= 6
    assert isinstance(told["figure"], Drawing)


@pytest.mark.parametrize("lesson", NAMES)
def test_text(lesson):
    """All end in the same way."""
    text = (notebooks.HERE / lesson).read_text()
    places = [text.index(f"# {words}") for words in ("## What to remember", "## Exercises", "Solutions")]
    assert places == sorted(places)
    assert lesson in (notebooks.HERE / "README.md").read_text()


def test_notebooks_are_written(tmp_path):
    """Cell by cell, and nothing is lost on the way back."""
    written = notebooks.write(tmp_path)
    assert [path.stem + ".py" for path in written] == NAMES
    for path, lesson in zip(written, notebooks.LESSONS, strict=True):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        back = jupytext.writes(notebook, fmt="py:percent")
        assert back[back.index("# %%") :].strip() == lesson.read_text().strip()


@pytest.mark.slow
@pytest.mark.parametrize("lesson", NAMES)
def test_notebook_runs(lesson, tmp_path, monkeypatch):
    monkeypatch.setenv("LESSON_QUICK", "1")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(notebooks.HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    )
    (path,) = notebooks.write(tmp_path, [notebooks.HERE / lesson])
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    assert Path(tmp_path / "runs" / "lessons" / path.stem).is_dir()
