"""Significance, error and limit of a signal: closed forms, independent minimisations, and derivatives."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from detopt.backend import jax, jnp
from detopt.scoring.likelihood import (
    Templates,
    code4p,
    discovery_significance,
    expected_samples,
    information,
    negative_log_likelihood,
    profile,
    signal_error,
    statistics_only,
    upper_limit,
)
from detopt.scoring.model_faults import faults
from detopt.scoring.nuisances import Nuisances

from .channels import BINS, MIXED, SAMPLES, channel, padded

FIGURES = {"Z": discovery_significance, "error": signal_error, "limit": upper_limit}
COUNTING = Nuisances(("signal", "background"), (False, False))
UNCERTAIN = Nuisances(("signal", "background"), (False, True), ("rate",), ((0.0, 0.2),))
# Through the padding to one shape, a model is compiled once for both files.
SOUND = padded(channel(MIXED, 12, seed=3))

pytestmark = pytest.mark.physics


def counting(signal, background, error=0.0):
    """One bin, or as many as there are numbers, and no shape uncertainty."""
    signal, background = np.atleast_1d(np.float64(signal)), np.atleast_1d(np.float64(background))
    nominal = np.stack([signal, background])
    errors = np.stack([0 * signal, np.full_like(signal, error)])
    return Templates(
        jnp.asarray(nominal), jnp.zeros((0, *nominal.shape)), jnp.zeros((0, *nominal.shape)), jnp.asarray(errors)
    )


@pytest.mark.parametrize(("s", "b"), [(10.0, 5.0), (3.0, 1e-6), (0.1, 1e6), (1e4, 1e6), (50.0, 50.0)])
def test_counting(s, b):
    templates = counting(s, b)
    expected = np.sqrt(2 * ((s + b) * np.log1p(s / b) - s)) if s / b > 1e-5 else s / np.sqrt(b)
    assert float(discovery_significance(templates, COUNTING)) == pytest.approx(expected, rel=1e-6)
    assert float(signal_error(templates, COUNTING)) == pytest.approx(np.sqrt(s + b) / s, rel=1e-12)
    limit = scipy.optimize.brentq(
        lambda mu: 2 * (mu * s - b * np.log1p(mu * s / b)) - scipy.stats.norm.ppf(0.975) ** 2,
        0,
        1e3 * (1 + b) / s,
        xtol=1e-14,
    )
    assert float(upper_limit(templates, COUNTING)) == pytest.approx(limit, rel=1e-7)


def test_a_normalisation_adds_its_square():
    templates, nuisances = counting(30.0, 100.0), UNCERTAIN
    expected = np.sqrt(130 + (np.log(1.2) * 100) ** 2) / 30
    assert float(signal_error(templates, nuisances)) == pytest.approx(expected, rel=1e-12)
    # And the error of the simulation, on top of it.
    expected = np.sqrt(130 + (np.log(1.2) * 100) ** 2 + 7**2) / 30
    assert float(signal_error(counting(30.0, 100.0, error=7.0), nuisances)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("s", "b", "error"), [(30.0, 100.0, 7.0), (15.0, 4.0, 2.0), (40.0, 100.0, 0.0)])
def test_profiles_as_a_simplex_search_finds_them(s, b, error):
    """One bin with a log-normal rate and a simulated background, and gamma fitted and not solved for."""
    delta = error / b if error else 1e-5

    def deviance(n, mu, x):
        alpha, gamma = x[0], 1 + delta * x[1]
        nu = mu * s + gamma * b * 1.2**alpha
        return np.inf if gamma < 0 else 2 * (nu - n - n * np.log(nu / n)) + x[0] ** 2 + x[1] ** 2

    def q(n, mu):
        options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000, "maxfev": 4000}
        return scipy.optimize.minimize(
            lambda x: deviance(n, mu, x), [0.0, 0.0], method="Nelder-Mead", options=options
        ).fun

    templates = counting(s, b, error)
    assert float(discovery_significance(templates, UNCERTAIN)) == pytest.approx(np.sqrt(q(s + b, 0.0)), rel=1e-6)
    limit = float(upper_limit(templates, UNCERTAIN))
    assert np.sqrt(q(b, limit)) == pytest.approx(scipy.stats.norm.ppf(0.975), rel=1e-6)


def test_a_gamma_is_never_negative():
    """A background of one simulated event of weight 3 beside another one, and nothing counted."""
    templates = Templates(
        *map(
            jnp.asarray, (np.array([[1.0], [3.0]]), np.zeros((0, 2, 1)), np.zeros((0, 2, 1)), np.array([[0.0], [3.0]]))
        )
    )
    nuisances = Nuisances(("signal", "background"), (False, True))
    for n in (0.0, 0.05, 0.3, 2.0, 8.0):
        gammas = np.linspace(0, 5, 500_001)
        nu = 1 + 3 * gammas
        expected = (nu - n - (n * np.log(nu / n) if n else 0) + (gammas - 1) ** 2 / 2).min()
        found = negative_log_likelihood(templates, nuisances, jnp.array([n]), jnp.array(1.0), jnp.zeros(0))
        assert float(found) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("figure", FIGURES)
def test_derivatives(figure):
    """By every template, at random points and at awkward ones, against central differences; forward as in reverse."""
    function = FIGURES[figure]

    def gradient(t):
        return jax.vjp(lambda t: function(t, MIXED), t)[1](jnp.ones(()))[0]

    def forward(t, d):
        return jax.jvp(lambda t: function(t, MIXED), (t,), (d,))[1]

    random = np.random.default_rng(5)
    pulled = channel(MIXED, 12, seed=9, shape_effect=4.0)
    no_errors = SOUND.error * 0.0
    points = {
        "sound": SOUND,
        "no effect of shapes": Templates(SOUND.nominal, *(jnp.tile(SOUND.nominal, (2, 1, 1)),) * 2, SOUND.error),
        "pulled": padded(pulled),
        "without errors": Templates(SOUND.nominal, SOUND.low, SOUND.high, no_errors),
        "bins without signal": Templates(
            *(jnp.where(jnp.arange(BINS) < 3, a.at[..., 0, :].set(0.0), a) for a in vars(SOUND).values())
        ),
    }
    for name, point in points.items():
        slopes = gradient(point)
        assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(slopes)), name
        for field in vars(point):
            at = getattr(point, field)
            step = jnp.asarray(random.normal(size=at.shape)) * jnp.where(at > 0, at, 0.0)
            direction = jax.tree.map(jnp.zeros_like, point)
            direction = Templates(**{**vars(direction), field: step})
            reverse = float(jnp.sum(getattr(slopes, field) * step))
            assert float(forward(point, direction)) == pytest.approx(reverse, rel=1e-9, abs=1e-12), (name, field)
            values = [
                float(function(jax.tree.map(lambda a, d, k=k: a + k * d, point, direction), MIXED))
                for k in (-2e-4, -1e-4, 1e-4, 2e-4)
            ]
            difference = (8 * (values[2] - values[1]) - (values[3] - values[0])) / 12e-4
            assert reverse == pytest.approx(difference, rel=1e-5, abs=1e-8), (name, field)


def test_the_limit_pulls_far():
    """What the awkward points of the derivatives are for: an alpha well beyond one sigma at the limit."""
    templates = padded(channel(MIXED, 12, seed=9, shape_effect=4.0))
    limit = upper_limit(templates, MIXED)
    fit = profile(templates, MIXED, jnp.sum(templates.nominal[1:], axis=0), limit)
    assert bool(fit.converged)
    assert float(jnp.abs(fit.nuisances[3:]).max()) > 1


def test_many_at_once():
    """vmap gives what a loop gives, and fits that take longer do not disturb those that are ready."""
    several = [padded(channel(MIXED, bins, seed)) for bins, seed in ((4, 1), (12, 2), (40, 7))]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)
    for function in FIGURES.values():
        together = jax.jit(jax.vmap(lambda t, function=function: function(t, MIXED)))(stacked)
        alone = [float(function(t, MIXED)) for t in several]
        np.testing.assert_allclose(together, alone, rtol=1e-9)


def test_further_nuisances_never_help():
    statistics = statistics_only(SOUND, MIXED)
    with_errors = statistics_only(SOUND, MIXED, errors=True)
    with_free = statistics_only(SOUND, MIXED, errors=True, free=True)
    Z, error, limit = (
        np.array([float(f(*m)) for m in (statistics, with_errors, with_free, (SOUND, MIXED))]) for f in FIGURES.values()
    )
    assert (np.diff(Z) < 0).all()
    assert (np.diff(error) > 0).all()
    assert (np.diff(limit) > 0).all()


def test_bins_may_be_merged_where_they_are_alike():
    """Where signal and background are in the same proportion; gammas of split bins are independent and wider by sqrt(2)."""
    whole = counting(12.0, 30.0, error=4.0)
    halves = counting([6.0, 6.0], [15.0, 15.0], error=4.0 / np.sqrt(2))
    for function in FIGURES.values():
        assert float(function(halves, UNCERTAIN)) == pytest.approx(float(function(whole, UNCERTAIN)), rel=1e-10)


def test_no_background_at_all():
    templates = counting([3.0, 5.0], [0.0, 10.0])
    assert float(discovery_significance(templates, COUNTING)) == np.inf
    assert float(signal_error(templates, COUNTING)) == pytest.approx(1 / np.sqrt(3 + 25 / 15), rel=1e-12)
    for function in FIGURES.values():
        slopes = jax.grad(lambda t, function=function: function(t, COUNTING))(templates)
        assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(slopes))
    # Three events are excluded at 95 % in the limit of no background: 1.92 in these asymptotic formulas.
    alone = counting(1.0, 0.0)
    assert float(upper_limit(alone, COUNTING)) == pytest.approx(scipy.stats.norm.ppf(0.975) ** 2 / 2, rel=1e-9)


def test_no_signal_at_all():
    templates = counting(0.0, 10.0)
    assert [float(f(templates, COUNTING)) for f in FIGURES.values()] == [0.0, np.inf, np.inf]
    for function in FIGURES.values():
        slopes = jax.grad(lambda t, function=function: function(t, COUNTING))(templates)
        assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(slopes))


def test_information_is_the_curvature_of_the_likelihood():
    counts = jnp.sum(SOUND.nominal, axis=0)
    curvature = jax.jit(jax.hessian(lambda x: negative_log_likelihood(SOUND, MIXED, counts, x[0], x[1:])))
    at = jnp.zeros(1 + len(MIXED.names)).at[0].set(1.0)
    np.testing.assert_allclose(information(SOUND, MIXED), curvature(at), rtol=1e-9, atol=1e-9)


def test_code4p():
    low, nominal, high = jnp.array([[[8.0]]]), jnp.array([[10.0]]), jnp.array([[[15.0]]])

    def shift(alpha):
        return code4p(alpha[None], low, nominal, high)[0, 0, 0]

    assert [float(shift(jnp.array(a))) for a in (-2.0, -1.0, 0.0, 1.0, 3.0)] == pytest.approx(
        [-4.0, -2.0, 0.0, 5.0, 15.0]
    )
    for derivative in (shift, jax.grad(shift), jax.grad(jax.grad(shift))):
        for edge in (-1.0, 1.0):
            inside, outside = (float(derivative(jnp.array(edge * k))) for k in (1 - 1e-9, 1 + 1e-9))
            assert inside == pytest.approx(outside, abs=1e-6)


def test_expected_counts():
    values = jnp.array([1.0, -0.5, np.log(1.4), 0.0, 2.0])
    found = expected_samples(SOUND, MIXED, jnp.array(2.0), values)
    falling = SOUND.nominal[2] + 2 * (SOUND.high[1, 2] - SOUND.nominal[2])
    rows = [2 * 1.03 * SOUND.nominal[0], 1.03 * 1.3**-0.5 * SOUND.nominal[1], 1.03 * 0.9**-0.5 * 1.4 * falling]
    np.testing.assert_allclose(found, jnp.stack(rows), rtol=1e-12)


def test_faults():
    assert faults(SOUND, MIXED) == []
    negative = Templates(SOUND.nominal.at[1, 2].set(-1.0), SOUND.low, SOUND.high.at[1, 2, 4].set(-2.0), SOUND.error)
    found = faults(negative, MIXED)
    assert found[0] == "sample 'flat' has negative counts in bin 2: use wider bins or more simulated events"
    assert "'slope' at +1 sigma makes sample 'falling' negative in bin 4" in found[1]
    assert "signal without any background in bin 0" in faults(counting([3.0, 1.0], [0.0, 2.0]), COUNTING)[0]
    assert "has no events" in faults(counting(0.0, 2.0), COUNTING)[0]
    assert "do not fit" in faults(counting(1.0, 2.0), MIXED)[0]
    assert "not finite" in faults(counting(np.nan, 2.0), COUNTING)[0]


@pytest.mark.parametrize(
    ("free", "scaled", "expected"),
    [
        (("b",), ((False, True),), "the signal strength mu and 'b'"),
        (("a",), ((True, False),), "the signal strength mu and 'a'"),
    ],
)
def test_what_cannot_be_told_apart_is_named(free, scaled, expected):
    nuisances = Nuisances(("signal", "background"), (False, False), ("rate",), ((0.1, 0.1),), free, scaled)
    assert expected in faults(counting(3.0, 10.0), nuisances)[0]


def test_two_free_factors_on_one_sample_are_named():
    nuisances = Nuisances(
        SAMPLES,
        (False,) * 3,
        free=("b", "c", "d"),
        scaled=((False, True, False), (False, True, False), (False, False, True)),
    )
    templates = Templates(SOUND.nominal, SOUND.low[:0], SOUND.high[:0], SOUND.error)
    (found,) = faults(templates, nuisances)
    assert "cannot tell apart 'b' and 'c':" in found
    empty = Templates(SOUND.nominal.at[2].set(0.0), SOUND.low[:0], SOUND.high[:0], SOUND.error)
    assert "'d' acts on nothing" in faults(empty, nuisances)[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"samples": ("a", "a")},
        {"with_errors": (True,)},
        {"sizes": ((0.1,),)},
        {"sizes": ((-1.0, 0.0),)},
        {"free": ("rate",), "scaled": ((True, True),)},
        {"shapes": ("mu",)},
    ],
)
def test_descriptions_that_do_not_fit(fields):
    sound = {"samples": ("a", "b"), "with_errors": (True, True), "normalisations": ("rate",), "sizes": ((0.1, 0.0),)}
    with pytest.raises(ValueError, match=r"need|cannot vary|of the same name"):
        Nuisances(**{**sound, **fields})
