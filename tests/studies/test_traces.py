"""The score as a JAX function: one trace a shape, no silent float64, vmap = loop, jit = no jit."""

import dataclasses

import numpy as np
import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Space
from detopt.study.evaluate import array_space, make_evaluator

FLOAT32, FLOAT64 = jnp.dtype("float32"), jnp.dtype("float64")


@pytest.fixture(scope="module")
def study(tmp_path_factory, write_small):
    return detopt.load(write_small(tmp_path_factory.mktemp("study")))


@pytest.fixture(scope="module")
def evaluate(study):
    return make_evaluator(study)


@pytest.fixture(scope="module")
def points(study):
    return np.random.default_rng(1).uniform(size=(5, len(study.space)))


@pytest.fixture(scope="module")
def compiled(evaluate):
    return jax.jit(evaluate)


def numbers(score):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(score)])


def counted(function):
    calls = []

    def wrapped(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return jax.jit(wrapped), calls


def test_one_trace_for_every_value(study, evaluate, points):
    score, calls = counted(evaluate)
    key = jax.random.key(0)
    for u in points.tolist():
        score(as_arrays(study.space.place(u)), None, key)
    whole = study.detector.with_part("L0", dataclasses.replace(study.detector.part("L0"), radius=30, half_length=1000))
    score(as_arrays(whole), None, key)
    score(as_arrays(study.detector, FLOAT64), None, key)
    assert len(calls) == 1
    score(as_arrays(study.detector, FLOAT32), None, key)
    assert len(calls) == 2, "another type is another shape"


def test_one_trace_through_the_space(study, evaluate, points):
    space = array_space(study)
    score, calls = counted(lambda u: evaluate(space.place(u), None, None))
    for u in points:
        score(jnp.asarray(u))
    assert len(calls) == 1


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, FLOAT32, FLOAT64])
def test_leaves_are_strongly_typed(study, dtype):
    leaves = jax.tree.leaves(as_arrays(study.detector, dtype))
    assert all(leaf.dtype == dtype and leaf.shape == () and not leaf.weak_type for leaf in leaves)


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def wide(jaxpr):
    """Everything of 64 bits that is computed, and what computes it."""
    return {
        (equation.primitive.name, str(variable.aval))
        for equation in equations(jaxpr.jaxpr)
        for variable in (*equation.invars, *equation.outvars)
        if getattr(getattr(variable, "aval", None), "dtype", None) in (FLOAT64, jnp.dtype("complex128"))
        # A Python number is handed over as a weak scalar, and converted before anything is computed with it.
        and not (variable.aval.weak_type and variable.aval.shape == ())
    }


def test_the_walk_finds_float64(study, evaluate):
    """The next test would pass on anything if the walk were blind."""
    jaxpr = jax.make_jaxpr(evaluate)(as_arrays(study.detector), None, None)
    assert sum(1 for _ in equations(jaxpr.jaxpr)) > 100
    assert wide(jaxpr)


def test_float32_stays_float32(study, evaluate, strict_dtypes):
    design = as_arrays(study.detector, FLOAT32)
    jaxpr = jax.make_jaxpr(evaluate)(design, None, None)
    assert wide(jaxpr) == set()
    assert {out.aval.dtype for out in jaxpr.jaxpr.outvars} == {FLOAT32}


def test_gradient_of_float32_stays_float32(study, evaluate, strict_dtypes):
    design = as_arrays(study.detector, FLOAT32)
    jaxpr = jax.make_jaxpr(jax.grad(lambda d: evaluate(d, None, None).values[0]))(design)
    assert wide(jaxpr) == set()


def test_float32_is_near_float64(study, compiled):
    single, double = (numbers(compiled(as_arrays(study.detector, t), None, None)) for t in (FLOAT32, FLOAT64))
    assert single == pytest.approx(double, rel=1e-3, abs=1e-3)


def test_vmap_is_the_loop(study, evaluate, compiled, points):
    space = array_space(study)
    batch = jax.jit(jax.vmap(lambda u: evaluate(space.place(u), None, None)))(jnp.asarray(points))
    for i, u in enumerate(points.tolist()):
        alone = compiled(as_arrays(study.space.place(u)), None, None)
        assert numbers(jax.tree.map(lambda x, i=i: x[i], batch)) == pytest.approx(numbers(alone), rel=1e-10, abs=1e-12)


def test_jit_is_no_jit(study, evaluate, compiled):
    design = as_arrays(study.detector)
    assert numbers(evaluate(design, None, None)) == pytest.approx(numbers(compiled(design, None, None)), rel=1e-10)


def test_gradient_of_every_variable(study, compiled, evaluate):
    """Against central differences of the compiled score."""
    space: Space = array_space(study)

    def each(u):
        score = evaluate(space.place(u), None, None)
        return jnp.concatenate([jnp.log(score.values), score.excess])

    middle, h = np.full(len(space), 0.45), 1e-5
    jacobian = jax.jit(jax.jacrev(each))(jnp.asarray(middle))
    steps = np.concatenate([middle + h * np.eye(len(space)), middle - h * np.eye(len(space))])
    values = np.asarray(jax.jit(jax.vmap(each))(jnp.asarray(steps)))
    differences = ((values[: len(space)] - values[len(space) :]) / (2 * h)).T
    assert np.asarray(jacobian) == pytest.approx(differences, rel=1e-6, abs=1e-7)
