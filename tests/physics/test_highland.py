"""Scattering width against the PDG formula (eq. 34.16) worked out by hand, and what follows from it."""

from functools import partial

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.simulation.scattering import MUON_MASS, beta, highland

P = jnp.float64(1.0)


def width(thickness, momentum, velocity=None):
    momentum = jnp.float64(momentum)
    return np.asarray(
        highland(jnp.atleast_1d(jnp.asarray(thickness)), momentum, beta(momentum) if velocity is None else velocity)
    )


# x/X0, momentum in GeV, rad; a muon. First row: beta = 0.9944644, ln(0.01 / beta^2) = -4.594068, bracket 0.8254254.
BY_HAND = [
    (0.01, 1.0, 1.128827217386e-3),
    (0.003, 10.0, 5.805028836045e-5),
    (1.0, 1.0, 1.368147178107e-2),
    (1e-4, 0.3, 3.145469530574e-4),
    (17.8, 3.0, 2.123279546917e-2),
]


@pytest.mark.parametrize(("thickness", "momentum", "angle"), BY_HAND)
def test_by_hand(thickness, momentum, angle):
    np.testing.assert_allclose(width(thickness, momentum), angle, rtol=1e-11)


def test_beta():
    assert float(beta(P)) == pytest.approx(0.99446445877, rel=1e-10)
    assert float(beta(P, 0.938272)) == pytest.approx(1 / np.hypot(1, 0.938272), rel=1e-12)


def test_quarter_of_the_momentum_at_the_same_velocity():
    velocity = jnp.float64(0.9)
    np.testing.assert_allclose(width(0.02, 0.5, velocity), 4 * width(0.02, 2.0, velocity), rtol=1e-14)


def test_one_radiation_length_at_light_speed_is_13_6_mev():
    np.testing.assert_allclose(width(1.0, 1.0, jnp.float64(1.0)), 13.6e-3, rtol=1e-14)


def test_thickness_grows_as_the_root_and_the_logarithm():
    velocity = jnp.float64(1.0)
    thin, thick = width([0.01, 0.04], 1.0, velocity)
    expected = 2 * (1 + 0.038 * np.log(0.04)) / (1 + 0.038 * np.log(0.01))
    assert thick / thin == pytest.approx(expected, rel=1e-14)


def test_two_halves_scatter_less_than_the_whole():
    """Each surface has its own logarithm: the known flaw of the formula for thin layers."""
    half, whole = width([0.005, 0.01], 1.0)
    assert np.sqrt(2) * half < whole


@jax.jit
@partial(jax.value_and_grad, argnums=(0, 1))
def total(x, p):
    return jnp.sum(highland(x, p, beta(p)) ** 2)


@pytest.mark.parametrize("thickness", [0.0, 1e-13, 4e-12, 1e-9, 1e-3])
def test_nothing_scatters_nothing_with_a_finite_gradient(thickness):
    value, (by_thickness, by_momentum) = total(jnp.array([thickness, 0.01]), P)
    assert np.isfinite([value, *by_thickness, by_momentum]).all()
    assert by_thickness[0] >= 0
    if thickness < 1e-12:
        assert width(thickness, 1.0) == 0


def test_width_never_falls_with_thickness():
    x = np.concatenate([[0.0], np.geomspace(1e-15, 1e3, 500)])
    assert (np.diff(width(x, 1.0)) >= 0).all()


def test_muon_mass():
    assert MUON_MASS == 0.1056583755  # GeV, PDG 2022
