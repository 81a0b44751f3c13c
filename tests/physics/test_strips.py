"""Layers that measure r-phi only: what they know of d0, phi and pT does not depend on how the rest is held."""

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer
from detopt.detector.surfaces import as_arrays, surfaces
from detopt.reconstruction.least_squares import track_covariance
from detopt.simulation.helix import curvature, helix
from detopt.simulation.scattering import beta, highland

from .reference import reference
from .tracks import covariances

RADII = (30.0, 90.0, 200.0, 400.0, 700.0)


def strips(z_resolutions):
    layers = tuple(
        BarrelLayer(name=f"L{r}", radius=r, half_length=1e4, x_over_X0=0.02, resolution=(0.01, z))
        for r, z in zip(RADII, z_resolutions, strict=True)
    )
    return Detector(name="strips", frame="barrel", elements=layers, field=Solenoid(B=2.0))


@pytest.mark.parametrize("momentum", [0.5, 5.0])
@pytest.mark.parametrize("degrees", [90.0, 40.0])
@pytest.mark.parametrize(
    "z_resolutions",
    [(None,) * 5, (0.01, None, None, None, None), (None, None, 0.01, None, None)],
    ids=["no z", "one z, inside", "one z, in the middle"],
)
def test_transverse_parameters(z_resolutions, degrees, momentum):
    """With fewer than two z hits, z0 and cot theta fit exactly, so d0, phi, kappa are those of r-phi alone."""
    ours = covariances(strips(z_resolutions), momentum, degrees)[0]
    truth = reference(strips((None,) * 5), momentum, np.deg2rad(degrees), (0, 1, 2)).covariance
    sigma = np.sqrt(np.diag(truth))
    np.testing.assert_allclose(ours[:3, :3] / np.outer(sigma, sigma), truth / np.outer(sigma, sigma), atol=1e-6)


def test_two_z_hits_are_enough():
    detector = strips((0.01, None, None, 0.02, None))
    ours, truth = covariances(detector, 1.0, 60.0)[0], reference(detector, 1.0, np.deg2rad(60.0)).covariance
    sigma = np.sqrt(np.diag(truth))
    np.testing.assert_allclose(ours / np.outer(sigma, sigma), truth / np.outer(sigma, sigma), atol=1e-7)


def test_bending_plane_and_z_are_apart_at_90_degrees():
    """The fast way, which fits them one after the other, is the whole fit where cot theta = 0."""
    detector = strips((0.01, 0.5, None, 0.02, 1.0))
    whole = covariances(detector, [0.3, 1.0, 30.0], 90.0)
    layers = surfaces(as_arrays(detector))
    for momentum, truth in zip((0.3, 1.0, 30.0), whole, strict=True):
        ours = apart(layers, momentum, detector.field.B)
        sigma = np.sqrt(np.diag(truth))
        np.testing.assert_allclose(ours / np.outer(sigma, sigma), truth / np.outer(sigma, sigma), atol=1e-8)


@jax.jit
def apart(layers, momentum, B):
    right = jnp.float64(np.pi / 2)
    crossings = helix(layers, curvature(B, momentum, right), jnp.float64(0.0))
    width = highland(layers.x_over_X0 * crossings.obliquity, momentum, beta(momentum))
    return track_covariance(crossings, layers.weight, width**2, np.arange(5), transverse=True)
