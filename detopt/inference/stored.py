"""Networks as named arrays, and back."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np

from detopt.backend import jax, jnp

__all__ = ["leaves", "with_leaves"]


def leaves(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a pytree by their path, as "embed.layers[0].weight"."""
    listed = jax.tree_util.tree_flatten_with_path(eqx.filter(tree, eqx.is_array))[0]
    return {_name(path): np.asarray(leaf) for path, leaf in listed}


def with_leaves(tree: Any, arrays: Mapping[str, Any]) -> Any:
    """The pytree with other arrays, which may have further axes. Raises KeyError where one is missing."""
    arrays_of, rest = eqx.partition(tree, eqx.is_array)
    filled = jax.tree_util.tree_map_with_path(lambda path, _: jnp.asarray(arrays[_name(path)]), arrays_of)
    return eqx.combine(filled, rest)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path).lstrip(".")
