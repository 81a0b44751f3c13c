"""Volumes of voxels: as slabs of the same matter, and each muon in the voxel where it is."""

import numpy as np
import pytest

from detopt.backend import jax
from detopt.detector.detector import Detector
from detopt.detector.elements import Plane, Slab, Volume
from detopt.detector.scenes import Box, Cylinder, Shapes, Sphere, Uniform, fill
from detopt.detector.stops import stops
from detopt.detector.surfaces import as_arrays
from detopt.materials import material
from detopt.simulation.physics import Physics
from tests.physics.test_flight import dice_of, flown, muons

pytestmark = pytest.mark.physics

CORNER, SIZE, VOXELS = (-200.0, -300.0, -100.0), (400.0, 600.0, 200.0), (4, 3, 2)
BELOW = Plane(name="below", z=-150.0, span=(1e7, 1e7))
LEAD, IRON, AIR = material("lead"), material("iron"), material("air")


def volume(scene, corner=CORNER, size=SIZE, voxels=VOXELS):
    return Volume(name="v", corner=corner, size=size, voxels=voxels, scene=fill(scene, corner, size, voxels)[0])


def portal(*elements):
    return Detector(name="p", frame="portal", elements=(*elements, BELOW))


def at_random(count, seed=0, reach=150.0):
    rng = np.random.default_rng(seed)
    position = np.column_stack([rng.uniform(-reach, reach, (count, 2)), np.full(count, 110.0)])
    direction = np.column_stack([rng.uniform(-0.4, 0.4, (count, 2)), np.full(count, -1.0)])
    return muons(position, direction, rng.uniform(1.0, 5.0, count))


@pytest.mark.parametrize("physics", [Physics(), Physics(tails=False, straggling=False)], ids=["full", "gaussian"])
def test_uniform_volume_is_a_slab(physics):
    """The same random numbers give the same muon, slice by slice."""
    box = volume(Uniform(material=IRON), corner=(-1e4, -1e4, -100.0), size=(2e4, 2e4, 200.0))
    slab = Slab(name="v", z=(-100.0, 100.0), span=(2e4, 2e4), material=IRON, slices=sum(box.scene.slices))
    start = at_random(200)
    one, other = (flown(portal(e), start, rolled=dice_of(portal(e), 200), physics=physics) for e in (box, slab))
    for a, b in zip(jax.tree.leaves(one._replace(voxel=None)), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_each_muon_meets_the_voxel_where_it_is():
    """Straight muons through a chequered volume: the energy that they lose, against a count of their own."""
    scene = Shapes(
        fill=AIR,
        shapes=[
            Box(material=LEAD, centre=(-150.0, -200.0, 50.0), size=(100.0, 200.0, 100.0)),
            Box(material=IRON, centre=(50.0, 200.0, -50.0), size=(300.0, 200.0, 100.0)),
        ],
    )
    detector = portal(volume(scene))
    start = at_random(500)
    legs = flown(detector, start, physics=Physics(tails=False, straggling=False))
    listed = stops(as_arrays(detector))
    slices = listed.voxels.first.shape[0] - 1
    position, direction = np.asarray(start.position), np.asarray(start.direction)
    index = np.full(500, -1)
    for i in range(slices):
        middle = float(listed.middle[i, 2] - listed.depth[i] / 2)
        at = position + ((middle - position[:, 2]) / direction[:, 2])[:, None] * direction
        x, y, z = np.floor((at - np.array(CORNER)) / (np.array(SIZE) / np.array(VOXELS))).astype(int).T
        inside = (x >= 0) & (x < 4) & (y >= 0) & (y < 3)
        index = np.where(inside, (z * 4 + x) * 3 + y, -1)
        seen = legs.crossed[:, i] & inside
        np.testing.assert_array_equal(legs.voxel[seen, i], index[seen])
    assert (legs.voxel[:, -1] == -1).all()  # the plane
    lost = start.momentum - legs.before.momentum[:, -1]
    names = np.array([str(m) for m in detector.elements[0].scene.materials])[np.asarray(listed.voxels.material)]
    met = np.where(legs.crossed & (legs.voxel >= 0), names[legs.voxel], "")
    empty = ~np.isin(met, ["lead", "iron"]).any(1)
    assert empty.sum() > 50
    assert lost[(met == "lead").any(1)].min() > 5e-3
    assert lost[empty].max() < 1e-3


def test_scattering_is_that_of_the_column():
    """Half lead, half air: widths on either side, with Highland's formula for the whole depth."""
    scene = Shapes(shapes=[Box(material=LEAD, centre=(-100.0, 0.0, 0.0), size=(200.0, 600.0, 200.0))])
    detector, count = portal(volume(scene)), 20_000
    x = np.where(np.arange(count) % 2, -100.0, 100.0)
    start = muons(np.column_stack([x, 0 * x, np.full(count, 110.0)]), [0, 0, -1], np.full(count, 20.0))
    physics = Physics(tails=False, straggling=False, energy_loss=False)
    legs = flown(detector, start, rolled=dice_of(detector, count), physics=physics)
    angle = np.arctan(legs.before.direction[:, -1, 0] / -legs.before.direction[:, -1, 2])
    deep = 200.0 / LEAD.X0
    expected = 13.6e-3 / 20.0 * np.sqrt(deep) * (1 + 0.038 * np.log(deep))
    assert angle[x < 0].std() == pytest.approx(expected, rel=0.025)
    assert angle[x > 0].std() < 0.02 * expected


def test_shapes():
    """A voxel is what its middle is; later shapes replace earlier ones."""
    shapes = [
        Box(material=IRON, centre=(0.0, 0.0, 0.0), size=(400.0, 600.0, 100.0)),
        Cylinder(material=LEAD, centre=(0.0, 0.0, 0.0), radius=100.0, height=200.0),
        Sphere(material=material("water"), centre=(150.0, 250.0, 50.0), radius=60.0),
    ]
    corner, size, voxels = (-200.0, -300.0, -100.0), (400.0, 600.0, 200.0), (40, 60, 20)
    filling, lost = fill(Shapes(shapes=shapes), corner, size, voxels)
    names = np.array([str(m) for m in filling.materials])[filling.index]
    share = {name: float((names == name).mean()) for name in ("lead", "water", "iron", "air")}
    box = 400 * 600 * 200
    assert lost == []
    assert share["lead"] == pytest.approx(np.pi * 100**2 * 200 / box, rel=0.01)
    assert share["water"] == pytest.approx(4 / 3 * np.pi * 60**3 * 0.9 / box, rel=0.1)  # its rim is cut off
    assert share["iron"] + share["lead"] / 2 == pytest.approx(0.5, abs=0.01)
    assert sum(share.values()) == pytest.approx(1)
    lost = fill(Shapes(shapes=[Sphere(material=LEAD, centre=(1.0, 1.0, 1.0), radius=2.0)]), corner, size, (4, 6, 2))[1]
    assert lost == [0]
