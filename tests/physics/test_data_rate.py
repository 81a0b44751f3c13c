"""The rate of data where it is known: planes times efficiency times acceptance, and what a trigger leaves."""

import math

import pytest
from texts import changed

import detopt
from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays
from detopt.study.evaluate import array_space, make_evaluator, make_sampler
from detopt.study.faults import BadInput

LINE = """\
schema: 1
name: data
detector:
  schema: 1
  name: line
  frame: beamline
  elements:
    - {name: a, type: plane, z: 0.2 m, span: 40 cm, resolution: 1 mm, efficiency: 90 %}
    - {name: b, type: plane, z: 0.4 m, span: 40 cm, resolution: 1 mm, efficiency: 90 %}
    - {name: c, type: plane, z: 0.6 m, span: {x: 40 mm, y: 40 cm}, resolution: 1 mm, efficiency: 80 %}
source: {type: beam, momentum: 50 GeV, spot: 20 mm}
mode: sampled
tracking: {min_hits: 2}
variables:
  a.efficiency: {bounds: [80 %, 99 %]}
  c.span.x: {bounds: [30 mm, 50 mm]}
objectives:
  data: {type: data_rate, rate: 2 MHz, hit_size: 32 bit}
  kept: {type: data_rate, rate: 2 MHz, hit_size: 4 B, triggered: true}
search: {type: gradient, events: 65536}
seed: 1
"""
INSIDE = math.erf(1 / math.sqrt(2))  # of the spot, in c
PER_HIT = 2e-3 * 4  # 2 MHz in 1/ns, bytes: in GB/s


@pytest.fixture
def line(tmp_path):
    def load(*changes):
        (tmp_path / "study.yaml").write_text(changed(LINE, changes))
        return detopt.load(tmp_path / "study.yaml")

    return load


def kept_hits(a, b, c):
    """Mean number of hits of muons that have two or more, c being there with a probability."""
    all_hits = a + b + c
    return all_hits - a * (1 - b) * (1 - c) - b * (1 - a) * (1 - c) - c * (1 - a) * (1 - b)


def test_planes_times_efficiency_times_acceptance(line):
    study = line()
    evaluate, space = make_sampler(study, 65536), array_space(study)
    score = jax.jit(evaluate)(as_arrays(study.detector), None, jax.random.key(1))
    expected = PER_HIT * (0.9 + 0.9 + 0.8 * INSIDE), PER_HIT * kept_hits(0.9, 0.9, 0.8 * INSIDE)
    for value, error, truth in zip(score.values.tolist(), score.errors.tolist(), expected, strict=True):
        assert error < 0.005 * truth
        assert value == pytest.approx(truth, abs=4 * error)
    slopes = jax.jit(jax.jacrev(lambda u: evaluate(space.place(u), None, jax.random.key(2)).values))(
        jnp.asarray(space.init)
    )
    # By efficiency of a; by how many muons stand at the edges of c.
    edges = 2 * 0.5 / 20 * math.exp(-0.5) / math.sqrt(2 * math.pi)  # of probability, for each mm of the span
    more = kept_hits(0.9, 0.9, 1.0) - kept_hits(0.9, 0.9, 0.0)
    known = [
        [1.0, 0.8 * edges],
        [kept_hits(1, 0.9, 0.8 * INSIDE) - kept_hits(0, 0.9, 0.8 * INSIDE), 0.8 * edges * more],
    ]
    for row, truth in zip(slopes.tolist(), known, strict=True):
        assert row[0] / 0.19 / PER_HIT == pytest.approx(truth[0], rel=0.02)
        assert row[1] / 20 / PER_HIT == pytest.approx(truth[1], rel=0.05)


def test_units(line):
    study = line()
    term = study.objectives["data"]
    assert (term.rate, term.hit_size) == pytest.approx((2e-3, 4.0))
    assert (term.unit, term.display_unit) == ("GB/s", "MB/s")
    assert study.objectives["kept"].title == "data rate after the trigger"


def test_no_impact_parameter_in_a_beam_line(line):
    with pytest.raises(BadInput, match="rejection is about d0"):
        line(
            ("{type: data_rate, rate: 2 MHz, hit_size: 32 bit}", "{type: rejection, efficiency: 70 %, flight: 450 um}")
        )


BARREL = """\
schema: 1
name: data
detector:
  schema: 1
  name: barrel
  frame: barrel
  field: {type: solenoid, B: 2 T}
  elements:
    - {name: pipe, type: barrel_layer, radius: 10 mm, half_length: 1 m, x_over_X0: 0.3 %}
    - {name: a, type: barrel_layer, radius: 20 mm, half_length: 1 m, x_over_X0: 0.5 %, pitch: 30 um, efficiency: 95 %}
    - {name: b, type: barrel_layer, radius: 40 mm, half_length: 1 m, x_over_X0: 0.5 %, pitch: 30 um, efficiency: 90 %}
    - {name: c, type: barrel_layer, radius: 60 mm, half_length: 1 m, x_over_X0: 0.5 %, pitch: 30 um}
    - {name: d, type: barrel_layer, radius: 80 mm, half_length: 1 m, x_over_X0: 0.5 %, pitch: 30 um}
    - {name: far, type: barrel_layer, radius: 90 mm, half_length: 1 cm, x_over_X0: 0.5 %, pitch: 30 um}
source: {type: gun, momentum: [1 GeV, 10 GeV], theta: [50 deg, 80 deg]}
mode: expected
tracking: {min_hits: 3}
variables:
  a.efficiency: {bounds: [80 %, 99 %]}
objectives:
  data: {type: data_rate, rate: 1 kHz, hit_size: 1 kB}
search: {type: gradient, events: 16384}
seed: 1
"""


@pytest.mark.parametrize("mode", ["expected", "sampled"])
def test_barrel(tmp_path, mode):
    """`far` is missed by all; pipes measure nothing."""
    (tmp_path / "study.yaml").write_text(BARREL.replace("mode: expected", f"mode: {mode}"))
    study = detopt.load(tmp_path / "study.yaml")
    evaluate = make_evaluator(study) if mode == "expected" else make_sampler(study, 16384)
    space, key = array_space(study), jax.random.key(0)

    def value(u):
        return evaluate(space.place(u), None, key).values[0]

    rate, slope = jax.jit(jax.value_and_grad(value))(jnp.asarray(space.init))
    rel = 1e-12 if mode == "expected" else 2e-3
    assert float(rate) == pytest.approx(1e-3 * (0.95 + 0.9 + 2), rel=rel)
    assert float(slope[0]) == pytest.approx(1e-3 * 0.19, rel=10 * rel)
