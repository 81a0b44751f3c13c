"""Random numbers in bulk: as many streams as there are keys, all in one loop that the compiler turns into vector code.

The generator is the counter-based Threefry with 20 rounds (Salmon et al., SC 2011, "Parallel random numbers: as easy as 1,
2, 3"), the one that `jax.random` uses: there it is a loop over whole arrays, here its rounds are written out. A block of it
is two words of 32 bits, and two normal numbers by Box and Muller (Ann. Math. Stat. 29 (1958) 610), with a quarter of a turn
at most left to the series of sine and cosine.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Array, Float, UInt32

from detopt.backend import jax, jnp

__all__ = ["circle", "normal_pairs", "uniforms"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_TERMS = {4: 7, 8: 12}  # of the series up to pi / 2, by the bytes of a number


def normal_pairs(
    keys: Array, number: int, dtype: Any, part: int = 0
) -> tuple[Float[Array, "s N"], Float[Array, "s N"]]:
    """Two independent normal numbers for each of N events, of each of s keys; other parts are independent of these."""
    first, second = _blocks(keys, number, part)
    radius = jnp.sqrt(-2 * jnp.log(_fraction(first, dtype)))
    cosine, sine = _series((_fraction(second, dtype) - 0.5) * math.pi)
    # The last bit takes half of the circle to the other half.
    sign = 1 - 2 * (second & np.uint32(1)).astype(jnp.int32).astype(dtype)
    return radius * cosine * sign, radius * sine


def uniforms(keys: Array, number: int, dtype: Any, part: int = 0) -> Float[Array, "s N"]:
    """A number between 0 and 1 for each of N events, of each of s keys."""
    half = (number + 1) // 2
    return _fraction(jnp.concatenate(_blocks(keys, half, part), axis=1)[:, :number], dtype)


def circle(turns: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Cosine and sine of an angle between 0 and 1 turn: library functions, for any angle, are slow."""
    halves = jnp.floor(2 * turns + 0.5)
    cosine, sine = _series((turns - halves / 2) * (2 * math.pi))
    sign = 1 - 2 * (halves == 1).astype(turns.dtype)
    return sign * cosine, sign * sine


def _series(angle: Array) -> tuple[Array, Array]:
    """Cosine and sine of an angle between -pi / 2 and pi / 2."""
    square = angle * angle
    cosine = sine = jnp.zeros_like(angle)
    for n in reversed(range(_TERMS[angle.dtype.itemsize])):
        cosine = (-1) ** n / math.factorial(2 * n) + square * cosine
        sine = (-1) ** n / math.factorial(2 * n + 1) + square * sine
    return cosine, angle * sine


def _fraction(word: UInt32[Array, "..."], dtype: Any) -> Float[Array, "..."]:
    """Between 0 and 1, never either of them: logarithms are taken of both ends."""
    # A signed word converts in one instruction, an unsigned one does not.
    signed = jax.lax.bitcast_convert_type(word, jnp.int32).astype(dtype)
    return jnp.clip(signed * 2.0**-32 + 0.5, 2.0**-33, 1 - 2.0**-24)


def _blocks(keys: Array, number: int, part: int) -> tuple[UInt32[Array, "s N"], UInt32[Array, "s N"]]:
    """N blocks of Threefry for each of s keys; the counter is the number of the event, and the part."""
    words = jax.random.key_data(keys)
    first, second = words[:, 0, None], words[:, 1, None]
    schedule = (first, second, first ^ second ^ _PARITY)
    shape = (len(words), number)
    x = jax.lax.broadcasted_iota(jnp.uint32, shape, 1) + schedule[0]
    y = jnp.full(shape, part, jnp.uint32) + schedule[1]
    for i in range(5):
        for turn in _ROTATIONS[i % 2]:
            x = x + y
            y = ((y << np.uint32(turn)) | (y >> np.uint32(32 - turn))) ^ x
        x, y = x + schedule[(i + 1) % 3], y + schedule[(i + 2) % 3] + np.uint32(i + 1)
    return x, y
