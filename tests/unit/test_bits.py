"""Random numbers in bulk: the generator against its published answers, the distributions, and what makes them independent."""

import numpy as np
import pytest
from scipy import stats

from detopt.backend import jax, jnp
from detopt.simulation.bits import _blocks, _fraction, circle, normal_pairs, uniforms

NUMBER = 200_000


def keys(number, seed=1):
    return jax.random.split(jax.random.key(seed), number)


def test_known_answer():
    """Threefry-2x32-20 of key 0 and counter 0, from the tests of Random123 (Salmon et al., SC 2011)."""
    key = jax.random.wrap_key_data(np.zeros((1, 2), np.uint32))
    first, second = _blocks(key, 1, 0)
    assert (int(first[0, 0]), int(second[0, 0])) == (0x6B200159, 0x99BA4EFE)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_normal(dtype):
    first, second = (np.asarray(x, float) for x in normal_pairs(keys(2), NUMBER, dtype))
    for drawn in (*first, *second):
        assert stats.kstest(drawn, "norm").pvalue > 1e-3
    for a, b in (
        (first[0], second[0]),
        (first[0], first[1]),
        (first[0] ** 2, second[0] ** 2),
        (first[0][1:], first[0][:-1]),
    ):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / NUMBER**0.5


@pytest.mark.parametrize("number", [1, 2, 7])
def test_any_number(number):
    assert (
        normal_pairs(keys(3), number, jnp.float32)[0].shape
        == uniforms(keys(3), number, jnp.float32).shape
        == (3, number)
    )


def test_uniform():
    one, other = (np.asarray(uniforms(keys(1), NUMBER, jnp.float32, part), float)[0] for part in (3, 4))
    for drawn in (one, other):
        assert 0 < drawn.min() < drawn.max() < 1
        assert stats.kstest(drawn, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / NUMBER**0.5


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_never_0_or_1(dtype):
    """In float32 one word in thirty million would round to 1: a muon of infinite energy loss, and NaN in a gradient."""
    ends = _fraction(jnp.asarray([0, 2**31 - 1, 2**31, 2**32 - 1], jnp.uint32), dtype)
    assert ((ends > 0) & (ends < 1)).all()
    assert jnp.isfinite(jnp.log(ends)).all()
    assert jnp.isfinite(jnp.log1p(-ends)).all()


@pytest.mark.parametrize(("dtype", "most"), [(jnp.float32, 3e-7), (jnp.float64, 1e-14)])
def test_circle(dtype, most):
    turns = jnp.linspace(0, 1, 10_001, dtype=dtype)
    cosine, sine = (np.asarray(x, float) for x in circle(turns))
    angle = 2 * np.pi * np.asarray(turns, float)
    assert np.abs(cosine - np.cos(angle)).max() < most
    assert np.abs(sine - np.sin(angle)).max() < most
