"""Fronts whose designs are scored by other processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import detopt
from detopt.backend import jax
from detopt.study.cluster import computed
from detopt.study.front_simulator import FrontSimulator

pytest.importorskip("distributed", reason="needs the extra detopt[dask]")


class Processes:
    """A cluster that is this process."""

    def __init__(self):
        self.calls = 0

    def pieces(self, number):
        return min(3, number)

    def map(self, study, what, *columns):
        for row in zip(*columns, strict=True):
            self.calls += 1
            yield computed(study, what, *row)


def test_each_design_is_scored_as_it_would_be_here(folder, front_text):
    (folder / "study.yaml").write_text(front_text)
    study = detopt.load(folder / "study.yaml")
    processes = Processes()
    here, there = FrontSimulator(study), FrontSimulator(study, cluster=processes)
    for mine, other in zip(here.scale, there.scale, strict=True):
        np.testing.assert_array_equal(mine, other)
    key = jax.random.key(1)
    u = here.inside(np.random.default_rng(0).uniform(size=(7, len(study.space))))
    weights = np.random.default_rng(1).normal(size=(7, 2))
    np.testing.assert_array_equal(here.scores(u, key), there.scores(u, key))
    np.testing.assert_array_equal(here.slopes(u, weights, key), there.slopes(u, weights, key))
    assert processes.calls == 9


def pareto(folder, *arguments, out):
    """`detopt pareto` in a process of its own, which may start others."""
    command = [str(Path(sys.executable).parent / "detopt"), "pareto", "study.yaml", "-q", "--out", out, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, env=os.environ)


def table(run):
    rows = detopt.open_run(run).front()
    return {n: rows.column(n).to_pylist() for n in rows.column_names}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_front_is_the_same(folder, front_text):
    (folder / "study.yaml").write_text(front_text)
    for out, arguments in (("here", []), ("there", ["--cluster", "2"])):
        done = pareto(folder, "--evaluations", "200", *arguments, out=out)
        assert done.returncode == 0, done.stderr
    here, there = table(folder / "here"), table(folder / "there")
    assert list(here) == list(there)
    for name in here:
        np.testing.assert_array_equal(here[name], there[name], err_msg=name)
    report = (folder / "there" / "report.html").read_text()
    assert "--cluster 2" in report


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_with_errors_too(tmp_path):
    text = detopt.load("spectrometer_tradeoff").path.read_text()
    text = text.replace("evaluations: 800, points: 50, events: 8192", "evaluations: 200, points: 4, events: 2048")
    (tmp_path / "study.yaml").write_text(text.replace("audit: {events: 100000}", "audit: {events: 8192}"))
    for out, arguments in (("here", []), ("there", ["--cluster", "2"])):
        done = pareto(tmp_path, *arguments, out=out)
        assert done.returncode == 0, done.stderr
    here, there = table(tmp_path / "here"), table(tmp_path / "there")
    for name in here:
        np.testing.assert_array_equal(here[name], there[name], err_msg=name)


def test_classes_of_files_stay_here(tmp_path):
    library = Path(detopt.__file__).parents[1] / "tests" / "plugins"
    (tmp_path / "threshold.py").write_text((library / "threshold.py").read_text())
    text = detopt.load("spectrometer_tradeoff").path.read_text()
    old = next(line for line in text.splitlines() if "name: S6" in line)
    new = "    - {name: S6, type: ./threshold.py:ThresholdPlane, z: 3.2 m, span: 16 cm, threshold: 1}"
    (tmp_path / "study.yaml").write_text(text.replace(old, new))
    done = pareto(tmp_path, "--cluster", "2", out="run")
    assert done.returncode == 2
    assert "parts that are classes of a file" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("where", "says"),
    [("tcp://127.0.0.1:9", "no Dask scheduler answers at tcp://127.0.0.1:9"),
     ("nonsense", "expected the address of a Dask scheduler"),
     ("0", "give the number of processes")],
)  # fmt: skip
def test_one_that_cannot_be_reached(folder, front_text, where, says):
    (folder / "study.yaml").write_text(front_text)
    done = pareto(folder, "--cluster", where, out="run")
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "run").exists()
