"""Resolution without scattering: N equidistant layers measure a parabola (Gluckstern, NIM 24 (1963) 381).

With lever arm L, layers at distances t_i from their middle, and D = L / (N - 1) between two,

    var(kappa) = 720 (N-1)^3 / ((N-2) N (N+1) (N+2)) sigma^2 / L^4,

and the fitted parabola, extrapolated to the distance t from the middle, has by orthogonal polynomials (Drasal and
Riegler, NIM A 910 (2018) 127, in another form)

    var(y(t)) / sigma^2 = 1/N + 12 t^2 / (D^2 N (N^2-1)) + 180 (t^2 - D^2 (N^2-1)/12)^2 / (D^4 N (N^2-1) (N^2-4)).
"""

import numpy as np
import pytest

from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer

from .tracks import covariances

INNER, LENGTH, SIGMA = 50.0, 1000.0, (0.01, 0.1)
B = 1e-3  # so weak that the circle is a parabola to 1e-8


def equidistant(count, field=B):
    layers = tuple(
        BarrelLayer(name=f"L{i}", radius=INNER + LENGTH * i / (count - 1), half_length=1e4, resolution=SIGMA)
        for i in range(count)
    )
    return Detector(name="equidistant", frame="barrel", elements=layers, field=Solenoid(B=field))


@pytest.mark.parametrize("N", [3, 5, 12, 20])
def test_curvature(N):
    covariance = covariances(equidistant(N), 1.0, [90.0, 40.0])
    expected = 720 * (N - 1) ** 3 / ((N - 2) * N * (N + 1) * (N + 2)) * SIGMA[0] ** 2 / LENGTH**4
    np.testing.assert_allclose(covariance[:, 2, 2], expected, rtol=1e-7)


@pytest.mark.parametrize("N", [3, 5, 12, 20])
def test_impact_parameters(N):
    covariance = covariances(equidistant(N), 1.0, 90.0)[0]
    t, D = INNER + LENGTH / 2, LENGTH / (N - 1)
    line = 1 / N + 12 * t**2 / (D**2 * N * (N**2 - 1))
    bend = 180 * (t**2 - D**2 * (N**2 - 1) / 12) ** 2 / (D**4 * N * (N**2 - 1) * (N**2 - 4))
    np.testing.assert_allclose(covariance[0, 0], (line + bend) * SIGMA[0] ** 2, rtol=1e-7)
    np.testing.assert_allclose(covariance[3, 3], line * SIGMA[1] ** 2, rtol=1e-7)
    np.testing.assert_allclose(covariance[4, 4], 12 * SIGMA[1] ** 2 / (D**2 * N * (N**2 - 1)), rtol=1e-7)


def test_transverse_momentum_is_measured_worse_in_proportion_to_itself():
    momenta = np.array([100.0, 200.0, 1000.0])
    covariance = covariances(equidistant(12, field=2.0), momenta, 90.0)
    relative = np.sqrt(covariance[:, 2, 2]) / (0.299792458e-3 * 2.0 / momenta)
    np.testing.assert_allclose(relative / momenta, relative[0] / momenta[0], rtol=1e-3)  # the circle at 100 GeV


def test_quarter_half_quarter_is_the_best():
    """N var(kappa) L^4 / sigma^2 = 256 with a quarter of the layers at each end and half in the middle."""
    N = 12
    radii = [INNER] * 3 + [INNER + LENGTH / 2] * 6 + [INNER + LENGTH] * 3

    def scaled(positions):
        layers = tuple(
            BarrelLayer(name=f"L{i}", radius=r, half_length=1e4, resolution=SIGMA) for i, r in enumerate(positions)
        )
        detector = Detector(name="clusters", frame="barrel", elements=layers, field=Solenoid(B=B))
        return N * covariances(detector, 1.0, 90.0)[0, 2, 2] * LENGTH**4 / SIGMA[0] ** 2

    assert scaled(radii) == pytest.approx(256, rel=1e-6)
    assert scaled(np.linspace(INNER, INNER + LENGTH, N)) == pytest.approx(526.5, rel=1e-4)
    for i, shift in [(0, 20.0), (2, 20.0), (4, 20.0), (7, -20.0), (11, -20.0)]:
        moved = list(radii)
        moved[i] += shift
        assert scaled(moved) > 256
