"""Mistag rates at a fixed efficiency: against integrals, tracks drawn one by one, limits, and differences."""

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr

from detopt.backend import jax, jnp
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector, Solenoid
from detopt.detector.elements import BarrelLayer
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Space, Variable
from detopt.scoring.evaluate import Evaluator
from detopt.scoring.rejection import beyond, mistag_rate
from detopt.scoring.terms import Efficiency, Rejection, Resolution
from detopt.simulation.physics import Physics
from detopt.simulation.source import Gun

FLIGHT = 0.45  # mm
WEIGHT, FOUND, SIGMA = np.array([0.3, 0.5, 0.2]), np.array([0.99, 0.95, 0.9]), np.array([0.02, 0.05, 0.12])


def rate_of(sigma, efficiency, flight=FLIGHT, found=FOUND):
    return float(mistag_rate(jnp.asarray(WEIGHT), jnp.asarray(found), jnp.asarray(sigma**2), flight, efficiency))


def integral(cut, rate):
    """P(|E / rate + N| > cut) by quadrature over the exponential."""
    outside = lambda e: np.exp(-e) * (ndtr(-cut + e / rate) + ndtr(-cut - e / rate))  # noqa: E731
    turn = min(cut * rate, 50.0)
    pieces = sorted({0.0, turn, min(turn + 10 * rate, 60.0), max(turn - 10 * rate, 0.0), 60.0})
    return sum(quad(outside, a, b, epsabs=0, epsrel=1e-11, limit=200)[0] for a, b in itertools.pairwise(pieces))


@pytest.mark.parametrize("rate", [1e-3, 0.1, 0.7, 1.0, 3.0, 30.0, 500.0])
@pytest.mark.parametrize("cut", [0.0, 0.01, 0.5, 1.0, 2.5, 6.0])
def test_convolution(cut, rate):
    value, slope = (float(x) for x in beyond(jnp.array(cut), jnp.array(rate)))
    assert value == pytest.approx(integral(cut, rate), rel=1e-9)
    derivative = jax.jacfwd(lambda c: beyond(c, jnp.array(rate))[0])(jnp.array(cut))
    assert slope == pytest.approx(float(derivative), rel=1e-7)


def test_nothing_overflows():
    """From errors a million times smaller than the flight to errors a million times larger, and cuts of 40 sigma."""
    cut, rate = np.meshgrid(np.linspace(0, 40, 401), np.geomspace(1e-6, 1e6, 101))
    value, slope = (np.asarray(x) for x in beyond(jnp.asarray(cut), jnp.asarray(rate)))
    assert np.isfinite(slope).all()
    assert ((value >= 0) & (value <= 1 + 1e-15)).all()
    assert (np.diff(value, axis=1) <= 1e-13).all()
    assert (np.diff(value, axis=0) <= 1e-12 * value[1:]).all()
    grads = jax.grad(lambda c, r: jnp.sum(beyond(c, r)[0]), (0, 1))(jnp.asarray(cut), jnp.asarray(rate))
    assert all(np.isfinite(np.asarray(g)).all() for g in grads)


@pytest.mark.parametrize("efficiency", [0.3, 0.7, 0.85, 0.93])
def test_cut_solved_by_other_means(efficiency):
    def lacking(cut):
        return sum(w * f * integral(cut, s / FLIGHT) for w, f, s in zip(WEIGHT, FOUND, SIGMA, strict=True)) - efficiency

    cut = brentq(lacking, 0, 100, xtol=1e-13)
    assert rate_of(SIGMA, efficiency) == pytest.approx(np.sum(WEIGHT * FOUND) * 2 * ndtr(-cut), rel=1e-7)


def test_tracks_drawn_one_by_one():
    random, number = np.random.default_rng(1), 1_000_000
    kind = random.choice(3, number, p=WEIGHT)
    found, sigma = random.uniform(size=number) < FOUND[kind], SIGMA[kind]
    sign = random.choice([-1, 1], number)
    displaced = np.abs(sign * random.exponential(FLIGHT, number) + sigma * random.normal(size=number)) / sigma
    prompt = np.abs(random.normal(size=number))
    # A particle without a track is never tagged.
    cut = np.quantile(np.where(found, displaced, -1.0), 1 - 0.8)
    tagged = np.mean(found & (prompt > cut))
    # The cut has an error too: the efficiency is known to 0.0004, and the rates follow each other.
    slope = (rate_of(SIGMA, 0.801) - rate_of(SIGMA, 0.799)) / 0.002
    error = np.hypot(np.sqrt(tagged / number), slope * np.sqrt(0.16 / number))
    assert tagged == pytest.approx(rate_of(SIGMA, 0.8), abs=4 * error)
    assert error < 0.02 * tagged


def test_sharp_tracks():
    """The cut is where the exponential says, F ln(1/E) / sigma, and hardly a prompt track is beyond it."""
    found = np.ones(3)
    sigma = np.full(3, 0.01)
    cut = (
        FLIGHT * np.log(1 / 0.9) / 0.01 + 0.01 / FLIGHT / 2
    )  # of the convolution, where all of the Gaussian is on one side
    assert rate_of(sigma, 0.9, found=found) == pytest.approx(2 * ndtr(-cut), rel=1e-4)
    assert rate_of(sigma / 100, 0.9, found=found) < 1e-300
    assert rate_of(sigma / 100, 0.9, found=found) > 0


def test_no_flight():
    """What does not fly is mistagged as often as it is tagged."""
    for flight in (1e-3, 1e-5):
        assert rate_of(SIGMA, 0.7, flight) == pytest.approx(0.7, rel=20 * (flight / 0.02) ** 1)
    assert rate_of(SIGMA, 0.7, 1e-6) == pytest.approx(0.7, rel=1e-4)
    assert rate_of(SIGMA, 0.7, 1e-2) < 0.7


def test_more_than_all_tracks():
    """Goes on without a jump, and lost tracks cost."""
    all_tracks = np.sum(WEIGHT * FOUND)
    assert rate_of(SIGMA, all_tracks - 1e-9) == pytest.approx(all_tracks, abs=1e-6)
    assert rate_of(SIGMA, all_tracks + 1e-9) == pytest.approx(all_tracks, abs=1e-6)
    assert rate_of(SIGMA, 0.99) == pytest.approx(2 * 0.99 - all_tracks)
    gradient = jax.grad(lambda f: mistag_rate(jnp.asarray(WEIGHT), f, jnp.asarray(SIGMA**2), FLIGHT, 0.99))
    np.testing.assert_allclose(np.asarray(gradient(jnp.asarray(FOUND))), -WEIGHT, rtol=1e-12)


def test_second_derivatives():
    def loss(log_sigma):
        return jnp.log(mistag_rate(jnp.asarray(WEIGHT), jnp.asarray(FOUND), jnp.exp(2 * log_sigma), FLIGHT, 0.8))

    at, step = jnp.log(jnp.asarray(SIGMA)), 1e-5
    exact = np.asarray(jax.hessian(loss)(at))
    slopes = [(jax.grad(loss)(at + step * e) - jax.grad(loss)(at - step * e)) / (2 * step) for e in np.eye(3)]
    np.testing.assert_allclose(exact, np.asarray(slopes), rtol=1e-5, atol=1e-7)


# -- of a detector -----------------------------------------------------------------------------------------------------

NUMBERS = {
    "a.radius": (15.0, 30.0, 20.0), "a.x_over_X0": (0.001, 0.02, 0.004), "a.pitch.rphi": (0.01, 0.1, 0.03),
    "b.radius": (30.0, 60.0, 40.0), "b.efficiency": (0.8, 1.0, 0.93), "d.pitch.rphi": (0.01, 0.2, 0.06),
    "field.B": (1.0, 3.0, 2.0),
}  # fmt: skip


@pytest.fixture(scope="module")
def space():
    layers = [("a", 20.0, 0.98), ("b", 40.0, 0.93), ("c", 90.0, 0.97), ("d", 200.0, 0.95), ("e", 300.0, 0.99)]
    elements = (
        BarrelLayer(name="pipe", radius=12.0, half_length=1e3, x_over_X0=0.003),
        *(
            BarrelLayer(
                name=n,
                radius=r,
                half_length=1e3,
                x_over_X0=0.004,
                pitch=(0.03 if n != "d" else 0.06, 0.05),
                efficiency=e,
            )
            for n, r, e in layers
        ),
    )
    variables = tuple(Variable(n, low, high, init, "", "", (n,)) for n, (low, high, init) in NUMBERS.items())
    return Space(Detector(name="small", frame="barrel", elements=elements, field=Solenoid(B=2.0)), variables)


def score(space, *terms, source=None):
    """The values of some terms at a point of the unit box."""
    source = source or Gun(momentum=(0.5, 10.0), theta=(1.1, 1.57))
    named = {f"t{i}": t for i, t in enumerate(terms)}
    evaluate = Evaluator(named, {}, Prices(), source, Physics(), space.detector, min_hits=3)
    arrays = Space(as_arrays(space.detector), space.variables)
    return jax.jit(lambda u: evaluate(arrays.place(u)).values)


def test_one_kind_of_particle(space):
    term = Rejection(efficiency=0.8, flight=0.3, vertex=0.02, momentum=2.0, theta=1.2)
    rate, d0, found = score(
        space, term, Resolution(of="d0", momentum=2.0, theta=1.2), Efficiency(momentum=2.0, theta=1.2)
    )(jnp.asarray(space.init))
    sigma = np.hypot(float(d0), 0.02)
    cut = brentq(lambda c: float(found) * integral(c, sigma / 0.3) - 0.8, 0, 100, xtol=1e-13)
    assert float(rate) == pytest.approx(float(found) * 2 * ndtr(-cut), rel=1e-7)


def test_gradients(space):
    term = Rejection(efficiency=0.8, flight=0.2, vertex=0.01)
    loss = score(space, term)
    log_loss = jax.jit(lambda u: jnp.log(loss(u)[0]))
    at = jnp.asarray(space.init)
    gradient = np.asarray(jax.grad(log_loss)(at))
    step = 1e-5
    differences = np.array(
        [float(log_loss(at + step * e) - log_loss(at - step * e)) / (2 * step) for e in np.eye(len(at))]
    )
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-7)
    assert (np.abs(gradient) > 1e-4).all()
    # A first layer that is nearer, lighter and finer is better, and a more efficient second one.
    assert (gradient[[0, 1, 2, 5]] > 0).all()
    assert gradient[4] < 0
    forward = jax.jvp(log_loss, (at,), (jnp.ones_like(at),))[1]
    assert float(forward) == pytest.approx(gradient.sum(), rel=1e-12)


def test_a_vertex_that_is_known_worse(space):
    rates = [
        float(score(space, Rejection(efficiency=0.8, flight=0.3, vertex=v))(jnp.asarray(space.init))[0])
        for v in (0.0, 0.02, 0.05)
    ]
    assert rates[0] < rates[1] < rates[2]
