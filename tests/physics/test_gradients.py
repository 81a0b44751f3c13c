"""Gradients of the logarithm of the resolutions by every number of a detector, against central differences.

The differences are of fourth order (steps h and 2h). A gradient may differ by 1e-6 of the difference, or of
0.02 / range where the difference is small; the range of a number is its own size.
"""

from functools import partial

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer, Disk
from detopt.detector.surfaces import as_arrays, surfaces
from detopt.materials import material
from detopt.parameters import put
from detopt.simulation.helix import curvature

from .tracks import ALL, STRAIGHT, track


def barrel(i, radius, **more):
    more.setdefault("resolution", (0.01, 0.05))
    return BarrelLayer(name=f"L{i}", radius=radius, half_length=2000.0, x_over_X0=0.008, **more)


DETECTOR = as_arrays(
    Detector(
        name="seven_layers_and_disks",
        frame="barrel",
        elements=(
            Disk(name="D1", z=700.0, inner_radius=30.0, outer_radius=900.0, x_over_X0=0.01, resolution=(0.02, 0.03)),
            BarrelLayer(name="L0", radius=25.0, half_length=2000.0, x_over_X0=0.004, pitch=(0.025, 0.05)),
            BarrelLayer(name="pipe", radius=20.0, half_length=2000.0, material=material("beryllium"), thickness=0.8),
            barrel(1, 40.0, pitch=(0.02, None), resolution_per_pitch=(0.2, 0.3), resolution=None),
            barrel(2, 60.0, resolution=(0.005, 0.005)),
            barrel(3, 200.0),
            barrel(4, 320.0, resolution=(0.02, None)),
            barrel(5, 500.0),
            barrel(6, 800.0),
            Disk(
                name="D2",
                z=1200.0,
                inner_radius=30.0,
                outer_radius=900.0,
                material=material("silicon"),
                thickness=1.0,
                resolution=(0.02, 0.03),
            ),
        ),
        field=Solenoid(B=2.0),
    )
)
LEAVES, TREE = jax.tree_util.tree_flatten_with_path(DETECTOR)


def name_of(path):
    """ "L0.pitch[1]" or "field.B"."""
    keys = path[2:] if path[0].name == "elements" else path[1:]
    part = DETECTOR.elements[path[1].idx].name if path[0].name == "elements" else "field"
    return part + jax.tree_util.keystr(keys)


NAMES = [name_of(path) for path, _ in LEAVES]


def log_resolutions(numbers, momentum, theta, parameters):
    """log sigma of pT (or phi, without a field), d0 and z0."""
    detector = jax.tree.unflatten(TREE, list(numbers))
    _, covariance = track(surfaces(detector), detector.field.B, momentum, theta, parameters)
    sigma = jnp.log(jnp.diagonal(covariance)) / 2
    if 2 not in parameters:
        return sigma[jnp.array([0, 1, 2])]
    return jnp.stack([sigma[2] - jnp.log(jnp.abs(curvature(detector.field.B, momentum, theta))), sigma[0], sigma[3]])


# Compiling takes longer than running: without LLVM's optimisation it takes two thirds.
compiled = partial(jax.jit, static_argnums=3, compiler_options={"xla_backend_optimization_level": 0})


@compiled
def values(numbers, momentum, theta, parameters):
    return jax.vmap(lambda x: log_resolutions(x, momentum, theta, parameters))(numbers)


@compiled
def gradients(numbers, momentum, theta, parameters):
    return jax.jacrev(log_resolutions)(numbers, momentum, theta, parameters)


def differences(numbers, steps, momentum, theta, parameters):
    """(3, n) central differences, all in one batch; 0 where the step is 0."""
    moves = np.concatenate([k * np.diag(steps) for k in (-2, -1, 1, 2)])
    low2, low, high, high2 = np.asarray(values(numbers + moves, momentum, theta, parameters)).reshape(4, len(steps), 3)
    return (8 * (high - low) - (high2 - low2)).T / np.where(steps == 0, 1, 12 * steps)


def check(numbers, momentum, degrees, parameters, step, skip=()):
    """Compare at one point; returns the largest deviation as a share of what is allowed."""
    numbers, momentum, theta = np.asarray(numbers, float), np.float64(momentum), np.float64(np.deg2rad(degrees))
    sizes = np.where(numbers == 0, 1.0, np.abs(numbers))
    skipped = np.array([any(s in name for s in skip) for name in NAMES])
    exact = np.asarray(gradients(numbers, momentum, theta, parameters))
    assert np.isfinite(exact).all(), [n for n, g in zip(NAMES, exact.T, strict=True) if not np.isfinite(g).all()]
    truth = differences(numbers, np.where(skipped, 0, step * sizes), momentum, theta, parameters)
    allowed = 1e-6 * np.maximum(np.abs(truth), 0.02 / sizes)
    share = np.where(skipped, 0, np.abs(exact - truth) / allowed)
    bad = {NAMES[i]: (s, exact[s, i], truth[s, i]) for s, i in np.argwhere(~(share < 1))}
    print(f"largest deviation {1e-6 * share.max():.1e} ({NAMES[share.max(0).argmax()]})")
    assert bad == {}
    return exact


def numbers(**changes):
    detector = DETECTOR
    for name, value in changes.items():
        detector = put(detector, name.replace("__", "."), jnp.float64(value))
    return [float(leaf) for leaf in jax.tree.leaves(detector)]


def border(radius):
    """The momentum at which a track at 90 degrees turns by 0.1 rad on its way to a radius."""
    return 0.299792458e-3 * 2.0 * radius / (2 * np.sin(0.05))


# changes, momentum in GeV, polar angle in degrees
POINTS = {
    "barrel": ({}, 1.0, 75.0),
    "exactly 90 degrees": ({}, 1.0, 90.0),
    "disks": ({}, 5.0, 30.0),
    "backward": ({}, 3.0, 100.0),
    "curls before the last layer": ({}, 0.2, 80.0),
    "negative field": ({"field__B": -1.0}, 1.0, 75.0),
    "nearly no field": ({"field__B": 1e-6}, 1.0, 75.0),
    "hardly curved": ({}, 1e4, 75.0),
    "border of the power series": ({}, border(500.0), 90.0),
    "border of the power series, half the angle": ({}, border(500.0) / 2, 90.0),
}


@pytest.mark.parametrize("point", POINTS)
def test_resolutions(point):
    changes, momentum, degrees = POINTS[point]
    check(numbers(**changes), momentum, degrees, ALL, 4e-3 if "curls" in point else 1e-3)


def test_zero_thickness():
    """The width is 0 at 0, and below: the slope on the right of it is finite only as a floor, so it is not compared."""
    changes = {"L2__x_over_X0": 0.0, "pipe__thickness": 0.0, "D2__thickness": 0.0}
    check(numbers(**changes), 1.0, 75.0, ALL, 1e-3, skip=["L2.x_over_X0", "pipe.thickness", "D2.thickness"])


def test_two_layers_at_one_radius():
    """The score has a kink where one layer passes the other: the gradient by their radii is a slope of one side."""
    tied = ["L3.radius", "L4.radius"]
    place = np.asarray(numbers(L3__radius=320.0))
    exact = check(place, 1.0, 75.0, ALL, 1e-3, skip=tied)
    for name in tied:
        slopes = []
        for h in (0.3, -0.3):
            moved = np.tile(place, (4 * len(place), 1))  # of the one shape that is compiled
            moved[:5, NAMES.index(name)] += h * np.arange(5)
            f = values(moved, np.float64(1.0), np.deg2rad(75.0), ALL)[:5]
            slopes.append(np.array([-25, 48, -36, 16, -3]) / (12 * h) @ np.asarray(f))
        low, high = np.sort(slopes, axis=0)
        tolerance = 1e-6 * np.maximum(np.abs(low), 0.02 / 320.0)
        seen = exact[:, NAMES.index(name)]
        assert (seen > low - tolerance).all(), (name, seen, low, high)
        assert (seen < high + tolerance).all(), (name, seen, low, high)


def test_a_track_that_grazes_the_end_of_a_layer():
    """Inside by 5 mm the end is not seen; at the very edge the gradient is finite; outside there is no layer."""
    theta = np.deg2rad(40.0)
    kappa = 0.299792458e-3 * 2.0 / np.sin(theta)
    edge = 2 * np.arcsin(kappa * 500.0 / 2) / kappa / np.tan(theta)
    inside = check(numbers(L5__half_length=edge + 5.0), 1.0, 40.0, ALL, 1e-3)
    for ends in (edge, np.nextafter(edge, 0), np.nextafter(edge, 1e9), edge - 5.0):
        at_edge = gradients(np.asarray(numbers(L5__half_length=ends)), np.float64(1.0), theta, ALL)
        assert np.isfinite(at_edge).all()
    assert (np.asarray(at_edge)[:, NAMES.index("L5.radius")] == 0).all()
    assert (inside[:, NAMES.index("L5.radius")] != 0).all()


@pytest.mark.parametrize("degrees", [90.0, 60.0])
def test_without_curvature(degrees):
    """B = 0 and a track that is known to be straight: its resolutions do not depend on the field to first order."""
    exact = check(numbers(field__B=0.0), 1.0, degrees, STRAIGHT, 1e-3)
    assert np.abs(exact[:, NAMES.index("field.B")]).max() < 1e-9
