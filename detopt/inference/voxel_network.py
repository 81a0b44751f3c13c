"""A head that looks at sums on a grid of voxels: a picture of the volume, whatever the number of muons.

Each voxel is known by its own sums, by those of its neighbours, of its layer and of all, by where it is, and by the design;
one network for all voxels looks at that. A map answers voxel by voxel. For one answer about the whole volume another network
looks at the layers' means and at what stands out anywhere.
"""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.inference.pictures import Pictures
from detopt.inference.portal_network import Exposed, PortalNetwork
from detopt.inference.questions import Grid, Question
from detopt.inference.voxel_sums import mean_sums, voxel_sums

__all__ = ["VoxelNetwork", "make_voxel_network"]

_LEAST_WIDTH = 0.05


class VoxelNetwork(PortalNetwork):
    """The head."""

    grid: Grid = eqx.field(static=True)
    question: Question = eqx.field(static=True)
    shift: Float[Array, " inputs"]  # of what each voxel is known by
    scale: Float[Array, " inputs"]
    calibration: Float[Array, " 2"]
    embed: eqx.nn.MLP  # of a voxel
    readout: eqx.nn.MLP

    def reduced(self, columns: Float[Array, "muons f"]) -> Float[Array, "z x y channels"]:
        """See `PortalNetwork`."""
        return mean_sums(columns, self.grid)

    def projected(
        self, slope: Float[Array, "z x y channels"], columns: Float[Array, "muons f"]
    ) -> Float[Array, " muons"]:
        """See `PortalNetwork`."""

        def along(weight: Array) -> Array:
            return jnp.sum(slope * voxel_sums(columns, weight, self.grid))

        return jax.grad(along)(jnp.zeros(len(columns), columns.dtype))

    # -- answers -----------------------------------------------------------------------------------------------------------

    def inputs(self, pictures: Pictures) -> Float[Array, "exposures z x y inputs"]:
        """What each voxel is known by, before the shift and scale."""
        return jax.vmap(self._inputs)(pictures.sums, pictures.muons, pictures.condition)

    def _inputs(self, sums: Array, muons: Array, condition: Array) -> Array:
        counts = sums * muons
        bins = self.grid.bins
        shape = sums.shape[:3]

        def known(counts: Array) -> Array:
            """Shares of the bins, for those that crossed and for those that came closest there, and how many these were."""
            both = counts.reshape(*counts.shape[:-1], 2, bins)
            number = both.sum(-1)
            shares = both / (number[..., None] + 1.0)
            return jnp.concatenate([shares.reshape(counts.shape), jnp.log1p(number)], -1)

        near = counts
        for axis in range(3):
            near = _with_neighbours(near, axis)
        whole = counts.mean((0, 1, 2))
        layers = jnp.broadcast_to(known(counts.mean((1, 2)))[:, None, None], (*shape, 2 * bins + 2))
        places = [jnp.linspace(-1.0, 1.0, n, dtype=sums.dtype) if n > 1 else jnp.zeros(1, sums.dtype) for n in shape]
        place = jnp.stack(jnp.meshgrid(*places, indexing="ij"), -1)
        return jnp.concatenate(
            [
                known(counts), known(near), layers,
                jnp.broadcast_to(known(whole), (*shape, 2 * bins + 2)),
                place, place**2,
                jnp.broadcast_to(condition, (*shape, len(condition))),
            ],
            axis=-1,
        )  # fmt: skip

    def _voxels(self, pictures: Pictures) -> Float[Array, "exposures z x y out"]:
        shift, scale = jax.lax.stop_gradient((self.shift, self.scale))
        inputs = self.inputs(pictures)
        to = (1,) * 4 + shift.shape  # ranks are not promoted silently
        scaled = (inputs - shift.reshape(to)) * scale.reshape(to)
        flat = scaled.reshape(-1, scaled.shape[-1])
        return jax.vmap(self.embed)(flat).reshape(*scaled.shape[:4], -1)

    def raw(self, exposed: Exposed) -> Float[Array, "exposures answers 2"]:
        """See `PortalNetwork`."""
        assert isinstance(exposed, Pictures)
        pictures = exposed
        voxels = self._voxels(pictures)
        if self.question.kind == "map":
            return voxels.reshape(pictures.number, -1, 2)
        peak = jax.nn.logsumexp(voxels, axis=(1, 2, 3))
        layers = voxels.mean((2, 3)).reshape(pictures.number, -1)
        return jax.vmap(self.readout)(jnp.concatenate([peak, layers, pictures.condition], -1))[:, None]

    def normalised(self, exposed: Exposed) -> "VoxelNetwork":
        """See `PortalNetwork`."""
        assert isinstance(exposed, Pictures)
        pictures = exposed
        inputs = self.inputs(pictures)
        flat = inputs.reshape(-1, inputs.shape[-1])
        mean, width = flat.mean(0), flat.std(0)
        # What hardly ever differs from its mean must not weigh more when it does.
        scale = 1 / jnp.maximum(width, _LEAST_WIDTH)
        net = eqx.tree_at(lambda n: (n.shift, n.scale), self, (mean, scale))
        if self.question.kind != "map":
            return net
        # A map begins at the mean of the truth.
        bias = net.embed.layers[-1].bias
        start = jnp.stack([pictures.truth.mean(), jnp.log(pictures.truth.std() + 1e-3)]).astype(bias.dtype)
        return eqx.tree_at(lambda n: n.embed.layers[-1].bias, net, start)


def _with_neighbours(values: Float[Array, "*grid channels"], axis: int) -> Float[Array, "*grid channels"]:
    """Each voxel and the next ones along an axis."""
    empty = jnp.zeros_like(jax.lax.slice_in_dim(values, 0, 1, axis=axis))
    after = jnp.concatenate([jax.lax.slice_in_dim(values, 1, None, axis=axis), empty], axis)
    before = jnp.concatenate([empty, jax.lax.slice_in_dim(values, 0, -1, axis=axis)], axis)
    return values + after + before


def make_voxel_network(
    grid: Grid, question: Question, width: int, layers: int, variables: int, key: jax.Array, dtype: Any
) -> VoxelNetwork:
    """A head with random weights.

    Args:
        grid: of the sums.
        question: what it answers.
        width: of the hidden layers.
        layers: hidden ones.
        variables: number of design variables that are inputs.
        key: random key.
        dtype: of the weights.
    """
    first, second = jax.random.split(key)
    inputs = 4 * (grid.channels + 2) + 6 + variables
    out = 2 if question.kind == "map" else max(width // 4, 4)

    def mlp(size: int, out: int, key: jax.Array) -> eqx.nn.MLP:
        return eqx.nn.MLP(size, out, width, layers, jax.nn.silu, key=key, dtype=dtype)

    pooled = 1 if question.kind == "map" else out * (1 + grid.voxels[2]) + variables
    return VoxelNetwork(
        grid=grid,
        question=question,
        shift=jnp.zeros(inputs, dtype),
        scale=jnp.ones(inputs, dtype),
        calibration=jnp.zeros(2, dtype),
        embed=mlp(inputs, out, first),
        readout=mlp(pooled, 2, second),
    )
