"""Random numbers belong to names; a score holds no number of another precision, and is traced once."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.detector.cost import Prices
from detopt.detector.surfaces import as_arrays
from detopt.events import Deviation, Particles
from detopt.inference.heads import SetHead, TrackHead
from detopt.inference.networks import make_network
from detopt.parameters import Space, put
from detopt.scoring.sampled import SampledEvaluator
from detopt.scoring.terms import Discrimination, Fraction, Resolution
from detopt.simulation.physics import Physics
from detopt.simulation.simulate import simulate
from detopt.simulation.source import Decay
from detopt.simulation.streams import each, stream

COUNT = 200
SOURCE = Decay(
    hadron="B0", hadron_momentum=(5.0, 20.0), momentum=(1.0, 10.0), theta=(1.0, 2.0), within=18.0, displaced=(0.1, 0.9)
)


@pytest.fixture(scope="module")
def tracker(root):
    return detopt.load(root / "detectors/its2_like.yaml")


def test_a_name_is_a_stream():
    """The key of a name depends on the name and on nothing beside it."""
    key = jax.random.key(1)
    draws = {n: float(jax.random.normal(stream(key, n))) for n in ("scattering", "response", "efficiency", "source")}
    assert len(set(draws.values())) == 4
    assert float(jax.random.normal(stream(key, "response"))) == draws["response"]
    many = np.asarray(jax.random.key_data(each(key, ("L0", "pipe", "L1"))))
    few = np.asarray(jax.random.key_data(each(key, ("L1", "L0"))))
    assert (few == many[[2, 0]]).all()
    assert len({tuple(row) for row in many.tolist()}) == 3
    assert (many[0] == np.asarray(jax.random.key_data(stream(key, "L0")))).all()


def hits_of(detector, seed=0):
    """Hits of equal muons, by the name of the surface."""
    nothing = jnp.zeros(COUNT)
    particles = Particles(
        jnp.full(COUNT, 1.0), jnp.full(COUNT, math.pi / 2), Deviation(*(nothing,) * 5), jnp.zeros(COUNT, bool)
    )
    hits = compiled_hits(as_arrays(detector), particles, jax.random.key(seed))
    names = [s.name for s in detector.surfaces()]
    return {n: (np.asarray(hits.seen)[:, i], np.asarray(hits.deviation)[:, i]) for i, n in enumerate(names)}


@partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
def compiled_hits(design, particles, key):
    return simulate(design, particles, -1, Physics(), key)


def without(detector, *names):
    return replace(detector, elements=tuple(e for e in detector.elements if e.name not in names))


def test_removing_an_element_leaves_the_draws_of_the_others(tracker):
    """Without the pipe, and with a layer less at the end, all others see what they saw, but for the pipe's scattering."""
    full, empty = hits_of(tracker), hits_of(put(tracker, "pipe.x_over_X0", 0.0))
    again, other = hits_of(tracker), hits_of(tracker, seed=1)
    gone = hits_of(without(tracker, "pipe", "L6"))
    for name, (seen, where) in gone.items():
        assert (seen == full[name][0]).all()  # as its efficiency decides
        if name == "shell":  # scattered in the layer before it, that is gone
            continue
        assert (~seen).sum() < 15
        np.testing.assert_allclose(where, empty[name][1], rtol=0, atol=1e-12)
        assert (again[name][1] == full[name][1]).all()
        assert np.abs(other[name][1] - full[name][1]).min() > 0
    # Scattered in the pipe: by 13.6 MeV sqrt(x/X0) ... at 20 mm, so by that times the distance from there.
    angles = [(full[n][1] - empty[n][1])[:, 1] / (tracker.part(n).radius - 20.0) for n in ("L0", "L3", "L5")]
    assert 2e-4 < angles[0].std() < 8e-4
    assert np.abs(angles[1] - angles[0]).max() < 0.05 * angles[0].std()
    assert np.abs(angles[2] - angles[0]).max() < 0.05 * angles[0].std()


def evaluator(tracker, head, dtype, **more):
    design = as_arrays(tracker, dtype)
    term = {"fraction": Fraction()} if isinstance(head, SetHead) else {"loss": Discrimination()}
    objectives = {"d0": Resolution(of="d0", momentum=1.0), "pt": Resolution(of="pt", momentum=50.0), **term}
    evaluate = SampledEvaluator(
        objectives, {}, Prices(), SOURCE, Physics(), Space(design, ()), events=1, exposure=head.exposure, **more
    )
    evaluate.chunk = 2 * head.exposure
    return evaluate, design, make_network(head, 0, jax.random.key(0), more.get("precision", dtype))


def wide(jaxpr, found):
    """Equations of a jaxpr, and of all inside of it, with a float64 that is more than a number of Python's."""
    for equation in jaxpr.eqns:
        for variable in (*equation.invars, *equation.outvars):
            kind = variable.aval
            literal = getattr(kind, "weak_type", False) and kind.shape == ()
            if str(getattr(kind, "dtype", "")) in ("float64", "complex128") and not literal:
                found.append(f"{equation.primitive.name} {kind}")
        for parameter in jax.tree.leaves(equation.params, is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                wide(inner, found)
    return found


@pytest.mark.parametrize("head", [TrackHead(width=4), SetHead(width=4, muons=10)], ids=["track", "set"])
def test_a_float32_score_holds_no_float64(tracker, head, strict_dtypes):
    """Nor does the gradient (of one of them: it takes long to trace)."""
    evaluate, design, network = evaluator(tracker, head, jnp.float32)

    def value(design, key):
        return jnp.sum(evaluate(design, network, key).values)

    function = jax.grad(value) if isinstance(head, TrackHead) else value
    closed = jax.make_jaxpr(function)(design, jax.random.key(0))
    assert wide(closed.jaxpr, []) == []
    assert not any(getattr(c, "dtype", None) == np.float64 for c in closed.consts)


def test_the_search_for_float64_looks_inside():
    inside = jax.make_jaxpr(lambda x: jax.lax.scan(lambda c, y: (c, y.astype(float)), 0, x))(jnp.ones(3, jnp.float32))
    assert wide(inside.jaxpr, [])


def test_the_same_seed_gives_the_same_numbers_and_one_trace_serves_all_designs(tracker):
    evaluate, design, network = evaluator(tracker, TrackHead(width=4), jnp.float32)
    traces = []

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def score(design, key):
        traces.append(1)
        return evaluate(design, network, key).values

    first = np.asarray(score(design, jax.random.key(5)))
    moved = np.asarray(score(put(design, "L1.radius", jnp.float32(33.0)), jax.random.key(5)))
    fresh = np.asarray(score(design, jax.random.key(6)))
    again = np.asarray(score(as_arrays(tracker, jnp.float32), jax.random.key(5)))
    assert len(traces) == 1
    assert (first == again).all()
    assert (first != moved).all()
    assert (first != fresh).all()
