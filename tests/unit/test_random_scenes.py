"""Scenes at random: how often, where and of what, and what is refused."""

import re

import numpy as np
import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.detector.random_scenes import RandomFilling
from detopt.detector.stops import stops
from detopt.detector.surfaces import as_arrays
from detopt.simulation.scene_draws import draw_scene, filled
from detopt.study.faults import BadInput

DETECTOR = """\
schema: 1
name: box
frame: portal
elements:
  - {name: above, type: panel, z: 1 m, span: 1 m, resolution: 1 mm}
  - name: load
    type: volume
    corner: [-20 cm, -30 cm, 0 cm]
    size: [40 cm, 60 cm, 50 cm]
    voxels: [4, 6, 5]
    scene:
      type: random
      shapes:
SHAPES
  - {name: below, type: panel, z: -1 m, span: 1 m, resolution: 1 mm}
"""
SHAPES = (
    "{name: scrap, type: box, material: iron, share: [10 %, 30 %], x: 0 m, y: 0 m, z: 25 cm, size: [40 cm, 60 cm, 50 cm]}",
    "{name: block, type: box, material: [lead, uranium], present: 30 %, x: [-10 cm, 10 cm], y: 0 m, z: 25 cm, "
    "size: [10 cm, 20 cm, 10 cm]}",
    "{name: pool, type: level, material: water, bottom: 0 cm, height: [5 cm, 20 cm]}",
)
NUMBER = 20_000


def written(folder, shapes):
    path = folder / "box.yaml"
    path.write_text(DETECTOR.replace("SHAPES", "\n".join(f"        - {s}" for s in shapes)))
    return path


@pytest.fixture(scope="module")
def filling(tmp_path_factory):
    detector = detopt.load(written(tmp_path_factory.mktemp("scenes"), SHAPES))
    found = detector.part("load").scene
    assert isinstance(found, RandomFilling)
    return detector, found


@pytest.fixture(scope="module")
def scenes(filling):
    drawn = jax.jit(jax.vmap(lambda k: draw_scene(filling[1], k)))(jax.random.split(jax.random.key(1), NUMBER))
    names = [m.name for m in filling[1].scene.materials]
    return np.array(names)[np.asarray(drawn.cells)], {n: np.asarray(v, float) for n, v in drawn.truth.items()}


def test_how_often_and_of_what(scenes):
    cells, truth = scenes
    assert abs(truth["block"].mean() - 0.3) < 4 * np.sqrt(0.21 / NUMBER)
    heavy = np.isin(cells, ["lead", "uranium"]).any((1, 2, 3))
    # Above the pool nothing hides a block.
    assert (heavy == truth["block"].astype(bool)).all()
    lead = (cells == "lead").any((1, 2, 3))[heavy]
    assert abs(lead.mean() - 0.5) < 4 * 0.5 / np.sqrt(heavy.sum())


def test_where(scenes):
    cells, truth = scenes
    there = truth["block"] > 0
    block = np.isin(cells, ["lead", "uranium"])[there]
    x = np.arange(-15, 20, 10)  # middles of the voxels in cm
    middle = (block.any((2, 3)) * x).sum(1) / block.any((2, 3)).sum(1)
    expected = -10 + 20 * truth["block.x"][there]
    assert np.abs(middle - expected).max() <= 5.01
    assert abs((middle - expected).mean()) < 0.2
    assert (block.any((1, 3)) == np.array([False, False, True, True, False, False])).all()


def test_share_and_level(scenes):
    cells, truth = scenes
    dry = cells[..., 2:]
    scrap = (dry == "iron").mean((1, 2, 3))
    free = truth["block"] == 0
    assert np.abs(scrap - 0.1 - 0.2 * truth["scrap.share"])[free].mean() < 0.05
    assert abs(np.mean(scrap - 0.1 - 0.2 * truth["scrap.share"], where=free)) < 0.002
    # Cut voxels are full as often as they would be filled: the mean height is the truth's.
    height = 10.0 * (cells == "water").mean((1, 2)).sum(1)
    right = 5 + 15 * truth["pool.height"]
    assert np.abs(height - right).max() < 5
    for low in np.linspace(0, 0.9, 10):
        some = (truth["pool.height"] >= low) & (truth["pool.height"] < low + 0.1)
        assert abs((height - right)[some].mean()) < 0.1


def test_in_a_line_of_stops(filling):
    detector, scenes = filling
    line = stops(as_arrays(detector, jnp.float64))
    drawn = draw_scene(scenes, jax.random.key(3), jnp.float64)
    new = filled(line, scenes, drawn.cells)
    listed = list(scenes.materials)
    names = np.array([listed.index(m) for m in scenes.scene.materials])[np.asarray(drawn.cells)]
    assert (np.asarray(new.voxels.material).reshape(5, 4, 6) == np.moveaxis(names, 2, 0)).all()
    per_voxel = 100.0 / np.array([m.X0 for m in listed])[names]
    column = np.broadcast_to(per_voxel.sum(2)[None], (5, 4, 6))
    np.testing.assert_allclose(np.asarray(new.voxels.body).reshape(5, 4, 6), column)
    densest = np.asarray(new.voxels.densest)[np.asarray(new.voxels.first) >= 0]
    layers = np.asarray(new.voxels.first)[np.asarray(new.voxels.first) >= 0] // 24
    by_layer = np.moveaxis(per_voxel, 2, 0).reshape(5, -1)
    assert (by_layer[layers, densest - 24 * layers] == by_layer.max(1)[layers]).all()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("{type: box, material: lead, x: [0 m, 30 cm], y: 0 m, z: 25 cm, size: [1 cm, 1 cm, 1 cm]}", "may reach from -5 mm to 305 mm along x"),
        ("{type: level, material: water, bottom: 0 m, height: [0 m, 60 cm]}", "along z, and the volume from 0 mm to 500 mm"),
        ("{type: level, material: water, bottom: 0 m, height: 1 cm, afloat: 1 cm}", "what floats needs a material"),
        ("{type: box, material: cheese, x: 0 m, y: 0 m, z: 25 cm, size: [1 cm, 1 cm, 1 cm]}", "unknown material 'cheese'"),
        ("{type: box, material: lead, present: 150 %, x: 0 m, y: 0 m, z: 25 cm, size: [1 cm, 1 cm, 1 cm]}", "present must be <= 1"),
        ("{name: pool, type: box, material: lead, x: 0 m, y: 0 m, z: 25 cm, size: [1 cm, 1 cm, 1 cm]}", "must be a word of its own"),
        ("{type: cone, material: lead}", "unknown shape type 'cone'"),
    ],
)  # fmt: skip
def test_refused(tmp_path, shape, message):
    with pytest.raises(BadInput, match=re.escape(message)) as refused:
        detopt.load(written(tmp_path, (*SHAPES, shape)))
    assert re.search("box.yaml:1[67]:", str(refused.value))
