"""Searches for fronts in processes of their own, which are killed at any moment and go on: the same front, bit for bit."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import detopt
from detopt.runs import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# The command line with small networks, which says when it begins to write what.
SCRIPT = """
import sys
import detopt.report.front as page
from detopt.backend import jax
from detopt.cli import main
from detopt.runs import Run
from detopt.search import emulator
for name, value in {networks!r}.items():
    setattr(emulator, name, value)
def telling(function, name):
    def told(*arguments):
        print(name(arguments), flush=True)
        return function(*arguments)
    return told
Run.write_arrays = telling(Run.write_arrays, lambda a: {{"checkpoint/state.npz": "front"}}.get(a[1], "audit"))
Run.write_table = telling(Run.write_table, lambda a: "publish" if "front" in a else "table")
page.write_front_report = telling(page.write_front_report, lambda a: "report")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
print("start", flush=True)
sys.argv = ["detopt", *sys.argv[1:]]
main()
"""


class Killer:
    """Runs a study to its end over any number of kills."""

    def __init__(self, study: Path, out: Path, networks: dict) -> None:
        self.study, self.out, self.networks = study, out, networks
        self.log: list[str] = []

    def session(self, phase: str = "", count: int = 1, delay: float = 0.0, sign: int = signal.SIGKILL) -> int:
        """Start or go on, until some time after a phase was met for so many times; the return code."""
        if (self.out / "study.yaml").is_file():
            words = ["resume", self.out]
        else:
            shutil.rmtree(self.out, ignore_errors=True)
            words = ["pareto", self.study, "--seed", "3", "--out", self.out]
        command = [sys.executable, "-c", SCRIPT.format(networks=self.networks), *map(str, words), "-q"]
        environment = {**os.environ, "PYTHONPATH": str(Path(detopt.__file__).parents[1])}
        with (
            open(self.out.with_suffix(".err"), "a+") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as child,
        ):
            assert child.stdout is not None
            for line in child.stdout:
                count -= line.strip() == phase
                if count == 0:
                    break
            time.sleep(delay if phase else 0.0)
            if phase:
                child.send_signal(sign)
            child.communicate()
        met = count <= 0 and child.returncode in (-signal.SIGKILL, 130)
        self.log.append(f"{words[0]}: {phase if met else 'finished'} + {delay:.2f} s")
        print(self.log[-1], flush=True)
        return child.returncode

    @property
    def kills(self) -> int:
        """Sessions that were ended from outside."""
        return sum("finished" not in line for line in self.log)


def said(folder):
    """Everything that a run says, but for times."""
    run = Run(folder)
    result = {k: v for k, v in run.front_result.items() if k != "seconds"}
    tables = [(folder / f"{name}.parquet").read_bytes() for name in ("front", "history")]
    return result, tables, run.rounds.drop_columns(["seconds"]).to_pydict()


@pytest.fixture
def study(folder, front_text):
    (folder / "study.yaml").write_text(front_text.replace("evaluations: 400", "evaluations: 300"))
    return folder / "study.yaml"


def test_killed_and_terminated(study, folder, tiny_networks):
    killer = Killer(study, folder / "run", tiny_networks)
    assert killer.session("front", 2, 0.1) == -signal.SIGKILL
    assert killer.session("front", 3, 0.0, signal.SIGTERM) == 130
    assert f"detopt: stopped; continue with: detopt resume {folder / 'run'}\n" in (folder / "run.err").read_text()
    assert killer.session() == 0
    assert Run(folder / "run").complete
    whole = detopt.load(study).pareto(seed=3, out=folder / "whole")
    assert said(folder / "run") == said(whole.folder)


def go_on(killer, phases, seed):
    """Kill once in each of these phases, at random moments, then let it finish."""
    rng = np.random.default_rng(seed)
    for phase in phases:
        wait = {"start": 10.0, "front": 1.0, "audit": 0.5, "publish": 0.05, "report": 3.0}[phase]
        code = killer.session(
            phase, 1 + int(rng.integers(2)) if phase in ("front", "audit") else 1, wait * rng.uniform()
        )
        assert code in (0, -signal.SIGKILL)
    killer.session()
    assert Run(killer.out).complete
    assert not list(killer.out.glob("**/.*.????????"))


def test_kills_of_an_exact_search(study, folder, tiny_networks):
    killer = Killer(study, folder / "run", tiny_networks)
    go_on(killer, ["start", *["front"] * 7, "publish", "publish", "start", "report", "report", "report"], 1)
    whole = Killer(study, folder / "whole", tiny_networks)
    assert whole.session() == 0
    assert said(killer.out) == said(whole.out)
    assert killer.kills >= 12


def test_kills_of_a_sampled_search(tmp_path, tiny_networks):
    text = (detopt.load("spectrometer_tradeoff").path).read_text()
    text = text.replace("evaluations: 800, points: 50, events: 8192", "evaluations: 200, points: 8, events: 2048")
    study = tmp_path / "study.yaml"
    study.write_text(text.replace("audit: {events: 100000}", "audit: {events: 8192}"))
    killer = Killer(study, tmp_path / "run", tiny_networks)
    go_on(killer, ["front", "front", "front", *["audit"] * 4, "publish", "report"], 2)
    whole = Killer(study, tmp_path / "whole", tiny_networks)
    assert whole.session() == 0
    assert said(killer.out) == said(whole.out)
    assert killer.kills >= 8
