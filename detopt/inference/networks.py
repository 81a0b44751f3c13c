"""Neural heads: `embed` looks at each muon, a sum, `readout` makes the estimate.

Both give an uncertainty with the answer, and a calibration on events of their own corrects it: two numbers that scale and
shift the log-odds of a track, one that scales the error of a fraction.
"""

import math
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.inference.calibration import platt, pull_width
from detopt.inference.features import FEATURES, Exposures
from detopt.inference.heads import SetHead, TrackHead

__all__ = ["Network", "SetNetwork", "TrackNetwork", "make_network"]

Scores = tuple[Float[Array, " exposures"], Float[Array, " exposures"]]
Swapped = tuple[Float[Array, "exposures k"], Float[Array, "exposures k"]]  # with the muon k, one at a time


class Network(eqx.Module):
    """What both heads share: inputs are shifted and scaled to mean 0 and width 1."""

    shift: eqx.AbstractVar[Float[Array, " inputs"]]
    scale: eqx.AbstractVar[Float[Array, " inputs"]]
    calibration: eqx.AbstractVar[Float[Array, " 2"]]  # not trained together with the weights

    def inputs(self, batch: Exposures) -> Float[Array, "exposures muons inputs"]:
        """Features and design variables of each muon; 0 where there is no track."""
        repeated = jnp.broadcast_to(batch.condition[:, None], (*batch.seen.shape, batch.condition.shape[1]))
        joined = jnp.concatenate([batch.features, repeated], -1)
        shift, scale = jax.lax.stop_gradient((self.shift, self.scale))
        scaled = (joined - shift[None, None, :]) * scale[None, None, :]
        return jnp.where(batch.seen[..., None], scaled, 0.0)

    def normalised(self, batch: Exposures) -> Any:
        """With the shift and scale of a first batch."""
        weight = batch.seen[..., None].astype(batch.features.dtype)
        total = jnp.maximum(jnp.sum(weight), 1.0)
        mean = jnp.sum(batch.features * weight, axis=(0, 1)) / total
        variance = jnp.sum((batch.features - mean[None, None, :]) ** 2 * weight, axis=(0, 1)) / total
        width = jnp.sqrt(variance)
        # A constant, up to rounding, is no information.
        scale = jnp.where(width > 1e-4 * (1 + jnp.abs(mean)), 1 / jnp.maximum(width, 1e-12), 0.0)
        # Design variables run over the unit box.
        n = batch.condition.shape[1]
        shift = jnp.concatenate([mean, jnp.full(n, 0.5, mean.dtype)])
        scale = jnp.concatenate([scale, jnp.full(n, 3.5, mean.dtype)])
        return eqx.tree_at(lambda net: (net.shift, net.scale), self, (shift, scale))


class TrackNetwork(Network):
    """Log-odds of each muon to be displaced."""

    shift: Float[Array, " inputs"]
    scale: Float[Array, " inputs"]
    calibration: Float[Array, " 2"]  # log of the factor, shift
    embed: eqx.nn.MLP

    def raw_log_odds(self, batch: Exposures) -> Float[Array, "exposures muons"]:
        """Before the calibration."""
        return jax.vmap(jax.vmap(self.embed))(self.inputs(batch))[..., 0]

    def log_odds(self, batch: Exposures) -> Float[Array, "exposures muons"]:
        """After it. A muon without a track is as likely displaced as before."""
        raw = self.raw_log_odds(batch)
        return jnp.where(batch.seen, jnp.exp(self.calibration[0]) * raw + self.calibration[1], 0.0)

    def training_loss(self, batch: Exposures) -> Float[Array, ""]:
        """Mean cross-entropy in nats."""
        return jnp.mean(self.scores(batch)[0])

    def scores(self, batch: Exposures) -> Scores:
        """Cross-entropy (nats) and squared error of the probability, of each exposure."""
        odds = self.log_odds(batch)
        truth = batch.displaced.astype(odds.dtype)
        entropy = jax.nn.softplus(odds) - truth * odds
        return jnp.mean(entropy, 1), jnp.mean((jax.nn.sigmoid(odds) - truth) ** 2, 1)

    def calibrated(self, pool: Exposures) -> Any:
        """With log-odds that are right on events which it was not trained on."""
        fitted = platt(self.raw_log_odds(pool), pool.displaced, pool.seen, self.calibration)
        return eqx.tree_at(lambda n: n.calibration, self, fitted)


class SetNetwork(Network):
    """The fraction of displaced muons in an exposure, and its error."""

    shift: Float[Array, " inputs"]
    scale: Float[Array, " inputs"]
    calibration: Float[Array, " 2"]  # log of the factor on the error, unused
    embed: eqx.nn.MLP
    readout: eqx.nn.MLP

    def estimate(self, batch: Exposures) -> tuple[Float[Array, " exposures"], Float[Array, " exposures"]]:
        """Fraction and its standard deviation."""
        means = jnp.mean(self._of_muons(batch), axis=1)
        return jax.vmap(self._answer, (0, 0, None))(means, batch.condition, batch.seen.shape[1])

    def _of_muons(self, batch: Exposures) -> Float[Array, "exposures muons sums"]:
        """What each muon adds to its exposure: all that it is known by, and that there is a track."""
        each = jnp.where(batch.seen[..., None], jax.vmap(jax.vmap(self.embed))(self.inputs(batch)), 0.0)
        return jnp.concatenate([each, batch.seen[..., None].astype(each.dtype)], -1)

    def _answer(
        self, means: Float[Array, " sums"], condition: Float[Array, " variables"], muons: int
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        answer = self.readout(jnp.concatenate([means, condition]))
        return jax.nn.sigmoid(answer[0]), jnp.exp(answer[1] + self.calibration[0] - 0.5 * math.log(muons))

    def training_loss(self, batch: Exposures) -> Float[Array, ""]:
        """Mean negative log-likelihood of a normal distribution."""
        return jnp.mean(self.scores(batch)[0])

    def scores(self, batch: Exposures) -> Scores:
        """Negative log-likelihood and squared error of the fraction, of each exposure."""
        return _normal_scores(*self.estimate(batch), batch.fraction)

    def calibrated(self, pool: Exposures) -> Any:
        """With errors that are right on events which it was not trained on."""
        wider = self.calibration.at[0].add(jnp.log(pull_width(*self.estimate(pool), pool.fraction)))
        return eqx.tree_at(lambda n: n.calibration, self, wider)

    def swapped(self, batch: Exposures, others: Exposures) -> Swapped:
        """The same, with another muon in the place of one of its first."""
        mine, theirs = self._of_muons(batch), self._of_muons(others)
        muons = mine.shape[1]
        means = jnp.mean(mine, axis=1)[:, None] + (theirs - mine[:, : theirs.shape[1]]) / muons
        answer = jax.vmap(jax.vmap(self._answer, (0, None, None)), (0, 0, None))
        return _normal_scores(*answer(means, batch.condition, muons), batch.fraction[:, None])


def _normal_scores(
    mean: Float[Array, "*batch"], sigma: Float[Array, "*batch"], truth: Float[Array, "..."]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
    error = mean - truth
    return jnp.log(sigma) + (error / sigma) ** 2 / 2 + 0.5 * math.log(2 * math.pi), error**2


def make_network(head: TrackHead | SetHead, variables: int, key: jax.Array, dtype: Any) -> TrackNetwork | SetNetwork:
    """A head with random weights.

    Args:
        head: its size.
        variables: number of design variables that are inputs.
        key: random key.
        dtype: of the weights.
    """
    inputs = len(FEATURES) + variables
    first, second = jax.random.split(key)
    nothing = jnp.zeros(2, dtype)
    shift, scale = jnp.zeros(inputs, dtype), jnp.ones(inputs, dtype)

    def mlp(size: int, out: int, key: jax.Array) -> eqx.nn.MLP:
        return eqx.nn.MLP(size, out, head.width, head.layers, jax.nn.silu, key=key, dtype=dtype)

    if isinstance(head, TrackHead):
        return TrackNetwork(shift, scale, nothing, mlp(inputs, 1, first))
    return SetNetwork(shift, scale, nothing, mlp(inputs, head.width, first), mlp(head.width + 1 + variables, 2, second))
