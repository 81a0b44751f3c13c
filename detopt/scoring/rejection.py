"""How many prompt tracks pass a cut on the significance of d0 that a given share of displaced tracks passes.

A hadron that lives for a time t in its rest frame leaves tracks of impact parameter
b = beta c t sin(theta*) / (1 + beta cos(theta*)), where theta* is their angle in that frame: the boost lengthens the
flight, and closes the angle by the same factor (of tracks much lighter than the hadron). Over all directions of fast
hadrons the mean of b is pi/2 c tau, and that of its projection |d0| is c tau, whatever the momentum. Here |d0| is taken to
be exponential with such a scale, and 0 for prompt tracks. Significances of impact parameters are what tags at LEP were made
of: DELPHI, Eur. Phys. J. C 32 (2004) 185, hep-ex/0311003.

Errors are Gaussian. What single hard scatters, wrong hits and strange hadrons add to the tails of real tracks is left out,
so that where the rate is small the real one is larger.
"""

import math

from jaxtyping import Array, Float

from detopt.backend import jax, jnp

__all__ = ["beyond", "mistag_rate"]

_BISECTIONS = 80
_FAR, _TERMS = 16.0, 11
_POLISH = 2  # Newton steps: as many derivatives of the cut are right


def beyond(
    cut: Float[Array, "*#batch"], rate: Float[Array, "*#batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
    """P(|E / rate + N| > cut), and its derivative to the cut, of an exponential E and a normal N; cut >= 0.

    With k the rate, P = 2 Phi(-c) + A - B of the exponentially modified Gaussian, where A = exp(k^2/2 - k c) Phi(c - k) and
    B = exp(k^2/2 + k c) Phi(-c - k), and dP/dc = -k (A + B). Both are written such that nothing overflows or cancels: with
    erfcx where an exponential would meet a tail.
    """
    gauss = jnp.exp(-(cut**2) / 2)
    wide = rate > cut
    tail = gauss * _scaled_tail(jnp.where(wide, rate - cut, 1.0))
    less = jnp.where(wide, cut, rate)
    body = jnp.exp(less * (less / 2 - cut)) * jax.scipy.special.ndtr(cut - less)
    above, below = jnp.where(wide, tail, body), gauss * _scaled_tail(rate + cut)
    return 2 * jax.scipy.special.ndtr(-cut) + above - below, -rate * (above + below)


def _scaled_tail(z: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """exp(z^2 / 2) Phi(-z), of z >= 0.

    Far out by its asymptotic series (Abramowitz and Stegun 26.2.12), to 1e-16: jax's erfcx takes the product of what
    overflows and what underflows there, and is 0 just before it does not.
    """
    far = z > _FAR
    above, series = jnp.where(far, z, 2 * _FAR), jnp.ones_like(z)
    for odd in range(2 * _TERMS - 1, 0, -2):
        series = 1 - odd / above**2 * series
    near = jax.scipy.special.erfcx(jnp.where(far, 1.0, z) / math.sqrt(2)) / 2
    return jnp.where(far, series / (above * math.sqrt(2 * math.pi)), near)


def mistag_rate(
    weight: Float[Array, " N"],
    found: Float[Array, " N"],
    variance: Float[Array, " N"],
    flight: float,
    efficiency: float,
) -> Float[Array, ""]:
    """Share of prompt particles that have a track beyond the cut which `efficiency` of the displaced particles pass.

    One cut for all tracks, on |d0| in units of each one's own error. Where fewer particles than that have a track at all,
    nothing is cut, and twice what is missing is added: the rate goes on smoothly, and more tracks make it better.

    Args:
        weight: of N kinds of particles; their sum is one.
        found: how often each has a track.
        variance: of d0 in mm^2, that of the place where particles come from included.
        flight: mean |d0| of displaced tracks in mm.
        efficiency: that the displaced particles shall have; a lost track is no tag.
    """
    share, rate = weight * found, jnp.sqrt(variance) / flight
    reached = jnp.sum(share)
    wanted = jnp.minimum(efficiency, reached)

    def tagged(cut: Array, share: Array, rate: Array) -> tuple[Array, Array]:
        """Displaced particles beyond a cut, and the derivative of that to it."""
        passing, slope = beyond(cut, rate)
        return jnp.sum(share * passing), jnp.sum(share * slope)

    fixed = jax.lax.stop_gradient((share, rate, wanted))
    # Beyond this cut even of the sharpest tracks too few are left: half of the wanted by flight, half by the error.
    rare = jnp.log(2 / fixed[2])
    most = 2 * (rare / jnp.min(fixed[1]) + jnp.sqrt(2 * rare))

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        enough = tagged(middle, *fixed[:2])[0] > fixed[2]
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, (jnp.zeros_like(most), most))
    cut = (low + high) / 2
    for _ in range(_POLISH):  # also carries the derivative, as the implicit function theorem has it
        passing, slope = tagged(cut, share, rate)
        cut = jnp.maximum(cut - (passing - wanted) / slope, 0.0)
    mistagged = jnp.sum(share) * 2 * jax.scipy.special.ndtr(-cut)
    # Far out there is less than a number can say, and searches take its logarithm.
    return mistagged + 2 * (efficiency - wanted) + jnp.finfo(weight.dtype).tiny
