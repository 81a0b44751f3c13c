"""Muons through matter: against Geant4, against exact laws, and however the matter is cut."""

from functools import partial

import numpy as np
import pytest
import scipy.stats

from detopt.backend import jax, jnp
from detopt.detector.medium import media
from detopt.materials import material
from detopt.simulation import matter
from detopt.simulation.matter import Dice, deflection, dice, loss, mean_loss, median_loss
from detopt.simulation.physics import Physics
from tests.physics.slabs import figures, left, slabs, through

pytestmark = pytest.mark.physics

# Geant4 11.4.1 with its model WentzelVI, 50 000 mu- a row, slabs in 50 steps: thickness in mm, p in GeV/c, then the 68 %
# half-width of the projected angle in mrad, fractions beyond 3 and 5 of these, displacement (RMS of the central 98 %, over
# 0.9346) in mm, its correlation with the angle (both in their central 98 %), and the median energy loss in MeV.
GEANT4 = [
    ("G4_Al", 100, 1, 14.6545, 0.01072, 0.00179, 0.846841, 0.846391, 43.7719),
    ("G4_Al", 100, 3, 4.81043, 0.01076, 0.00176, 0.280154, 0.848222, 45.364),
    ("G4_Al", 100, 10, 1.44956, 0.01052, 0.00177, 0.0839243, 0.846702, 46.2032),
    ("G4_Fe", 100, 1, 36.9359, 0.00741, 0.00033, 2.08483, 0.836036, 118.736),
    ("G4_Fe", 100, 3, 11.7229, 0.00709, 0.00054, 0.67523, 0.843177, 125.547),
    ("G4_Fe", 100, 10, 3.49229, 0.00698, 0.00059, 0.201979, 0.845802, 129.72),
    ("G4_Pb", 100, 1, 71.1043, 0.00421, 8e-05, 3.97126, 0.832517, 136.764),
    ("G4_Pb", 100, 3, 22.2857, 0.0042, 8e-05, 1.27628, 0.840171, 148.925),
    ("G4_Pb", 100, 10, 6.57065, 0.00418, 5e-05, 0.378278, 0.844288, 157.411),
    ("G4_Si", 0.3, 1, 0.581864, 0.02123, 0.00556, 0.000105111, 0.852114, 0.0881611),
    ("G4_Si", 0.3, 3, 0.193564, 0.02149, 0.00577, 3.49997e-05, 0.853498, 0.0907563),
    ("G4_Si", 0.3, 10, 0.0578553, 0.02074, 0.00546, 1.03189e-05, 0.850456, 0.0925453),
]


@pytest.mark.parametrize("name", ["G4_Al", "G4_Fe", "G4_Pb", "G4_Si"])
def test_geant4_slabs(name):
    rows = [row for row in GEANT4 if row[0] == name]
    truth = through(slabs(name, rows[0][1]), [row[2] for row in rows], 100_000)
    for i, (_, _, p, q68, tail3, tail5, disp, rho, median) in enumerate(rows):
        found = figures(*left(truth, i), p)
        seen = {k: found[k] / v for k, v in (("q68", q68), ("disp", disp), ("median", median), ("tail3", tail3))}
        print(
            name,
            p,
            {k: round(v, 3) for k, v in seen.items()},
            f"rho {found['rho'] - rho:+.3f}, tail5 {found['tail5']:.2g}",
        )
        assert seen["q68"] == pytest.approx(1, abs=0.05)
        assert seen["disp"] == pytest.approx(1, abs=0.05)
        assert seen["median"] == pytest.approx(1, abs=0.03)
        assert found["rho"] == pytest.approx(rho, abs=0.02)
        assert seen["tail3"] == pytest.approx(1, abs=0.15)
        if tail5 >= 3e-4:
            assert 1 / 1.5 < found["tail5"] / tail5 < 1.5


CUTS = ((1, 1), (1, 10), (10, 1), (100, 1))  # pieces that touch, and slices of each


@pytest.mark.parametrize(
    ("tails", "cuts"), [(True, CUTS), (False, CUTS[:3]), pytest.param(False, CUTS, marks=pytest.mark.slow)]
)
def test_slicing_changes_nothing(tails, cuts):
    physics = Physics(tails=tails)
    widths = []
    for pieces, slices in cuts:
        # 40 000 muons: 0.3 % of a width; one slice does not know that muons slow down inside, so at 10 GeV
        truth = through(slabs("lead", 100.0, pieces, slices), 10.0, 40_000, physics, seed=pieces + slices)
        found = figures(*left(truth), 2.0)
        widths.append([found["q68"], found["disp"], found["median"]])
    widths = np.array(widths) / np.mean(widths, axis=0)
    print(widths.round(4))
    assert (np.abs(widths - 1) < 0.01).all()


def test_a_thin_slice_is_as_good_as_ten():
    # One draw of the hardest scatter and the rest Gaussian, against ten of each: the same distribution, tails and all.
    one, ten = (through(slabs("silicon", 0.3, 1, n), 1.0, 100_000, seed=n) for n in (1, 10))
    a, b = (figures(*left(t), 1.0) for t in (one, ten))
    for key, tolerance in {"q68": 0.01, "disp": 0.02, "median": 0.005, "tail3": 0.06, "tail5": 0.12}.items():
        assert a[key] == pytest.approx(b[key], rel=tolerance), key


def test_landau():
    # A thin layer, far below kappa = 0.01: Landau's distribution of (loss - mean) / xi, displaced as in PDG section 34.2.9.
    p, count = 10.0, 400_000
    medium = jax.tree.map(lambda x: x[0], media([material("silicon")], jnp.float64))
    rolled = dice(jax.random.key(3), count, jnp.float64, Physics(), True)
    lost = np.asarray(jax.jit(jax.vmap(lambda d: loss(medium, jnp.asarray(0.3), jnp.asarray(p), d)))(rolled))
    mean = mean_loss(medium, jnp.asarray(0.3), jnp.asarray(p))
    beta2, kappa = 1 / (1 + (0.1056583755 / p) ** 2), float(mean.xi / mean.largest)
    assert kappa < 1e-5
    lam = (lost - float(mean.mean)) / float(mean.xi) - 0.4227843351 - beta2 - np.log(kappa)
    for quantile in (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98):
        # SciPy's is stretched: it is (lambda - ln(pi/2)) 2/pi.
        exact = np.log(np.pi / 2) + np.pi / 2 * scipy.stats.landau.ppf(quantile)
        assert np.quantile(lam, quantile) == pytest.approx(exact, abs=0.02, rel=0.02), quantile
    assert float(median_loss(mean.mean, mean.xi, jnp.asarray(p))) == pytest.approx(np.median(lost), rel=0.005)


def test_rutherford_tail():
    # Far out, scatters are as many as Rutherford has: twice the angle, a quarter of the muons (beyond the nucleus: fewer).
    medium = jax.tree.map(lambda x: x[0], media([material("beryllium")], jnp.float64))
    rolled = dice(jax.random.key(4), 1_000_000, jnp.float64, Physics(), True)
    p = jnp.asarray(20.0)
    bent = jax.jit(jax.vmap(lambda d: deflection(medium, jnp.asarray(0.5), p / p, p, p / p, d, Physics()).angles))(
        rolled
    )
    q2 = (np.asarray(bent[0]) ** 2 + np.asarray(bent[1]) ** 2) * 400.0  # GeV^2
    for cut in (1e-5, 4e-5, 1.6e-4):
        expected = 0.5 * float(medium.rutherford) / cut * len(q2)
        electrons = 0.5 * float(medium.electrons) / cut * len(q2)
        number = np.sum(q2 > cut)
        assert expected - 4 * expected**0.5 < number * 1.0 < expected + 1.1 * electrons + 4 * expected**0.5


# -- gradients -----------------------------------------------------------------------------------------------------------


def outcome(numbers, rolled, physics):
    """All that a slice does, as a function of thickness, momentum and the thickness of the body."""
    path, momentum, body = numbers
    medium = jax.tree.map(lambda x: x[0], media([material("copper")], jnp.float64))
    beta = momentum / jnp.sqrt(momentum**2 + 0.1056583755**2)
    bent = deflection(medium, path, body, momentum, beta, rolled, physics)
    return jnp.stack([*bent.angles, *bent.aside, loss(medium, path, momentum, rolled)])


@pytest.mark.parametrize("tails", [True, False])
def test_gradients_are_those_of_the_simulation(tails):
    # The same random numbers, a little more of everything: also where the hardest scatter is the softest there can be.
    physics = Physics(tails=tails)
    rolled = dice(jax.random.key(0), 256, jnp.float64, physics, False)
    rolled = rolled._replace(uniform=rolled.uniform.at[0].set(1e-9).at[1].set(1 - 1e-9).at[2].set(0.0))
    f = jax.jit(jax.vmap(partial(outcome, physics=physics), (None, 0)))
    slope = jax.jit(jax.vmap(jax.jacfwd(partial(outcome, physics=physics)), (None, 0)))
    for point in ([5.0, 1.0, 0.5], [1e-3, 0.3, 1e-4], [200.0, 5.0, 30.0]):
        point = jnp.asarray(point)
        exact = np.asarray(slope(point, rolled))
        assert np.isfinite(exact).all()
        for i in range(3):
            h = 1e-5 * float(point[i])
            step = jnp.zeros(3).at[i].set(h)
            difference = np.asarray(f(point + step, rolled) - f(point - step, rolled)) / (2 * h)
            scale = np.abs(difference).mean(0) + np.abs(np.asarray(f(point, rolled))).mean(0) / float(point[i]) * 1e-3
            bad = np.abs(exact[:, :, i] - difference) > 1e-4 * (np.abs(difference) + scale[None])
            assert bad.mean() < 0.01, (point, i)  # a scatter that comes or goes between the two points


def test_collisions_are_solved_for_to_the_end(monkeypatch):
    """Against twenty steps, for lead and air up to half a metre, from 50 MeV/c on, half of the collisions rare and hard."""
    random, number = np.random.default_rng(0), 100_000
    medium = jax.tree.map(lambda x: x[jnp.arange(number) % 2], media([material("lead"), material("air")], jnp.float64))
    path, momentum = (jnp.asarray(10 ** random.uniform(*ends, number)) for ends in ((-1, 2.7), (-1.3, 3)))
    rare = np.where(random.uniform(size=number) < 0.5, 10 ** random.uniform(-7, 0, number), random.uniform(size=number))
    first, second = (jnp.asarray(np.clip(x, 1e-8, 1 - 2.0**-24)) for x in (rare, random.uniform(size=number)))
    beta = momentum / jnp.sqrt(momentum**2 + 0.1056583755**2)

    def solved(steps):
        monkeypatch.setattr(matter, "_NEWTON", steps)
        rolled = Dice((jnp.zeros(number),) * 5, (first, second, None, None, None))
        return (
            np.asarray(jax.vmap(matter.loss)(medium, path, momentum, rolled)),
            np.asarray(jax.vmap(matter._largest_deflection)(medium, path, momentum, beta, first)[0]),
        )

    (loss_, hard), (exact_loss, exact_hard) = solved(matter._NEWTON), solved(20)
    some = exact_hard > 0
    assert np.abs(loss_ / exact_loss - 1).max() < 1e-5
    assert np.abs(hard[some] / exact_hard[some] - 1).max() < 2e-4
    assert np.quantile(np.abs(hard[some] / exact_hard[some] - 1), 0.99) < 2e-6


@pytest.mark.parametrize("tails", [True, False])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_nothing_is_nan(tails, dtype):
    physics = Physics(tails=tails)
    rolled = dice(jax.random.key(1), 64, dtype, physics, False)
    ends = jnp.asarray([0.0, 1 - float(jnp.finfo(dtype).epsneg)], dtype)
    rolled = Dice(rolled.normal, rolled.uniform.at[:2].set(ends[:, None]))
    medium = jax.tree.map(lambda x: x[0], media([material("lead")], dtype))

    def f(numbers, rolled):
        path, momentum = numbers
        beta = momentum / jnp.sqrt(momentum**2 + 0.1056583755**2)
        bent = deflection(medium, path, path, momentum, beta, rolled, physics)
        return jnp.stack([*bent.angles, *bent.aside, loss(medium, path, momentum, rolled)])

    value, slope = jax.jit(jax.vmap(f, (None, 0))), jax.jit(jax.vmap(jax.jacrev(f), (None, 0)))
    for path in (0.0, 1e-6, 1e-3, 1.0, 1e3):
        for momentum in (0.02, 0.1, 1.0, 100.0, 1e4):
            numbers = jnp.asarray([path, momentum], dtype)
            assert np.isfinite(np.asarray(value(numbers, rolled))).all(), (path, momentum)
            assert np.isfinite(np.asarray(slope(numbers, rolled))).all(), (path, momentum)


# -- muons that stop --------------------------------------------------------------------------------------------------------


def test_range_in_iron():
    # PUMAS 1.1: CSDA range of a muon of 0.3 GeV kinetic energy in iron, 179.3 g/cm2.
    p = float(np.sqrt((0.3 + 0.1056583755) ** 2 - 0.1056583755**2))
    for factor, low, high in ((0.93, 0.9, 1.0), (1.07, 0.0, 0.1)):
        truth = through(slabs("iron", factor * 179.3 / 7.874 * 10, slices=50), p, 4000)
        share = truth.left[0, :, 0].mean()
        assert low <= share <= high
        assert truth.entered.all()
        assert all(np.isfinite(x).all() for x in truth)


# -- an exact law ------------------------------------------------------------------------------------------------


def test_poca_in_a_uniform_slab():
    # Points of closest approach of the lines before and behind: T / (2 sqrt 6) times Student's t with 2 degrees of freedom
    # from the middle, so 13.4 % fall outside and the central 68 % have a half-width of 0.270 T.
    T = 100.0
    truth = through(slabs("lead", T, slices=4), 3.0, 200_000, Physics(energy_loss=False, tails=False))
    position, direction, _ = left(truth)
    slope = direction[:, :2] / direction[:, 2:]
    # The line before is the z axis; depth where the distance between both lines is least.
    depth = T - np.sum(position[:, :2] * slope, -1) / np.sum(slope**2, -1)
    outside = np.mean((depth < 0) | (depth > T))
    low, middle, high = np.quantile(depth, [0.15865, 0.5, 0.84135])
    print(outside, (high - low) / 2 / T, middle / T)
    assert outside == pytest.approx(0.134, abs=0.006)
    assert (high - low) / 2 == pytest.approx(0.270 * T, rel=0.03)
    assert middle == pytest.approx(T / 2, rel=0.01)
