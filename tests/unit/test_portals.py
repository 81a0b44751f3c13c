"""The portals that ship: what their publications give is what the files say."""

import pytest

import detopt
from detopt.detector.arms import arms_of
from detopt.study.library import shipped

PORTALS = {
    # Planes above and below that a track is made of, their resolution in mm, and what they look at.
    "bristol_rpc_portal": (3, 1.5 / 12**0.5, {"air", "lead"}),
    "lynkeos_portal": (2, 2.0 / 12**0.5, {"air", "concrete", "uranium"}),
    "cript_portal": (2, 2.5, {"air", "lead", "steel"}),
    "los_alamos_portal": (3, 0.4, {"air", "lead", "iron"}),
}


@pytest.mark.parametrize("name", PORTALS)
def test_planes_and_scenes(name):
    planes, resolution, materials = PORTALS[name]
    detector = detopt.load(name)
    sensors = detector.sensors()
    above, below, *spectrometer = arms_of(detector, None)
    assert len(above.sensors) == len(below.sensors) == planes
    assert len(sensors) == 2 * planes + 2 * (name == "cript_portal")
    assert [s.resolution for s in sensors] == [pytest.approx((resolution, resolution))] * len(sensors)
    (volume,) = (e for e in detector.elements if hasattr(e, "scene"))
    assert {str(m) for m in volume.scene.materials} == materials
    assert not spectrometer or name == "cript_portal"


@pytest.mark.parametrize("name", PORTALS)
def test_references_say_what_was_read_recalled_and_assumed(name):
    reference = detopt.load(name).source_reference
    assert all(word in reference for word in ("read", "Recalled", "Assumed"))


def test_the_block_of_lead_of_bristol():
    """10 cm x 15 cm x 10 cm, in whole voxels."""
    volume = detopt.load("bristol_rpc_portal").part("space")
    lead = [str(m) for m in volume.scene.materials].index("lead")
    voxel = [s / n for s, n in zip(volume.size, volume.voxels, strict=True)]
    assert (volume.scene.index == lead).sum() * voxel[0] * voxel[1] * voxel[2] == pytest.approx(100 * 150 * 100)


def test_the_study_of_stations():
    """Its planes are equal and stay so; it starts inside all of its limits."""
    study = detopt.load(shipped() / "studies" / "portal_stations.yaml")
    ties = {v.name: v.names for v in study.space.variables if v.name.endswith(".span")}
    assert ties["upper_1.span"] == ("upper_1.span", "upper_2.span", "upper_3.span")
    sensors = study.detector.sensors()
    z = [s.position for s in sensors]
    assert max(z) - min(z) < study.constraints["ceiling"].max
    assert min(abs(p) for p in z) - 300 > study.constraints["room"].clearance
