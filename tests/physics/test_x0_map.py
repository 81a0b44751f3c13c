"""Maps of X0 from scattered muons: uniform volumes, and a ball of uranium in a load."""

import numpy as np
import pytest

import detopt
from detopt.detector.detector import Detector
from detopt.detector.elements import Panel, Volume
from detopt.detector.scenes import Uniform, fill
from detopt.materials import material
from detopt.simulation.cosmic import Cosmic
from detopt.simulation.physics import Physics
from detopt.study.faults import BadInput
from detopt.study.image import aimed, image_of

pytestmark = pytest.mark.physics

CORNER, SIZE, VOXELS = (-500.0, -500.0, -500.0), (1000.0, 1000.0, 1000.0), (10, 10, 10)
FIVE = Cosmic(momentum=(4.99, 5.01), aim="load")
HEIGHTS = (1400.0, 1200.0, 800.0, 600.0)


def cube(name):
    scene, _ = fill(Uniform(material=material(name)), CORNER, SIZE, VOXELS)
    load = Volume(name="load", corner=CORNER, size=SIZE, voxels=VOXELS, scene=scene)
    planes = [
        Panel(name=f"p{i}", z=z, span=(3000.0, 3000.0), resolution=(0.1, 0.1))
        for i, z in enumerate((*HEIGHTS, *(-z for z in HEIGHTS[::-1])))
    ]
    return Detector(name="cube", frame="portal", elements=(*planes[:4], load, *planes[4:]))


def test_uniform_cube():
    """Gaussian muons without a loss of energy, half a minute's worth."""
    plain = Physics(energy_loss=False, straggling=False, tails=False)
    image = image_of(cube("iron"), FIVE, 16384, 0, plain, "known")
    assert image.ratios()["likelihood"] == pytest.approx(1, abs=0.1)
    assert 0.75 < image.seen / image.muons < 0.9
    # All voxels together are known far better than each.
    assert np.nanmean(image.likely) * material("iron").X0 == pytest.approx(1, abs=0.08)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "name",
    [
        "lead",
        pytest.param("iron", marks=pytest.mark.xfail(strict=True, reason="1.054: a Gaussian likelihood")),
        pytest.param("beryllium", marks=pytest.mark.xfail(strict=True, reason="1.095: a Gaussian likelihood")),
    ],
)
def test_median_of_a_hundred_thousand(name):
    """5 GeV, known; with tails, straggling and the loss of energy."""
    found = {count: image_of(cube(name), FIVE, count, 0, Physics(), "known") for count in (2000, 100_000)}
    for count, image in found.items():
        print(f"{name}, {count} muons: {image.ratios()}")
    assert found[100_000].ratios()["likelihood"] == pytest.approx(1, abs=0.05)


def test_uranium_is_found():
    """In half a minute, with nothing known of a muon's momentum but the spectrum."""
    detector = detopt.load("cargo_portal")
    source = aimed(detector, Cosmic(exposure=30e9))
    assert source.aim == "load"
    image = image_of(detector, source, 16384, 1)
    # Single voxels are noisy; of all cubes of two by two by two the densest is the ball.
    views = np.lib.stride_tricks.sliding_window_view(
        np.stack([np.nan_to_num(image.likely), image.truth]), (2, 2, 2), (1, 2, 3)
    )
    found, truth = views.mean((4, 5, 6))
    ball = truth > 0.2
    assert ball.sum() == 1
    assert ball.ravel()[found.argmax()]
    assert 0.5 < found[ball][0] / truth[ball][0] < 2


def test_what_has_no_image():
    with pytest.raises(BadInput, match="one volume; it has 0"):
        image_of(detopt.load("muon_portal"), Cosmic(exposure=1e9), 100)
    whole = cube("iron")
    above = Detector(name="half", frame="portal", elements=whole.elements[:5])
    with pytest.raises(BadInput, match="two planes that measure above load, and two below"):
        image_of(above, FIVE, 100)
