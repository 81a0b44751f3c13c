"""Which way a muon bends: dp/dt = q v x B, in a solenoid and in a dipole."""

import numpy as np
import pytest

from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer, Magnet, Plane
from detopt.simulation.physics import Physics
from detopt.simulation.source import Gun
from detopt.study.simulate import Simulation

pytestmark = pytest.mark.physics
QUIET = Physics(energy_loss=False, tails=False)


def first(detector, source):
    """Momentum (3,) of the first muon at the first and the last element."""
    tables = next(Simulation(detector, source, 4, 0, QUIET).chunks()).truth
    own = (tables["event"] == 0) & (tables["side"] == 0)
    rows = np.flatnonzero(own)[[0, -1]]
    return np.stack([tables[f"p{c}"][rows] for c in "xyz"], -1)


@pytest.mark.parametrize(("particle", "charge"), [("mu+", 1), ("mu-", -1)])
@pytest.mark.parametrize("B", [1.0, -2.0])
def test_solenoid(particle, charge, B):
    layers = tuple(BarrelLayer(name=f"L{r}", radius=float(r), half_length=1e3, x_over_X0=0.0) for r in (20, 400))
    detector = Detector(name="b", frame="barrel", elements=layers, field=Solenoid(B=B))
    p, q = first(detector, Gun(momentum=(1.0, 1.0), particle=particle))
    force = charge * np.cross(p, [0, 0, B])
    assert np.dot(q - p, force) > 0
    # 0.2998 B s / pT, less what the way is shorter than an arc at 20 mm
    turned = np.arcsin(np.cross(p, q)[2])
    assert turned == pytest.approx(-charge * 0.299792458e-3 * B * 380, rel=0.01)


@pytest.mark.parametrize(("particle", "charge"), [("mu+", 1), ("mu-", -1)])
@pytest.mark.parametrize("along", ["x", "y"])
def test_dipole(particle, charge, along):
    planes = tuple(Plane(name=f"P{z}", z=float(z), span=(1e3, 1e3)) for z in (0, 1000))
    magnet = Magnet(name="m", z=(200.0, 700.0), B=0.8, along=along)
    detector = Detector(name="l", frame="beamline", elements=(*planes, magnet))
    p, q = first(detector, Gun(momentum=(5.0, 5.0), particle=particle))
    field = [0.8, 0, 0] if along == "x" else [0, 0.8, 0]
    kick = charge * np.cross([0, 0, 1], field) * 0.299792458e-3 * 500  # GeV
    assert (q - p)[:2] == pytest.approx(kick[:2], abs=1e-9)
