"""One way to drive the product in these tests: the covariance of one track, compiled for few shapes.

Detectors are filled up with surfaces that no track can cross, and tracks are repeated, so that tests share a shape.
"""

from functools import partial

import numpy as np

from detopt.backend import jax, jnp
from detopt.detector.surfaces import Surfaces, as_arrays, surfaces
from detopt.reconstruction.least_squares import track_covariance
from detopt.simulation.helix import curvature, helix
from detopt.simulation.scattering import beta, highland

ALL = (0, 1, 2, 3, 4)  # d0, phi, kappa, z0, cot theta
STRAIGHT = (0, 1, 3, 4)  # without a field
CYLINDERS, DISKS, TRACKS = 20, 12, 16


def track(layers, B, momentum, theta, parameters=ALL):
    """Crossings and covariance (k, k) of a muon from the origin, scattered as Highland says."""
    crossings = helix(layers, curvature(B, momentum, theta), jnp.cos(theta) / jnp.sin(theta))
    width = highland(layers.x_over_X0 * crossings.obliquity, momentum, beta(momentum))
    return crossings, track_covariance(crossings, layers.weight, width**2, np.asarray(parameters))


@partial(jax.jit, static_argnums=4)
def _tracks(layers, B, momenta, thetas, parameters):
    return jax.vmap(lambda p, theta: track(layers, B, p, theta, parameters))(momenta, thetas)


def _filled(layers):
    """The surfaces sorted into the standard shape, cylinders first, and where each of them went."""
    cylinder = np.asarray(layers.cylinder)
    place = np.where(cylinder, np.cumsum(cylinder) - 1, CYLINDERS + np.cumsum(~cylinder) - 1)
    assert cylinder.sum() <= CYLINDERS
    assert (~cylinder).sum() <= DISKS

    def fill(values, value):
        values = np.asarray(values)
        out = np.full((CYLINDERS + DISKS, *values.shape[1:]), float(value))
        out[place] = values
        return jnp.asarray(out)

    filled = Surfaces(
        names=("",) * (CYLINDERS + DISKS),
        cylinder=(True,) * CYLINDERS + (False,) * DISKS,
        position=fill(layers.position, 1),
        low=fill(layers.low, 1),  # ends before it begins
        high=fill(layers.high, -1),
        x_over_X0=fill(layers.x_over_X0, 0),
        weight=fill(layers.weight, 0),
        efficiency=fill(layers.efficiency, 1),
        measured=((True, True),) * (CYLINDERS + DISKS),
    )
    return filled, place


def tracks(detector, momenta, degrees, parameters=ALL):
    """Crossings and covariances (m, k, k) for m momenta (GeV) and polar angles (degrees), as NumPy arrays."""
    momenta, thetas = np.broadcast_arrays(np.atleast_1d(momenta), np.deg2rad(degrees))
    m, B = momenta.size, 0.0 if detector.field is None else detector.field.B
    layers, place = _filled(surfaces(as_arrays(detector)))
    repeat = np.resize(np.arange(m), TRACKS)
    out = _tracks(layers, np.float64(B), momenta[repeat].astype(float), thetas[repeat], tuple(parameters))
    crossings, covariance = jax.tree.map(lambda leaf: np.asarray(leaf)[:m], out)
    return type(crossings)(*(leaf[:, place] for leaf in crossings)), covariance


def covariances(detector, momenta, degrees, parameters=ALL):
    """Only the covariances of `tracks`."""
    return tracks(detector, momenta, degrees, parameters)[1]
