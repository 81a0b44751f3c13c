"""Events put onto an edge: the weights are densities over slopes, however many places there are."""

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.simulation.draws import DENSITIES
from detopt.simulation.landing import land, land_anywhere, onto_circle, spread, tried

KEYS = jax.random.split(jax.random.key(0), 400)
ENDS = {"uniform": (0.0, 1.0), "truncated": (-4.0, 4.0)}
FUNCTIONS = {
    "a line": (lambda s: s - 0.3, [(0.3, 1.0)]),
    "never": (lambda s: s + 5, []),
    "twice": (lambda s: (s - 0.21) * (s - 0.77), [(0.21, 0.56), (0.77, 0.56)]),
    "a jump and a root": (lambda s: jnp.where(s < 0.52, -1.0, 1.0) * (1.03 - s), []),
    "far away": (lambda s: jnp.log(jnp.exp(-8 * s) + 0.1) - jnp.log(0.4), [(-np.log(0.3) / 8, 8 * 0.3 / 0.4)]),
}


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_roots_count(name, kind):
    """Over many keys the weights add up to the sum over all roots."""
    function, roots = FUNCTIONS[name]
    density = DENSITIES[kind]
    found = jax.jit(jax.vmap(lambda key: land_anywhere(function, lambda s: s, ENDS[kind], density, key, jnp.float64)))(
        KEYS
    )
    expected = sum(float(density(jnp.asarray(s))) / slope for s, slope in roots)
    low, high = ENDS[kind]
    if name == "a jump and a root" and low < 0.52 and high > 1.03:
        expected = float(density(jnp.asarray(1.03)))
    error = np.std(found.weight) / len(KEYS) ** 0.5
    assert abs(np.mean(found.weight) - expected) <= 4 * error + 2e-3 * expected
    at = np.asarray(found.draws)[np.asarray(found.landed)]
    assert np.abs(np.asarray(jax.vmap(function)(jnp.asarray(at)))).max(initial=0.0) < 1e-3


def test_newton_for_many_at_once():
    """Each of a batch has its own place; what has no slope, or is too far away, is no solution."""
    target = jnp.array([0.2, 0.5, 0.9, 5.0])
    found = land(
        lambda s: s**3 - target**3, lambda s: s, target * jnp.array([1.1, 0.95, 1.0, 0.1]), lambda s: 2.0 + 0 * s, 1e-2
    )
    np.testing.assert_array_equal(found.landed, [True, True, True, False])
    np.testing.assert_allclose(found.draws[:3], target[:3], rtol=1e-4)
    np.testing.assert_allclose(found.weight, [*2 / (3 * target[:3] ** 2), 0.0], rtol=1e-3)
    flat = land(lambda s: 0 * s, lambda s: s, jnp.ones(1), lambda s: 1.0 + 0 * s, 1e-2)
    assert not flat.landed.any()
    assert not flat.weight.any()


def test_choices_come_as_often_as_they_should():
    probability = np.array([0.5, 0.3, 0.0, 0.2])
    chosen = np.asarray(jax.vmap(lambda key: spread(jnp.asarray(probability), key, 7))(KEYS))
    np.testing.assert_allclose(np.bincount(chosen.ravel(), minlength=4) / chosen.size, probability, atol=0.01)
    worth = jnp.asarray(np.random.default_rng(0).uniform(size=(5, 4)))
    event, edge, chance = jax.vmap(lambda key: tried(worth, None, key, 6))(KEYS)
    # Sums over what is tried, each over its chance, are unbiased.
    value = np.arange(20.0).reshape(5, 4)
    estimate = np.mean(value[np.asarray(event), np.asarray(edge)] / np.asarray(chance), axis=1)
    assert np.mean(estimate) == pytest.approx(value.sum() / len(worth), rel=0.03)


@pytest.mark.parametrize("slant", [0.0, 0.8])
def test_all_places_on_a_circle_count(slant):
    """Their weights add up to the density of ln |k| on the circle, of a point that is linear in normal numbers."""
    matrix, offset, radius = jnp.array([[0.5, 1.0, 0.0], [slant, 0.3, 0.7]]), jnp.array([1.2, -0.4]), 1.5
    normal = jax.random.normal(jax.random.key(1), (200_000, 3))

    def plane(numbers):
        return offset + matrix @ numbers

    found = jax.jit(jax.vmap(lambda n: onto_circle(plane, n, jnp.asarray(radius))))(normal)
    size = np.linalg.norm(np.asarray(jax.vmap(plane)(normal)), axis=1)
    step = 0.02
    flown = (np.abs(np.log(size / radius)) < step) / (2 * step)
    put = np.asarray(found.weight).sum(1)
    error = np.hypot(flown.std(), put.std()) / len(normal) ** 0.5
    assert abs(put.mean() - flown.mean()) < 3 * error
    assert error < 0.02 * flown.mean()
    there = np.linalg.norm(np.asarray(jax.vmap(jax.vmap(plane))(found.draws)), axis=-1)
    np.testing.assert_allclose(there[np.asarray(found.landed)], radius, rtol=1e-9)
