"""Resolution when only scattering matters, in a weak field: perfect hits measure the kinks of the track.

The difference of the slopes before and after an inner layer is kappa times half the distance of its neighbours, plus
the kick in the layer. For N + 1 equal layers over a length L this is Drasal and Riegler's limit (NIM A 910 (2018) 127)

    sigma(pT)/pT = N / sqrt((N+1)(N-1)) theta_tot / (0.3 B L / p),    theta_tot^2 = (N+1) theta_0^2.
"""

import numpy as np
import pytest

from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer

from .reference import highland
from .tracks import covariances

B, PERFECT = 1e-3, (1e-5, 1e-5)  # T, mm


def detector(radii, x_over_X0):
    layers = tuple(
        BarrelLayer(name=f"L{i}", radius=r, half_length=1e4, x_over_X0=x, resolution=PERFECT)
        for i, (r, x) in enumerate(zip(radii, x_over_X0, strict=True))
    )
    return Detector(name="perfect_hits", frame="barrel", elements=layers, field=Solenoid(B=B))


def kicks(x_over_X0, momentum, degrees):
    sine = np.sin(np.deg2rad(degrees))
    return np.array([highland(x / sine, momentum) for x in x_over_X0]), sine


@pytest.mark.parametrize("N", [3, 9])
def test_drasal_riegler(N):
    L, inner, x, momentum = 900.0, 30.0, 0.01, 1.0
    covariance = covariances(detector(np.linspace(inner, inner + L, N + 1), [x] * (N + 1)), momentum, 90.0)[0]
    (theta, *_), _ = kicks([x], momentum, 90.0)
    kappa = 0.299792458e-3 * B / momentum
    total = theta * np.sqrt(N + 1)
    assert np.sqrt(covariance[2, 2]) / kappa == pytest.approx(
        N / np.sqrt((N + 1) * (N - 1)) * total / (kappa * L), rel=1e-5
    )
    # d0: the kick in the first layer, and the curvature that it is extrapolated with.
    bend = 1 + (1 + N * inner / L) ** 2 / (4 * (N - 1))
    assert covariance[0, 0] == pytest.approx((inner * theta) ** 2 * bend, rel=1e-5)
    assert covariance[3, 3] == pytest.approx((inner * theta) ** 2, rel=1e-5)


@pytest.mark.parametrize("degrees", [90.0, 60.0, 125.0])
def test_any_layers(degrees):
    radii, x_over_X0 = np.array([20.0, 50.0, 90.0, 240.0, 500.0, 600.0]), [0.003, 0.01, 0.002, 0.03, 0.02, 0.1]
    momentum = 2.0
    covariance = covariances(detector(radii, x_over_X0), momentum, degrees)[0]
    theta, sine = kicks(x_over_X0, momentum, degrees)
    curvature = 1 / np.sum(((radii[2:] - radii[:-2]) / 2 * sine / theta[1:-1]) ** 2)
    np.testing.assert_allclose(covariance[2, 2], curvature, rtol=1e-5)
    d0 = (radii[0] * theta[0] / sine) ** 2 + (radii[0] * radii[1] / 2) ** 2 * curvature
    np.testing.assert_allclose(covariance[0, 0], d0, rtol=1e-5)
    np.testing.assert_allclose(covariance[3, 3], (radii[0] * theta[0] / sine**2) ** 2, rtol=1e-5)


def test_resolution_stops_at_the_scattering_floor():
    """sigma(pT)/pT falls to the limit as hits get better, from above."""
    radii = np.linspace(30.0, 930.0, 10)
    limit = covariances(detector(radii, [0.01] * 10), 1.0, 90.0)[0, 2, 2]
    assert limit > 0
    for sigma in (0.1, 0.01, 0.001):
        coarse = Detector(
            name="coarse",
            frame="barrel",
            elements=tuple(
                BarrelLayer(name=f"L{i}", radius=r, half_length=1e4, x_over_X0=0.01, resolution=(sigma, sigma))
                for i, r in enumerate(radii)
            ),
            field=Solenoid(B=B),
        )
        assert covariances(coarse, 1.0, 90.0)[0, 2, 2] > limit * (1 - 1e-6)
