"""Straight tracks without a field: the slope, the vertex, and the impact parameter behind a beam pipe."""

import numpy as np
import pytest

from detopt.detector.detector import Detector
from detopt.detector.elements import BarrelLayer, Disk

from .reference import highland
from .tracks import STRAIGHT, covariances

SIGMA, LENGTH = 0.01, 400.0


def layers(radii):
    """The covariance (d0, phi, z0, cot theta) of a track at 90 degrees through layers that do not scatter."""
    elements = tuple(
        BarrelLayer(name=f"L{i}", radius=r, half_length=1e4, resolution=(SIGMA, SIGMA)) for i, r in enumerate(radii)
    )
    return covariances(Detector(name="line", frame="barrel", elements=elements), 1.0, 90.0, STRAIGHT)[0]


@pytest.mark.parametrize("N", [2, 10, 16])
def test_slope_half_of_the_layers_at_each_end(N):
    covariance = layers([100.0] * (N // 2) + [100.0 + LENGTH] * (N // 2))
    for slope in (1, 3):
        assert covariance[slope, slope] == pytest.approx(4 * SIGMA**2 / (N * LENGTH**2), rel=1e-9)


def test_slope_of_equidistant_layers():
    N = 10
    covariance = layers(np.linspace(100.0, 100.0 + LENGTH, N))
    assert covariance[1, 1] == pytest.approx(3 * (N - 1) / (N + 1) * 4 * SIGMA**2 / (N * LENGTH**2), rel=1e-9)


@pytest.mark.parametrize(
    ("near", "scaled"), [(9, 4.0), (7, 12 * (1.5**2 / 7 + 0.5**2 / 5)), (10, 12 * (1.5**2 / 10 + 0.5**2 / 2))]
)
def test_vertex_at_half_a_length_before_the_first_layer(near, scaled):
    """N var / sigma^2 is (L + 2d)^2 / L^2 = 4 with the fraction (L + d)/(L + 2d) = 3/4 of the layers near: 9 of 12."""
    d = LENGTH / 2
    covariance = layers([d] * near + [d + LENGTH] * (12 - near))
    for vertex in (0, 2):
        assert 12 * covariance[vertex, vertex] / SIGMA**2 == pytest.approx(scaled, rel=1e-9)
        assert 12 * covariance[vertex, vertex] / SIGMA**2 > 4 - 1e-9


def test_vertex_of_equidistant_layers():
    covariance = layers(np.linspace(LENGTH / 2, 1.5 * LENGTH, 12))
    assert 12 * covariance[0, 0] / SIGMA**2 == pytest.approx(1 + 132 / 13, rel=1e-9)  # 11.15


@pytest.mark.parametrize("degrees", [90.0, 50.0, 130.0])
@pytest.mark.parametrize("momentum", [0.5, 5.0])
def test_impact_parameter_of_two_layers_behind_a_pipe(momentum, degrees):
    """A kick at radius r moves the track at the vertex by r times the kick; behind the last hit it does not matter."""
    pipe, first, second = (10.0, 0.004), (25.0, 0.01), (60.0, 0.02)
    rphi, z = 0.005, 0.02
    passive = BarrelLayer(name="pipe", radius=pipe[0], half_length=1e3, x_over_X0=pipe[1])
    sensors = tuple(
        BarrelLayer(name=f"L{r}", radius=r, half_length=1e3, x_over_X0=x, resolution=(rphi, z))
        for r, x in (first, second)
    )
    detector = Detector(name="two_layers", frame="barrel", elements=(*sensors, passive))
    covariance = covariances(detector, momentum, degrees, STRAIGHT)[0]
    sine = np.sin(np.deg2rad(degrees))
    kicks = sum((r * highland(x / sine, momentum)) ** 2 for r, x in (pipe, first))
    lever = (first[0] ** 2 + second[0] ** 2) / (second[0] - first[0]) ** 2
    assert covariance[0, 0] == pytest.approx(lever * rphi**2 + kicks / sine**2, rel=1e-10)
    assert covariance[2, 2] == pytest.approx(lever * z**2 + kicks / sine**4, rel=1e-10)


def test_two_disks():
    """The same with planes: the transverse kick at z moves the track at the vertex by z times the kick."""
    momentum, theta, x_over_X0 = 2.0, np.deg2rad(20.0), 0.01
    near, far = 200.0, 500.0
    disks = tuple(
        Disk(name=f"D{z}", z=z, inner_radius=1.0, outer_radius=1e3, x_over_X0=x_over_X0, resolution=(0.01, 0.02))
        for z in (near, far)
    )
    covariance = covariances(Detector(name="disks", frame="barrel", elements=disks), momentum, 20.0, STRAIGHT)[0]
    kick = highland(x_over_X0 / np.cos(theta), momentum)
    lever = (near**2 + far**2) / (far - near) ** 2
    # d0: the kick out of the plane of the track, times the path in space. r: at constant z, by path / cos(theta).
    assert covariance[0, 0] == pytest.approx(lever * 0.01**2 + (kick * near / np.cos(theta)) ** 2, rel=1e-10)
    r_at_vertex = lever * 0.02**2 + (kick * near / np.cos(theta) ** 2) ** 2
    assert covariance[2, 2] == pytest.approx(r_at_vertex / np.tan(theta) ** 2, rel=1e-10)
