"""Particles drawn in the laboratory, against the distributions that their sources promise. All keys are fixed."""

import math

import numpy as np
import pytest
from scipy.stats import expon, kstest

from detopt.backend import jax, jnp
from detopt.simulation.flux import flux
from detopt.simulation.rays import Aim, expected_number, fraction_through, rays
from detopt.simulation.source import MUON_MASS, Beam, Cosmic, Decay, Gun, Resonance, check_frame

pytestmark = pytest.mark.physics

NUMBER = 200_000
LEAST = 1e-3  # p-values: a right distribution fails once in a thousand keys
AIM = Aim(200.0, (50.0, -20.0), (600.0, 400.0))
TOP = 2000.0
FULL = {"guan": Cosmic(momentum=(0.2, 1e4)), "reyna": Cosmic(momentum=(0.2, 1e4), flux="reyna")}


def draw(source, frame, seed=0, number=NUMBER, dtype=jnp.float32, start_z=TOP, aim=AIM):
    """NumPy arrays of the events, with what every source promises."""
    made = jax.jit(lambda key: rays(source, key, number, frame, start_z, aim, dtype))(jax.random.key(seed))
    assert all(x.dtype == dtype for x in made)
    made = type(made)(*(np.asarray(x, float) for x in made))
    assert all(np.isfinite(x).all() for x in made)
    assert abs((made.direction**2).sum(-1) - 1).max() < 1e-6
    assert (abs(made.charge) == 1).all()
    assert (made.momentum > 0).all()
    return made


def zenith_and_momentum(source):
    """Shares of the flux through a plane, on midpoints of log p (rows) and cos(zenith), by a grid of the test's own."""
    low, high = np.log(source.momentum)
    log_p = low + (high - low) * (np.arange(1500) + 0.5) / 1500
    cosine = (np.arange(1200) + 0.5) / 1200
    p = np.exp(log_p)[:, None]
    density = np.asarray(flux(source.flux, jnp.asarray(p), jnp.asarray(cosine[None]))) * p * cosine
    return log_p, cosine, density / density.sum()


def distribution(x, shares):
    """The cumulative distribution of shares in equal steps around x."""
    half = (x[1] - x[0]) / 2
    edges = np.append(x - half, x[-1] + half)
    return lambda at: np.interp(at, edges, np.append(0.0, np.cumsum(shares)))


# -- cosmic muons ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", FULL.values(), ids=FULL)
def test_cosmic_marginals(source):
    """Momentum and zenith follow flux x cos(zenith), position and azimuth are uniform, and all of it goes through."""
    made = draw(source, "portal", number=1_000_000)
    log_p, cosine, shares = zenith_and_momentum(source)
    down, p = -made.direction[:, 0, 2], made.momentum[:, 0]
    assert kstest(np.log(p), distribution(log_p, shares.sum(1))).statistic < 0.002
    assert kstest(down, distribution(cosine, shares.sum(0))).statistic < 0.002
    phi = np.arctan2(made.direction[:, 0, 1], made.direction[:, 0, 0])
    assert kstest(phi / (2 * math.pi) + 0.5, "uniform").pvalue > LEAST
    at = made.position[:, 0] + made.direction[:, 0] * ((TOP - AIM.z) / down)[:, None]
    steep = down > 0.2  # positions far away are rounded in float32
    for axis in (0, 1):
        u = (at[steep, axis] - AIM.centre[axis]) / AIM.span[axis] + 0.5
        assert kstest(u, "uniform").pvalue > LEAST
    assert fraction_through(made, AIM) == 1.0
    assert (made.position[..., 2] == TOP).all()


def test_cosmic_momentum_within_zenith():
    """Not only the marginals: the spectrum of flat muons is harder, decade by decade."""
    source = FULL["guan"]
    made = draw(source, "portal", number=1_000_000)
    log_p, cosine, shares = zenith_and_momentum(source)
    down, seen = -made.direction[:, 0, 2], np.log(made.momentum[:, 0])
    for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.7), (0.7, 1.0)):
        inside, band = (down > low) & (down < high), (cosine > low) & (cosine < high)
        expected = shares[:, band].sum(1) / shares[:, band].sum()
        assert kstest(seen[inside], distribution(log_p, expected)).pvalue > LEAST


def test_cosmic_weights_are_the_expected_number():
    """0.765 muons per cm2 and minute above 0.25 GeV of total energy, whatever the number of events and the exposure."""
    low = math.sqrt(0.25**2 - MUON_MASS**2)
    area = AIM.span[0] * AIM.span[1] / 100
    for sampling in ("natural", "flat_log"):
        for number, minutes in ((1, 1), (1000, 60)):
            source = Cosmic(momentum=(low, 1e4), exposure=minutes * 60e9, sampling=sampling)
            assert expected_number(source, AIM) == pytest.approx(0.765 * area * minutes, rel=1e-3)
            made = draw(source, "portal", number=number)
            assert made.weight.sum() == pytest.approx(expected_number(source, AIM), rel=1e-5)


def test_parts_of_the_sky_add_up():
    whole = expected_number(Cosmic(), AIM)
    angles = [(0.0, 0.5), (0.5, 1.2), (1.2, math.pi / 2)]
    assert sum(expected_number(Cosmic(zenith=z), AIM) for z in angles) == pytest.approx(whole, rel=1e-6)
    momenta = [(0.3, 2.0), (2.0, 40.0), (40.0, 1000.0)]
    assert sum(expected_number(Cosmic(momentum=p), AIM) for p in momenta) == pytest.approx(whole, rel=1e-6)


def test_flat_log_agrees_with_natural():
    """Same spectrum and same angles when weighted; as many events in each decade before that."""
    source = Cosmic(momentum=(0.3, 3e3), sampling="flat_log")
    flat = draw(source, "portal", number=1_000_000)
    natural = draw(Cosmic(momentum=(0.3, 3e3)), "portal", seed=1, number=1_000_000)
    assert kstest(np.log(flat.momentum[:, 0] / 0.3) / math.log(1e4), "uniform").pvalue > LEAST
    spectrum = (lambda r: r.momentum[:, 0]), np.geomspace(0.3, 300.0, 13)
    zenith = (lambda r: -r.direction[:, 0, 2]), np.linspace(0.1, 1.0, 13)
    for value, edges in (spectrum, zenith):
        (n, n_squares), (f, f_squares) = (
            [np.histogram(value(r), edges, weights=r.weight**power)[0] for power in (1, 2)] for r in (natural, flat)
        )
        assert abs((f - n) / np.sqrt(n_squares + f_squares)).max() < 4
    for value in (lambda r: np.log(r.momentum[:, 0]), lambda r: r.direction[:, 0, 2]):
        a, b = (np.average(value(r), weights=r.weight) for r in (natural, flat))
        spread = [np.std(value(natural)) * math.sqrt((r.weight**2).sum()) / r.weight.sum() for r in (natural, flat)]
        assert abs(a - b) < 4 * math.hypot(*spread)


def test_flat_log_in_any_order():
    """Half of the events are as good as the other half."""
    made = draw(Cosmic(sampling="flat_log"), "portal")
    halves = made.weight[::2].sum(), made.weight[1::2].sum()
    assert halves[0] == pytest.approx(halves[1], rel=0.03)
    assert abs(np.corrcoef(np.arange(NUMBER), np.log(made.momentum[:, 0]))[0, 1]) < 4 / math.sqrt(NUMBER)


def test_charge_ratio():
    made = draw(Cosmic(), "portal")
    share = 1.27 / 2.27
    assert abs((made.charge > 0).mean() - share) < 4 * math.sqrt(share * (1 - share) / NUMBER)


def test_ranges_are_kept():
    source = Cosmic(momentum=(1.0, 5.0), zenith=(math.radians(30), math.radians(60)))
    made = draw(source, "portal")
    assert made.momentum.min() >= 1.0
    assert made.momentum.max() <= 5.0
    down = -made.direction[:, 0, 2]
    assert down.min() >= 0.5 - 1e-6
    assert down.max() <= math.sqrt(0.75) + 1e-6


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("model", ["guan", "reyna"])
def test_edges_of_the_sky(model, dtype):
    """Horizontal muons, the slowest and the fastest."""
    source = Cosmic(flux=model, momentum=(0.01, 2e4), zenith=(math.radians(89.5), math.pi / 2), sampling="flat_log")
    made = draw(source, "portal", dtype=dtype)
    assert fraction_through(made, AIM) == 1.0
    assert (made.weight > 0).all()


def test_precision_does_not_matter():
    """float32 and float64 differ in their random numbers; their distributions are the same."""
    single, double = (draw(Cosmic(), "portal", dtype=dtype) for dtype in (jnp.float32, jnp.float64))
    assert single.weight.sum() == pytest.approx(double.weight.sum(), rel=1e-5)
    for value in (lambda r: np.log(r.momentum[:, 0]), lambda r: r.direction[:, 0, 2], lambda r: r.direction[:, 0, 0]):
        assert kstest(value(single), value(double)).pvalue > LEAST


def test_what_cosmic_warns_of():
    assert Cosmic().warnings() == []
    (low,) = Cosmic(momentum=(0.1, 100.0)).warnings()
    assert "0.1 GeV to 100 GeV goes beyond 0.2 GeV to 10000 GeV" in low
    assert len(Cosmic(momentum=(1.0, 2e4)).warnings()) == 1
    assert len(Cosmic(flux="reyna").warnings()) == 1
    assert [field for field, _ in Cosmic(momentum=(3.0, 3.0)).faults()] == ["momentum"]


# -- guns and beams ----------------------------------------------------------------------------------------------------


def test_gun_in_a_barrel():
    """From the origin, at 90 deg if not told otherwise, around in azimuth."""
    made = draw(Gun(momentum=(0.5, 50.0)), "barrel")
    assert not made.position.any()
    assert abs(made.direction[..., 2]).max() < 1e-6
    phi = np.arctan2(made.direction[:, 0, 1], made.direction[:, 0, 0])
    assert kstest(phi / (2 * math.pi) + 0.5, "uniform").pvalue > LEAST
    assert kstest(np.log(made.momentum[:, 0] / 0.5) / math.log(100), "uniform").pvalue > LEAST
    assert (made.charge == -1).all()
    assert (made.weight == 1).all()


@pytest.mark.parametrize(("frame", "ahead"), [("beamline", 1), ("portal", -1)])
def test_gun_in_other_frames(frame, ahead):
    """On the axis from `start_z`, along the beam or downwards; a range of angles is flat in the cosine."""
    pencil = draw(Gun(momentum=(3.0, 3.0), particle="mu+"), frame, number=10)
    assert (pencil.position == [0.0, 0.0, TOP]).all()
    assert (pencil.direction == [0.0, 0.0, ahead]).all()
    assert (pencil.momentum == 3.0).all()
    assert (pencil.charge == 1).all()
    cone = draw(Gun(momentum=(3.0, 3.0), theta=(0.001, 0.02)), frame)
    theta = np.arctan2(np.hypot(cone.direction[..., 0], cone.direction[..., 1]), ahead * cone.direction[..., 2]).ravel()
    low, high = (math.sin(t / 2) ** 2 for t in (0.001, 0.02))
    assert kstest((np.sin(theta / 2) ** 2 - low) / (high - low), "uniform").pvalue > LEAST


@pytest.mark.parametrize(("frame", "ahead"), [("beamline", 1), ("portal", -1)])
def test_beam(frame, ahead):
    """Gaussian spot, slopes and momenta, of different widths along x and y."""
    source = Beam(
        momentum=(10.0, 10.0), momentum_spread=0.02, centre=(1.0, -2.0), spot=(3.0, 0.5), divergence=(1e-3, 4e-3)
    )
    made = draw(source, frame)
    assert (made.position[..., 2] == TOP).all()
    slope = made.direction[:, 0, :2] / made.direction[:, 0, 2:]
    for axis in (0, 1):
        pull = (made.position[:, 0, axis] - source.centre[axis]) / source.spot[axis]
        assert kstest(pull, "norm").pvalue > LEAST
        assert kstest(slope[:, axis] / source.divergence[axis], "norm").pvalue > LEAST
        assert abs(np.corrcoef(pull, slope[:, axis])[0, 1]) < 4 / math.sqrt(NUMBER)
    assert (np.sign(made.direction[..., 2]) == ahead).all()
    pull = (made.momentum[:, 0] / 10 - 1) / 0.02
    assert kstest(pull, "norm").pvalue > LEAST
    assert abs(pull).max() <= 4 + 1e-4


def test_pencil_beam():
    """A beam with no widths is a gun; an axis that a file leaves out has none."""
    made = draw(Beam(momentum=(2.0, 2.0), spot=(1.0, 0.0)), "beamline", number=100)
    assert (made.direction == [0.0, 0.0, 1.0]).all()
    assert (made.momentum == 2.0).all()
    assert made.position[:, 0, 0].std() > 0
    assert not made.position[:, 0, 1].any()
    spectrum = draw(Beam(momentum=(1.0, 100.0)), "beamline")
    assert kstest(np.log(spectrum.momentum[:, 0]) / math.log(100), "uniform").pvalue > LEAST


# -- resonances --------------------------------------------------------------------------------------------------------


def four_momenta(made):
    """(N, 2, 4): momenta of mu+ and mu-, and their energies."""
    p = made.direction * made.momentum[..., None]
    return np.concatenate([p, np.hypot(made.momentum, MUON_MASS)[..., None]], axis=-1)


def invariant_mass(made):
    total = four_momenta(made).sum(1)
    return np.sqrt(total[:, 3] ** 2 - (total[:, :3] ** 2).sum(-1))


def rest_frame_cosine(made):
    """Cosine between mu+ in the rest frame of the pair and the flight of the pair."""
    plus, total = four_momenta(made)[:, 0], four_momenta(made).sum(1)
    mass, p = invariant_mass(made), np.sqrt((total[:, :3] ** 2).sum(-1))
    along = (plus[:, :3] * total[:, :3]).sum(-1) / p
    boosted = (total[:, 3] * along - p * plus[:, 3]) / mass
    return boosted / np.sqrt(mass**2 / 4 - MUON_MASS**2)


FORWARD = {"resonance": "J/psi", "pz_offset": 20.0, "pz_mean": 15.0, "pt_mean": 1.0}


def test_resonance_along_a_beam_line():
    """J/psi of 20 GeV + 15 GeV Exp(1) along the beam and 1 GeV Exp(1) across it: mass, spectra, isotropy."""
    made = draw(Resonance(**FORWARD), "beamline", dtype=jnp.float64)
    assert (made.position == [0.0, 0.0, TOP]).all()
    assert (made.charge == [1, -1]).all()
    assert (made.weight == 1).all()
    np.testing.assert_allclose(invariant_mass(made), 3.096900, rtol=1e-9)
    total = four_momenta(made).sum(1)
    assert kstest(total[:, 2] - 20, expon(scale=15).cdf).pvalue > LEAST
    assert kstest(np.hypot(total[:, 0], total[:, 1]), expon(scale=1).cdf).pvalue > LEAST
    assert kstest((rest_frame_cosine(made) + 1) / 2, "uniform").pvalue > LEAST


def test_resonance_in_a_barrel():
    """Z from the origin in all directions: a Breit-Wigner of the right mass and width."""
    made = draw(Resonance(resonance="Z", momentum=(1.0, 100.0)), "barrel", dtype=jnp.float64)
    assert not made.position.any()
    M, width = 91.1876, 2.4952

    def cauchy(s):
        return np.arctan((s - M**2) / (M * width))

    ends = cauchy((M - 20 * width) ** 2), cauchy((M + 20 * width) ** 2)
    u = (cauchy(invariant_mass(made) ** 2) - ends[0]) / (ends[1] - ends[0])
    assert kstest(u, "uniform").pvalue > LEAST
    near = np.histogram(invariant_mass(made), [M - width / 2, M + width / 2])[0][0] / NUMBER
    assert near == pytest.approx(0.51, abs=0.01)  # half within the half-maxima, and 3 % of the tails are cut
    total = four_momenta(made).sum(1)
    p = np.sqrt((total[:, :3] ** 2).sum(-1))
    assert kstest(np.log(p) / math.log(100), "uniform").pvalue > LEAST
    assert kstest((total[:, 2] / p + 1) / 2, "uniform").pvalue > LEAST
    assert kstest((rest_frame_cosine(made) + 1) / 2, "uniform").pvalue > LEAST


def test_resonance_with_its_own_shape_and_direction():
    source = Resonance(resonance="Z", mass=10.0, width=0.0, momentum=(5.0, 5.0), direction=(0.7, 0.7))
    made = draw(source, "barrel", dtype=jnp.float64)
    np.testing.assert_allclose(invariant_mass(made), 10.0, rtol=1e-9)
    total = four_momenta(made).sum(1)
    np.testing.assert_allclose(total[:, 2], 5 * math.cos(0.7), rtol=1e-9)


def test_resonance_in_single_precision():
    """The mass to a part in 1e5 even at 35 GeV: directions are rounded to 6e-8, opening angles are 0.2."""
    made = draw(Resonance(**FORWARD), "beamline")
    assert abs(invariant_mass(made) / 3.0969 - 1).max() < 1e-3
    assert np.std(invariant_mass(made)) / 3.0969 < 2e-5


def test_acceptance():
    """Pairs are those that count among all pairs, and weights sum to N times their fraction."""
    cuts = {"min_momentum": 2.0, "theta": (0.02, 0.25)}
    everything = draw(Resonance(**FORWARD), "beamline", seed=5, dtype=jnp.float64)
    p = four_momenta(everything)
    theta = np.arctan2(np.hypot(p[..., 0], p[..., 1]), p[..., 2])
    counts = ((theta > 0.02) & (theta < 0.25) & (everything.momentum > 2.0)).all(-1)
    accepted = draw(Resonance(**FORWARD, **cuts), "beamline", dtype=jnp.float64)
    fraction = accepted.weight.sum() / NUMBER
    assert abs(fraction - counts.mean()) < 4 * math.sqrt(2 * fraction * (1 - fraction) / NUMBER)
    assert (accepted.weight == accepted.weight[0]).all()
    assert accepted.momentum.min() >= 2.0
    assert kstest(accepted.momentum[:, 0], everything.momentum[counts, 0]).pvalue > LEAST
    assert kstest(rest_frame_cosine(accepted), rest_frame_cosine(everything)[counts]).pvalue > LEAST


def test_acceptance_is_unbiased_for_few_events():
    """Three events at a time."""
    source = Resonance(**FORWARD, min_momentum=14.0)
    some = jax.jit(
        jax.vmap(lambda key: rays(source, key, 3, "beamline", 0.0, None, jnp.float64).weight.sum() / 3)
    )(jax.random.split(jax.random.key(1), 400))  # fmt: skip
    right = draw(source, "beamline").weight.sum() / NUMBER
    assert abs(some.mean() - right) < 4 * some.std() / math.sqrt(400)


def test_nothing_accepted():
    """Muons that no such resonance makes: all weights are 0, and no number is missing."""
    source = Resonance(resonance="J/psi", momentum=(1.0, 1.0), min_momentum=100.0)
    assert not draw(source, "barrel", number=10).weight.any()


def test_what_a_resonance_needs():
    assert Resonance(**FORWARD).faults() == []
    assert Resonance(resonance="Z", momentum=(1.0, 2.0), direction=(0.1, 0.2)).faults() == []
    wrong = {
        "momentum": {},
        "pz_mean": {"momentum": (1.0, 2.0), "pz_mean": 3.0},
        "direction": {"pz_mean": 3.0, "direction": (0.1, 0.2)},
        "theta": {"pz_mean": 3.0, "theta": (0.1, 0.1)},
    }
    for field, fields in wrong.items():
        assert [name for name, _ in Resonance(resonance="Z", **fields).faults()] == [field]


# -- what goes with what -----------------------------------------------------------------------------------------------

SOURCES = {
    "gun": Gun(momentum=(1.0, 1.0)),
    "decay": Decay(hadron="D+", hadron_momentum=(5.0, 5.0), momentum=(1.0, 2.0), within=10.0),
    "beam": Beam(momentum=(1.0, 1.0)),
    "cosmic": Cosmic(),
    "resonance": Resonance(resonance="Z", momentum=(1.0, 1.0)),
}
FITS = {
    "barrel": {"gun", "decay", "resonance"},
    "beamline": {"gun", "beam", "resonance"},
    "portal": {"gun", "beam", "cosmic"},
}


@pytest.mark.parametrize("frame", FITS)
def test_frames(frame):
    assert {word for word, source in SOURCES.items() if check_frame(source, frame) is None} == FITS[frame]


def test_what_is_said_about_frames():
    said = check_frame(SOURCES["cosmic"], "barrel")
    assert said == "source cosmic goes with frame portal, and this detector is a barrel"
    assert "theta must be > 0" in check_frame(Gun(momentum=(1.0, 1.0), theta=(0.0, 1.0)), "barrel")
    assert "theta must be < 90 deg" in check_frame(Gun(momentum=(1.0, 1.0), theta=(1.0, 2.0)), "portal")
    with pytest.raises(ValueError, match="goes with frame portal"):
        draw(SOURCES["cosmic"], "barrel")
    with pytest.raises(ValueError, match="a rectangle to aim at"):
        draw(SOURCES["cosmic"], "portal", aim=None)


def test_streams_have_names():
    """Another spread of a beam leaves its positions, and another charge ratio of the muons their momenta."""
    one, two = (
        draw(Beam(momentum=(5.0, 5.0), spot=(1.0, 1.0), divergence=d), "beamline") for d in ((0, 0), (0.01, 0.01))
    )
    assert (one.position == two.position).all()
    one, two = (draw(Cosmic(charge_ratio=r), "portal") for r in (1.0, 2.0))
    assert (one.momentum == two.momentum).all()
    assert (one.charge <= two.charge).all()
