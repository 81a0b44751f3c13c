"""Muons from sources: ranges, and decays against a Monte Carlo of their own that shares nothing with the product."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import ks_2samp, kstest

from detopt.backend import jax, jnp
from detopt.simulation.generate import _perigee, generate
from detopt.simulation.source import HADRONS, Decay, Gun

MUON = 0.1056583755
SHAPE = (400, 100)
LEAST = 1e-3  # p-values: a right distribution fails once in a thousand keys, and the keys are fixed

B_MESONS = Decay(
    hadron="B0", hadron_momentum=(10.0, 40.0), momentum=(1.0, 12.0), theta=(1.0, 2.0), within=18.0, displaced=(0.2, 0.8)
)
SLOW = Decay(hadron="D0", hadron_momentum=(2.0, 2.0), momentum=(0.5, 1.2), within=15.0, c_tau=2.0)
ONLY = {
    name: Decay(**{**source.__dict__, "displaced": (1.0, 1.0)}) for name, source in (("B0", B_MESONS), ("D0", SLOW))
}


def draw(source, seed=0, B=1.5, dtype=jnp.float64, shape=SHAPE, **more):
    """Flat NumPy columns of the muons, and the fractions."""
    made = jax.jit(lambda key, B: generate(source, key, shape, B, dtype, **more))
    particles, fraction = made(jax.random.key(seed), None if B is None else jnp.asarray(B, dtype))
    assert all(x.dtype in (dtype, bool) for x in jax.tree.leaves((particles, fraction)))
    return jax.tree.map(lambda x: np.asarray(x).ravel(), (particles, fraction))


def test_gun_is_flat():
    """In log p and in cos(theta); all muons are prompt and start at the origin."""
    muons, _ = draw(Gun(momentum=(0.5, 50.0), theta=(0.3, 2.5)))
    assert kstest(np.log(muons.momentum / 0.5) / math.log(100), "uniform").pvalue > LEAST
    span = math.cos(2.5) - math.cos(0.3)
    assert kstest((np.cos(muons.theta) - math.cos(0.3)) / span, "uniform").pvalue > LEAST
    assert abs(np.corrcoef(np.log(muons.momentum), muons.theta)[0, 1]) < 4 / math.sqrt(muons.theta.size)
    assert not muons.displaced.any()
    assert not any(np.any(x) for x in muons.start)


def test_what_is_asked_for_is_given():
    """One momentum and one angle, from the source or instead of the source's."""
    muons, _ = draw(Gun(momentum=(3.0, 3.0)), shape=(2, 5))
    assert (muons.momentum == 3.0).all()
    assert (muons.theta == math.pi / 2).all()
    muons, fraction = draw(B_MESONS, shape=(2, 5), momentum=7.0, theta=0.7)
    assert (muons.momentum == 7.0).all()
    assert (muons.theta == 0.7).all()
    assert not muons.displaced.any()
    assert not fraction.any()


def own_decays(source, n, B, seed):
    """Momentum, theta, |d0|, flight, and vertex radius of n muons, by rejection.

    Three-body phase space by weights q* k (momenta of the recoil's pair in its frame, and of the muon), four-vectors are
    boosted with matrices, and what is not asked for is thrown away.
    """
    rng = np.random.default_rng(seed)
    M, h = HADRONS[source.hadron].mass, HADRONS[source.hadron].recoil
    tau = HADRONS[source.hadron].lifetime * 299.792458 if source.c_tau is None else source.c_tau
    kept, size = [], 0
    while size < n:
        m = 400_000
        p_hadron = np.exp(rng.uniform(*np.log(source.hadron_momentum), size=m))
        # Mass of hadron and neutrino, s in (h^2, (M - mu)^2): weight = momentum of the muon x momentum inside the pair.
        pair = rng.uniform(h, M - MUON, size=m)
        k = np.sqrt(np.maximum((M**2 - (pair + MUON) ** 2) * (M**2 - (pair - MUON) ** 2), 0)) / (2 * M)
        inside = (pair**2 - h**2) / (2 * pair)
        keep = rng.uniform(size=m) * (M / 2) ** 2 < k * inside  # both below M / 2
        p_hadron, k = p_hadron[keep], k[keep]
        m = len(k)
        unit = rng.normal(size=(m, 3))
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        rest = k[:, None] * unit
        energy = np.hypot(k, MUON)
        flies = rng.normal(size=(m, 3))
        flies /= np.linalg.norm(flies, axis=1, keepdims=True)
        gamma, boost = np.hypot(1, p_hadron / M), p_hadron / M
        along = np.sum(rest * flies, 1)
        p = rest + ((gamma - 1) * along + boost * energy)[:, None] * flies
        flight = rng.exponential(boost * tau)
        vertex = flight[:, None] * flies
        momentum, theta = np.linalg.norm(p, axis=1), np.arccos(p[:, 2] / np.linalg.norm(p, axis=1))
        low, high = source.theta if source.theta[0] < source.theta[1] else (math.pi / 2 - 0.1, math.pi / 2 + 0.1)
        # Prompt muons and those that fly too far share the momenta: momenta are asked for before the flight is.
        ok = (momentum > source.momentum[0]) & (momentum < source.momentum[1]) & (theta > low) & (theta < high)
        r = np.hypot(*vertex[:, :2].T)
        # The circle: centre beside the vertex, |d0| = | distance of the centre - radius |.
        R = np.hypot(p[:, 0], p[:, 1]) / (0.299792458e-3 * B)
        left = np.stack([-p[:, 1], p[:, 0]], 1) / np.hypot(p[:, 0], p[:, 1])[:, None]
        centre = vertex[:, :2] + R[:, None] * left * source.charge
        d0 = np.abs(np.hypot(*centre.T) - R)
        kept.append(np.stack([momentum, theta, d0, flight, r], 1)[ok])
        size += len(kept[-1])
    return np.concatenate(kept).T


@pytest.mark.parametrize("name", ONLY)
def test_decays(name):
    """Momenta of all muons, and impact parameters of those that fly no further than `within`."""
    source, B = ONLY[name], 1.5
    muons, _ = draw(source, B=B, seed=1)
    momentum, theta, d0, _, r = own_decays(source, 20_000, B, seed=2)
    assert ks_2samp(muons.momentum, momentum).pvalue > LEAST
    if source.theta[0] < source.theta[1]:
        assert ks_2samp(muons.theta, theta).pvalue > LEAST
    # The flight is drawn within the limit for every muon; by rejection, near ones would count more often.
    if np.mean(r < source.within) > 0.99:
        assert ks_2samp(np.abs(muons.start.d0), d0[r < source.within]).pvalue > LEAST
    assert muons.displaced.all()
    low, high = source.momentum
    assert low * (1 - 1e-9) < muons.momentum.min() < low * 1.02
    assert high * 0.9 < muons.momentum.max() < high * (1 + 1e-9)


def test_the_flight():
    """Mean of an exponential, boost x c tau; `within` cuts it, at the stated distance from the beam line."""
    fixed = {"hadron_momentum": (8.0, 8.0), "theta": (1.0, 2.0), "displaced": (1.0, 1.0), "momentum": (0.8, 6.0)}
    free = Decay(hadron="D+", within=1e4, **fixed)
    muons, _ = draw(free, B=None)
    M, tau = HADRONS["D+"].mass, HADRONS["D+"].c_tau
    mean = 8.0 / M * tau
    _, _, d0, flight, _ = own_decays(free, 20_000, 1e-4, seed=4)
    assert abs(flight.mean() / mean - 1) < 4 / math.sqrt(flight.size)
    assert ks_2samp(np.abs(muons.start.d0), d0).pvalue > LEAST
    assert abs(np.abs(muons.start.d0).mean() / d0.mean() - 1) < 0.03
    cut = Decay(hadron="D+", within=0.5, **fixed)
    near, _ = draw(cut, B=None)
    assert np.abs(near.start.d0).max() <= 0.5 * (1 + 1e-12)
    assert (near.momentum == muons.momentum).all()  # the same draws


def test_prompt_and_displaced_differ_in_flight_only():
    """Same momenta and angles; the fraction of each exposure lies in the range that is asked for, and is what is drawn."""
    muons, fraction = draw(B_MESONS, seed=3)
    prompt, flown = ~muons.displaced, muons.displaced
    assert ks_2samp(muons.momentum[prompt], muons.momentum[flown]).pvalue > LEAST
    assert ks_2samp(muons.theta[prompt], muons.theta[flown]).pvalue > LEAST
    assert not any(x[prompt].any() for x in muons.start)
    assert (muons.start.d0[flown] != 0).all()
    assert kstest((fraction - 0.2) / 0.6, "uniform").pvalue > LEAST
    drawn = flown.reshape(SHAPE).mean(1)
    pull = (drawn - fraction) / np.sqrt(fraction * (1 - fraction) / SHAPE[1])
    assert abs(pull.mean()) < 4 / math.sqrt(SHAPE[0])
    assert abs(pull.std() - 1) < 4 / math.sqrt(2 * SHAPE[0])


@pytest.mark.parametrize(("B", "charge"), [(1.5, "mu-"), (1.5, "mu+"), (None, "mu-"), (1e-7, "mu+")])
def test_the_perigee(B, charge):
    """A vertex, a direction, and the point of the track nearest to the beam: found by minimisation."""
    rng = np.random.default_rng(7)
    vertex, p, theta = rng.normal(0, 8, (3, 40)), rng.uniform(0.2, 5, 40), rng.uniform(0.4, 2.7, 40)
    sign = -1 if charge == "mu-" else 1
    field = None if B is None else jnp.float64(B)
    start = jax.tree.map(np.asarray, _perigee(*map(jnp.asarray, (vertex, p, theta)), field, sign))
    for i in range(40):
        kappa = 0.0 if B is None else -sign * 0.299792458e-3 * B / (p[i] * math.sin(theta[i]))

        def at(s, i=i, kappa=kappa):
            a = kappa * s / 2
            chord = s * np.sinc(a / np.pi)
            return vertex[0, i] + chord * math.cos(a), vertex[1, i] + chord * math.sin(a)

        near = vertex[0, i]
        found = minimize_scalar(
            lambda s, at=at: math.hypot(*at(s)) ** 2, bracket=(-near - 5, -near, -near + 5), options={"xtol": 1e-12}
        )
        s = found.x
        (x, y), phi = at(s), kappa * s
        # The minimum is flat: one Newton step to where the track is at right angles to the radius.
        s -= (x * math.cos(phi) + y * math.sin(phi)) / (1 + kappa * (y * math.cos(phi) - x * math.sin(phi)))
        (x, y), phi = at(s), kappa * s
        assert abs(start.d0[i] - (y * math.cos(phi) - x * math.sin(phi))) < 1e-10
        assert abs(start.phi[i] - phi) < 1e-12
        assert abs(start.z0[i] - (vertex[2, i] + s / math.tan(theta[i]))) < 1e-9
        assert start.kappa[i] == 0
        assert start.cot_theta[i] == 0


def test_float32():
    """The same muons to float32's precision, all of it in float32."""
    double, _ = draw(B_MESONS, seed=5, shape=(20, 50))
    single, _ = draw(B_MESONS, seed=5, shape=(20, 50), dtype=jnp.float32)
    assert kstest(single.momentum.astype(float), double.momentum).pvalue > LEAST
    assert np.isfinite(np.stack(jax.tree.leaves(single.start))).all()
