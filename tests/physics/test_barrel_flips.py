"""Gradients of a barrel's acceptance against a closed form: straight tracks, layers that end, hits that are lost."""

import itertools
import math

import numpy as np
import pytest

import detopt
from detopt.backend import jax
from detopt.study.evaluate import array_space, make_sampler

STUDY = """
schema: 1
name: short_barrel
detector:
  schema: 1
  name: short
  frame: barrel
  elements:
  - {name: a, type: barrel_layer, radius: 40 mm, half_length: 60 mm, pitch: 50 um, efficiency: 95 %, x_over_X0: 0}
  - {name: b, type: barrel_layer, radius: 90 mm, half_length: 110 mm, pitch: 50 um, efficiency: 80 %, x_over_X0: 0}
  - {name: c, type: barrel_layer, radius: 150 mm, half_length: 200 mm, pitch: 50 um, efficiency: 90 %, x_over_X0: 0}
source: {type: gun, momentum: 5 GeV, theta: [20 deg, 120 deg]}
mode: sampled
tracking: {min_hits: 2}
variables:
  b.radius: {bounds: [60 mm, 120 mm]}
  c.half_length: {bounds: [150 mm, 300 mm]}
  b.efficiency: {bounds: [60 %, 100 %]}
objectives:
  accepted: {type: efficiency}
search: {type: gradient, events: 16384}
seed: 1
"""
KEYS = 64


def exact(b_radius, c_half_length, b_efficiency):
    """The fraction of muons with two hits, cos(theta) by cos(theta)."""
    layers = [(40.0, 60.0, 0.95), (b_radius, 110.0, b_efficiency), (150.0, c_half_length, 0.9)]
    ends = [z / math.hypot(z, r) for r, z, _ in layers]
    low, high = math.cos(math.radians(120)), math.cos(math.radians(20))
    edges = sorted({low, high, *(min(e, high) for e in ends), *(max(-e, low) for e in ends)})
    total = 0.0
    for first, last in itertools.pairwise(edges):
        crossed = [e for end, (_, _, e) in zip(ends, layers, strict=True) if abs(first + last) / 2 < end]
        for hits in itertools.product((0, 1), repeat=len(crossed)):
            if sum(hits) >= 2:
                chance = math.prod(e if hit else 1 - e for hit, e in zip(hits, crossed, strict=True))
                total += chance * (last - first)
    return total / (high - low)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Values and gradients (to radius and half length per mm, to the efficiency) of independent sets of events."""
    path = tmp_path_factory.mktemp("barrel") / "study.yaml"
    path.write_text(STUDY)
    study = detopt.load(path)
    space, sampler = array_space(study), make_sampler(study, study.search.events)

    def one(u, key):
        return jax.value_and_grad(lambda u: sampler(space.place(u), None, key).values[0])(u)

    # Compiling takes longest: without LLVM's optimisation it takes half.
    one = jax.jit(one, compiler_options={"xla_backend_optimization_level": 0})
    values, slopes = zip(
        *(one(np.array(space.init), jax.random.fold_in(jax.random.key(0), i)) for i in range(KEYS)), strict=True
    )
    widths = np.array([v.upper - v.lower for v in study.space.variables])
    return sampler.estimators(), np.array(values), np.array(slopes) / widths[None]


def test_estimators(found):
    assert found[0] == {"b.radius": "pathwise + edges", "c.half_length": "edges", "b.efficiency": "hits"}


def test_against_the_closed_form(found):
    """All three derivatives within three standard errors, which are below 2 %; the value as well."""
    _, values, slopes = found
    at = np.array([90.0, 200.0, 0.8])
    assert abs(values.mean() - exact(*at)) < 3 * values.std() / KEYS**0.5
    for i, step in enumerate((1e-4, 1e-4, 1e-6)):
        moved = [at + step * np.eye(3)[i], at - step * np.eye(3)[i]]
        derivative = (exact(*moved[0]) - exact(*moved[1])) / (2 * step)
        error = slopes[:, i].std(ddof=1) / KEYS**0.5
        print(f"{slopes[:, i].mean():.5g} +- {error:.1g}, exact {derivative:.5g}")
        assert error < 0.02 * abs(derivative)
        assert abs(slopes[:, i].mean() - derivative) < 3 * error
