"""What the README says about speed: `make bench`."""

import time
from pathlib import Path

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.elements import Slab
from detopt.detector.stops import stops
from detopt.detector.surfaces import as_arrays
from detopt.materials import material
from detopt.simulation.flight import Muon
from detopt.simulation.matter import dice
from detopt.simulation.physics import Physics
from detopt.simulation.truth import beam_flight
from detopt.study.evaluate import array_space, make_evaluator
from detopt.study.studies import load_study

DESIGNS = 1000
MUONS = 8192


def microseconds(study_file: Path) -> tuple[int, float]:
    """Hit patterns, and the best time of one design inside a vmap of 1 000."""
    study = load_study(study_file)
    evaluate, space = make_evaluator(study), array_space(study)
    score = jax.jit(jax.vmap(lambda u: evaluate(space.place(u), None, None).values))
    u = jnp.asarray(np.random.default_rng(0).uniform(size=(DESIGNS, len(space))))
    assert np.isfinite(np.asarray(score(u))).all()
    times = []
    for _ in range(10):
        started = time.perf_counter()
        jax.block_until_ready(score(u))
        times.append(time.perf_counter() - started)
    return len(evaluate.patterns), 1e6 * min(times) / DESIGNS


@pytest.mark.benchmark
def test_expected_score(root, tmp_path):
    text = (root / "detectors/its2_like.yaml").read_text()
    (tmp_path / "detectors").mkdir()
    (tmp_path / "detectors/its2_like.yaml").write_text(text.replace(", efficiency: 99 %", ""))
    (tmp_path / "study.yaml").write_text((root / "studies/its2_upgrade.yaml").read_text())
    for study, hit_patterns, most in ((tmp_path / "study.yaml", 1, 100), (root / "studies/its2_upgrade.yaml", 64, 500)):
        patterns, time_us = microseconds(study)
        print(f"\nits2_upgrade, 2 momenta, {patterns} hit pattern(s): {time_us:.1f} us a design")
        assert patterns == hit_patterns
        assert time_us < most


def fastest(run, *arguments) -> float:
    """Seconds, the best of five."""
    jax.block_until_ready(run(*arguments))
    times = []
    for _ in range(5):
        started = time.perf_counter()
        jax.block_until_ready(run(*arguments))
        times.append(time.perf_counter() - started)
    return min(times)


@pytest.mark.benchmark
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transport(dtype):
    """Through lead with all effects on: the time is linear in the number of slices."""
    steps, rows = (10, 20, 40, 80), []
    ends = np.tile(np.array([0.0, 0.0, 1.0], dtype), (MUONS, 1))
    muons = Muon(-ends, ends, np.full(MUONS, 10.0, dtype), np.ones(MUONS, bool))
    key = jax.random.key(0)

    @jax.jit
    def fly(design, key):
        legs = beam_flight(stops(design), muons, jnp.ones(MUONS, dtype), Physics(), key)
        return jax.tree.map(lambda x: x[:, -1], legs.after)

    @jax.jit
    def roll(keys):
        return jax.vmap(lambda k: dice(k, MUONS, dtype, Physics(), False))(keys)

    for n in steps:
        lead = Slab(name="lead", material=material("lead"), z=(0.0, 5.0 * n), slices=n)
        design = as_arrays(Detector(name="lead", frame="beamline", elements=(lead,)), dtype)
        rows.append((fastest(fly, design, key), fastest(roll, jax.random.split(key, n))))
    slope, first = np.polyfit(steps, [t for t, _ in rows], 1)
    print(
        f"\n{np.dtype(dtype).name}: {1e9 * slope / MUONS:.0f} ns a muon and step, and {1e9 * first / MUONS:+.0f} ns a muon"
    )
    for n, (total, random) in zip(steps, rows, strict=True):
        print(
            f"{n:4d} steps {1e9 * total / MUONS / n:6.0f} ns a step, {100 * random / total:3.0f} % for random numbers"
        )
    assert rows[-1][0] / steps[-1] < 1.5 * rows[0][0] / steps[0]
