"""A published-style toy tracker with four objectives, written down independently in NumPy (metres, MCHF)."""

import numpy as np
import pytest

from detopt.backend import jax
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer
from detopt.detector.surfaces import as_arrays
from detopt.scoring.evaluate import Evaluator
from detopt.scoring.terms import Cost, Resolution
from detopt.simulation.physics import Physics
from detopt.simulation.source import Gun

FIELD, R_PIPE, X_PIPE = 3.8, 0.022, 0.003


def decode(z):
    """z: (18,) in [0, 1] -> radii (m), hit resolutions (m), material (x/X0) of six layers."""
    n, low, high, gap = 6, 0.03, 1.1, 0.01
    u, s, m = z[:n], z[n : 2 * n], z[2 * n :]
    order = 1 - np.cumprod((1 - u * (1 - 1e-9)) ** (1 / np.arange(n, 0, -1)))
    radius = low + gap * np.arange(n) + (high - low - gap * (n - 1)) * order
    sigma = 5e-6 * 12**s
    floor = 0.002 + 0.004 * (10e-6 / sigma) ** 2
    return radius, sigma, floor + (0.03 - floor) * m**2


def covariance(radius, sigma, x, p):
    """Covariance of (d0, phi, curvature): parabola, full scattering covariance, beta = 1."""
    r, thickness = np.append(R_PIPE, radius), np.append(X_PIPE, x)
    theta = 13.6e-3 / p * np.sqrt(thickness) * (1 + 0.038 * np.log(thickness))
    lever = np.maximum(radius[:, None] - r[None, :], 0) * theta[None, :]
    a = np.stack([np.ones_like(radius), radius, radius**2 / 2], 1)
    return np.linalg.inv(a.T @ np.linalg.inv(np.diag(sigma**2) + lever @ lever.T) @ a)


def reference(z):
    radius, sigma, x = decode(z)
    low, high = covariance(radius, sigma, x, 1.0), covariance(radius, sigma, x, 100.0)
    area = 2 * np.pi * radius * 2 * (0.25 + 0.9 * radius)
    money = np.sum(0.20 * area + 1e-9 * area / (12 * sigma**2) + 0.05 * area * 0.01 / x) + 0.3 * len(radius)
    k = 0.299792458 * FIELD
    return np.array([np.sqrt(low[2, 2]) / k, np.sqrt(high[2, 2]) * 100 / k, np.sqrt(low[0, 0]), money])


def tracker(z) -> Detector:
    radius, sigma, x = decode(z)
    pipe = BarrelLayer(name="pipe", radius=1e3 * R_PIPE, half_length=1e4, x_over_X0=X_PIPE)
    layers = (
        BarrelLayer(
            name=f"L{i}",
            radius=1e3 * r,
            half_length=1e3 * (0.25 + 0.9 * r),
            x_over_X0=t,
            pitch=(1e3 * s * 12**0.5,) * 2,
        )
        for i, (r, s, t) in enumerate(zip(radius.tolist(), sigma.tolist(), x.tolist(), strict=True))
    )
    return Detector(name="front", frame="barrel", elements=(pipe, *layers), field=Solenoid(B=FIELD))


PRICES = Prices(sensor_area=0.2e3 / 1e6, channel=1e-9 * 1e3, light_support=0.05e3 / 1e6, layer=0.3e3)
OBJECTIVES = {
    "pt_low": Resolution(of="pt", momentum=1.0),
    "pt_high": Resolution(of="pt", momentum=100.0),
    "d0": Resolution(of="d0", momentum=1.0),
    "cost": Cost(),
}


@pytest.fixture(scope="module")
def score():
    physics = Physics(bending="parabola", velocity="light")
    design = tracker(np.full(18, 0.5))
    evaluate = jax.jit(Evaluator(OBJECTIVES, {}, PRICES, Gun(momentum=(1.0, 100.0)), physics, design))
    scale = np.array([1, 1, 1e-3, 1e-3])  # mm -> m, kEUR -> MCHF
    return lambda z: np.asarray(evaluate(as_arrays(tracker(z))).values) * scale


def test_known_point(score):
    known = [-2.49189395, -1.67767037, -3.74636279, 1.25915764]
    np.testing.assert_allclose(np.log10(score(np.full(18, 0.5))), known, atol=1e-8)


def test_random_points(score):
    for z in np.random.default_rng(0).uniform(size=(20, 18)):
        np.testing.assert_allclose(score(z), reference(z), rtol=1e-6)
