"""A head of portals that looks at every muon by itself, and answers from the mean of what it makes of them (DeepSets).

It learns what matters about a muon, where `VoxelNetwork` is given sums on a grid; a step of its training costs a pass over
all muons of a batch. Zaheer et al., arXiv:1703.06114.
"""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.inference.muon_columns import named
from detopt.inference.pictures import Crowds, Pictures
from detopt.inference.portal_network import Exposed, PortalNetwork
from detopt.inference.questions import Grid, Question
from detopt.inference.voxel_sums import closest_z, deflection

__all__ = ["DeepSetNetwork", "make_deep_set"]

TOGETHER = 32  # exposures that are looked at in one go: memory stays flat
_KNOWN_BY = 12
_LEAST_WIDTH = 1e-6


class DeepSetNetwork(PortalNetwork):
    """The head."""

    box: Grid = eqx.field(static=True)  # what encloses the scenes
    question: Question = eqx.field(static=True)
    shift: Float[Array, " inputs"]  # of what a muon is known by
    scale: Float[Array, " inputs"]
    calibration: Float[Array, " 2"]
    embed: eqx.nn.MLP  # of a muon
    readout: eqx.nn.MLP

    def known(self, columns: Float[Array, "muons f"]) -> Float[Array, "muons inputs"]:
        """What a muon is known by: how far it was scattered and where, and its tracks. Before the shift and scale."""
        muon, z = named(columns), closest_z(columns, self.box)
        down = z - self.box.middle
        return jnp.stack(
            [
                deflection(columns),
                z,
                # Between both tracks, where they come closest.
                (muon.above_x + muon.below_x + (muon.above_dx + muon.below_dx) * down) / 2,
                (muon.above_y + muon.below_y + (muon.above_dy + muon.below_dy) * down) / 2,
                muon.above_x, muon.above_y, muon.above_dx, muon.above_dy,
                muon.below_x, muon.below_y, muon.below_dx, muon.below_dy,
            ],
            axis=-1,
        )  # fmt: skip

    def _of_muons(self, columns: Float[Array, "muons f"]) -> Float[Array, "muons sums"]:
        """What each muon adds: all that it is taken for, and that it is seen."""
        shift, scale = jax.lax.stop_gradient((self.shift, self.scale))
        each = jax.vmap(self.embed)((self.known(columns) - shift[None]) * scale[None])
        seen = named(columns).seen[:, None]
        return jnp.concatenate([jnp.where(seen > 0, each, 0.0), seen], axis=-1)

    def reduced(self, columns: Float[Array, "muons f"]) -> Float[Array, " sums"]:
        """See `PortalNetwork`."""
        return jnp.mean(self._of_muons(columns), axis=0)

    def projected(self, slope: Float[Array, " sums"], columns: Float[Array, "muons f"]) -> Float[Array, " muons"]:
        """See `PortalNetwork`."""
        return self._of_muons(columns) @ slope

    def raw(self, exposed: Exposed) -> Float[Array, "exposures answers 2"]:
        """See `PortalNetwork`."""
        if isinstance(exposed, Pictures):
            means = exposed.sums
        else:
            means = jax.lax.map(self.reduced, exposed.columns, batch_size=TOGETHER)
        return jax.vmap(self.readout)(jnp.concatenate([means, exposed.condition], -1))[:, None]

    def normalised(self, exposed: Exposed) -> "DeepSetNetwork":
        """See `PortalNetwork`."""
        assert isinstance(exposed, Crowds)
        columns = exposed.columns.reshape(-1, exposed.columns.shape[-1])
        seen, known = named(columns).seen[:, None], self.known(columns)
        number = jnp.maximum(seen.sum(), 1.0)
        mean = (known * seen).sum(0) / number
        width = jnp.sqrt(((known - mean[None]) ** 2 * seen).sum(0) / number)
        return eqx.tree_at(lambda n: (n.shift, n.scale), self, (mean, 1 / jnp.maximum(width, _LEAST_WIDTH)))


def make_deep_set(
    box: Grid, question: Question, width: int, layers: int, variables: int, key: jax.Array, dtype: Any
) -> DeepSetNetwork:
    """A head with random weights.

    Args:
        box: that encloses the scenes; its voxels do not matter.
        question: what it answers; no map.
        width: of the hidden layers, and of what a muon is taken for.
        layers: hidden ones.
        variables: number of design variables that are inputs.
        key: random key.
        dtype: of the weights.
    """
    first, second = jax.random.split(key)

    def mlp(size: int, out: int, key: jax.Array) -> eqx.nn.MLP:
        return eqx.nn.MLP(size, out, width, layers, jax.nn.silu, key=key, dtype=dtype)

    return DeepSetNetwork(
        box=box,
        question=question,
        shift=jnp.zeros(_KNOWN_BY, dtype),
        scale=jnp.ones(_KNOWN_BY, dtype),
        calibration=jnp.zeros(2, dtype),
        embed=mlp(_KNOWN_BY, width, first),
        readout=mlp(width + 1 + variables, 2, second),
    )
