"""What the README says about speed: `make bench`."""

import time
from pathlib import Path

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.study.evaluate import array_space, make_evaluator
from detopt.study.studies import load_study

DESIGNS = 1000


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
