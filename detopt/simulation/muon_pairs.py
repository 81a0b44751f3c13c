"""Pairs of muons from a resonance, as functions of independent random numbers."""

import math
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.events import Rays
from detopt.simulation.draws import Kind, Numbers, Start, draw_numbers
from detopt.simulation.muon import MUON_MASS
from detopt.simulation.resonance import Resonance
from detopt.simulation.streams import stream

__all__ = ["counts", "draw_pairs", "is_background", "mass_of", "mirrored", "pair_carriers", "pair_kinds", "pairs"]

_WIDTHS = 20  # where the Breit-Wigner is cut
_BATCH, _BATCHES = 1024, 2000  # least number of pairs drawn at once, and how often at most


def pair_kinds(source: Resonance) -> dict[str, Kind]:
    """The numbers of an event."""
    along: dict[str, Kind] = {"momentum": "uniform", "cosine": "uniform", "azimuth": "uniform"}
    if source.momentum is None:
        along = {"pz": "uniform", "size": "normal", "px": "normal", "py": "normal"}
    mass: dict[str, Kind] = {"mass": "uniform"} if source.shape[1] or source.continuum else {}
    process: dict[str, Kind] = {"process": "uniform"} if source.continuum else {}
    return {**along, **mass, **process, "decay cosine": "uniform", "decay turn": "uniform", "charge": "uniform"}


def pair_carriers(source: Resonance) -> dict[str, str]:
    """The resonance's momentum carries its muons sideways."""
    return {} if source.momentum is not None or not source.pt_mean else {"x": "px", "y": "py", "momentum": "pz"}


def mirrored(numbers: Numbers) -> Numbers:
    """The same events, with the two muons exchanged."""
    back = {"decay cosine": 1 - numbers["decay cosine"], "decay turn": numbers["decay turn"] + 0.5}
    return {**numbers, **back, "charge": 1 - numbers["charge"]}


def is_background(source: Resonance, numbers: Numbers) -> Bool[Array, "*N"]:
    """Which pairs are of the continuum."""
    if source.continuum is None:
        return jnp.zeros(numbers["charge"].shape, bool)
    return numbers["process"] >= 0.5


def mass_of(source: Resonance, numbers: Numbers) -> Float[Array, "*N"]:
    """Masses in GeV; a resonance's squared mass, of a relativistic Breit-Wigner, has a Cauchy distribution."""
    mass, width = source.shape
    made = jnp.full_like(numbers["charge"], mass)
    if width:
        ends = max(mass - _WIDTHS * width, 2.0001 * MUON_MASS), mass + _WIDTHS * width
        low, high = (math.atan((end**2 - mass**2) / (mass * width)) for end in ends)
        s = mass**2 + mass * width * jnp.tan(low + numbers["mass"] * (high - low))
        made = jnp.sqrt(jnp.maximum(s, ends[0] ** 2))
    if source.continuum is None:
        return made
    first, last = source.continuum
    return jnp.where(is_background(source, numbers), first + numbers["mass"] * (last - first), made)


def pairs(source: Resonance, numbers: Numbers, start: Start) -> Rays:
    """N events of two muons each, of opposite charge: which is first is random."""
    charge = jnp.where(numbers["charge"] < 0.5, 1.0, -1.0).astype(numbers["charge"].dtype)
    made = _momenta(source, numbers, start.frame)
    return _rays(made, jnp.stack([charge, -charge], -1), jnp.ones_like(charge), (0.0, 0.0, start.z))


def draw_pairs(
    source: Resonance, key: jax.Array, number: int, frame: str, origin: tuple[float, float, float], dtype: Any
) -> Rays:
    """mu+ and mu- of N resonances that decay at one point; see `Resonance`."""
    if source.cuts:
        momenta, weight = _accepted(source, key, number, frame, dtype)
    else:
        momenta, weight = _drawn(source, key, number, frame, dtype), jnp.ones(number, dtype)
    return _rays(momenta, jnp.broadcast_to(jnp.asarray([1.0, -1.0], dtype), (number, 2)), weight, origin)


def _rays(
    momenta: Float[Array, "N 2 3"],
    charge: Float[Array, "N 2"],
    weight: Float[Array, " N"],
    origin: tuple[float, float, float],
) -> Rays:
    momentum = jnp.sqrt((momenta**2).sum(-1))
    position = jnp.broadcast_to(jnp.asarray(origin, momenta.dtype), momenta.shape)
    return Rays(position, momenta / momentum[..., None], momentum, charge, weight)


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
        pairs = _drawn(source, jax.random.fold_in(key, state.batch), size, frame, dtype)
        good = _within(source, pairs)
        nth = state.found + jnp.cumsum(good, dtype=jnp.int32)  # counted from 1
        kept = state.pairs.at[jnp.where(good, nth - 1, number)].set(pairs, mode="drop")
        last = jnp.argmax(nth >= number) + 1  # the pair that completes the N
        used = jnp.where(nth[-1] >= number, last, size)
        return _Filling(kept, jnp.minimum(nth[-1], number), state.tried + used.astype(float), state.batch + 1)

    zero = jnp.zeros((), jnp.int32)
    first = _drawn(source, stream(key, "fallback"), number, frame, dtype)
    end = jax.lax.while_loop(unfinished, fill, _Filling(first, zero, jnp.zeros((), float), zero))
    # Trying until the N-th success, (N - 1) / (tried - 1) is the unbiased estimate of the probability (Haldane 1945).
    known = (end.found == number) & (number > 1)
    acceptance = jnp.where(known, (number - 1) / jnp.maximum(end.tried - 1, 1), end.found / end.tried)
    weight = jnp.where(jnp.arange(number) < end.found, acceptance * number / jnp.maximum(end.found, 1), 0.0)
    return end.pairs, weight.astype(dtype)


def counts(source: Resonance, numbers: Numbers, frame: str) -> Bool[Array, " N"]:
    """Whether both muons are within the acceptance."""
    return _within(source, _momenta(source, numbers, frame))


def _within(source: Resonance, pairs: Float[Array, "N 2 3"]) -> Bool[Array, " N"]:
    across = jnp.sqrt(pairs[..., 0] ** 2 + pairs[..., 1] ** 2)
    theta = jnp.arctan2(across, pairs[..., 2])
    momentum = jnp.sqrt(across**2 + pairs[..., 2] ** 2)
    low, high = source.theta
    return ((theta >= low) & (theta <= high) & (momentum >= source.min_momentum)).all(-1)


def _drawn(source: Resonance, key: jax.Array, number: int, frame: str, dtype: Any) -> Float[Array, "N 2 3"]:
    """Momenta of mu+ and mu- in GeV."""
    return _momenta(source, draw_numbers(pair_kinds(source), key, number, dtype), frame)


def _momenta(source: Resonance, numbers: Numbers, frame: str) -> Float[Array, "N 2 3"]:
    """Of the two muons, in GeV."""
    mass, parent = mass_of(source, numbers), _parent(source, numbers, frame)
    energy = jnp.sqrt((parent**2).sum(-1) + mass**2)
    half = jnp.sqrt(jnp.maximum(mass**2 / 4 - MUON_MASS**2, 0.0))
    way = half[:, None] * _direction(1 - 2 * numbers["decay cosine"], numbers["decay turn"])
    # Boost by the parent's velocity: p' = p + P (p.P / (m (E + m)) + e / m), with e = m / 2 for both muons.
    along = (way * parent).sum(-1) / (mass * (energy + mass))
    return jnp.stack([sign * way + parent * (sign * along + 0.5)[:, None] for sign in (1, -1)], axis=1)


def _parent(source: Resonance, numbers: Numbers, frame: str) -> Float[Array, "N 3"]:
    """Momentum of the resonance, uniform in azimuth.

    The product of |a normal number| and the length of a vector of two others is exponential: moments E|z|^n of a normal
    number times 2^(n/2) Gamma(1 + n/2) are n!, by the duplication of the Gamma function. So the momentum across the beam is
    a product of normal numbers, each of which moves it steadily.
    """
    if source.momentum is None:
        size = source.pt_mean * numbers["size"]
        along = source.pz_offset - source.pz_mean * jnp.log1p(-numbers["pz"])
        return jnp.stack([size * numbers["px"], size * numbers["py"], along], axis=-1)
    low, high = source.momentum
    least, most = source.directions(frame)
    p = low * jnp.exp(numbers["momentum"] * math.log(high / low))
    cosine = math.cos(least) + numbers["cosine"] * (math.cos(most) - math.cos(least))
    return p[:, None] * _direction(cosine, numbers["azimuth"])


def _direction(cosine: Float[Array, " N"], turn: Float[Array, " N"]) -> Float[Array, "N 3"]:
    """Unit vectors of a polar angle's cosine and an azimuth in turns."""
    sine, phi = jnp.sqrt(jnp.maximum(1 - cosine**2, 0.0)), 2 * math.pi * turn
    return jnp.stack([sine * jnp.cos(phi), sine * jnp.sin(phi), cosine], axis=-1)
