"""The one record: what it adds to a gradient, and what it refuses."""

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.gradients.flips import Flip, with_flips

N = 4000


def _aperture(design, key):
    """Mean score of particles that are uniform in [0, 1] and pass an aperture; a pair of statistics."""
    x = jax.random.uniform(key, (N,))
    seen = x < design["width"]
    return {"passed": jnp.mean(seen * design["gain"] * x), "all": jnp.mean(x)}


def _flips(design, key):
    fixed = jax.lax.stop_gradient(design)
    edge = fixed["width"]
    on = {"passed": (fixed["gain"] * edge)[None], "all": edge[None]}
    off = {"passed": jnp.zeros(1), "all": edge[None]}
    return Flip(on, off, jnp.ones(1), design["width"][None])


DESIGN = {"width": jnp.asarray(0.3), "gain": jnp.asarray(2.0)}


def test_adds_the_edge_to_what_is_smooth():
    score = with_flips(_aperture, _flips)
    value, slope = jax.value_and_grad(lambda d: score(d, jax.random.key(0))["passed"])(DESIGN)
    # E = gain width^2 / 2.
    assert slope["width"] == pytest.approx(2.0 * 0.3)
    assert slope["gain"] == pytest.approx(float(value) / 2.0)


def test_what_does_not_jump_has_no_flip():
    score = with_flips(_aperture, _flips)
    slope = jax.grad(lambda d: score(d, jax.random.key(0))["all"])(DESIGN)
    assert float(slope["width"]) == 0


def test_python_numbers_are_differentiated():
    score = with_flips(_aperture, _flips)
    slope = jax.grad(lambda w: score({"width": w, "gain": 2.0}, jax.random.key(0))["passed"])(0.3)
    assert float(slope) == pytest.approx(0.6)


def test_a_flip_that_weighs_nothing_may_be_nowhere():
    def lost(design, key):
        flip = _flips(design, key)
        return flip._replace(on={**flip.on, "passed": jnp.full(1, jnp.nan)}, weight=jnp.zeros(1))

    slope = jax.grad(lambda d: with_flips(_aperture, lost)(d, jax.random.key(0))["passed"])(DESIGN)
    assert float(slope["width"]) == 0


@pytest.mark.parametrize("twice", [jax.hessian, lambda f: jax.grad(lambda d: jax.grad(f)(d) ** 2)])
def test_second_derivatives_are_refused(twice):
    score = with_flips(_aperture, _flips)
    with pytest.raises(TypeError, match=r"second derivatives|forward-mode"):
        twice(lambda w: score({"width": w, "gain": jnp.asarray(2.0)}, jax.random.key(0))["passed"])(0.3)


def test_batched_sums_are_those_of_each_row():
    """A fusion of jaxlib 0.10.2 gave every row the sums of the first (jax issue 39103)."""
    rng = np.random.default_rng(0)
    a, b, w = (jnp.asarray(rng.random(shape), jnp.float32) for shape in ((1000, 30, 5), (1000, 5), (1000, 30)))

    def total(c):
        return jnp.sum(jnp.sum(a * (b * c)[:, None, :], -1) * w)

    both = jax.jit(jax.vmap(total))(jnp.asarray([1.0, 2.0], jnp.float32))
    assert float(both[1]) == pytest.approx(2 * float(both[0]), rel=1e-5)
