"""Noise hits against Poisson and uniform laws; the road search against closed forms for straight lines, and in a barrel.

A noise hit is nearer than the true one, in normalised distance d, when it lies in an ellipse of area pi d^2 sqrt(det S),
S = the covariance of prediction and hit. With rho noise hits per area and d^2 of a normal in two dimensions,

    P = E[1 - exp(-rho pi d^2 sqrt(det S))] = 2 a / (1 + 2 a),    a = pi rho sqrt(det S),

which is 2 pi rho (sigma_p^2 + sigma^2) where there is little noise and both widths are equal.
"""

import math
from functools import cache, partial

import numpy as np
import pytest
import scipy.stats

import detopt
from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays, surfaces
from detopt.events import Deviation, Particles
from detopt.reconstruction.association import associate, chosen_hits, quality
from detopt.simulation.helix import helix, particle_path
from detopt.simulation.kicks import kick_variance
from detopt.simulation.noise import (
    Patches,
    area,
    barrel_patches,
    expected_noise,
    most_noise_hits,
    noise_hits,
    plane_patches,
    truncation,
)
from detopt.simulation.physics import Physics
from detopt.simulation.simulate import simulate

pytestmark = pytest.mark.physics

PLANES, CANDIDATES, EVENTS = 8, 4, 20_000
MIN_HITS = 5
CLEAN, NOISY = 3, 24  # seeds where the first planes have no noise, and where they have
HALF = 2.0  # mm: half of the square in which there is noise
SIGMA = (0.010, 0.020)  # mm
THETA = 1e-4  # rad


def lines(count=PLANES, theta=THETA, sigma=SIGMA):
    """Straight tracks through planes 100 mm apart: hit, kick, scattering, weight, crossed."""
    z = 100.0 * np.arange(count)
    hit, kick = np.zeros((count, 2, 4)), np.zeros((count, 4, 2))
    for axis in range(2):
        hit[:, axis, axis], hit[:, axis, axis + 2] = 1.0, z
        kick[:, axis, axis], kick[:, axis + 2, axis] = -z, 1.0
    weight = np.tile(1 / np.square(sigma), (count, 1))
    return hit, kick, np.full(count, theta**2), weight, np.ones(count, bool)


def covariance(model):
    """Of what two coordinates on n planes measure, (n, 2, n, 2): resolution and all scattering before."""
    hit, kick, scattering, weight, _ = model
    count = len(hit)
    later = np.arange(count)[:, None] > np.arange(count)[None]
    moved = np.einsum("iap,jpb,ij,j->iajb", hit, kick, later, np.sqrt(scattering)).reshape(2 * count, 2 * count)
    return (np.diag(1 / weight.ravel()) + moved @ moved.T).reshape(count, 2, count, 2)


def predicted(model, plane):
    """Covariance (2, 2) of the hit on a plane about what all planes before tell of it."""
    hit = model[0].reshape(-1, 4)
    V = covariance(model).reshape(len(hit), len(hit))
    before, here = slice(0, 2 * plane), slice(2 * plane, 2 * plane + 2)
    P = np.linalg.inv(hit[before].T @ np.linalg.inv(V[before, before]) @ hit[before])
    gain = V[here, before] @ np.linalg.inv(V[before, before])
    rest = hit[here] - gain @ hit[before]
    return V[here, here] - gain @ V[before, here] + rest @ P @ rest.T


def nearer(model, plane, rho):
    """Probability that noise is nearer than the true hit."""
    a = math.pi * rho * math.sqrt(np.linalg.det(predicted(model, plane)))
    return 2 * a / (1 + 2 * a)


def events(model, density, efficiency=1.0, count=EVENTS, seed=1, candidates=CANDIDATES):
    """Candidates of true tracks and of noise of a density (n,) per mm2."""
    rng = np.random.default_rng(seed)
    planes = len(model[0])
    root = np.linalg.cholesky(covariance(model).reshape(2 * planes, 2 * planes))
    true = (rng.normal(size=(count, 2 * planes)) @ root.T).reshape(count, planes, 1, 2)
    number = rng.poisson(np.broadcast_to(density, planes) * (2 * HALF) ** 2, (count, planes))
    noise = rng.uniform(-HALF, HALF, (count, planes, candidates - 1, 2))
    seen = rng.random((count, planes, 1)) < np.broadcast_to(efficiency, planes)[None, :, None]
    valid = np.concatenate([seen, np.arange(candidates - 1) < number[:, :, None]], -1)
    return np.concatenate([true, noise], 2), valid


compiled = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@partial(compiled, static_argnames=("seed_hits", "holes", "most_seeds", "road", "min_hits"))
def search(model, deviation, valid, prior=None, seed_hits=2, holes=1, most_seeds=CLEAN, road=5.0, min_hits=MIN_HITS):
    def one(deviation, valid):
        return associate(
            *model, deviation, valid,
            min_hits=min_hits, seed_hits=seed_hits, holes=holes, most_seeds=most_seeds, road=road, prior=prior,
        )  # fmt: skip

    return jax.vmap(one)(deviation, valid)


def single(arrays):
    """In float32."""
    return jax.tree.map(lambda x: x.astype(np.float32) if x.dtype == np.float64 else x, arrays)


# -- tracks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theta", [0.0, THETA, 3e-3])
def test_true_hits_lie_within_the_road(theta):
    model = lines(theta=theta)
    found = search(model, *events(model, 0.0))
    assert np.mean(found.chosen == 0) > 0.999
    assert np.mean(found.found) > 0.999
    freedom = 2 * PLANES - 4
    assert np.mean(found.chi2) == pytest.approx(freedom, abs=5 * math.sqrt(2 * freedom / EVENTS))


@pytest.mark.parametrize("sigma", [(0.02, 0.02), SIGMA])
@pytest.mark.parametrize(("little", "count", "most"), [(0.05, 3 * EVENTS, 12), (0.3, EVENTS, 30)])
def test_noise_nearer_than_the_true_hit(sigma, little, count, most):
    """On the last plane only."""
    model = lines(sigma=sigma)
    last = PLANES - 1
    S = predicted(model, last)
    rho = little / (2 * math.pi * math.sqrt(np.linalg.det(S)))
    # All noise is drawn that can be within the road, which is some standard deviations off the true hit itself.
    half = 8 * np.sqrt(np.diag(S))
    rng = np.random.default_rng(3)
    deviation, valid = events(model, 0.0, count=count, candidates=most + 1)
    deviation[:, last, 1:] = deviation[:, last, :1] + rng.uniform(-half, half, (count, most, 2))
    valid[:, last, 1:] = np.arange(most) < rng.poisson(4 * rho * np.prod(half), (count, 1))
    found = search(model, deviation, valid)
    assert not found.crowded.any()
    probability = nearer(model, last, rho)
    assert probability == pytest.approx(little / (1 + little))
    assert np.mean(found.chosen[:, last] > 0) == pytest.approx(probability, rel=0.05)


def test_a_missed_hit_is_replaced_by_noise_within_the_road():
    model, rho, plane, road = lines(), 1.0, 6, 3.0
    deviation, valid = events(model, rho * (np.arange(PLANES) == plane), np.arange(PLANES) != plane, candidates=30)
    found = search(model, deviation, valid, road=road)
    expected = 1 - math.exp(-rho * math.pi * road**2 * math.sqrt(np.linalg.det(predicted(model, plane))))
    assert np.mean(found.chosen[:, plane] > 0) == pytest.approx(expected, rel=0.05)


def test_purity_falls_with_noise():
    """With clean seeds and little noise, wrong hits are those that are nearer; with more, tracks are lost."""
    model = lines()
    clean = np.arange(PLANES) >= 3
    rows = []
    for rho in (0.05, 0.2, 0.4):
        deviation, valid = events(model, rho * clean, candidates=16)
        found = search(model, deviation, valid)
        rows.append((rho, quality(found, jnp.asarray(valid), MIN_HITS)))
    rho, little = rows[0]
    expected = sum(nearer(model, plane, rho) for plane in np.flatnonzero(clean))
    assert float(little.hits - little.true) / EVENTS == pytest.approx(expected, rel=0.1)
    purity = [float(q.purity) for _, q in rows]
    efficiency = [float(q.efficiency) for _, q in rows]
    assert purity == sorted(purity, reverse=True)
    assert efficiency == sorted(efficiency, reverse=True)
    assert efficiency[0] > 0.999


def test_noise_on_all_planes():
    """Seeds of noise as well: where five are expected on each plane some tracks are lost, and hardly any is a fake."""
    model = lines(sigma=(0.1, 0.1))
    rows = []
    for rho in (0.03, 0.1, 0.3):
        deviation, valid = events(model, rho, candidates=13, count=1000)
        rows.append(quality(search(model, deviation, valid, most_seeds=200), jnp.asarray(valid), MIN_HITS))
    efficiency, purity = [float(q.efficiency) for q in rows], [float(q.purity) for q in rows]
    assert efficiency == sorted(efficiency, reverse=True)
    assert purity == sorted(purity, reverse=True)
    assert efficiency[0] > 0.99
    assert purity[0] > 0.98
    assert all(float(q.fake_rate) < 0.01 for q in rows)


@pytest.mark.parametrize("holes", [0, 1, 2])
def test_inefficient_planes(holes):
    """A track is found if enough planes saw it, two of them among the first."""
    model = lines()
    deviation, valid = events(model, 0.0, efficiency=0.8)
    found = search(model, deviation, valid, holes=holes, most_seeds=6)
    seen = valid[:, :, 0]
    expected = (seen[:, : 2 + holes].sum(1) >= 2) & (seen.sum(1) >= MIN_HITS)
    assert np.mean(np.asarray(found.found) == expected) > 0.999
    right = np.all(np.asarray(found.chosen) == np.where(expected[:, None] & seen, 0, -1), axis=1)
    assert np.mean(right) > 0.999
    score = quality(found, jnp.asarray(valid), MIN_HITS)
    assert float(score.purity) == 1
    assert float(score.efficiency) == pytest.approx(np.mean(expected[seen.sum(1) >= MIN_HITS]), abs=1e-3)


def test_planes_that_are_not_crossed_or_measure_one_coordinate():
    hit, kick, scattering, weight, crossed = lines()
    crossed[2] = False
    weight[4, 0] = weight[5, 1] = 0.0
    weight[6] = 0.0
    model = hit, kick, scattering, weight, crossed
    deviation, valid = events(lines(), 0.01)
    deviation[:, 4, :, 0] = deviation[:, 5, :, 1] = 77.0  # not measured: it does not matter
    chosen = np.asarray(search(model, deviation, valid, most_seeds=NOISY).chosen)
    assert np.all(chosen[:, [2, 6]] == -1)
    assert np.mean(chosen[:, [4, 5]] == 0) > 0.98
    assert np.mean(chosen[:, [0, 1, 3, 7]] == 0) > 0.995


def crossed(found):
    """All surfaces."""
    return jnp.ones(found.chosen.shape, bool)


def test_nothing_to_find(strict_dtypes):
    model = single(lines())
    deviation, valid = single(events(model, 0.02, count=100))
    deviation[~valid] = np.nan
    valid[:50] = False
    valid[50:60, 3:] = False
    found = search(model, deviation, valid, most_seeds=NOISY)
    assert not found.found[:60].any()
    assert np.all(found.chosen[:60] == -1)
    assert np.all(found.n_hits[:60] == 0)
    assert np.all(found.chi2[:60] == 0)
    assert np.isfinite(found.chi2).all()
    assert np.isfinite(chosen_hits(found, jnp.asarray(deviation), crossed(found)).deviation).all()
    assert found.found[60:].all()
    nothing = quality(jax.tree.map(lambda x: x[:50], found), jnp.asarray(valid[:50]), MIN_HITS)
    assert (float(nothing.efficiency), float(nothing.purity), float(nothing.fake_rate)) == (0, 0, 0)
    model = (*model[:4], np.zeros(PLANES, bool))
    assert not search(model, deviation, valid).found.any()


def test_float32_chooses_the_same_hits():
    model = lines()
    deviation, valid = events(model, 0.1, 0.97)
    double = search(model, deviation, valid, most_seeds=NOISY)
    found = search(single(model), single(deviation), valid, most_seeds=NOISY)
    assert found.chi2.dtype == np.float32
    assert np.mean(np.all(double.chosen == found.chosen, axis=1)) > 0.999


def test_the_true_hit_is_not_known():
    """Wherever it stands among the candidates, the same hits are chosen."""
    model = lines()
    deviation, valid = events(model, 0.1, 0.9, count=2000)
    shuffle = np.argsort(np.random.default_rng(5).random(valid.shape), axis=2)
    there = np.take_along_axis(deviation, shuffle[..., None], 2), np.take_along_axis(valid, shuffle, 2)
    one, other = search(model, deviation, valid, most_seeds=NOISY), search(model, *there, most_seeds=NOISY)
    first = chosen_hits(one, jnp.asarray(deviation), crossed(one))
    second = chosen_hits(other, jnp.asarray(there[0]), crossed(other))
    np.testing.assert_array_equal(first.seen, second.seen)
    np.testing.assert_array_equal(first.deviation, second.deviation)


def test_without_anything_to_tell_the_true_hit_is_not_favoured():
    """Two planes, two hits each: every pair is a line."""
    model = lines(2)
    deviation, valid = events(model, 0.0, candidates=2)
    deviation[:, :, 1], valid[:, :, 1] = np.random.default_rng(6).uniform(-HALF, HALF, (EVENTS, 2, 2)), True
    found = search(model, deviation, valid, holes=0, min_hits=2, most_seeds=4)
    assert np.mean(found.chosen == 0) == pytest.approx(0.5, abs=0.02)


def test_crowded_events_are_told():
    model = lines()
    deviation, valid = events(model, 0.1, count=2000)
    found = search(model, deviation, valid, most_seeds=8)
    number = valid[:, :3].sum(2)
    seeds = number[:, 0] * number[:, 1] + number[:, 0] * number[:, 2] + number[:, 1] * number[:, 2]
    np.testing.assert_array_equal(found.crowded, seeds > 8)


# -- a barrel -------------------------------------------------------------------------------------------------------------

MUONS = 2000


@cache
def barrel(folder, p, degrees):
    """Muons in the ALICE barrel, and on each layer one noise hit in two events within a centimetre of where they go."""
    detector = as_arrays(detopt.load(folder / "its2_like.yaml"))
    stacked, physics = surfaces(detector), Physics(tails=False)
    momentum, theta = jnp.full(MUONS, p), jnp.full(MUONS, math.radians(degrees))
    particles = Particles(momentum, theta, Deviation(*(jnp.zeros(MUONS),) * 5), jnp.zeros(MUONS, bool))
    seen, moved, _ = simulate(detector, particles, -1, physics, jax.random.key(1))
    path = particle_path(detector, momentum[0], theta[0], -1)
    crossings = helix(stacked, path.kappa, path.cot_theta)
    scattering = kick_variance(stacked, crossings, momentum[0], physics)
    expected = jnp.where(jnp.asarray(stacked.measured)[:, 0], 0.5, 0.0)
    patches = plane_patches(jnp.full((len(expected), 2), 10.0))
    noise, there = noise_hits(stacked.names, patches, expected, 4, MUONS, jax.random.key(2))
    deviation, valid = jnp.concatenate([moved[:, :, None], noise], 2), jnp.concatenate([seen[:, :, None], there], 2)
    model = crossings.hit, crossings.kick, scattering, stacked.weight, crossings.crossed
    return model, deviation, valid & crossings.crossed[None, :, None]


@pytest.mark.parametrize("beam_spot", [False, True])
@pytest.mark.parametrize(("p", "degrees"), [(1.0, 90.0), (10.0, 60.0)])
def test_muons_in_a_barrel(root, p, degrees, beam_spot):
    """Helices from three hits, or from two and where the beams meet: 1 mm across, 100 mm along."""
    model, deviation, valid = barrel(root / "detectors", p, degrees)
    prior = jnp.asarray([1.0, 0.0, 0.0, 0.01, 0.0]) if beam_spot else jnp.zeros(5)
    look = partial(search, seed_hits=2 if beam_spot else 3, most_seeds=60)
    double = look(model, deviation, valid, prior)
    found = look(*single((model, deviation, valid, prior)))
    assert found.chi2.dtype == jnp.float32
    assert np.mean(np.all(double.chosen == found.chosen, axis=1)) > 0.999
    score = quality(found, valid, MIN_HITS)
    assert float(score.efficiency) > 0.998
    assert float(score.purity) > 0.999
    assert float(score.fake_rate) == 0
    # Without noise, all true hits.
    true = valid.at[:, :, 1:].set(False)
    quiet = look(model, deviation, true, prior)
    assert np.mean(quiet.chosen == jnp.where(true[:, :, 0], 0, -1)) > 0.999


# -- noise ----------------------------------------------------------------------------------------------------------------

NAMES = ("cylinder", "disk", "plane", "silent")
PATCHES = Patches(
    jnp.asarray([[-50 * np.pi, -200.0], [-np.pi, 20.0], [-30.0, -10.0], [-30.0, -10.0]]),
    jnp.asarray([[50 * np.pi, 100.0], [np.pi, 60.0], [30.0, 10.0], [30.0, 10.0]]),
    (False, True, False, False),
)
MEAN = np.array([0.3, 2.0, 1e-3, 0.0])


@pytest.fixture(scope="module")
def drawn():
    return jax.tree.map(
        np.asarray, noise_hits(NAMES, PATCHES, jnp.asarray(MEAN), most_noise_hits(MEAN), 50_000, jax.random.key(1))
    )


def test_numbers_are_poisson(drawn):
    number = drawn[1].sum(2)
    for mean, column in zip(MEAN, number.T, strict=True):
        assert column.mean() == pytest.approx(mean, abs=5 * math.sqrt(mean / len(column)))
    seen = np.bincount(number[:, 1], minlength=20)[:6]
    expected = scipy.stats.poisson.pmf(np.arange(6), MEAN[1]) * len(number)
    assert np.sum((seen - expected) ** 2 / expected) < scipy.stats.chi2.ppf(0.999, 6)
    # One sensor does not know of another.
    assert abs(np.corrcoef(number[:, 0], number[:, 1])[0, 1]) < 5 / math.sqrt(len(number))


def test_positions_are_uniform(drawn):
    at, valid = drawn

    def uniform(values, low, high):
        return scipy.stats.kstest((values - low) / (high - low), "uniform").pvalue > 1e-3

    cylinder, disk, plane = (at[:, i][valid[:, i]] for i in range(3))
    assert uniform(cylinder[:, 0], -50 * np.pi, 50 * np.pi)
    assert uniform(cylinder[:, 1], -200, 100)
    assert uniform(disk[:, 1] ** 2, 20**2, 60**2)
    assert uniform(disk[:, 0] / disk[:, 1], -np.pi, np.pi)
    assert uniform(plane[:, 0], -30, 30)
    assert uniform(plane[:, 1], -10, 10)


def test_areas(root):
    layers = surfaces(as_arrays(detopt.load(root / "detectors" / "its2_like.yaml")))
    whole = 2 * np.pi * layers.position * (layers.high - layers.low)
    np.testing.assert_allclose(area(barrel_patches(layers)), whole)
    np.testing.assert_allclose(area(PATCHES), [2 * np.pi * 50 * 300, np.pi * (60**2 - 20**2), 1200, 1200])
    np.testing.assert_allclose(expected_noise(PATCHES, jnp.asarray([0, 0, 1e-3, 2e-3])), [0, 0, 1.2, 2.4])
    endless = plane_patches(jnp.asarray([[np.inf, np.inf]]))
    assert float(expected_noise(endless, jnp.zeros(1))[0]) == 0


def test_few_hits_are_left_out():
    most = most_noise_hits(MEAN)
    lost = [scipy.stats.poisson.sf(n, MEAN).sum() for n in (most, most - 1)]
    assert lost[0] < 1e-4 <= lost[1]
    assert float(truncation(jnp.asarray(MEAN), most)) == pytest.approx(lost[0], rel=1e-6)
    assert most_noise_hits(np.zeros(3)) == 0
    for mean in (1e4, math.inf, math.nan):
        with pytest.raises(ValueError, match="noise hits are expected"):
            most_noise_hits(np.array([mean]))


def test_a_sensor_keeps_its_noise_when_another_is_removed(drawn):
    few = Patches(PATCHES.low[1:3], PATCHES.high[1:3], PATCHES.disk[1:3])
    at, valid = noise_hits(NAMES[1:3], few, jnp.asarray(MEAN[1:3]), drawn[1].shape[2], 50_000, jax.random.key(1))
    np.testing.assert_array_equal(valid, drawn[1][:, 1:3])
    np.testing.assert_allclose(at, drawn[0][:, 1:3], rtol=1e-12)


def test_noise_in_float32(strict_dtypes):
    patches, mean = single(jax.tree.map(np.asarray, PATCHES)), jnp.asarray(MEAN, jnp.float32)
    at, valid = noise_hits(NAMES, patches, mean, 9, 50_000, jax.random.key(3))
    assert at.dtype == jnp.float32
    np.testing.assert_allclose(valid.sum((0, 2)) / 50_000, MEAN, atol=5 * np.sqrt(2 / 50_000))
