"""Templates of a mass peak over background, filled so that they can be differentiated.

Signal: the *true* mass of each simulated pair, smeared with the variance that its own two fits claim, in bins: differences
of the cumulative distribution, so that a peak narrower than a bin has right gradients, and no mass is smeared twice. Tails
of single hard scatters are not in that Gaussian: of these muons the variance of the core is taken.

Background: pairs of a continuum, flat in mass, tell the share of pairs that is measured as a function of mass. It is smooth,
and is expanded in Legendre polynomials up to the second order: three numbers, known to a few per mille of what is measured,
so that no fluctuation of a simulated bin can be mistaken for physics. That a background which is smooth over many widths of
the peak is smeared as well changes nothing.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.reconstruction.arms import PairMass
from detopt.scoring.likelihood import Templates, discovery_significance, signal_error, upper_limit
from detopt.scoring.measurements import Peak
from detopt.scoring.nuisances import Nuisances

__all__ = ["Channel", "Pairs", "channel_of", "nuisances_of", "peak_statistics", "smeared"]

_LEGENDRE = 3
_NOTHING = 1e-30
_OF_SIGNAL = ("mass_scale", "resolution")
_LEAST = 1e-3  # of the mean: what the expansion of a share may fall to in a bin


def smeared(mass: Float[Array, ""], sigma: Float[Array, ""], edges: Float[np.ndarray, " e"]) -> Float[Array, " e-1"]:
    """Probability of each bin for a mass with a Gaussian error."""
    z = (jnp.asarray(edges, sigma.dtype) - mass) / sigma
    # Differences of the nearer tail: those of values near one would be rounded.
    below, above = jax.scipy.special.ndtr(z), jax.scipy.special.ndtr(-z)
    return jnp.where(z[:-1] > 0, above[:-1] - above[1:], below[1:] - below[:-1])


def _edges(term: Peak) -> Float[np.ndarray, " e"]:
    low, high = term.window
    return np.linspace(low, high, term.bins + 1)


def _shifts(term: Peak) -> list[tuple[float, float]]:
    """Of mass and resolution, relative: as expected, then down and up by each uncertainty of the signal's shape."""
    scale, width = term.systematics.mass_scale, term.systematics.resolution
    found = [(0.0, 0.0)]
    found += [(-scale, 0.0), (scale, 0.0)] if scale else []
    return found + ([(0.0, -width), (0.0, width)] if width else [])


def peak_statistics(term: Peak, pair: PairMass, passes: Bool[Array, ""]) -> Float[Array, " k"]:
    """Of one pair: bins of each variation of the signal, squares of the first, Legendre polynomials of the background."""
    edges, (low, high) = _edges(term), term.window
    sigma = jnp.sqrt(pair.variance)
    bins = [smeared(pair.truth * (1 + m), sigma * (1 + s), edges) for m, s in _shifts(term)]
    x = (2 * pair.truth - low - high) / (high - low)
    inside = passes & pair.background & (jnp.abs(x) <= 1)
    legendre = jnp.where(inside, jnp.stack([jnp.ones_like(x), x, (3 * x**2 - 1) / 2]), 0.0)
    signal = jnp.where(passes & ~pair.background, jnp.stack(bins), 0.0)
    return jnp.concatenate([signal.ravel(), signal[0] ** 2, legendre])


def nuisances_of(term: Peak) -> Nuisances:
    """What is uncertain in a measurement, as the likelihood wants it."""
    s, count = term.systematics, 1 + bool(term.background)
    sizes = {"signal": (s.signal, 0.0)[:count], "background": (0.0, s.background)[:count]}
    sizes = {name: row for name, row in sizes.items() if any(row)}
    return Nuisances(
        samples=("signal", "background")[:count],
        with_errors=(term.simulation_error, False)[:count],
        normalisations=tuple(f"{name}_normalisation" for name in sizes),
        sizes=tuple(sizes.values()),
        free=("background_free",) if s.background_free else (),
        scaled=((False, True),) if s.background_free else (),
        shapes=tuple(name for name in (*_OF_SIGNAL, "slope", "bump") if getattr(s, name)),
    )


class Pairs(NamedTuple):
    """What was simulated."""

    mass: float  # of the resonance, in GeV
    span: float  # of the masses of the continuum, in GeV; 0 where there is none
    events: float  # pairs of the resonance


class Channel(NamedTuple):
    """A statistical model, and what is expected of it."""

    templates: Templates
    nuisances: Nuisances

    def significance(self) -> Float[Array, ""]:
        """Discovery significance."""
        return discovery_significance(*self)

    def signal_error(self) -> Float[Array, ""]:
        """sigma(mu)."""
        return signal_error(*self)

    def upper_limit(self) -> Float[Array, ""]:
        """CLs limit at 95 %."""
        return upper_limit(*self)


def channel_of(term: Peak, means: Float[Array, " k"], pairs: Pairs) -> Channel:
    """A peak as simulated pairs show it.

    Args:
        term: the measurement.
        means: sums of `peak_statistics` over all pairs, divided by the number of pairs of the resonance, of which there are
            as many as of the continuum.
        pairs: what was simulated.
    """
    templates = _templates(term, means, pairs)
    return Channel(_counted(term, templates, pairs.mass) if term.fit == "counting" else templates, nuisances_of(term))


def _templates(term: Peak, means: Float[Array, " k"], pairs: Pairs) -> Templates:
    bins, shifts = term.bins, len(_shifts(term))
    signal = term.signal * means[: shifts * bins].reshape(shifts, bins)
    error = term.signal * jnp.sqrt(jnp.maximum(means[shifts * bins : (shifts + 1) * bins], _NOTHING) / pairs.events)
    samples, errors = [signal[0]], [error]
    if term.background:
        samples.append(_background(term, means[-_LEGENDRE:], pairs))
        errors.append(jnp.zeros_like(error))
    nominal = jnp.stack(samples)
    low, high = [], []
    for i in range(1, shifts, 2):
        low.append(nominal.at[0].set(signal[i]))
        high.append(nominal.at[0].set(signal[i + 1]))
    s = term.systematics
    if s.slope:
        tilt = jnp.asarray(s.slope * _places(term), nominal.dtype) * nominal[1]
        low.append(nominal.at[1].add(-tilt))
        high.append(nominal.at[1].add(tilt))
    if s.bump:
        bump = s.bump * _under(nominal) * nominal[0] / jnp.sum(nominal[0])
        low.append(nominal.at[1].add(-bump))
        high.append(nominal.at[1].add(bump))
    none = jnp.zeros((0, *nominal.shape), nominal.dtype)
    down, up = (jnp.stack(x) if x else none for x in (low, high))
    return Templates(nominal, down, up, jnp.stack(errors))


def _places(term: Peak) -> Float[np.ndarray, " b"]:
    """Middles of the bins, from -1 to 1."""
    return (np.arange(term.bins) + 0.5) * 2 / term.bins - 1


def _background(term: Peak, means: Float[Array, " 3"], pairs: Pairs) -> Float[Array, " b"]:
    """Counts of the background in each bin."""
    low, high = term.window
    x, width = _places(term), (high - low) / term.bins
    masses = (low + high) / 2 + x * (high - low) / 2
    made = np.full_like(masses, term.background * width)
    if term.falls is not None:
        # Of an exponential over a bin, relative to its middle: sinh(d) / d.
        half = width / 2 / term.falls
        made = made * np.exp((pairs.mass - masses) / term.falls) * math.sinh(half) / half
    legendre = np.stack([np.ones_like(x), 3 * x, 5 * (3 * x**2 - 1) / 2])
    measured = pairs.span / (high - low) * (means @ jnp.asarray(legendre, means.dtype))
    least = _LEAST * pairs.span / (high - low) * means[0]
    return jnp.asarray(made, means.dtype) * jnp.maximum(measured, jnp.maximum(least, _NOTHING))


def _under(nominal: Float[Array, "s b"]) -> Float[Array, ""]:
    """The background under the peak: S^2 / sum of S_b^2 / B_b, which of a flat one is that in 2 sqrt(pi) sigma."""
    signal, background = nominal[0], nominal[1]
    return jnp.sum(signal) ** 2 / jnp.maximum(jnp.sum(signal**2 / background), _NOTHING)


def _counted(term: Peak, templates: Templates, mass: float) -> Templates:
    """One bin of those around the peak that promise most: S^2 / (S + B + (systematics of the background)^2)."""
    distance = np.abs(_edges(term)[:-1] + (term.window[1] - term.window[0]) / term.bins / 2 - mass)
    order = np.argsort(distance, kind="stable")
    # From the peak outwards, to both sides in turn: the window is symmetric to within a bin.
    summed = jnp.cumsum(jax.lax.stop_gradient(templates.nominal[:, order]), axis=1)
    background = summed[1] if len(summed) > 1 else jnp.zeros_like(summed[0])
    unsure = jnp.hypot(jnp.asarray(term.systematics.background), jnp.asarray(term.systematics.bump))
    promise = summed[0] ** 2 / (summed[0] + background + (unsure * background) ** 2 + _NOTHING)
    inside = jnp.zeros(term.bins).at[order].set((jnp.arange(term.bins) <= jnp.argmax(promise)).astype(float))

    def count(x: Float[Array, "*rows b"]) -> Float[Array, "*rows 1"]:
        return jnp.expand_dims(x @ inside, -1)

    error = jnp.sqrt(jnp.maximum(count(templates.error**2), _NOTHING))
    return Templates(count(templates.nominal), count(templates.low), count(templates.high), error)
