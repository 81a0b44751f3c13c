"""`sampled` scores: values against `expected` ones, their errors, their gradients, and what they cost."""

import math
import time
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import equinox as eqx
import numpy as np
import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.detector.cost import Prices
from detopt.detector.surfaces import as_arrays
from detopt.inference.heads import TrackHead
from detopt.inference.networks import make_network
from detopt.parameters import Space, get, put
from detopt.scoring.evaluate import Evaluator
from detopt.scoring.sampled import SampledEvaluator
from detopt.scoring.terms import Discrimination, Efficiency, Resolution
from detopt.simulation.physics import Physics
from detopt.simulation.source import Decay

TRACKS = {
    "d0": Resolution(of="d0", momentum=1.0),
    "z0": Resolution(of="z0", momentum=1.0),
    "efficiency": Efficiency(momentum=1.0),
    "pt": Resolution(of="pt", momentum=50.0),
}
OBJECTIVES = {**TRACKS, "loss": Discrimination()}
SOURCE = Decay(hadron="B0", hadron_momentum=(5.0, 20.0), momentum=(1.0, 10.0), within=18.0)
PHYSICS = Physics(tails=False)  # Gaussian kicks, as in `expected` mode
# Bounds in base units, for the scale of a gradient.
BOUNDS = {
    "L0.radius": (23.2, 405.3), "L3.radius": (23.2, 405.3), "L1.pitch.rphi": (0.015, 0.060),
    "L6.pitch.rphi": (0.015, 0.060), "L0.x_over_X0": (0.002, 0.015), "L4.x_over_X0": (0.005, 0.015), "field.B": (0.3, 1.0),
}  # fmt: skip
compiled = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def head_of(dtype):
    """A head with random weights that has not learnt anything; its inputs are of order one."""
    network = make_network(TrackHead(width=8), 0, jax.random.key(4), dtype)
    return eqx.tree_at(lambda n: n.scale, network, 0.3 * network.scale)


def with_efficiency(detector, efficiency):
    return replace(
        detector, elements=tuple(replace(e, efficiency=efficiency) if e.measures else e for e in detector.elements)
    )


class System(NamedTuple):
    """The sampled evaluator of 1 024 muons a group, in float64, compiled."""

    detector: object
    evaluate: SampledEvaluator
    score: object  # (design, key) -> Score
    slope: object  # (design, key, cotangent) -> design


@pytest.fixture(scope="module")
def system(root):
    detector = detopt.load(root / "detectors/its2_like.yaml")
    evaluate = SampledEvaluator(
        OBJECTIVES, {}, Prices(), SOURCE, PHYSICS, Space(as_arrays(detector), ()), events=1, precision=None
    )
    evaluate.chunk, evaluate.chunks = 128, 8
    head = head_of(jnp.float64)

    def slope(design, key, cotangent):
        return jax.vjp(lambda d: evaluate(d, head, key).values, design)[1](cotangent)[0]

    return System(detector, evaluate, compiled(lambda d, key: evaluate(d, head, key)), compiled(slope))


def rows_of(system, design, keys):
    """Values and errors (keys, objectives)."""
    scores = [system.score(design, jax.random.key(seed)) for seed in keys]
    return np.array([s.values for s in scores]), np.array([s.errors for s in scores])


def check_against_expected(system, keys):
    """Means within 4 of their errors, and the spread over keys as the errors say."""
    n = len(keys)
    for efficiency in (None, 0.8):
        detector = system.detector if efficiency is None else with_efficiency(system.detector, efficiency)
        design = as_arrays(detector)
        exact = Evaluator(TRACKS, {}, Prices(), SOURCE, PHYSICS, with_efficiency(detector, 0.8))
        truth = np.asarray(compiled(exact)(design).values)
        values, errors = rows_of(system, design, keys)
        quoted = np.sqrt(np.mean(errors**2, 0))
        pull = (values.mean(0)[: len(TRACKS)] - truth) / np.maximum(quoted[: len(TRACKS)] / math.sqrt(n), 1e-12)
        spread = values.std(0, ddof=1)
        ratio = spread / np.where(quoted > 0, quoted, 1.0)
        print(f"efficiency {efficiency or 'as built'}: pulls {pull.round(2)}, spread / error {ratio.round(3)}")
        some = np.isin(
            list(OBJECTIVES), [k for k in OBJECTIVES if efficiency or k != "efficiency"]
        )  # 1 - 3e-7 as built
        assert (np.abs(pull) < 4)[some[: len(TRACKS)]].all()
        # The spread is known to 1 / sqrt(2 (n - 1)), the mean error to 1 / sqrt(2 n (chunks - 1)).
        known = math.sqrt(1 / (2 * (n - 1)) + 1 / (2 * n * (system.evaluate.chunks - 1)))
        assert (np.abs(ratio - 1)[some] < 4 * known).all()


def test_against_expected(system):
    check_against_expected(system, range(64))


@pytest.mark.slow
def test_against_expected_with_many_keys(system):
    check_against_expected(system, range(1000, 1250))


def test_gradients(system):
    """Against central differences (of fourth order) with the same muons: to 1e-5 of their scale."""
    design, key = as_arrays(system.detector), jax.random.key(3)
    chosen = {"d0": 0, "pt": 3, "loss": 4}
    value = np.asarray(system.score(design, key).values)
    slopes = {name: system.slope(design, key, jnp.eye(5)[i]) for name, i in chosen.items()}
    worst, nonzero = {}, dict.fromkeys(chosen, False)
    for name, (lower, upper) in BOUNDS.items():
        here = get(design, name)
        h = 1e-5 * float(here)
        low2, low, high, high2 = (
            np.asarray(system.score(put(design, name, here + k * h), key).values) for k in (-2, -1, 1, 2)
        )
        difference = (8 * (high - low) - (high2 - low2)) / (12 * h)
        for objective, i in chosen.items():
            exact = float(get(slopes[objective], name))
            scale = max(abs(difference[i]), 0.02 * abs(value[i]) / (upper - lower))
            worst[objective, name] = abs(exact - difference[i]) / scale
            nonzero[objective] |= abs(difference[i]) * (upper - lower) > 0.02 * abs(value[i])
    print({" ".join(k): f"{v:.0e}" for k, v in worst.items()})
    assert {k: v for k, v in worst.items() if not v < 1e-5} == {}
    assert all(nonzero.values())


def test_gradients_of_muons_that_curl(system):
    """17 T: at 1 GeV some layers are never reached. Values and gradients are finite, and the gradient is right."""
    design, key = put(as_arrays(system.detector), "field.B", jnp.float64(17.0)), jax.random.key(3)
    for i in (0, 3, 4):
        slope = system.slope(design, key, jnp.eye(5)[i])
        assert all(np.isfinite(np.asarray(x)).all() for x in jax.tree.leaves(slope)), list(OBJECTIVES)[i]
    assert np.isfinite(np.asarray(system.score(design, key).values)).all()
    assert float(slope.part("L0").radius) != 0


# -- what it costs -----------------------------------------------------------------------------------------------------


def value_and_gradient(root, events, options=None):
    """Compiled value, and value and gradient, of a float32 score of so many muons."""
    design = as_arrays(detopt.load(root / "detectors/its2_like.yaml"), jnp.float32)
    objectives = {"d0": TRACKS["d0"], "loss": Discrimination()}
    evaluate = SampledEvaluator(objectives, {}, Prices(), SOURCE, PHYSICS, Space(design, ()), events=events)
    head, key = head_of(jnp.float32), jax.random.key(0)

    def value(design, key):
        return jnp.sum(jnp.log(evaluate(design, head, key).values))

    def build(f):
        return jax.jit(f).lower(design, key).compile(options)

    return evaluate.events, value, build, (design, key)


@pytest.mark.slow
def test_memory_is_flat(root):
    """10^6 muons take no more memory than 2 x 10^4, value and gradient; fewer come in smaller chunks, and take less."""
    used = {}
    for events in (10_000, 20_000, 1_000_000):
        events, value, build, _ = value_and_gradient(root, events, {"xla_backend_optimization_level": 0})
        used[events] = build(jax.value_and_grad(value)).memory_analysis().temp_size_in_bytes
    print({n: f"{b / 1e6:.1f} MB" for n, b in used.items()})
    least, few, many = used.values()
    assert 1e6 < least < few
    assert abs(many / few - 1) < 0.05


@pytest.mark.benchmark
def test_gradient_takes_few_values(root):
    """Value and gradient within 5 times the value, in one run."""
    events, value, build, inputs = value_and_gradient(root, 100_000)
    best = []
    for f in (build(value), build(jax.value_and_grad(value))):
        times = []
        for _ in range(5):
            started = time.perf_counter()
            jax.block_until_ready(f(*inputs))
            times.append(time.perf_counter() - started)
        best.append(min(times))
    print(
        f"\n{events} muons a group: value {best[0]:.2f} s, value and gradient {best[1]:.2f} s, {best[1] / best[0]:.1f}"
    )
    assert best[1] < 5 * best[0]
