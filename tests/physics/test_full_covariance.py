"""The information filter on closed-form derivatives against least squares with the full matrix on real trajectories."""

import numpy as np
import pytest

from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer, Disk

from .reference import reference
from .tracks import ALL, STRAIGHT, tracks


def layer(name, radius, half_length, x_over_X0, resolution=None):
    return BarrelLayer(name=name, radius=radius, half_length=half_length, x_over_X0=x_over_X0, resolution=resolution)


def disk(name, z, inner_radius, outer_radius, x_over_X0, resolution=None):
    return Disk(
        name=name,
        z=z,
        inner_radius=inner_radius,
        outer_radius=outer_radius,
        x_over_X0=x_over_X0,
        resolution=resolution,
    )


PIPE = layer("pipe", 20.0, 3000.0, 0.003)
PIXELS = tuple(
    layer(f"pixel_{r}", float(r), 3.0 * r, x, (0.005, 0.007)) for r, x in [(23, 0.004), (40, 0.003), (90, 0.01)]
)
STRIPS = tuple(
    layer(f"strip_{r}", float(r), 2.5 * r, 0.012, resolution)
    for r, resolution in [(200, (0.01, 0.1)), (400, (0.02, None)), (640, (0.01, 0.3)), (1000, (0.03, 1.0))]
)
SHELL = layer("shell", 500.0, 3000.0, 0.02)
FORWARD = tuple(disk(f"disk_{z}", float(z), 8.0, 1200.0, 0.01, (0.01, 0.02)) for z in (100, 250, 450, 800, 1300))
WALL = disk("wall", 600.0, 0.0, 2000.0, 0.03)
BACKWARD = tuple(disk(f"back_{z}", -float(z), 8.0, 1200.0, 0.01, (0.01, 0.02)) for z in (100, 250, 450, 800, 1300))

# The element order is shuffled on purpose: order along the track comes from geometry.
BARREL = (STRIPS[3], *PIXELS, SHELL, STRIPS[0], PIPE, STRIPS[2], STRIPS[1])
SYSTEMS = {
    "barrel": (BARREL, (90, 60, 35, 120)),
    "disks": ((FORWARD[4], WALL, *BACKWARD, *FORWARD[:4]), (30, 15, 150)),
    "mixed": ((*FORWARD[:3], *BARREL, *FORWARD[3:]), (45, 25)),
}
MOMENTA = (0.3, 1.0, 10.0, 100.0)


def system(name, B):
    return Detector(name=name, frame="barrel", elements=SYSTEMS[name][0], field=None if B is None else Solenoid(B=B))


def deviation(ours, truth):
    """Largest difference of an element of the covariance, as a share of the two standard deviations it belongs to."""
    sigma = np.sqrt(np.diag(truth))
    return np.max(np.abs(ours - truth) / np.outer(sigma, sigma))


@pytest.mark.parametrize("B", [2.0, -0.7, None])
@pytest.mark.parametrize("name", SYSTEMS)
def test_covariance(name, B):
    detector, degrees = system(name, B), SYSTEMS[name][1]
    momenta, thetas = (grid.ravel() for grid in np.meshgrid(MOMENTA, degrees))
    parameters = STRAIGHT if B is None else ALL
    crossings, covariance = tracks(detector, momenta, thetas, parameters)
    names = np.array([s.name for s in detector.surfaces()])
    worst = {}
    for i, (p, theta) in enumerate(zip(momenta, thetas, strict=True)):
        truth = reference(detector, p, np.deg2rad(theta), parameters)
        order = np.argsort(crossings.path[i])
        order = order[crossings.crossed[i][order]]
        assert tuple(names[order]) == truth.crossed, (p, theta)
        np.testing.assert_allclose(crossings.path[i][order], truth.arc, rtol=1e-9)
        worst[f"{p} GeV at {theta} deg"] = deviation(covariance[i], truth.covariance)
    assert {k: v for k, v in worst.items() if not v < 1e-7} == {}
