"""How well a counting or shape analysis sees its signal, with systematic uncertainties profiled.

One channel of a HistFactory model (CERN-OPEN-2012-016), as pyhf 0.7 evaluates it (doi:10.21105/joss.02823). Bin b expects

    nu_b = gamma_b sum_(s with errors) n_sb + sum_(other s) n_sb,
    n_sb = [mu if s is the signal] prod_k (1 + size_ks)^alpha_k prod_(free f on s) phi_f
           (nominal_sb + sum_h shift_hsb(alpha_h)),

where every alpha is measured elsewhere to be 0 +- 1, phi is free, and gamma_b is 1 +- delta_b with

    delta_b = sqrt(sum_s error_sb^2) / sum_s nominal_sb over the samples with errors (Barlow and Beeston's lite version,
    Conway arXiv:1103.0354).

For (1 + size)^alpha pyhf has a polynomial inside |alpha| < 1, which for lo = 1 / hi is off by less than
ln(1 + size)^7 / 5040.

Numbers are medians: of data sets that hold exactly what is expected (Asimov's), with the asymptotic formulas of Cowan,
Cranmer, Gross and Vitells (arXiv:1007.1727). First derivatives by every template are exact in both modes: a fit is at its
minimum, so that its nuisances may be held; a second derivative would miss how they move.
"""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Bool, Float
from scipy.special import ndtri

from detopt.backend import jax, jnp
from detopt.scoring.nuisances import Nuisances

__all__ = [
    "NOTHING",
    "Gammas",
    "Profile",
    "Templates",
    "code4p",
    "discovery_significance",
    "expected_samples",
    "information",
    "negative_log_likelihood",
    "profile",
    "signal_error",
    "statistics_only",
    "upper_limit",
]

NOTHING = 1e-100  # fewer expected counts than this are none
_LONGEST = 5.0  # of one step of a fit, in units of a nuisance's own width
_FRACTIONS = tuple(
    2.0**k for k in (1, 0, -1, -2, -3, -5, -7, -10, -14, -20)
)  # of a Newton step, that are tried together
_STEPS = 200


class Templates(eqx.Module):
    """Expected counts of each sample in each bin, at mu = 1; the signal comes first."""

    nominal: Float[Array, "s b"]
    low: Float[Array, "h s b"]  # whole templates at -1 sigma of each shape nuisance: nominal where it does not act
    high: Float[Array, "h s b"]  # and at +1 sigma
    error: Float[Array, "s b"]  # statistical error of the simulation, in counts


def statistics_only(
    templates: Templates, nuisances: Nuisances, errors: bool = False, free: bool = False
) -> tuple[Templates, Nuisances]:
    """The same channel without systematic uncertainties; see `Nuisances.without_systematics`."""
    fixed = Templates(templates.nominal, templates.low[:0], templates.high[:0], templates.error)
    return fixed, nuisances.without_systematics(errors, free)


def code4p(
    alpha: Float[Array, " h"], low: Float[Array, "h s b"], nominal: Float[Array, "s b"], high: Float[Array, "h s b"]
) -> Float[Array, "h s b"]:
    """What each shape nuisance adds: linear beyond one sigma, and between a polynomial with two continuous derivatives.

    pyhf's interpolation of that name (its docs, pyhf.interpolators.code4p).
    """
    alpha, up, down = alpha[:, None, None], high - nominal[None], nominal[None] - low
    square = alpha**2
    inside = alpha * (up + down) / 2 + square * (square * (3 * square - 10) + 15) * (up - down) / 16
    return jnp.where(alpha > 1, alpha * up, jnp.where(alpha < -1, alpha * down, inside))


def expected_samples(
    templates: Templates, nuisances: Nuisances, mu: Float[Array, ""], values: Float[Array, " p"]
) -> Float[Array, "s b"]:
    """Expected counts of each sample, before the errors of the simulation; `values` are as in `Profile.nuisances`."""
    responses = nuisances.responses
    shifts = code4p(values[len(responses) :], templates.low, templates.nominal, templates.high)
    factors = jnp.exp(values[: len(responses)] @ responses).at[0].multiply(mu)
    return factors[:, None] * (templates.nominal + jnp.sum(shifts, axis=0))


class Gammas(NamedTuple):
    """The errors of the simulation at their best: what bin b expects is mean + variance x surplus."""

    surplus: Float[Array, " b"]  # n / nu - 1
    absent: Bool[Array, " b"]  # gamma would be negative, and is zero


def negative_log_likelihood(
    templates: Templates,
    nuisances: Nuisances,
    counts: Float[Array, " b"],
    mu: Float[Array, ""],
    values: Float[Array, " p"],
    gammas: Gammas | None = None,
) -> Float[Array, ""]:
    """Of counts, less that of counts as they are (so that 0 is the least there is), with every gamma at its best.

    At gamma = 1 let nu be expected, with the variance V = (gamma's width x counts it multiplies)^2. The best expected count
    x is the positive root of x^2 - (nu - V) x - V n = 0, and gamma costs V (n / x - 1)^2 / 2: nothing without error.
    Infinite where something is counted that cannot be; a bin without counts has no derivative by them.

    Args:
        gammas: where they are known to be best. First derivatives are the same with them held, and quicker.
    """
    return _cost(templates, nuisances, counts, mu, values, gammas)[0]


def _cost(
    templates: Templates, nuisances: Nuisances, counts: Array, mu: Array, values: Array, gammas: Gammas | None
) -> tuple[Float[Array, ""], Float[Array, " b"]]:
    """The negative log likelihood, and what every bin expects."""
    expected, scaled, variance = _moments(templates, nuisances, mu, values)
    gammas = gammas or _best_gammas(counts, expected, scaled, variance)
    some = counts > NOTHING
    mean = expected - jnp.where(gammas.absent, scaled, 0.0)
    spread = jnp.where(gammas.absent, 0.0, variance)
    nu = mean + spread * gammas.surplus
    possible = ~some | (nu > NOTHING)
    n = jnp.where(some, counts, 1.0)
    excess = jnp.where(possible & some, nu, n) / n - 1
    poisson = jnp.where(some, n * (excess - jnp.log1p(excess)), nu)
    zero = jnp.where(gammas.absent, scaled**2 / jnp.where(gammas.absent, variance, 1.0), 0.0)
    terms = jnp.where(possible, poisson + (spread * gammas.surplus**2 + zero) / 2, jnp.inf)
    return jnp.sum(terms) + jnp.sum(nuisances.constrained * values**2) / 2, nu


def _moments(
    templates: Templates, nuisances: Nuisances, mu: Array, values: Array
) -> tuple[Float[Array, " b"], Float[Array, " b"], Float[Array, " b"]]:
    """At gamma = 1 in each bin: counts, those that gamma multiplies, and the variance that it stands for."""
    samples, with_errors = expected_samples(templates, nuisances, mu, values), nuisances.counted_errors
    scaled, simulated = jnp.sum(samples * with_errors, axis=0), jnp.sum(templates.nominal * with_errors, axis=0)
    known = simulated > NOTHING
    ratio = jnp.where(known, scaled, 0.0) / jnp.where(known, simulated, 1.0)
    return jnp.sum(samples, axis=0), scaled, jnp.sum(templates.error**2 * with_errors, axis=0) * ratio**2


def _best_gammas(n: Array, nu: Array, scaled: Array, variance: Array) -> Gammas:
    some = (n > NOTHING) & (nu > NOTHING)
    n, less = jnp.where(some, n, 0.0), nu - variance
    root = jnp.sqrt(jnp.where(some, less**2 + 4 * variance * n, 1.0))
    # The same root twice, so that no digits cancel.
    positive = (less > 0) | ~some
    best = jnp.where(positive, (less + root) / 2, 2 * variance * n / jnp.where(positive, 1.0, root - less))
    best = jnp.where(some, best, less)
    absent = (variance > 0) & (scaled > 0) & (best < nu - scaled)
    best = jnp.where(absent, nu - scaled, best)
    return Gammas(n / jnp.where(some, best, 1.0) - 1, absent)


class Profile(NamedTuple):
    """A fit of all nuisances at one mu."""

    nuisances: Float[Array, " p"]  # alphas of normalisations, logarithms of free normalisations, alphas of shapes
    gammas: Gammas
    deviance: Float[Array, ""]  # twice the negative log likelihood, over that of counts as they are
    converged: Bool[Array, ""]


@partial(jax.jit, static_argnames="nuisances")
def profile(
    templates: Templates,
    nuisances: Nuisances,
    counts: Float[Array, " b"],
    mu: Float[Array, ""],
    start: Float[Array, " p"] | None = None,
) -> Profile:
    """The best nuisances at this mu, by Newton's method from `start` (nominal values). It is not to be differentiated."""
    start = jnp.zeros(len(nuisances.names)) if start is None else start
    fractions = jnp.array(_FRACTIONS)

    def at_best(values: Float[Array, " p"]) -> Gammas:
        return _best_gammas(counts, *_moments(templates, nuisances, mu, values))

    def value(values: Float[Array, " p"]) -> Float[Array, ""]:
        found = negative_log_likelihood(templates, nuisances, counts, mu, values)
        return jnp.where(jnp.isnan(found), jnp.inf, found)

    def derivatives(values: Float[Array, " p"]) -> tuple[Float[Array, " p"], Float[Array, "p p"]]:
        gammas = at_best(values)

        def slopes(values: Float[Array, " p"]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
            gradient, nu = jax.grad(lambda v: _cost(templates, nuisances, counts, mu, v, gammas), has_aux=True)(values)
            return (gradient, nu), (gradient, nu)

        (hessian, moves), (gradient, nu) = jax.jacfwd(slopes, has_aux=True)(values)
        # Where the expected count moves, gamma gives way.
        variance = jnp.where(gammas.absent, 0.0, _moments(templates, nuisances, mu, values)[2])
        weight = counts / jnp.where(counts > NOTHING, nu, 1.0) ** 2
        given = variance * weight**2 / (1 + variance * weight)
        return gradient, hessian - moves.T @ (given[:, None] * moves)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        values, _, taken = state
        gradient, hessian = derivatives(values)
        # A direction in which the likelihood curves down is taken as if it curved up: it is left, and not climbed.
        curvature, directions = jnp.linalg.eigh(hessian)
        along = directions.T @ gradient
        change = along / jnp.maximum(jnp.abs(curvature), 1e-12)
        newton = -directions @ change
        newton = newton * jnp.minimum(1.0, _LONGEST / jnp.maximum(jnp.max(jnp.abs(newton)), _LONGEST))
        tried = values[None, :] + fractions[:, None] * newton[None, :]
        heights = jax.vmap(value)(tried)
        best = jnp.argmin(heights)
        # Relative, as sums of many counts round.
        decrement = jnp.where(jnp.isinf(heights[best]), jnp.inf, jnp.sum(along * change) / (1 + heights[best]))
        # Close by, rounding may hide which step is the best one.
        chosen = jnp.where(decrement < 1e-9, values + newton, tried[best])
        return chosen, decrement, taken + 1

    if not nuisances.names:
        return Profile(start, at_best(start), 2 * value(start), jnp.asarray(True))
    first = (start, jnp.asarray(jnp.inf), jnp.asarray(0))
    values, decrement, _ = jax.lax.while_loop(lambda s: (s[1] > 1e-10) & (s[2] < _STEPS), step, first)
    return Profile(values, at_best(values), 2 * value(values), decrement <= 1e-10)


def discovery_significance(templates: Templates, nuisances: Nuisances) -> Float[Array, ""]:
    """Z = sqrt(q0), the median significance in standard deviations with which mu = 0 is excluded if mu = 1 is true.

    It is not S / sqrt(S + B), which is no significance at all where the background is small. Infinite where a bin has
    signal and nominally no background (its derivatives are then zero), NaN if a fit does not converge.
    """
    none = jnp.asarray(0.0)
    certain = (templates.nominal[0] > NOTHING) & (jnp.sum(templates.nominal[1:], axis=0) <= NOTHING)
    counts = jnp.where(certain, 0.0, jnp.sum(templates.nominal, axis=0))
    held, seen = jax.lax.stop_gradient((templates, counts))
    fit = profile(held, nuisances, seen, none)
    q = 2 * negative_log_likelihood(templates, nuisances, counts, none, fit.nuisances, fit.gammas)
    some = q > 0
    Z = jnp.where(some, jnp.sqrt(jnp.where(some, q, 1.0)), 0.0)
    return jnp.where(jnp.any(certain), jnp.inf, jnp.where(fit.converged, Z, jnp.nan))


def information(templates: Templates, nuisances: Nuisances) -> Float[Array, "p_and_mu p_and_mu"]:
    """Second derivatives of the negative log likelihood by mu and all nuisances, at the Asimov data of mu = 1.

    There n = nu, and a gamma adds the variance of the simulation to that of the counts.
    """
    expected, with_errors = jnp.sum(templates.nominal, axis=0), nuisances.counted_errors
    simulated = jnp.sum(templates.nominal * with_errors, axis=0)
    variance = jnp.where(simulated > NOTHING, jnp.sum(templates.error**2 * with_errors, axis=0), 0.0)
    some = expected > NOTHING
    weight = jnp.where(some, 1 / jnp.where(some, expected + variance, 1.0), 0.0)
    normalisations = jnp.asarray(nuisances.responses) @ templates.nominal
    shapes = jnp.sum(templates.high - templates.low, axis=1) / 2
    jacobian = jnp.concatenate([templates.nominal[:1], normalisations, shapes])
    prior = jnp.diag(jnp.concatenate([jnp.zeros(1), jnp.asarray(nuisances.constrained)]))
    return (jacobian * weight[None, :]) @ jacobian.T + prior


@partial(jax.jit, static_argnames="nuisances")
def signal_error(templates: Templates, nuisances: Nuisances) -> Float[Array, ""]:
    """The error of the fitted mu if mu = 1 is true: from the inverse of the information, as MINUIT's HESSE gives it.

    Finite also where there is no background; infinite where the nuisances can do all that the signal does.
    """
    whole = information(templates, nuisances)
    alone, shared, others = whole[0, 0], whole[0, 1:], whole[1:, 1:]
    left = alone - shared @ jnp.linalg.solve(others, shared) if nuisances.names else alone
    some = left > 1e-12 * alone
    return jnp.where(some, 1 / jnp.sqrt(jnp.where(some, left, 1.0)), jnp.inf)


def upper_limit(templates: Templates, nuisances: Nuisances, cl: float = 0.95) -> Float[Array, ""]:
    """The median CLs upper limit on mu if there is no signal.

    At the median CLs = 2 (1 - Phi(sqrt q)), where q is the profiled likelihood ratio of mu in the Asimov data of the
    background: the limit is where sqrt(q) = Phi^-1(1 - (1 - cl) / 2), 1.96 for 95 %.

    Infinite where no mu can be excluded (no signal, or a nuisance that undoes it; derivatives are then zero), NaN if a fit
    does not converge.
    """
    target = float(ndtri(1 - (1 - cl) / 2))
    counts = jnp.sum(templates.nominal[1:], axis=0)
    held, seen = jax.lax.stop_gradient((templates, counts))
    found = _excluded(held, nuisances, seen, target)
    q = 2 * negative_log_likelihood(templates, nuisances, counts, found.mu, found.nuisances, found.gammas)
    # The implicit function theorem: q stays what it is.
    limit = found.mu - (q - jax.lax.stop_gradient(q)) / found.rise
    return jnp.where(found.exists, jnp.where(found.converged, limit, jnp.nan), jnp.inf)


class _Excluded(NamedTuple):
    """The mu whose q is the one asked for; one, and meaningless, where there is none."""

    mu: Float[Array, ""]
    nuisances: Float[Array, " p"]
    gammas: Gammas
    rise: Float[Array, ""]  # dq / dmu
    exists: Bool[Array, ""]
    converged: Bool[Array, ""]


@partial(jax.jit, static_argnames=("nuisances", "target"))
def _excluded(templates: Templates, nuisances: Nuisances, counts: Float[Array, " b"], target: float) -> _Excluded:
    """Where sqrt(q) reaches the target: Newton's method on sqrt(q), which is nearly a straight line, in a bracket."""
    signal = jnp.sum(templates.nominal[0])

    def slope(mu: Array, fit: Profile) -> Float[Array, ""]:
        return 2 * jax.grad(negative_log_likelihood, argnums=3)(
            templates, nuisances, counts, mu, fit.nuisances, fit.gammas
        )

    def search(state: Any) -> Any:
        low, high, mu, start, _, _, _, taken = state
        fit = profile(templates, nuisances, counts, mu, start)
        z, rise = jnp.sqrt(jnp.maximum(fit.deviance, 0.0)), slope(mu, fit)
        low, high = jnp.where(z < target, mu, low), jnp.where(z < target, high, mu)
        newton = mu + (target - z) * 2 * z / jnp.where(rise > 0, rise, 1e-300)
        # A step that grows too far, or leaves the bracket, gives way.
        bisected = jnp.where(jnp.isinf(high), 2 * mu, (low + high) / 2)
        following = jnp.minimum(newton, 10 * mu)
        following = jnp.where((following > low) & (following < high), following, bisected)
        done = (jnp.abs(z - target) < 1e-11 * target) | (high - low < 1e-14 * high)
        return low, high, jnp.where(done, mu, following), fit.nuisances, rise, fit.converged, done, taken + 1

    # q <= 2 mu S, whatever the background: no limit is lower than this.
    lowest = target**2 / 2 / jnp.where(signal > NOTHING, signal, 1.0)
    zero, no = jnp.asarray(0.0), jnp.asarray(False)
    first = (zero, jnp.asarray(jnp.inf), lowest, jnp.zeros(len(nuisances.names)), zero, no, no, jnp.asarray(0))
    _, high, mu, fitted, rise, converged, done, _ = jax.lax.while_loop(lambda s: ~s[6] & (s[7] < _STEPS), search, first)
    exists = done | jnp.isfinite(high)
    mu, rise = jnp.where(exists, mu, 1.0), jnp.where(exists, rise, 1.0)
    fitted = jnp.where(exists, fitted, 0.0)
    gammas = _best_gammas(counts, *_moments(templates, nuisances, mu, fitted))
    return _Excluded(mu, fitted, gammas, rise, exists, converged)
