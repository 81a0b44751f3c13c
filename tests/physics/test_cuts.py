"""Muons put onto an angle cut of a trigger: as many as just pass it by themselves."""

import numpy as np

import detopt
from detopt.backend import jax
from detopt.parameters import put
from detopt.study.evaluate import array_space, make_sampler

TEXT = """\
schema: 1
name: cut
detector:
  schema: 1
  name: cut
  frame: portal
  trigger: {angle: 12 mrad}
  elements:
  - {name: a, type: panel, z: 1.5 m, span: 1.1 m, resolution: 2 mm, efficiency: 90 %}
  - {name: b, type: panel, z: 1.2 m, centre: {x: 12 cm}, span: 0.9 m, tilt: {y: 5 deg}, resolution: {x: 2 mm, y: 3 mm}}
  - {name: lead, type: slab, z: [0.4 m, 0.5 m], span: 40 cm, material: lead, slices: 2}
  - {name: d, type: panel, z: -0.1 m, span: 1 m, resolution: 2 mm, efficiency: 90 %}
  - {name: e, type: panel, z: -0.5 m, span: 1.1 m, resolution: 2 mm}
source: {type: cosmic, momentum: [2 GeV, 200 GeV], aim: lead}
mode: sampled
variables: {trigger.angle: {bounds: [10 mrad, 14 mrad]}}
objectives: {seen: {type: efficiency}}
search: {type: gradient, steps: 2, restarts: 0, events: 8192}
seed: 1
"""
STEP, KEYS = 0.1, 48


def test_density_at_an_angle_cut(tmp_path):
    """Of ln(angle), where it is cut: the flips, and a difference of all muons that pass."""
    (tmp_path / "study.yaml").write_text(TEXT)
    study = detopt.load(tmp_path / "study.yaml")
    sampler, design = make_sampler(study, 8192), array_space(study).detector
    angle = float(design.trigger.angle)

    @jax.jit
    def both(key):
        here = sampler._cast(design)
        flip = sampler.flips(here, key)[-1]
        step = [
            sampler._chunk(put(here, "trigger.angle", here.trigger.angle * np.exp(s)), key)[1] for s in (STEP, -STEP)
        ]
        return (flip.weight[:, None] * (flip.on - flip.off)).sum(0)[1], (step[1] - step[0]) / (2 * STEP)

    found = np.array([both(key) for key in jax.random.split(jax.random.key(3), KEYS)])
    (put_there, passing), (error, other) = found.mean(0), found.std(0) / KEYS**0.5
    print(f"density at {angle} rad: put there {put_there:.4g} +- {error:.2g}, passing {passing:.4g} +- {other:.2g}")
    assert abs(put_there - passing) < 3 * np.hypot(error, other)
    assert error < 0.03 * passing
    assert other < 0.04 * passing
