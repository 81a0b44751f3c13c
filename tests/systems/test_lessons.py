"""The lessons run as they stand."""

import runpy
import sys
from pathlib import Path

import pytest

TEACHING = Path(__file__).resolve().parents[2] / "studies" / "teaching"


LONG = ("06_efficiency_or_precision.py",)  # to compile


@pytest.mark.parametrize(
    "lesson",
    [
        pytest.param(path.name, marks=pytest.mark.slow if path.name in LONG else ())
        for path in sorted(TEACHING.glob("[0-9]*.py"))
    ],
)
def test_lesson(lesson, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [lesson, "--quick", "--out", str(tmp_path)])
    told = runpy.run_path(str(TEACHING / lesson), run_name="__main__")
    assert "nan" not in capsys.readouterr().out.replace("inan", "")
    assert list(tmp_path.glob("*.png"))
    assert told
