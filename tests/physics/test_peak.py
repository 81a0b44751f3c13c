"""Templates of a mass peak and what they tell, from masses and errors that are made up: no detector, and so quick."""

import math
from functools import partial

import numpy as np
import pytest

from detopt.backend import jax, jnp
from detopt.reconstruction.arms import PairMass
from detopt.scoring.measurements import SignalError, Significance, Systematics, UpperLimit
from detopt.scoring.model_faults import faults
from detopt.scoring.peak import Pairs, channel_of, peak_statistics

pytestmark = pytest.mark.physics

MASS, EVENTS = 3.0969, 4096
ASKED = {"signal": 1000.0, "background": 1e5, "window": (2.8, 3.4), "bins": 60, "simulation_error": False}
PAIRS = Pairs(MASS, 0.6, EVENTS)


def channel(term, sigma, efficiency=0.5, tilt=0.0):
    """A detector of one mass resolution, whose share of found pairs may follow the mass."""
    resonance = PairMass(jnp.asarray(MASS), jnp.asarray(MASS), sigma**2, jnp.asarray(False))
    one = efficiency * peak_statistics(term, resonance, jnp.asarray(True))
    x = (jnp.arange(EVENTS) + 0.5) / EVENTS * 2 - 1

    def found(x):
        m = 3.1 + 0.3 * x
        pair = PairMass(m, m, sigma**2, jnp.asarray(True))
        return efficiency * (1 + tilt * x) * peak_statistics(term, pair, jnp.asarray(True))

    return channel_of(term, one + jnp.mean(jax.vmap(found)(x), axis=0), PAIRS)


def test_templates_hold_what_is_made_times_what_is_found():
    term = SignalError(**ASKED)
    made = channel(term, jnp.asarray(0.01)).templates
    signal, background = np.asarray(made.nominal)
    assert signal.sum() == pytest.approx(500, rel=1e-4)
    np.testing.assert_allclose(background, 1e5 * 0.01 * 0.5, rtol=1e-5)
    # A share that rises along the masses is followed, and an exponential falls as it should.
    tilted = np.asarray(channel(term, jnp.asarray(0.01), tilt=0.3).templates.nominal)[1]
    np.testing.assert_allclose(tilted, 500 * (1 + 0.3 * (np.arange(60) - 29.5) / 30), rtol=1e-4)
    falling = SignalError(**ASKED, falls=0.5)
    counts = np.asarray(channel(falling, jnp.asarray(0.01)).templates.nominal)[1]
    edges = np.linspace(2.8, 3.4, 61)
    exact = 0.5 * 1e5 * 0.5 * -np.diff(np.exp((MASS - edges) / 0.5))
    np.testing.assert_allclose(counts, exact, rtol=1e-5)


def test_a_fit_of_the_shape_tells_what_theory_says():
    """Of a narrow peak on a flat background: S / sigma(S) = S / sqrt(B in 2 sqrt(pi) sigma), where B is large."""
    sigma = 0.01
    term = SignalError(**{**ASKED, "background": 1e7, "bins": 300})
    S, under = 500, 0.5e7 * 2 * math.sqrt(math.pi) * sigma
    assert channel(term, jnp.asarray(sigma)).signal_error() == pytest.approx(math.sqrt(under) / S, rel=0.01)


def test_counting_takes_the_best_window():
    """Of a Gaussian on a flat background: +- 1.4 sigma, with 84 % of the signal."""
    sigma = 0.01
    term = SignalError(**{**ASKED, "background": 1e7, "bins": 400, "fit": "counting"})
    made = channel(term, jnp.asarray(sigma))
    S, B = np.asarray(made.templates.nominal)[:, 0]
    assert pytest.approx(0.84, abs=0.02) == S / 500
    assert B / 0.5e7 / sigma == pytest.approx(2.8, abs=0.2)
    assert made.signal_error() == pytest.approx(math.sqrt(S + B) / S, rel=1e-9)
    unsure = SignalError(**{**ASKED, "bins": 400, "fit": "counting"}, systematics=Systematics(background=0.05))
    made = channel(unsure, jnp.asarray(sigma))
    S, B = np.asarray(made.templates.nominal)[:, 0]
    exact = math.sqrt(S + B + (math.log1p(0.05) * B) ** 2) / S
    assert made.signal_error() == pytest.approx(exact, rel=1e-9)


def test_sidebands_measure_the_background_and_a_bump_undoes_that():
    """A normalisation is constrained by data; a bump like the signal is not, and costs that part of what it hides in."""
    term = partial(SignalError, **{**ASKED, "bins": 300})
    sigma = jnp.asarray(0.01)
    free, known, bump = (
        float(channel(term(systematics=s), sigma).signal_error())
        for s in (Systematics(background_free=True), Systematics(), Systematics(bump=0.05))
    )
    assert known < free < 1.05 * known
    under = 0.5e5 * 2 * math.sqrt(math.pi) * 0.01
    assert bump == pytest.approx(math.hypot(known, 0.05 * under / 500), rel=0.01)


def test_every_uncertainty_costs_something():
    alone = channel(Significance(**ASKED), jnp.asarray(0.01)).significance()
    limit = channel(UpperLimit(**ASKED), jnp.asarray(0.01)).upper_limit()
    every = Systematics(background=0.05, slope=0.1, bump=0.02, mass_scale=1e-3, resolution=0.1)
    assert channel(Significance(**ASKED, systematics=every), jnp.asarray(0.01)).significance() < alone
    assert channel(UpperLimit(**ASKED, systematics=every), jnp.asarray(0.01)).upper_limit() > limit
    exact, simulated = (SignalError(**{**ASKED, "simulation_error": e}) for e in (False, True))
    assert channel(simulated, jnp.asarray(0.01)).signal_error() > channel(exact, jnp.asarray(0.01)).signal_error()
    assert faults(*channel(Significance(**ASKED, systematics=every), jnp.asarray(0.01))) == []


@pytest.mark.parametrize("fit", ["shape", pytest.param("counting", marks=pytest.mark.slow)])
def test_gradients(fit):
    """To the resolution and to the efficiency, with all nuisances profiled, also of a peak narrower than its bins."""
    systematics = Systematics(signal=0.03, background=0.05, slope=0.1, bump=0.02, mass_scale=5e-4, resolution=0.1)
    of = Significance(**{**ASKED, "fit": fit, "simulation_error": True}, systematics=systematics)

    def values(at):
        made = channel(of, at[0], at[1])
        return jnp.stack([made.significance(), made.signal_error(), made.upper_limit()])

    step, compiled, slopes = 1e-5, jax.jit(jax.vmap(values)), jax.jit(jax.jacrev(values))
    for at in (jnp.asarray([0.012, 0.5]), jnp.asarray([0.002, 0.5])):  # of bins of 0.01
        exact = np.asarray(slopes(at))
        moved = np.asarray(compiled(jnp.concatenate([at[None] + s * step * jnp.diag(at) for s in (1, -1)]))).reshape(
            2, 2, 3
        )
        difference = ((moved[0] - moved[1]) / (2 * step * np.asarray(at)[:, None])).T
        np.testing.assert_allclose(exact, difference, rtol=1e-3, atol=1e-6 * np.abs(difference).max())
