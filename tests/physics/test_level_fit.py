"""The track through level planes is that of the general fit, and all of its derivatives are."""

from dataclasses import replace

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.detector.arms import Arm
from detopt.detector.detector import Detector
from detopt.detector.elements import Panel
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Space, Variable
from detopt.reconstruction.arms import fit_arm
from detopt.scoring.unchanging import Unchanging
from detopt.simulation.beam_event import draw_events, fly_event, see, undecided
from detopt.simulation.cosmic import Cosmic
from detopt.simulation.physics import Physics
from detopt.simulation.start import Aim, Start

pytestmark = pytest.mark.physics

PHYSICS = Physics(straggling=False, tails=False)
MUONS = 64


def portal():
    panels = [
        Panel(
            name=f"p{i}",
            z=1000.0 - 100 * i,
            span=(1200.0, 1000.0),
            resolution=(1.0, 1.0),
            efficiency=0.9,
            x_over_X0=0.05,
        )
        for i in range(4)
    ]
    return Detector(name="four", frame="portal", elements=tuple(panels))


@pytest.mark.parametrize(("dtype", "close"), [(jnp.float64, 1e-9), (jnp.float32, 2e-3)])
def test_same_as_the_general_fit(dtype, close):
    names = ("p0.z", "p1.centre.x", "p2.z", "p3.resolution")
    values = (1000.0, 0.0, 800.0, 1.0)
    free = tuple(Variable(n, v - 0.5, v + 0.5, v, "", "", (n,)) for n, v in zip(names, values, strict=True))
    space = Space(as_arrays(portal(), dtype), free)
    known = Unchanging.of(space)
    assert (known.level, known.alike, known.sequence) == (True, True, (0, 1, 2, 3))
    source, start = Cosmic(aim="aim"), Start("portal", 1200.0, Aim(800.0, (0.0, 0.0), (1000.0, 1000.0)))
    line = known.line(space.place(jnp.full(4, 0.5, dtype)))
    draws = draw_events(
        source, line.stops.names, line.stops.bulk, line.stops.names, PHYSICS, jax.random.key(1), MUONS, dtype
    )

    def tracks(u, level):
        line = known.line(space.place(u))
        if not level:
            line = replace(line, sensors=replace(line.sensors, alike=False))

        def one(draws):
            leg, charge = fly_event(line, source, start, PHYSICS, draws)
            sight = see(line, leg, draws, undecided(line))
            fit = fit_arm(line.stops, leg, charge, line.sensors, sight, Arm((0, 1, 2, 3), False, 3), PHYSICS)
            return fit, (fit.parameters - fit.truth, fit.covariance, fit.chi2)

        fit, numbers = jax.vmap(one, in_axes=-1)(draws)
        return (fit.found, fit.freedom), tuple(
            jnp.where(fit.found.reshape(-1, *(1,) * (x.ndim - 1)), x, 0) for x in numbers
        )

    u = jnp.full(4, 0.5, dtype)
    ((found, freedom), general), ((found_too, freedom_too), level) = (tracks(u, way) for way in (False, True))
    assert (found == found_too).all()
    assert 0.5 < np.mean(found) < 1
    assert (np.asarray(freedom) == np.asarray(freedom_too))[np.asarray(found)].all()
    for a, b in zip(general, level, strict=True):
        size = np.abs(a).max(axis=0)
        assert (np.abs(a - b) <= close * (size + close)[None]).all()
    slopes = [
        jax.jacrev(lambda u, w=way: jax.tree.map(lambda x: x.sum(0), tracks(u, w)[1]))(u) for way in (False, True)
    ]
    for a, b in zip(*slopes, strict=True):
        np.testing.assert_allclose(a, b, rtol=50 * close, atol=50 * close * np.abs(a).max())
