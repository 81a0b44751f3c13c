"""Pairs of muons in a spectrometer: kinematics as functions of numbers, masses and their errors, templates of a peak."""

import math

import numpy as np
import pytest
from scipy.stats import expon, kstest, norm

import detopt
from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays
from detopt.reconstruction.pair_mass import mass
from detopt.scoring.peak import smeared
from detopt.simulation.beam_event import undecided
from detopt.simulation.draws import draw_numbers
from detopt.simulation.muon import MUON_MASS
from detopt.simulation.muon_pairs import mass_of, mirrored, pair_carriers, pair_kinds, pairs
from detopt.simulation.source import Resonance
from detopt.simulation.start import Start
from detopt.study.evaluate import array_space, make_sampler
from detopt.study.measurements import measurements

from .channels import from_hessian

pytestmark = pytest.mark.physics

LEAST = 1e-3  # of a p-value
NUMBER = 20_000
START = Start("beamline", -10.0)
FORWARD = {"resonance": "J/psi", "pz_offset": 20.0, "pz_mean": 15.0, "pt_mean": 1.0}
STUDY = """
schema: 1
name: peak
detector:
  schema: 1
  name: forward
  frame: beamline
  field: {type: dipole, B: 2 T, z: [1 m, 3 m]}
  elements:
    - {name: target, type: plane, z: 0 mm, span: 1 m, x_over_X0: 0}
    - {name: S1, type: plane, z: 0.2 m, span: 40 cm, resolution: 150 um, x_over_X0: 1 %, efficiency: 95 %}
    - {name: S2, type: plane, z: 0.5 m, span: 50 cm, resolution: 150 um, x_over_X0: 1 %, efficiency: 95 %}
    - {name: S3, type: plane, z: 0.9 m, span: 60 cm, resolution: 150 um, x_over_X0: 1 %, efficiency: 95 %}
    - {name: S4, type: plane, z: 3.1 m, span: 1 m, resolution: 150 um, x_over_X0: 1 %, efficiency: 95 %}
    - {name: S5, type: plane, z: 3.4 m, span: 1 m, resolution: 150 um, x_over_X0: 1 %, efficiency: 95 %}
    - {name: S6, type: plane, z: 3.8 m, span: 1 m, resolution: 150 um, x_over_X0: 1 %, efficiency: 95 %}
source: {type: resonance, resonance: J/psi, pz_offset: 20 GeV, pz_mean: 15 GeV, pt_mean: 1 GeV, min_momentum: 2 GeV,
         continuum: [2.8 GeV, 3.4 GeV]}
mode: sampled
tracking: {min_hits: 5}
physics: {tails: false, straggling: false}
objectives:
  Z: {type: significance, signal: 1000, background: 1e5 1/GeV, window: [2.8 GeV, 3.4 GeV], bins: 30, simulation_error: false}
  counting: {type: signal_error, fit: counting, signal: 1000, background: 1e5 1/GeV, window: [2.8 GeV, 3.4 GeV], bins: 60,
             systematics: {background: 5 %}, simulation_error: false}
  efficiency: {type: efficiency}
search: {type: gradient, events: 16384}
"""


def drawn(source, seed=1):
    return draw_numbers(pair_kinds(source), jax.random.key(seed), NUMBER, jnp.float64)


def masses(made):
    p = np.asarray(made.direction * made.momentum[..., None])
    energy = np.sqrt(np.asarray(made.momentum) ** 2 + MUON_MASS**2)
    return np.sqrt(energy.sum(1) ** 2 - (p.sum(1) ** 2).sum(-1))


def test_numbers_make_the_spectra():
    """|normal| times the length of two normals is exponential; every second pair is of the continuum, flat in mass."""
    source = Resonance(**FORWARD, continuum=(2.8, 3.4))
    numbers = drawn(source)
    made = pairs(source, numbers, START)
    total = np.asarray(made.direction * made.momentum[..., None]).sum(1)
    assert kstest(np.hypot(total[:, 0], total[:, 1]), expon(scale=1).cdf).pvalue > LEAST
    assert kstest(np.arctan2(total[:, 1], total[:, 0]) / (2 * math.pi) + 0.5, "uniform").pvalue > LEAST
    assert kstest(total[:, 2] - 20, expon(scale=15).cdf).pvalue > LEAST
    m = masses(made)
    np.testing.assert_allclose(m, mass_of(source, numbers), rtol=1e-9)
    background = np.abs(m - 3.0969) > 1e-6
    assert abs(background.mean() - 0.5) < 4 * 0.5 / math.sqrt(NUMBER)
    assert kstest((m[background] - 2.8) / 0.6, "uniform").pvalue > LEAST
    assert abs(np.asarray(made.charge)[:, 0].mean()) < 4 / math.sqrt(NUMBER)


def test_mirrored_numbers_are_the_other_muon():
    source = Resonance(**FORWARD)
    numbers = drawn(source)
    one, other = pairs(source, numbers, START), pairs(source, mirrored(numbers), START)
    for field in ("direction", "momentum", "charge"):
        there, back = (np.asarray(getattr(made, field)) for made in (one, other))
        np.testing.assert_allclose(there, back[:, ::-1], atol=1e-9)


def test_carriers_move_muons_steadily():
    """The number that carries along x moves muons the same way, whatever the event; those that fly nearly back may not."""
    source = Resonance(**FORWARD)
    numbers = drawn(source)
    name = pair_carriers(source)["x"]

    def slope(moved):
        made = pairs(source, {**numbers, name: moved}, START)
        return made.direction[:, 0, 0] / made.direction[:, 0, 2]

    rate = jax.jvp(slope, (numbers[name],), (jnp.ones(NUMBER),))[1]
    fast = np.asarray(pairs(source, numbers, START).momentum[:, 0]) > 2
    assert (np.asarray(rate) * np.sign(numbers["size"]) > 0)[fast].mean() > 0.9999


def test_mass_of_two_tracks():
    source = Resonance(**FORWARD)
    made = pairs(source, drawn(source), START)
    d, p = np.asarray(made.direction[:5]), np.asarray(made.momentum[:5])
    tracks = np.stack([0 * p, 0 * p, d[..., 0] / d[..., 2], d[..., 1] / d[..., 2], np.asarray(made.charge[:5]) / p], -1)
    np.testing.assert_allclose(jax.vmap(mass)(tracks[:, 0], tracks[:, 1]), 3.0969, rtol=1e-12)
    together = jnp.asarray([0.0, 0.0, 0.1, 0.2, 0.1])
    assert mass(together, together) == pytest.approx(2 * MUON_MASS)


def test_bins_hold_a_gaussian():
    """Also where a peak is far narrower than a bin, and where bins are far out in its tails."""
    edges = np.linspace(2.8, 3.4, 31)
    for m, sigma in ((3.1, 0.02), (3.0969, 1e-4), (2.81, 0.05)):
        expected = norm(m, sigma).cdf(edges[1:]) - norm(m, sigma).cdf(edges[:-1])
        np.testing.assert_allclose(smeared(jnp.asarray(m), jnp.asarray(sigma), edges), expected, rtol=1e-6, atol=1e-12)
    far = smeared(jnp.asarray(2.8), jnp.asarray(0.02), edges)[-1]
    assert 0 < far < 1e-150
    # A wider peak leaves its bin, also where it is narrow: a density in the middle of the bin would say otherwise.
    slope = jax.grad(lambda s: smeared(jnp.asarray(3.0969), s, edges)[14])(jnp.asarray(1e-3))
    assert slope < 0


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A study, its evaluator, and a chunk of events."""
    path = tmp_path_factory.mktemp("peak") / "peak.yaml"
    path.write_text(STUDY)
    study = detopt.load(path)
    sampler = make_sampler(study, 16_384)
    design = as_arrays(study.detector)

    @jax.jit
    def some(key):
        muons, small = sampler.muons, sampler._cast(design)
        line = muons.line(small)
        draws = muons.draws(key, 8192, jnp.float32)
        return jax.vmap(lambda d: muons.muon(line, d, undecided(line)), in_axes=-1)(draws)

    return sampler, design, some(jax.random.key(5))


def test_masses_are_measured_as_claimed(simulated):
    """Pulls of the mass are of width one, and its mean is right."""
    pair, passes = simulated[2].pair, np.asarray(simulated[2].passes)
    pulls = np.asarray((pair.measured - pair.truth) / np.sqrt(pair.variance))[passes]
    assert len(pulls) > 2000
    assert abs(pulls.mean()) < 4 / math.sqrt(len(pulls)) + 0.02
    assert np.std(pulls) == pytest.approx(1, abs=0.03)
    assert np.isfinite(np.asarray(pair.variance)).all()


def test_the_peak_is_that_of_measured_masses(simulated):
    """The smeared true mass has the histogram of the measured one."""
    pair, signal = simulated[2].pair, np.asarray(simulated[2].passes & ~simulated[2].pair.background)
    edges = np.linspace(3.0, 3.2, 21)
    counted = np.histogram(np.asarray(pair.measured)[signal], edges)[0]
    expected = np.asarray(
        jax.vmap(lambda m, v: smeared(m, jnp.sqrt(v), edges))(pair.truth[signal], pair.variance[signal])
    ).sum(0)
    chi2 = ((counted - expected) ** 2 / np.maximum(expected, 1)).sum()
    assert chi2 < 20 + 4 * math.sqrt(40)


def test_what_a_measurement_tells(simulated):
    """S and B are what is made times the efficiency, and the counting error is that of its window."""
    sampler, design, _ = simulated
    score = jax.jit(lambda key: sampler(design, None, key))(jax.random.key(2))
    Z, counting, efficiency = np.asarray(score.values)
    assert 0.1 < efficiency < 0.9
    # An unbinned fit of a Gaussian peak on a flat background: q0 of S events over B in 2 sqrt(pi) sigma.
    pair = simulated[2].pair
    passes = np.asarray(simulated[2].passes)
    sigma = math.sqrt(np.median(np.asarray(pair.variance)[passes]))
    S, B = 1000 * efficiency, 1e5 * efficiency * 2 * math.sqrt(math.pi) * sigma
    assert pytest.approx(S / math.sqrt(B), rel=0.15) == Z
    # In the best window, of +- 1.4 sigma, 84 % of the signal.
    within, below = 0.84 * S, 1e5 * efficiency * 2.8 * sigma
    error = math.sqrt(within + below + (0.05 * below) ** 2) / within
    assert counting == pytest.approx(error, rel=0.2)
    assert (np.asarray(score.errors) > 0).all()


RANDOM = """
variables:
  S1.z: {bounds: [0.1 m, 0.4 m]}
  S5.z: {bounds: [3.2 m, 3.7 m]}
  S6.z: {bounds: [3.75 m, 6 m]}
  S6.span: {bounds: [0.6 m, 1.5 m]}
  S4.resolution: {bounds: [50 um, 300 um]}
  S3.efficiency: {bounds: [80 %, 99 %]}
  S2.x_over_X0: {bounds: [0.5 %, 3 %]}
"""
FULL = """
objectives:
  Z: {type: significance, signal: 1000, background: 1e5 1/GeV, window: [2.98 GeV, 3.22 GeV], bins: 12,
      systematics: {signal: 3 %, background: 5 %, slope: 10 %, bump: 2 %, mass_scale: 0.1 %, resolution: 10 %}}
"""


def with_systematics(tmp_path, events=4096):
    text = STUDY[: STUDY.index("objectives:")] + RANDOM + FULL + f"search: {{type: gradient, events: {events}}}\n"
    path = tmp_path / "random.yaml"
    path.write_text(text)
    return detopt.load(path)


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")
def test_random_designs_pyhf_closure(tmp_path):
    """What is simulated in 20 random designs, and exported: pyhf finds the same significance, error and limit."""
    pyhf = pytest.importorskip("pyhf", reason="pyhf is not installed: it comes with detopt[pyhf]")
    study = with_systematics(tmp_path, 16_384)
    sampler, space = make_sampler(study, 16_384), array_space(study)
    means = jax.jit(lambda u: sampler.with_means(space.place(u), None, jax.random.key(1))[2])
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-9, maxiter=20_000))
    for u in np.random.default_rng(1).uniform(size=(20, len(space))):
        measured = measurements(study, sampler.peaks(means(jnp.asarray(u))))["Z"]
        told, both = measured.answers(), pyhf.Workspace(measured.workspace())
        model = both.model()
        data, config = both.data(model), model.config
        fit = config.suggested_init(), config.suggested_bounds(), config.suggested_fixed()
        q = pyhf.infer.test_statistics.q0(0.0, data, model, *fit)
        assert told["significance"] == pytest.approx(np.sqrt(q), rel=1e-4)
        start = np.array(fit[0])
        without = start.copy()
        without[config.poi_index] = 0.0
        background = model.expected_data(without)
        CLs = pyhf.infer.hypotest(told["upper_limit"], background, model, test_stat="qtilde", return_expected=True)[1]
        assert float(CLs) == pytest.approx(0.05, rel=2e-3)
        assert told["sigma_mu"] == pytest.approx(from_hessian(model, np.asarray(data)), rel=1e-3)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_gradients_of_the_significance(tmp_path):
    """To positions, sizes, resolutions, efficiencies and thicknesses, with all nuisances profiled, against differences."""
    study = with_systematics(tmp_path, 8192)
    answer = study.gradients(seed=1, seconds=1800)
    for row in answer["parameters"]:
        print(row["name"], row["bias_percent"], row["z"], row["verdict"])
        assert abs(row["z"]) < 4
        assert row["verdict"] != "fail"
