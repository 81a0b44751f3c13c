"""The momentum that scattering in the panels tells: its likelihood, how good it is, and its derivatives."""

import numpy as np
import pytest

import detopt
from detopt.backend import jax, jnp
from detopt.detector.arms import Arm
from detopt.detector.detector import Detector
from detopt.detector.elements import Panel
from detopt.detector.surfaces import as_arrays
from detopt.inference.muon_columns import named
from detopt.parameters import Space, Variable
from detopt.reconstruction.arms import ArmTrack, Reconstructed
from detopt.reconstruction.panel_momentum import TRIED, log_likelihood, panel_momentum
from detopt.simulation.beam_event import line_up
from detopt.simulation.cosmic import Cosmic
from detopt.simulation.cosmic_rays import equal_shares
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import highland, velocity
from detopt.study.evaluate import make_sampler
from detopt.study.networks import make_head

pytestmark = pytest.mark.physics

PHYSICS = Physics()


@pytest.mark.parametrize("seen", [(1, 1, 1, 1), (1, 1, 0, 1), (0, 1, 1, 1), (1, 0, 0, 1), (0, 0, 1, 0)])
def test_likelihood_is_that_of_a_normal_distribution(seen):
    """With a wide, flat line before the first plane. A plane that sees nothing still scatters."""
    random = np.random.default_rng(3)
    z, sigma = np.array([1000.0, 850.0, 600.0, 500.0]), np.array([0.3, 0.5, 0.2, 0.4])
    hits, there = random.normal(0, 2, 4), np.array(seen, bool)

    def exact(kick):
        lever = np.maximum(z[None] - z[:, None], 0.0)  # from each plane down to each
        covariance = np.diag(sigma**2) + lever * kick[None] @ lever.T
        y, H = hits[there], np.column_stack([np.ones(4), z - z[0]])[there]
        inverse = np.linalg.inv(covariance[np.ix_(there, there)])
        information = H.T @ inverse @ H
        left = y - H @ np.linalg.solve(information, H.T @ inverse @ y)
        determinants = np.linalg.slogdet(information)[1] - np.linalg.slogdet(inverse)[1]
        return -0.5 * (left @ inverse @ left + determinants - 2 * np.log(sigma[there]).sum())

    weight = jnp.asarray(there / sigma**2)
    for kick in (np.zeros(4), np.full(4, 1e-6), np.array([1e-5, 0.0, 4e-6, 1e-4])):
        found = log_likelihood(jnp.asarray(z), weight, jnp.asarray(hits), jnp.asarray(kick))
        expected = exact(kick) if there.sum() >= 2 else 0.0
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        float32 = (jnp.asarray(x, jnp.float32) for x in (z, weight, hits, kick))
        np.testing.assert_allclose(log_likelihood(*float32), expected, rtol=1e-3, atol=1e-3)


def portal(planes, x_over_X0, resolution):
    """As many planes above as below, without a load."""
    heights = [s * (500.0 + 100 * i) for s in (1, -1) for i in range(planes)]
    panels = [
        Panel(name=f"p{i}", z=z, span=(4000.0,) * 2, resolution=(resolution,) * 2, efficiency=0.97, x_over_X0=x_over_X0)
        for i, z in enumerate(sorted(heights, reverse=True))
    ]
    return Detector(name="panels", frame="portal", elements=tuple(panels))


def arms_around(planes):
    return Arm(tuple(range(planes)), False, 2), Arm(tuple(range(planes, 2 * planes)), False, 2)


def muons(number, low, high, planes, seed=5):
    """Momenta, flat in ln p; slopes; which planes see them; and normal numbers of kicks and hits of two arms."""
    random = np.random.default_rng(seed)
    momentum, slope = np.exp(random.uniform(np.log(low), np.log(high), number)), random.uniform(-0.5, 0.5, (number, 2))
    seen = random.uniform(size=(number, 2 * planes)) < 0.9
    return tuple(map(jnp.asarray, (momentum, slope, seen, *random.normal(size=(2, number, 2, 2, planes)))))


def flown(line, arms, muon):
    """A muon that is scattered by the panels alone, and starts anew below the load; every tenth hit is missing."""
    momentum, slope, seen, kicks, errors = muon
    square = slope @ slope
    thick = line.stops.matter / line.stops.medium.X0 * jnp.sqrt(1 + square)
    width = highland(thick, momentum, velocity(momentum, PHYSICS)) * jnp.sqrt(1 + square)
    turned = jnp.eye(2) + jnp.outer(slope, slope) / (1 + jnp.sqrt(1 + square))  # slopes change more along the slope
    hits, tracks = [], []
    for arm, kick, error in zip(arms, kicks, errors, strict=True):
        own = np.array(arm.sensors)
        z = line.stops.middle[own, 2]
        lever = jnp.minimum(z[:, None] - z[None], 0.0)
        away = slope[:, None] * (z - z[0])[None] + (turned @ kick * width[own][None]) @ lever.T
        hits.append(jnp.concatenate([away.T + error.T * line.sensors.resolution[own], z[:, None]], 1))
        straight = jnp.concatenate([jnp.zeros(2), slope])
        zero = jnp.zeros(())
        tracks.append(ArmTrack(jnp.asarray(True), z[0], straight, straight, jnp.zeros((4, 4)), zero, zero))
    one = jnp.ones(())
    return Reconstructed(
        one, momentum, one, seen, jnp.concatenate(hits), line.sensors.resolution, tuple(tracks), jnp.asarray(True)
    )


def measured_by(line, momenta, planes, every):
    """ln p of each muon as the panels have it."""
    arms, crossed = arms_around(planes), jnp.ones(2 * planes, bool)

    def one(muon):
        seen = flown(line, arms, muon)
        return jnp.log(panel_momentum(line.stops, crossed, line.sensors, seen, arms, momenta, PHYSICS))

    return jax.vmap(one)(every)


def found(design, planes, momenta, low=0.5, high=50.0):
    every = muons(4096, low, high, planes)
    line = line_up(as_arrays(design, jnp.float64))
    return np.asarray(measured_by(line, momenta, planes, every)), np.log(np.asarray(every[0]))


def test_thick_and_fine_planes_tell_the_momentum():
    """Unbiased, as good as can be, and right on the average of all muons that are found to be alike."""
    design = portal(8, 0.1, 0.05)
    momenta = np.exp(np.log(0.5) + np.log(100.0) * (np.arange(40) + 0.5) / 40)
    estimate, truth = found(design, 8, momenta)
    assert np.corrcoef(estimate, truth)[0, 1] > 0.95
    middle = np.abs(truth - np.log(3.0)) < 0.2
    error = (estimate - truth)[middle]
    assert abs(error.mean()) < 4 * error.std() / middle.sum() ** 0.5 + error.var()  # by its square it may be off
    # 24 numbers have a spread each of which 1 / p is in proportion to; a tenth of the hits is missing.
    assert 1 / 48**0.5 < error.std() < 2 / 48**0.5
    # A posterior mean is right for each of its values.
    for low, high in ((-0.3, 0.7), (0.7, 1.7), (1.7, 2.7)):
        alike = (estimate > low) & (estimate < high)
        error = (estimate - truth)[alike]
        assert abs(error.mean()) < 4 * error.std() / alike.sum() ** 0.5


def test_thin_and_coarse_planes_tell_nothing():
    """The middle of the spectrum of cosmic muons."""
    momenta = equal_shares(Cosmic(), TRIED)
    estimate, _ = found(portal(4, 1e-4, 5.0), 4, momenta)
    np.testing.assert_allclose(estimate, np.log(momenta).mean(), atol=0.01)


def test_two_planes_tell_nothing():
    estimate, _ = found(portal(2, 0.1, 0.05), 2, np.array([1.0, 2.0, 4.0]))
    np.testing.assert_allclose(estimate, np.log(2.0), atol=1e-9)


def test_momenta_are_those_of_the_spectrum():
    """Half of the cosmic muons above 1 GeV are below some 3.5 GeV, a tenth above some 15 GeV."""
    momenta = equal_shares(Cosmic(momentum=(1.0, 1000.0)), 1000)
    assert np.all(np.diff(momenta) > 0)
    assert 3.0 < np.median(momenta) < 4.5
    assert 10.0 < np.quantile(momenta, 0.9) < 20.0


def test_derivatives():
    """Of the estimates of the same muons, to where a plane is, its resolution and its thickness."""
    names, values = ("p1.z", "p1.resolution", "p1.x_over_X0", "p6.resolution"), (700.0, 0.2, 0.05, 0.2)
    free = tuple(Variable(n, 0.5 * v, 1.5 * v, v, "", "", (n,)) for n, v in zip(names, values, strict=True))
    space = Space(as_arrays(portal(4, 0.05, 0.2), jnp.float64), free)
    every, momenta = muons(500, 0.5, 5.0, 4), np.exp(np.linspace(-1, 2, 8))

    def square(u):  # a mean that all of them change
        return jnp.mean(measured_by(line_up(space.place(u)), momenta, 4, every) ** 2)

    u, step = jnp.full(4, 0.5), 1e-4
    gradient = jax.jit(jax.grad(square))(u)
    points = u[None] + step * jnp.concatenate([jnp.eye(4), -jnp.eye(4)])
    up, down = jnp.split(jax.jit(lambda points: jax.lax.map(square, points))(points), 2)
    difference = np.asarray(up - down) / (2 * step)
    assert (np.abs(difference) > 1e-4).all()
    np.testing.assert_allclose(gradient, difference, rtol=1e-4, atol=1e-6)


DETECTOR = """\
schema: 1
name: thick
frame: portal
elements:
  - {name: a, type: panel, z: 0.9 m, span: 1 m, resolution: 0.1 mm, x_over_X0: 10 %}
  - {name: b, type: panel, z: 0.7 m, span: 1 m, resolution: 0.1 mm, x_over_X0: 10 %}
  - {name: c, type: panel, z: 0.5 m, span: 1 m, resolution: 0.1 mm, x_over_X0: 10 %}
  - name: load
    type: volume
    corner: [-30 cm, -30 cm, -20 cm]
    size: [60 cm, 60 cm, 40 cm]
    voxels: [2, 2, 1]
    scene:
      type: random
      shapes:
        - {name: block, type: box, material: lead, present: 50 %, x: 0 cm, y: 0 cm, z: 0 cm, size: [60 cm, 60 cm, 10 cm]}
  - {name: d, type: panel, z: -0.5 m, span: 1 m, resolution: 0.1 mm, x_over_X0: 10 %}
  - {name: e, type: panel, z: -0.9 m, span: 1 m, resolution: 0.1 mm, x_over_X0: 10 %}
"""
STUDY = """\
schema: 1
name: thick
detector: thick.yaml
source: {type: cosmic, momentum: [1 GeV, 1000 GeV], aim: load}
mode: sampled
head: {type: voxels, muons: 100, batch: 8, width: 8, momentum: measured}
physics: {straggling: false, tails: false}
tracking: {min_hits: 2}
objectives:
  found: {type: detection, of: block}
audit: {head_events: 20000, events: 10000}
"""


def test_a_study(tmp_path):
    """Its head is told what the panels tell, of muons with tracks, and says something."""
    (tmp_path / "thick.yaml").write_text(DETECTOR)
    (tmp_path / "study.yaml").write_text(STUDY)
    study = detopt.load(tmp_path / "study.yaml")
    sampler, design = make_sampler(study, 2000), as_arrays(study.detector)

    @jax.jit
    def both(key):
        line, head = sampler.muons.line(sampler._cast(design)), make_head(study, key)
        columns = sampler._muons(line, key, 300)[1]
        pictures = sampler._pictures(
            head.reduced(columns)[None], jnp.ones((1, 1), jnp.float32), jnp.zeros(0, jnp.float32)
        )
        return named(columns), head.scores(pictures)

    muons, score = both(jax.random.key(2))
    momentum, seen = np.asarray(muons.momentum), np.asarray(muons.seen) > 0
    assert 0.3 < seen.mean() < 1
    assert not momentum[~seen].any()
    low, high = np.asarray(equal_shares(study.source, TRIED))[[0, -1]] * [1 - 1e-5, 1 + 1e-5]
    assert ((momentum >= low) & (momentum <= high))[seen].all()
    assert np.log(momentum[seen]).std() > 0.1
    # Errors of tracks tell nothing of the true momentum: those of steep ones are all alike.
    steep = seen & (np.abs([muons.above_dx, muons.above_dy, muons.below_dx, muons.below_dy]) < 0.2).all(0)
    assert steep.sum() > 10
    assert np.log(np.asarray(muons.variance)[steep]).std() < 0.1
    assert np.isfinite(score).all()
