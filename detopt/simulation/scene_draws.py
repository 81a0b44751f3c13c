"""Drawing scenes, and putting them into the volume that a line of stops holds."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Int, Shaped

from detopt.backend import jax, jnp
from detopt.detector.random_scenes import NUMBERS, Drawn, RandomFilling
from detopt.detector.scenes import grid
from detopt.detector.stops import Stops, Voxels

__all__ = ["by_layers", "draw_scene", "filled"]


def draw_scene(filling: RandomFilling, key: jax.Array, dtype: Any = jnp.float32) -> Drawn:
    """One scene of a distribution; its cells are numbers of the scene's materials."""
    first, second = jax.random.split(key)
    shapes = len(filling.scene.shapes)
    at = jnp.asarray(grid(filling.corner, filling.size, filling.voxels), dtype)
    return filling.scene.placed(
        jnp,
        at,
        filling.size[2] / filling.voxels[2],
        jax.random.uniform(first, (shapes, len(NUMBERS)), dtype),
        jax.random.uniform(second, (shapes, *filling.voxels), dtype),
    )


def filled(stops: Stops, filling: RandomFilling, cells: Int[Array, "x y z"]) -> Stops:
    """The stops with the only volume filled with a scene."""
    voxels = stops.voxels
    assert voxels is not None
    medium = voxels.medium
    # A scene lists the materials of its shapes, the stops list those that differ.
    listed = np.array([filling.materials.index(m) for m in filling.scene.materials], np.int32)
    numbers = jnp.asarray(listed)[cells]
    per_voxel = filling.size[2] / filling.voxels[2] / medium.X0[numbers]
    column = jnp.broadcast_to(per_voxel.sum(2, keepdims=True), numbers.shape)
    x, y, z = filling.voxels
    layer = jnp.maximum(voxels.first, 0) // (x * y)
    most = jnp.argmax(by_layers(per_voxel).reshape(z, -1), axis=1).astype(jnp.int32)
    densest = jnp.where(voxels.first < 0, -1, voxels.first + most[layer])
    new = Voxels(
        first=voxels.first,
        number=voxels.number,
        densest=densest,
        material=by_layers(numbers),
        medium=medium,
        body=by_layers(column).astype(voxels.body.dtype),
    )
    return eqx.tree_at(lambda s: s.voxels, stops, new)


def by_layers(values: Shaped[Array, "x y z"]) -> Shaped[Array, " V"]:
    """In the order in which a line of stops lists voxels: by z, x and y."""
    return jnp.moveaxis(values, 2, 0).ravel()
