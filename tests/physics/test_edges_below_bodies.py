"""Muons put onto the edge of a plane below a block that scatters them: as many as fly there by themselves."""

import numpy as np
import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.simulation.beam_event import fly_event, line_up
from detopt.simulation.edges import Edge, onto_edge
from detopt.study.evaluate import array_space, make_sampler

STUDY = """\
schema: 1
name: below
detector: below.yaml
source: {type: cosmic, momentum: [1 GeV, 3 GeV], aim: block}
mode: sampled
variables: {plane.z: {bounds: [-1.1 m, -0.9 m]}}
objectives: {seen: {type: efficiency}}
search: {type: gradient, steps: 2, restarts: 0, events: 8192}
seed: 1
"""
DETECTOR = """\
schema: 1
name: below
frame: portal
elements:
  - {name: top, type: panel, z: 1 m, span: 2 m, resolution: 1 mm}
  - {name: upper, type: panel, z: 0.5 m, span: 2 m, resolution: 1 mm}
  - BLOCK
  - {name: lower, type: panel, z: -0.5 m, span: 2 m, resolution: 1 mm}
  - {name: plane, type: panel, z: -1 m, span: 1.2 m, resolution: 1 mm}
"""
BLOCKS = {
    "slab": "{name: block, type: slab, z: [-10 cm, 10 cm], span: 50 cm, material: lead}",
    "volume": (
        "{name: block, type: volume, corner: [-35 cm, -35 cm, -10 cm], size: [70 cm, 70 cm, 20 cm], voxels: [7, 7, 2], "
        "scene: {type: shapes, shapes: [{type: box, material: lead, centre: [0 m, 0 m, 0 m], size: [50 cm, 50 cm, 20 cm]}]}}"
    ),
}
BAND = 20.0  # how far from the edge muons are counted, in mm


@pytest.mark.parametrize("number", [2**17, pytest.param(2**20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("block", BLOCKS)
def test_density_on_an_edge(tmp_path, block, number):
    """Muons that pass the sides of the block have several ways onto it, or none; with one way each 16 % are missing."""
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "below.yaml").write_text(DETECTOR.replace("BLOCK", BLOCKS[block]))
    study = detopt.load(tmp_path / "study.yaml")
    sampler, space = make_sampler(study, 8192), array_space(study)
    line = line_up(sampler._cast(space.detector))
    stop = line.stops.names.index("plane")
    rest = (sampler.source, sampler.muons.start, sampler.physics)
    draws = sampler.muons.draws(jax.random.key(1), number, jnp.float32)
    legs = jax.jit(jax.vmap(lambda d: fly_event(line, *rest, d)[0], in_axes=-1))(draws)
    aside = float(line.stops.half[stop, 0]) - np.asarray(legs.local[:, stop, 0])
    flown = ((np.abs(aside) < BAND) & np.asarray(legs.before.alive[:, stop])) / (2 * BAND)
    edge = Edge(jnp.asarray(stop, jnp.int32), jnp.asarray(0, jnp.int32), jnp.asarray(1.0, jnp.float32))
    keys = jax.random.split(jax.random.key(2), number)
    put = np.asarray(
        jax.jit(jax.vmap(lambda d, k: onto_edge(line, *rest, edge, d, k).weight, in_axes=(-1, 0)))(draws, keys), float
    )
    difference, error = put.mean() - flown.mean(), np.hypot(put.std(), flown.std()) / number**0.5
    print(f"{block}: put there {put.mean():.4g}, flown there {flown.mean():.4g} a mm, {error:.2g}")
    assert abs(difference) < 3 * error
    assert error < 0.03 * flown.mean()
