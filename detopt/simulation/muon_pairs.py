"""Drawing pairs of muons from a resonance."""

import math
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.events import Rays
from detopt.simulation.muon import MUON_MASS
from detopt.simulation.resonance import Resonance
from detopt.simulation.streams import stream

__all__ = ["draw_pairs"]

_WIDTHS = 20  # where the Breit-Wigner is cut
_BATCH, _BATCHES = 1024, 2000  # least number of pairs drawn at once, and how often at most


def draw_pairs(
    source: Resonance, key: jax.Array, number: int, frame: str, origin: tuple[float, float, float], dtype: Any
) -> Rays:
    """mu+ and mu- of N resonances that decay at one point; see `Resonance`."""
    if source.cuts:
        momenta, weight = _accepted(source, key, number, frame, dtype)
    else:
        momenta, weight = _decays(source, key, number, frame, dtype), jnp.ones(number, dtype)
    momentum = jnp.sqrt((momenta**2).sum(-1))
    return Rays(
        position=jnp.broadcast_to(jnp.asarray(origin, dtype), (number, 2, 3)),
        direction=momenta / momentum[..., None],
        momentum=momentum,
        charge=jnp.broadcast_to(jnp.asarray([1.0, -1.0], dtype), (number, 2)),
        weight=weight,
    )


class _Filling(NamedTuple):
    """Pairs that count, as far as they were found."""

    pairs: Float[Array, "N 2 3"]
    found: Int[Array, ""]
    tried: Float[Array, ""]  # pairs drawn up to the last that counts
    batch: Int[Array, ""]


def _accepted(
    source: Resonance, key: jax.Array, number: int, frame: str, dtype: Any
) -> tuple[Float[Array, "N 2 3"], Float[Array, " N"]]:
    """N pairs within the acceptance, and the weight of each, which is the acceptance.

    Where so few count that N are not found, the rest have weight 0, and the weights still sum to N times the acceptance.
    """
    size = max(number, _BATCH)

    def unfinished(state: _Filling) -> Bool[Array, ""]:
        return (state.found < number) & (state.batch < _BATCHES)

    def fill(state: _Filling) -> _Filling:
        pairs = _decays(source, jax.random.fold_in(key, state.batch), size, frame, dtype)
        good = _counts(source, pairs)
        nth = state.found + jnp.cumsum(good, dtype=jnp.int32)  # counted from 1
        kept = state.pairs.at[jnp.where(good, nth - 1, number)].set(pairs, mode="drop")
        last = jnp.argmax(nth >= number) + 1  # the pair that completes the N
        used = jnp.where(nth[-1] >= number, last, size)
        return _Filling(kept, jnp.minimum(nth[-1], number), state.tried + used.astype(float), state.batch + 1)

    zero = jnp.zeros((), jnp.int32)
    first = _decays(source, stream(key, "fallback"), number, frame, dtype)
    end = jax.lax.while_loop(unfinished, fill, _Filling(first, zero, jnp.zeros((), float), zero))
    # Trying until the N-th success, (N - 1) / (tried - 1) is the unbiased estimate of the probability (Haldane 1945).
    known = (end.found == number) & (number > 1)
    acceptance = jnp.where(known, (number - 1) / jnp.maximum(end.tried - 1, 1), end.found / end.tried)
    weight = jnp.where(jnp.arange(number) < end.found, acceptance * number / jnp.maximum(end.found, 1), 0.0)
    return end.pairs, weight.astype(dtype)


def _counts(source: Resonance, pairs: Float[Array, "N 2 3"]) -> Bool[Array, " N"]:
    """Whether both muons are within the acceptance."""
    across = jnp.sqrt(pairs[..., 0] ** 2 + pairs[..., 1] ** 2)
    theta = jnp.arctan2(across, pairs[..., 2])
    momentum = jnp.sqrt(across**2 + pairs[..., 2] ** 2)
    low, high = source.theta
    return ((theta >= low) & (theta <= high) & (momentum >= source.min_momentum)).all(-1)


def _decays(source: Resonance, key: jax.Array, number: int, frame: str, dtype: Any) -> Float[Array, "N 2 3"]:
    """Momenta of mu+ and mu- in GeV."""

    def uniform(name: str) -> Float[Array, " N"]:
        return jax.random.uniform(stream(key, name), (number,), dtype)

    mass = _mass(source, uniform("mass"))
    parent = _momentum(source, frame, key, uniform)
    energy = jnp.sqrt((parent**2).sum(-1) + mass**2)
    half = jnp.sqrt(jnp.maximum(mass**2 / 4 - MUON_MASS**2, 0.0))
    way = half[:, None] * _direction(1 - 2 * uniform("decay cosine"), uniform("decay azimuth"))
    # Boost by the parent's velocity: p' = p + P (p.P / (m (E + m)) + e / m), with e = m / 2 for both muons.
    along = (way * parent).sum(-1) / (mass * (energy + mass))
    return jnp.stack([sign * way + parent * (sign * along + 0.5)[:, None] for sign in (1, -1)], axis=1)


def _mass(source: Resonance, u: Float[Array, " N"]) -> Float[Array, " N"]:
    """A relativistic Breit-Wigner is a Cauchy distribution of the squared mass."""
    mass, width = source.shape
    if width == 0:
        return jnp.full_like(u, mass)
    ends = max(mass - _WIDTHS * width, 2.0001 * MUON_MASS), mass + _WIDTHS * width
    low, high = (math.atan((end**2 - mass**2) / (mass * width)) for end in ends)
    s = mass**2 + mass * width * jnp.tan(low + u * (high - low))
    return jnp.sqrt(jnp.maximum(s, ends[0] ** 2))


def _momentum(source: Resonance, frame: str, key: jax.Array, uniform: Any) -> Float[Array, "N 3"]:
    """Of the resonance, uniform in azimuth."""
    phi = uniform("azimuth")
    if source.momentum is None:

        def exponential(name: str, mean: float) -> Float[Array, " N"]:
            return mean * jax.random.exponential(stream(key, name), phi.shape, phi.dtype)

        across, along = exponential("pt", source.pt_mean), source.pz_offset + exponential("pz", source.pz_mean)
        return jnp.stack([across * jnp.cos(2 * math.pi * phi), across * jnp.sin(2 * math.pi * phi), along], axis=-1)
    low, high = source.momentum
    least, most = source.directions(frame)
    p = low * jnp.exp(uniform("momentum") * math.log(high / low))
    cosine = math.cos(least) + uniform("cosine") * (math.cos(most) - math.cos(least))
    return p[:, None] * _direction(cosine, phi)


def _direction(cosine: Float[Array, " N"], turn: Float[Array, " N"]) -> Float[Array, "N 3"]:
    """Unit vectors of a polar angle's cosine and an azimuth in turns."""
    sine, phi = jnp.sqrt(jnp.maximum(1 - cosine**2, 0.0)), 2 * math.pi * turn
    return jnp.stack([sine * jnp.cos(phi), sine * jnp.sin(phi), cosine], axis=-1)
