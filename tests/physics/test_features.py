"""What a head sees is what was measured, and nothing of the truth that the fit was linearised about."""

import math

import numpy as np
import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays
from detopt.inference.features import FEATURES, exposures
from detopt.reconstruction.reconstruct import reconstruct
from detopt.simulation.generate import generate
from detopt.simulation.helix import curvature
from detopt.simulation.physics import Physics
from detopt.simulation.simulate import simulate
from detopt.simulation.source import Decay

MUONS = 4096


@pytest.fixture(scope="module")
def seen(root):
    source = Decay(
        hadron="D+",
        hadron_momentum=(3.0, 15.0),
        momentum=(1.0, 8.0),
        theta=(0.9, 1.2),
        within=18.0,
    )
    design = as_arrays(detopt.load(root / "detectors/its2_like.yaml"), jnp.float32)

    @jax.jit
    def run(key):
        particles, fraction = generate(source, key, (MUONS, 1), design.field.B, jnp.float32)
        particles = jax.tree.map(lambda x: x.reshape(-1), particles)
        hits = simulate(design, particles, -1, Physics(tails=False), key, all_hits=True)
        tracks = reconstruct(design, particles, hits, -1, Physics(tails=False), 4)
        return particles, tracks, exposures(tracks, particles, fraction, jnp.zeros(0, jnp.float32))

    particles, tracks, seen = run(jax.random.key(3))
    columns = dict(zip(FEATURES, np.asarray(seen.features, float)[:, 0].T, strict=True))
    return design, particles, tracks, columns


def test_direction_and_momentum_are_absolute(seen):
    design, particles, tracks, columns = seen
    theta = np.asarray(particles.theta, float)
    sigma = np.sqrt(np.asarray(tracks.covariance, float)[:, 4, 4])
    pulls = (columns["cot theta"] - 1 / np.tan(theta)) / sigma
    assert abs(pulls.std() - 1) < 0.05
    true_kappa = np.abs(np.asarray(curvature(design.field.B, particles.momentum, particles.theta), float))
    measured = np.exp(-columns["log 1/kappa"])
    assert np.median(np.abs(measured / true_kappa - 1)) < 0.05


def test_impact_parameters_do_not_know_their_errors(seen):
    """Given what was measured of a prompt muon's direction, its z0 is no better known than the fit says.

    The error of z0 is correlated with that of cot(theta), but not with the measured cot(theta), which the angle of the muon
    dominates. A reference that leaks would show here as a correlation.
    """
    _, particles, tracks, columns = seen
    prompt = ~np.asarray(particles.displaced)
    error = np.asarray(tracks.fitted.z0, float)[prompt] / np.sqrt(np.asarray(tracks.covariance, float)[prompt, 3, 3])
    true_error = np.asarray(tracks.fitted.cot_theta, float)[prompt]
    limit = 4 / math.sqrt(prompt.sum())
    assert abs(np.corrcoef(error, true_error)[0, 1]) > 0.5
    for name in ("cot theta", "log 1/kappa", "log sigma(z0)", "log sigma(d0)", "log chi2"):
        assert abs(np.corrcoef(error, columns[name][prompt])[0, 1]) < limit, name
