"""Events as functions of independent random numbers: what a gradient needs to move one particle and leave all else.

A source of a beam line or portal says which numbers an event takes (`numbers`), what they make (`draw`), and which of them
carries a particle sideways, or to another momentum (`carriers`). Nothing else may be random.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.simulation.start import Aim, Start
from detopt.simulation.streams import stream

__all__ = ["DENSITIES", "Aim", "Carrier", "Kind", "Numbers", "Start", "draw_numbers", "straight"]

Kind = Literal["uniform", "normal", "truncated"]  # on [0, 1]; of mean 0 and width 1; the same, cut at 4
Numbers = dict[str, Array]  # N events: (N,), or (N, 2) of both axes

_CUT = 4.0
_ALL_BUT = math.erf(_CUT / math.sqrt(2))


def _normal(s: Array) -> Array:
    return jnp.exp(-(s**2) / 2) / math.sqrt(2 * math.pi)


DENSITIES: Mapping[str, Callable[[Array], Array]] = {
    "uniform": lambda s: jnp.where((s >= 0) & (s <= 1), jnp.ones_like(s), 0.0),
    "normal": _normal,
    "truncated": lambda s: jnp.where(jnp.abs(s) <= _CUT, _normal(s) / _ALL_BUT, 0.0),
}


_ENDS: Mapping[str, tuple[float, float]] = {"uniform": (0.0, 1.0), "normal": (-6.0, 6.0), "truncated": (-_CUT, _CUT)}


class Carrier(NamedTuple):
    """A number of an event on a scale on which it moves the particle smoothly, and how likely each value is there."""

    name: str
    density: Callable[[Array], Array]  # 0 beyond the ends
    onto: Callable[[Array], Array] = lambda number: number  # from the number to the scale
    back: Callable[[Array], Array] = lambda s: s
    radial: bool = False  # it moves the muon away from the axis, not sideways
    ends: tuple[float, float] = (0.0, 1.0)  # of the scale


def straight(name: str, kind: Kind) -> Carrier:
    """A number that is its own scale."""
    return Carrier(name, DENSITIES[kind], ends=_ENDS[kind])


def draw_numbers(
    numbers: Mapping[str, Kind],
    key: jax.Array,
    count: int,
    dtype: Any,
    pairs: tuple[str, ...] = (),
    evenly: bool = False,
) -> Numbers:
    """The numbers of N events; each has a stream of its own.

    Args:
        numbers: how each is spread.
        key: random key.
        count: N.
        dtype: of all of them.
        pairs: which are one for each axis.
        evenly: the N events fill the space of all numbers more evenly than independent ones would: a lattice, shifted at
            random. Each event is as random as ever, and means have smaller errors; only the events are not independent.
    """
    listed = [(name, axis) for name in numbers for axis in range(2 if name in pairs else 1)]
    root = _root(len(listed))

    def one(name: str, kind: Kind) -> Float[Array, "N ..."]:
        shape = (count, 2) if name in pairs else (count,)
        own = stream(key, name)
        if evenly and kind != "truncated":
            own_axes = [i for i, (n, _) in enumerate(listed) if n == name]
            steps = np.outer(np.arange(count), root ** -(np.array(own_axes) + 1.0)) % 1
            u = (jnp.asarray(steps, dtype) + jax.random.uniform(own, (1, len(own_axes)), dtype)) % 1
            u = u.reshape(shape)
            return u if kind == "uniform" else jax.scipy.special.ndtri(jnp.clip(u, 1e-7, 1 - 1e-7))
        if kind == "uniform":
            return jax.random.uniform(own, shape, dtype)
        if kind == "normal":
            return jax.random.normal(own, shape, dtype)
        return jax.random.truncated_normal(own, -_CUT, _CUT, shape, dtype)

    return {name: one(name, kind) for name, kind in numbers.items()}


def _root(dimensions: int) -> float:
    """The root of x^(d+1) = x + 1: its inverse powers are the steps of a lattice that is good in d dimensions.

    The golden ratio's generalisation (Roberts 2018, "The unreasonable effectiveness of quasirandom sequences").
    """
    x = 1.5
    for _ in range(60):
        x = (1 + x) ** (1 / (dimensions + 1))
    return x
