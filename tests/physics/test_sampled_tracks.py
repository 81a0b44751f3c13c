"""Simulated and fitted muons in two real trackers: residuals, pulls and chi2, in float32, against the expected tracks.

Tolerances are 3 %; 16 384 muons tell a width to 0.55 % and chi2 per degree of freedom to less.
"""

import math
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays
from detopt.events import Deviation, Particles
from detopt.reconstruction.reconstruct import reconstruct
from detopt.simulation.generate import generate
from detopt.simulation.physics import Physics
from detopt.simulation.simulate import simulate
from detopt.simulation.source import Decay

MUONS, WITHIN = 16_384, 0.03
compiled = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
PHYSICS = Physics(tails=False)
CASES = [
    ("its2_like", 1.0, 90.0), ("its2_like", 50.0, 90.0), ("its2_like", 1.0, 40.0), ("its2_like", 50.0, 40.0),
    ("fccee_cld", 1.0, 90.0), ("fccee_cld", 50.0, 90.0), ("fccee_cld", 1.0, 65.0), ("fccee_cld", 50.0, 65.0),
]  # fmt: skip
DECAY = Decay(
    hadron="B0", hadron_momentum=(10.0, 40.0), momentum=(1.0, 10.0), theta=(1.0, 2.1), within=18.0, displaced=(1.0, 1.0)
)


@cache
def tracker(name, folder):
    """A detector of floats. Both have the same elements, so that they share what is compiled."""
    large = detopt.load(folder / "fccee_cld.yaml")
    if name == "fccee_cld":
        return large
    small = detopt.load(folder / f"{name}.yaml")
    places = dict(
        zip(
            ("pipe", "VTX1", "VTX2", "VTX3", "ITK1", "ITK2", "ITK3", "OTK1", "OTK_support1"),
            small.elements,
            strict=True,
        )
    )

    def moved(layer):
        if layer.name not in places:  # ends before it begins
            return replace(layer, half_length=-1.0, x_over_X0=0.0)
        own = places[layer.name]
        numbers = {"radius": own.radius, "half_length": own.half_length, "x_over_X0": own.x_over_X0}
        return replace(layer, **numbers, **({"resolution": own.hit_resolution} if own.measures else {}))

    assert all(own.measures == large.part(name).measures for name, own in places.items())
    return replace(large, field=small.field, elements=tuple(map(moved, large.elements)))


@compiled
def hits_of(design, particles, key):
    return simulate(design, particles, -1, PHYSICS, key, all_hits=True)


@compiled
def tracks_of(design, particles, hits):
    return reconstruct(design, particles, hits, -1, PHYSICS, 3)


def single(p, degrees):
    """Muons of one momentum and angle."""
    nothing = np.zeros(MUONS, np.float32)
    theta = np.full(MUONS, math.radians(degrees), np.float32)
    return Particles(np.full(MUONS, p, np.float32), theta, Deviation(*(nothing,) * 5), np.zeros(MUONS, bool))


@cache
def fitted(name, p, degrees, folder):
    """Particles, hits and tracks in float32."""
    design, particles = as_arrays(tracker(name, folder), jnp.float32), single(p, degrees)
    hits = hits_of(design, particles, jax.random.key(11))
    return particles, hits, jax.tree.map(np.asarray, tracks_of(design, particles, hits))


def check_pulls(particles, tracks):
    """Widths, and means within 5 of their errors."""
    assert tracks.z_found.all()
    residual = np.stack([f.astype(float) - t for f, t in zip(tracks.fitted, particles.start, strict=True)], 1)
    pulls = residual / np.sqrt(np.diagonal(tracks.covariance, axis1=1, axis2=2))
    width, ratio = np.sqrt(np.mean(pulls**2, 0)), tracks.chi2.sum() / tracks.freedom.sum()
    print("pulls", width.round(4), "chi2/ndf", round(float(ratio), 4))
    assert (np.abs(width - 1) < WITHIN).all()
    assert (np.abs(pulls.mean(0)) < 5 / math.sqrt(MUONS)).all()
    assert abs(ratio - 1) < WITHIN
    return residual


@pytest.mark.parametrize(("name", "p", "degrees"), CASES)
def test_pulls_and_resolutions(name, p, degrees, root):
    particles, hits, tracks = fitted(name, p, degrees, root / "detectors")
    assert all(x.dtype in (np.float32, bool) for x in (*hits, *jax.tree.leaves(tracks)))
    sensors = len(tracker(name, root / "detectors").sensors()) - 2 * (name == "its2_like")
    assert (np.asarray(hits.seen).sum(1) == sensors).all()
    assert (tracks.freedom == 2 * sensors - 5).all()
    residual = check_pulls(particles, tracks)
    # One grid for both detectors: it is compiled once.
    table = tracker(name, root / "detectors").resolution([1.0, 50.0], [math.radians(d) for d in (90.0, 65.0, 40.0)])
    (expected,) = [row for row in table if (row["p_GeV"], row["theta_deg"]) == (p, degrees)]
    kappa = 0.299792458e-3 * tracker(name, root / "detectors").field.B / (p * math.sin(math.radians(degrees)))
    widths = np.sqrt(np.mean(residual**2, 0))
    found = {"sigma_d0_um": 1e3 * widths[0], "sigma_pt_over_pt": widths[2] / kappa, "sigma_z0_um": 1e3 * widths[3]}
    ratios = {key: float(value / expected[key]) for key, value in found.items()}
    print("against expected", {key: round(r, 4) for key, r in ratios.items()})
    assert {key: r for key, r in ratios.items() if not abs(r - 1) < WITHIN} == {}


def test_pulls_of_displaced_muons(root):
    """Tracks that miss the origin by up to centimetres."""
    design = as_arrays(tracker("its2_like", root / "detectors"), jnp.float32)
    made = compiled(lambda key, B: generate(DECAY, key, (MUONS, 1), B, jnp.float32)[0])
    particles = jax.tree.map(lambda x: np.asarray(x).ravel(), made(jax.random.key(2), design.field.B))
    assert np.quantile(np.abs(particles.start.d0), 0.99) > 1
    hits = hits_of(design, particles, jax.random.key(12))
    check_pulls(particles, jax.tree.map(np.asarray, tracks_of(design, particles, hits)))


@pytest.mark.parametrize(("name", "p", "degrees"), [c for c in CASES if c[2] == 90.0])
def test_float32_is_enough(name, p, degrees, root):
    """The fit of the same hits in float64, to 1e-3 of the resolution for every single muon."""
    particles, hits, tracks = fitted(name, p, degrees, root / "detectors")

    def double(x):
        return x.astype(np.float64) if x.dtype == np.float32 else x

    design = jax.tree.map(double, as_arrays(tracker(name, root / "detectors"), jnp.float32))
    exact = jax.tree.map(np.asarray, tracks_of(design, *jax.tree.map(double, (particles, hits))))
    sigma = np.sqrt(np.diagonal(exact.covariance, axis1=1, axis2=2))
    apart = np.abs(np.stack(tracks.fitted, 1) - np.stack(exact.fitted, 1)) / sigma
    errors = np.abs(np.sqrt(np.diagonal(tracks.covariance, axis1=1, axis2=2)) / sigma - 1)
    print(f"{name} {p} GeV: parameters {apart.max():.1e}, errors {errors.max():.1e} of the resolution")
    assert apart.max() < 1e-3
    assert errors.max() < 1e-3
    np.testing.assert_allclose(tracks.chi2, exact.chi2, rtol=1e-3, atol=1e-3)
