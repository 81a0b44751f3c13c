"""Gradients of what a head finds out about random scenes, against differences."""

import equinox as eqx
import numpy as np
import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays
from detopt.gradients.check import Budget, check
from detopt.study.evaluate import array_space, make_sampler
from detopt.study.gradients import trained_head
from detopt.study.networks import make_head

DETECTOR = """\
schema: 1
name: crate
frame: portal
elements:
  - {name: a, type: panel, z: 0.9 m, span: 1 m, resolution: 2 mm, efficiency: 90 %, x_over_X0: 1 %}
  - {name: b, type: panel, z: 0.5 m, span: 0.8 m, resolution: 2 mm, efficiency: 90 %, x_over_X0: 1 %}
  - name: load
    type: volume
    corner: [-30 cm, -30 cm, -20 cm]
    size: [60 cm, 60 cm, 40 cm]
    voxels: [4, 4, 2]
    scene:
      type: random
      shapes:
        - {type: box, material: iron, share: [0 %, 50 %], x: 0 m, y: 0 m, z: 0 m, size: [60 cm, 60 cm, 40 cm]}
        - {name: block, type: box, material: [lead, uranium], present: 50 %, x: [-15 cm, 15 cm], y: [-15 cm, 15 cm], z: 0 cm,
           size: [30 cm, 30 cm, 40 cm]}
  - {name: c, type: panel, z: -0.5 m, span: 1 m, resolution: 2 mm, efficiency: 90 %, x_over_X0: 1 %}
  - {name: e, type: panel, z: -0.9 m, span: 0.9 m, resolution: 2 mm, efficiency: 90 %, x_over_X0: 1 %}
"""
STUDY = """\
schema: 1
name: crate
detector: crate.yaml
source: {type: cosmic, momentum: [1 GeV, 1000 GeV], aim: load}
mode: sampled
head: {type: voxels, muons: 100, batch: 32, warm_up: 300, width: 16}
physics: {straggling: false, tails: false}
tracking: {min_hits: 2}
variables:
  e.span: {bounds: [0.6 m, 1.3 m]}
  c.efficiency: {bounds: [70 %, 99 %]}
  c.resolution: {bounds: [1 mm, 10 mm]}
objectives:
  found: {type: detection, of: block}
search: {type: gradient, steps: 2, restarts: 0, events: EVENTS}
audit: {head_events: 1000000, events: 100000}
seed: 1
"""


def crate(folder, events, head="voxels"):
    (folder / "crate.yaml").write_text(DETECTOR)
    (folder / "study.yaml").write_text(STUDY.replace("EVENTS", str(events)).replace("type: voxels", f"type: {head}"))
    study = detopt.load(folder / "study.yaml")
    return study, make_sampler(study, events), array_space(study)


def test_exposures_and_values(tmp_path):
    """Half of the exposures have a block, and muons are scattered more in these; a head that knows nothing loses a bit."""
    study, sampler, space = crate(tmp_path, 8000)
    assert (sampler.exposure, sampler.chunk % 100) == (100, 0)
    assert sampler.estimators() == {"e.span": "edges", "c.efficiency": "hits", "c.resolution": "pathwise + edges"}
    design = as_arrays(study.detector)
    pictures = eqx.filter_jit(lambda d, k: sampler.exposures(d, k, 40_000))(design, jax.random.key(0))
    there = np.asarray(pictures.truth)[:, 0] > 0.5
    assert abs(there.mean() - 0.5) < 4 * 0.5 / 20
    # Three wide bins of the angle: beyond some 20 mrad only dense matter sends muons.
    scattered = np.asarray(pictures.sums)[..., 3:6].sum((1, 2, 3, 4))
    assert scattered[there].mean() > scattered[~there].mean() + 5 * scattered.std() / 20
    # Long exposures in parts have as many muons that are seen, a part as an exposure of its own.
    series = eqx.filter_jit(lambda d, k: sampler.series(d, k, 40_000, 2, 4))(design, jax.random.key(3))
    assert (series.number, series.sums.shape[1]) == (200, 4)
    assert (series.muons == 50).all()
    per_muon = [np.asarray(x).sum((-4, -3, -2, -1)).ravel() for x in (pictures.sums, series.sums)]
    spread = np.hypot(*(x.std() / len(x) ** 0.5 for x in per_muon))
    assert abs(per_muon[0].mean() - per_muon[1].mean()) < 4 * spread
    blind = make_head(study, jax.random.key(1))
    blind = eqx.tree_at(lambda n: n.readout.layers[-1].weight, blind, replace_fn=lambda w: 0 * w)
    blind = eqx.tree_at(lambda n: n.readout.layers[-1].bias, blind, replace_fn=lambda b: 0 * b)
    value = eqx.filter_jit(lambda k: sampler(space.place(jnp.asarray(space.init)), blind, k).values)(jax.random.key(2))
    np.testing.assert_allclose(value, 1.0, rtol=1e-6)
    # What the chunks differ by from the score of a head that says something: no mean, and the score's error.
    chunks = np.asarray(
        eqx.filter_jit(lambda k: sampler.by_chunks(design, make_head(study, k), k)[1])(jax.random.key(2))
    )
    score = eqx.filter_jit(lambda k: sampler(design, make_head(study, k), k))(jax.random.key(2))
    assert chunks.shape == (sampler.chunks, 1)
    assert score.errors[0] > 1e-4
    np.testing.assert_allclose(chunks.mean(0), 0, atol=1e-3 * float(score.errors[0]))
    np.testing.assert_allclose(chunks.std(0, ddof=1) / sampler.chunks**0.5, score.errors, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["voxels", "deep_set"])
def test_gradients(tmp_path, kind):
    study, sampler, space = crate(tmp_path, 16_000, kind)
    head = trained_head(study, sampler)
    rows = check(
        lambda u, key: sampler(space.place(u), head, key).values,
        np.array(space.init),
        True,
        Budget(keys=700, seconds=3000, step=0.1),
    )
    for row, name in zip(rows, space.names, strict=True):
        print(
            f"{name}: {row.gradient:.4g} +- {row.gradient_error:.2g}, difference {row.difference:.4g}: "
            f"{100 * row.bias / row.scale:.1f} +- {100 * row.bias_error / row.scale:.1f} %, {row.keys} keys: {row.verdict}"
        )
    assert all(abs(row.bias) < 3 * row.bias_error for row in rows)
    assert all(row.bias_error < 0.2 * row.scale for row in rows)
