"""Fits of tracks in beam lines: against a least squares with the full covariance in NumPy, and against simulated muons."""

from functools import lru_cache

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.elements import Plane, Slab
from detopt.detector.magnets import Dipole
from detopt.detector.stops import stops
from detopt.detector.surfaces import as_arrays
from detopt.materials import material
from detopt.reconstruction.beam_fit import fit_line, linear_track
from detopt.simulation.flight import Muon
from detopt.simulation.physics import Physics
from detopt.simulation.truth import beam_flight

pytestmark = pytest.mark.physics

TURN, MUON = 0.299792458e-3, 0.1056583755
Z = (0.0, 200.0, 400.0, 1600.0, 1800.0, 2000.0)
MAGNET = (500.0, 1500.0)
PHYSICS = Physics(tails=False)
QUICK = {"xla_backend_optimization_level": 0}  # compiling takes longest


def line(z=Z, x_over_X0=0.005, resolution=(0.05, 0.05), B=1.0, magnet=MAGNET, along="y", extra=()):
    """Planes that measure, of one resolution or of one each, and what stands between them."""
    each = resolution if isinstance(resolution, list) else [resolution] * len(z)
    planes = [
        Plane(name=f"p{i}", z=a, span=(1e5, 1e5), x_over_X0=x_over_X0, resolution=r)
        for i, (a, r) in enumerate(zip(z, each, strict=True))
    ]
    field = Dipole(B=B, z=magnet, along=along) if B else None
    return Detector(name="line", frame="beamline", elements=(*planes, *extra), field=field)


def weights(detector, stop_names):
    """1 / resolution^2 by stop; 0 where nothing is measured."""
    weight = np.zeros((len(stop_names), 2))
    for s in detector.sensors():
        weight[stop_names.index(s.name)] = [0.0 if r is None else 1 / r**2 for r in s.resolution]
    return weight


@lru_cache
def _compiled(physics, dtype, bends):
    def run(design, muons, weight, key):
        listed = stops(design)
        # q = +1
        charge = jnp.ones(len(muons.momentum), dtype)
        legs = beam_flight(listed, muons, charge, physics, key)
        start = jax.tree.map(lambda x: x[:, 0], legs.before)
        error = jnp.where(weight > 0, 1 / jnp.sqrt(jnp.where(weight > 0, weight, 1.0)), 0.0)
        noise = jax.random.normal(jax.random.fold_in(key, 1), legs.local.shape, dtype) * error[None]

        def one(muon, charge, measured, crossed):
            track = linear_track(listed, muon, charge, physics, 0, bends)
            seen = jnp.where(crossed[:, None], weight, 0.0)
            return fit_line(listed.order, track, measured - track.local, seen, 2 + bends)

        return jax.vmap(one)(start, charge, legs.local + noise, legs.crossed)

    return jax.jit(run, compiler_options=QUICK)


def fitted(detector, momentum, count, slopes=(0.05, -0.03), bends=True, physics=PHYSICS, dtype=np.float64, seed=0):
    direction = np.array([*slopes, 1.0]) / np.linalg.norm([*slopes, 1.0])
    muons = Muon(
        np.tile(np.array([1.0, 2.0, -1.0], dtype), (count, 1)),
        np.tile(direction.astype(dtype), (count, 1)),
        np.full(count, momentum, dtype),
        np.ones(count, bool),
    )
    design = as_arrays(detector, dtype)
    weight = weights(detector, stops(design).names).astype(dtype)
    return jax.tree.map(np.asarray, _compiled(physics, dtype, bends)(design, muons, weight, jax.random.key(seed)))


# -- a full covariance by hand --------------------------------------------------------------------------------------------


def path(parameters, kicks, z, x_over_X0, B=1.0, magnet=MAGNET, along="y", resolution=None):
    """x and y on planes at z, of a track kicked behind each plane by two angles; and Highland's widths of the kicks."""
    x, y, tx, ty, curvature = parameters
    r, u = np.array([x, y, z[0]]), np.array([tx, ty, 1.0]) / np.sqrt(1 + tx**2 + ty**2)
    bend, sign = (0, -1.0) if along == "y" else (1, 1.0)
    w = sign * TURN * B * curvature
    hits, widths = [], []
    for i, end in enumerate(z):
        for a, b in zip((-1e9, *magnet), (*magnet, 1e9), strict=True):
            begin, stop = max(r[2], a), min(end, b)
            if stop <= begin:
                continue
            if (a, b) != tuple(magnet) or w == 0:
                r = r + u * (stop - begin) / u[2]
                continue
            transverse = np.hypot(u[bend], u[2])
            before = np.arctan2(u[bend], u[2])
            after = np.arcsin(np.sin(before) + w * (stop - begin) / transverse)
            s = (after - before) / w
            r = r + s * u
            # The chord of the circle: -2 sin a sin b over cos - cos, for little rounding.
            half, middle = (after - before) / 2, (after + before) / 2
            r[bend] += transverse * 2 * np.sin(half) * np.sin(middle) / w - s * u[bend]
            r[2] = stop
            u = np.array(u)
            u[bend], u[2] = transverse * np.sin(after), transverse * np.cos(after)
        hits.append(r[:2])
        thickness = x_over_X0 / u[2]
        beta2 = 1 / (1 + (MUON * curvature) ** 2)
        log = 1 + 0.038 * np.log(thickness / beta2) if thickness else 0.0
        widths.append(13.6e-3 * abs(curvature) / beta2**0.5 * np.sqrt(thickness) * log)
        first = np.array([u[2], 0.0, -u[0]]) / np.hypot(u[0], u[2])
        second = np.cross(u, first)
        u = u + kicks[i, 0] * first + kicks[i, 1] * second
        u = u / np.linalg.norm(u)
    return np.array(hits).ravel(), np.array(widths)


def covariance(momentum, k=5, slopes=(0.05, -0.03), z=Z, x_over_X0=0.005, resolution=(0.05, 0.05), **field):
    """(A^T V^-1 A)^-1 with Jacobians by central differences."""
    # Where the track starts, at the first plane.
    at = np.array([1.0 + slopes[0], 2.0 + slopes[1], *slopes, 1 / momentum])
    none, n = np.zeros((len(z), 2)), len(z)

    def slope(f, size, step):
        return np.stack([(f(h) - f(-h)) / (2 * h.sum()) for h in np.eye(size) * np.reshape(step, (-1, 1))], -1)

    A = slope(lambda h: path(at + h, none, z, x_over_X0, **field)[0], 5, [1e-2, 1e-2, 1e-5, 1e-5, 1e-4 / momentum])
    K = slope(lambda h: path(at, h.reshape(n, 2), z, x_over_X0, **field)[0], 2 * n, np.full(2 * n, 1e-5))
    width = np.repeat(path(at, none, z, x_over_X0, **field)[1], 2)
    each = resolution if isinstance(resolution, list) else [resolution] * n
    errors = np.array([[np.nan if r is None else r for r in pair] for pair in each]).ravel()
    seen = ~np.isnan(errors)
    V = (np.diag(errors**2) + (K * width**2) @ K.T)[seen][:, seen]
    A = A[seen][:, :k]
    return np.linalg.inv(A.T @ np.linalg.solve(V, A))


def distance(found, truth):
    """The largest difference of two covariances, in units of both errors."""
    sigma = np.sqrt(np.diag(truth))
    return np.abs((found - truth) / sigma / sigma[:, None]).max()


MIXED = [(0.05, None), (None, 0.05)] * 6
MANY = tuple(np.linspace(0.0, 2000.0, 12).tolist())
SYSTEMS = {
    "spectrometer": {},
    "bends in y": {"along": "x", "B": -1.5},
    "one axis each": {"z": MANY, "resolution": MIXED, "B": 0.7},
    "telescope": {"B": 0.0},
    "telescope of one axis each": {"B": 0.0, "z": MANY, "resolution": MIXED},
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_full_covariance(name):
    system = SYSTEMS[name]
    bends = system.get("B") != 0.0
    for momentum in (1.0, 10.0, 100.0):
        fit = fitted(line(**system), momentum, 4, bends=bends)
        assert fit.found.all()
        k = 5 if bends else 4
        off = distance(fit.covariance[0], covariance(momentum, k, **system))
        print(f"{name}, {momentum:g} GeV/c: {off:.1e}")
        assert off < 1e-6


def test_planes_of_one_axis_only_make_no_track():
    """Nothing tells the other coordinate: there is no track in space, and nothing is NaN."""
    fit = fitted(line(resolution=(0.05, None)), 10.0, 4)
    assert not fit.found.any()
    assert all(np.isfinite(x).all() for x in fit)


# -- simulated muons -----------------------------------------------------------------------------------------------------

IRON = material("iron")
PULLS = {  # system, momentum, bends, tolerance of the width of pulls
    "spectrometer, 1 GeV/c": ({}, 1.0, True, 0.03),
    "spectrometer, 10 GeV/c": ({}, 10.0, True, 0.03),
    "spectrometer, 100 GeV/c": ({}, 100.0, True, 0.03),
    "telescope with a scatterer, 1 GeV/c": (
        {"B": 0.0, "extra": (Plane(name="s", z=1000.0, span=(1e5, 1e5), x_over_X0=0.1),)}, 1.0, False, 0.03,
    ),
    "10 cm of iron between planes, 5 GeV/c": (
        {"B": 0.0, "extra": (Slab(name="s", material=IRON, z=(900.0, 1000.0), slices=5),)}, 5.0, False, 0.05,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PULLS)
def test_pulls(name):
    system, momentum, bends, tolerance = PULLS[name]
    fit = fitted(line(**system), momentum, 8192, bends=bends)
    assert fit.found.all()
    pull = fit.change / np.sqrt(np.diagonal(fit.covariance, axis1=1, axis2=2))
    width, ratio = pull.std(0), np.mean(fit.chi2 / fit.freedom)
    print(f"{name}: pulls {width.round(3)}, means {pull.mean(0).round(3)}, chi2/ndf {ratio:.4f}")
    assert (fit.freedom == 12 - fit.change.shape[1]).all()
    assert np.abs(width - 1).max() < tolerance
    assert np.abs(pull.mean(0)).max() < 0.05
    assert ratio == pytest.approx(1, abs=0.02)


def test_gluckstern_in_a_dipole():
    """N + 1 equidistant planes in the field, nothing that scatters: NIM 24 (1963) 381, eq. 15."""
    n = 9
    z = tuple(np.linspace(0.0, 1000.0, n + 1).tolist())
    fit = fitted(line(z, 0.0, magnet=(-100.0, 1100.0)), 100.0, 4, slopes=(0.0, 0.0))
    exact = 0.05 / 1e6 * np.sqrt(720 * n**3 / ((n - 1) * (n + 1) * (n + 2) * (n + 3)))
    assert np.sqrt(fit.covariance[0, 4, 4]) * TURN == pytest.approx(exact, rel=1e-3)


def test_a_bend_between_two_arms():
    """sigma(p) / p = sigma(bend) / bend, the bend from a line before and a line behind that meet in the magnet's middle."""
    momentum = 100.0
    fit = fitted(line(x_over_X0=0.0), momentum, 4, slopes=(0.0, 0.0))
    z = np.array(Z)
    middle, length = sum(MAGNET) / 2, MAGNET[1] - MAGNET[0]
    model = np.stack([np.ones(6), z, np.maximum(z - middle, 0.0)], -1)
    bend = 0.05 * np.sqrt(np.linalg.inv(model.T @ model)[2, 2])
    relative = np.sqrt(fit.covariance[0, 4, 4]) * momentum
    assert relative == pytest.approx(bend / (TURN * 1.0 * length / momentum), rel=2e-3)
    # Without their meeting it is the textbook's lever arm: sqrt(2) sigma / (sqrt(2) d) for two arms of three planes.
    alone = 0.05 * np.sqrt(2) / (np.sqrt(2) * 200.0) / (TURN * length / momentum)
    assert 0.9 * alone < relative < alone


def test_single_precision():
    """The same muon and hits: what the fit says in float32 and in float64, in units of its resolution."""
    physics = Physics(energy_loss=False, tails=False)
    detector = line()
    design = as_arrays(detector)
    listed = stops(design)
    weight, n = weights(detector, listed.names), 200
    rng = np.random.default_rng(2)
    momentum = np.exp(rng.uniform(0, np.log(100), n)).astype(np.float32)
    position = np.column_stack([rng.uniform(-50, 50, (n, 2)), np.zeros(n)]).astype(np.float32)
    direction = np.column_stack([rng.normal(0, 0.03, (n, 2)), np.ones(n)])
    direction = (direction / np.linalg.norm(direction, axis=1, keepdims=True)).astype(np.float32)
    off = (rng.normal(size=(n, len(listed.names), 2)) * 0.05).astype(np.float32)
    fits = []
    for dtype in (np.float32, np.float64):
        stacked = stops(as_arrays(detector, dtype))

        def one(muon, off, stacked=stacked, dtype=dtype):
            track = linear_track(stacked, muon, jnp.ones((), dtype), physics, 0, True)
            return fit_line(stacked.order, track, off, jnp.asarray(weight, dtype), 3)

        muons = Muon(*(x.astype(dtype) for x in (position, direction, momentum)), np.ones(n, bool))
        fits.append(jax.tree.map(np.asarray, jax.jit(jax.vmap(one), compiler_options=QUICK)(muons, off.astype(dtype))))
    single, double = fits
    sigma = np.sqrt(np.diagonal(double.covariance, axis1=1, axis2=2))
    value = np.abs(single.change - double.change) / sigma
    width = np.abs(np.sqrt(np.diagonal(single.covariance, axis1=1, axis2=2)) / sigma - 1)
    print(f"float32: parameters {value.max():.1e}, widths {width.max():.1e}")
    assert single.change.dtype == np.float32
    assert value.max() < 1e-3
    assert width.max() < 1e-3
