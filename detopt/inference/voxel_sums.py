"""Muons to sums on a grid of voxels, which a head looks at: additive over muons, and without jumps.

A muon is taken to fly along its upper track down to where both tracks come closest, and along its lower one from there. In
each layer of the grid it adds to the voxels around the point where it crosses it, in proportion to how near they are (linear
interpolation: the kernel is a product, so a layer is one matrix product). What it adds is how far it was scattered, spread
over a few bins of log(angle); once for every layer that it crosses, and once more for the layers around the closest point.
"""

import math

from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.inference.muon_columns import named
from detopt.inference.questions import Grid

__all__ = ["closest_z", "deflection", "mean_sums", "voxel_sums"]

SMALLEST, LARGEST = 1e-3, 0.3  # rad at 3 GeV: first and last bin of the angle
REFERENCE = 3.0  # GeV


def deflection(columns: Float[Array, "M f"]) -> Float[Array, " M"]:
    """log of the scattering angle in rad along one axis: scaled to 3 GeV where a momentum is told, else as it was.

    Where the angle is below its error, of that error.
    """
    muon = named(columns)
    dx, dy = muon.below_dx - muon.above_dx, muon.below_dy - muon.above_dy
    slope2 = ((muon.above_dx + muon.below_dx) ** 2 + (muon.above_dy + muon.below_dy) ** 2) / 4
    # Slopes to angles: along the inclination they differ by 1 + slope^2, across by its root; and the way is longer.
    square = (dx**2 + dy**2) / 2 / (1 + slope2) ** 2 + jnp.maximum(muon.variance, 1e-10)
    scaled = jnp.where(muon.momentum > 0, muon.momentum / REFERENCE, 1.0)
    return 0.5 * jnp.log(square) + jnp.log(scaled)


def closest_z(columns: Float[Array, "M f"], grid: Grid) -> Float[Array, " M"]:
    """z where both tracks come closest, within the box. What is hardly scattered stays near the middle."""
    muon = named(columns)
    dx, dy = muon.below_dx - muon.above_dx, muon.below_dy - muon.above_dy
    apart = (muon.below_x - muon.above_x) * dx + (muon.below_y - muon.above_y) * dy
    back = apart / (dx**2 + dy**2 + 2 * jnp.maximum(muon.variance, 1e-10))
    return grid.middle + jnp.clip(-back, -grid.size[2] / 2, grid.size[2] / 2)


def voxel_sums(columns: Float[Array, "M f"], weight: Float[Array, " M"], grid: Grid) -> Float[Array, "z x y channels"]:
    """Weighted sums over M muons."""
    dtype, muon = columns.dtype, named(columns)
    steps = math.log(LARGEST / SMALLEST) / (grid.bins - 1)
    place = jnp.clip((deflection(columns) - math.log(SMALLEST)) / steps, 0.0, grid.bins - 1.0)
    binned = _hat(place[:, None] - jnp.arange(grid.bins, dtype=dtype)[None])
    binned = binned * (weight * muon.seen)[:, None]
    at = closest_z(columns, grid)
    x, y = (jnp.asarray(grid.centres(i), dtype) for i in (0, 1))

    @jax.checkpoint
    def layer(z: Array) -> Array:
        # Around the closest point it changes from one track to the other, over a layer.
        upper = jnp.clip((z - at) / grid.step[2] + 0.5, 0.0, 1.0)
        down = z - grid.middle
        here_x = upper * (muon.above_x + muon.above_dx * down) + (1 - upper) * (muon.below_x + muon.below_dx * down)
        here_y = upper * (muon.above_y + muon.above_dy * down) + (1 - upper) * (muon.below_y + muon.below_dy * down)
        near = _hat((z - at) / grid.step[2])
        added = jnp.concatenate([binned, binned * near[:, None]], axis=1)
        along_x = _hat((here_x[:, None] - x[None]) / grid.step[0])
        along_y = _hat((here_y[:, None] - y[None]) / grid.step[1])
        both = (along_y[:, :, None] * added[:, None, :]).reshape(len(added), -1)
        return (along_x.T @ both).reshape(len(x), len(y), -1)

    return jax.lax.map(layer, jnp.asarray(grid.centres(2), dtype))


def mean_sums(columns: Float[Array, "M f"], grid: Grid) -> Float[Array, "z x y channels"]:
    """Means over the muons of an exposure, seen or not."""
    return voxel_sums(columns, jnp.full(len(columns), 1 / len(columns), columns.dtype), grid)


def _hat(distance: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """1 at 0, falling to 0 at a distance of 1."""
    return jnp.maximum(1 - jnp.abs(distance), 0.0)
