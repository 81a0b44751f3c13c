"""One way to drive the product in these tests: the covariance of one track, compiled for few shapes.

Detectors are filled up with surfaces that no track can cross, and tracks are repeated, so that most tests share a shape.
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
SURFACES, TRACKS = (12, 32), 16


def track(layers, B, momentum, theta, parameters=ALL):
    """Crossings and covariance (k, k) of a muon from the origin, scattered as Highland says."""
    crossings = helix(layers, curvature(B, momentum, theta), jnp.cos(theta) / jnp.sin(theta))
    width = highland(layers.x_over_X0 * crossings.obliquity, momentum, beta(momentum))
    return crossings, track_covariance(crossings, layers.weight, width**2, np.asarray(parameters))


@partial(jax.jit, static_argnums=4)
def _tracks(layers, B, momenta, thetas, parameters):
    return jax.vmap(lambda p, theta: track(layers, B, p, theta, parameters))(momenta, thetas)


def _filled(layers):
    """The surfaces, without their names, and as many more as make a standard number."""
    n = len(layers.names)
    more = next(size for size in SURFACES if size >= n) - n

    def fill(values, value):
        return np.concatenate([values, np.full((more, *values.shape[1:]), value)])

    return Surfaces(
        names=("",) * (n + more),
        cylinder=(*layers.cylinder, *[True] * more),
        position=fill(layers.position, 1.0),
        low=fill(layers.low, 1.0),  # ends before it begins
        high=fill(layers.high, -1.0),
        x_over_X0=fill(layers.x_over_X0, 0.0),
        weight=fill(layers.weight, 0.0),
        efficiency=fill(layers.efficiency, 1.0),
        measured=((True, True),) * (n + more),
    )


def tracks(detector, momenta, degrees, parameters=ALL):
    """Crossings and covariances (m, k, k) for m momenta (GeV) and polar angles (degrees), as NumPy arrays."""
    momenta, thetas = np.broadcast_arrays(np.atleast_1d(momenta), np.deg2rad(degrees))
    m, n = momenta.size, len(detector.surfaces())
    B = 0.0 if detector.field is None else detector.field.B
    layers = _filled(surfaces(as_arrays(detector)))
    repeat = np.resize(np.arange(m), TRACKS)
    out = _tracks(layers, np.float64(B), momenta[repeat].astype(float), thetas[repeat], tuple(parameters))
    crossings, covariance = jax.tree.map(lambda leaf: np.asarray(leaf)[:m], out)
    return type(crossings)(*(leaf[:, :n] for leaf in crossings)), covariance


def covariances(detector, momenta, degrees, parameters=ALL):
    """Only the covariances of `tracks`."""
    return tracks(detector, momenta, degrees, parameters)[1]
