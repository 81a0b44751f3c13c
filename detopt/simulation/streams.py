"""Random streams: folded by name, so that adding or removing an element leaves the draws of all others."""

import zlib

import numpy as np
from jaxtyping import Array, UInt32

from detopt.backend import jax

__all__ = ["each", "stream"]


def stream(key: jax.Array, name: str) -> jax.Array:
    """The key of a named stream."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def each(key: jax.Array, names: tuple[str, ...]) -> Array:
    """A key for each of n names."""
    codes: UInt32[np.ndarray, " n"] = np.array([zlib.crc32(name.encode()) for name in names], np.uint32)
    return jax.vmap(lambda code: jax.random.fold_in(key, code))(codes)
