"""What heads of portals share: each answers from what it looked at as a mean over the muons of an exposure.

With the answer comes an uncertainty, and a calibration on exposures of their own corrects it: two numbers that scale and
shift log-odds, one that scales an error.
"""

import math
from abc import abstractmethod
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.inference.calibration import platt, pull_width
from detopt.inference.pictures import Crowds, Pictures
from detopt.inference.questions import Question

__all__ = ["PortalNetwork"]

_MOST_SIGMA, _LEAST_SIGMA = 2.0, -6.0  # of the logarithm of an error

Exposed = Pictures | Crowds


class PortalNetwork(eqx.Module):
    """See `Question` for what it answers."""

    question: eqx.AbstractVar[Question]
    shift: eqx.AbstractVar[Float[Array, " inputs"]]
    scale: eqx.AbstractVar[Float[Array, " inputs"]]
    # Of log-odds: log of the factor, shift. Of errors: log of the factor, unused.
    calibration: eqx.AbstractVar[Float[Array, " 2"]]

    # -- what differs ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def reduced(self, columns: Float[Array, "muons f"]) -> Float[Array, "..."]:
        """What of an exposure this head looks at: a mean over its muons."""

    @abstractmethod
    def projected(self, slope: Float[Array, "..."], columns: Float[Array, "muons f"]) -> Float[Array, " muons"]:
        """What each muon adds to the sum over all, times a slope with respect to it."""

    @abstractmethod
    def raw(self, exposed: Exposed) -> Float[Array, "exposures answers 2"]:
        """Answers before the calibration: log-odds (or value) and log of the error."""

    @abstractmethod
    def normalised(self, exposed: Exposed) -> Any:
        """With the shift and scale of a first batch."""

    # -- answers -----------------------------------------------------------------------------------------------------------

    def log_odds(self, exposed: Exposed) -> Float[Array, " exposures"]:
        """That what is asked for is there."""
        return jnp.exp(self.calibration[0]) * self.raw(exposed)[:, 0, 0] + self.calibration[1]

    def estimate(self, exposed: Exposed) -> tuple[Float[Array, "exposures answers"], Float[Array, "exposures answers"]]:
        """The number, or the map, and its standard deviation."""
        raw = self.raw(exposed)
        value = jax.nn.sigmoid(raw[..., 0]) if self.question.kind == "number" else raw[..., 0]
        return value, jnp.exp(jnp.clip(raw[..., 1], _LEAST_SIGMA, _MOST_SIGMA) + self.calibration[0])

    def scores(self, exposed: Exposed) -> tuple[Float[Array, " exposures"], Float[Array, " exposures"]]:
        """Loss (nats) and squared error of each exposure."""
        if self.question.kind == "presence":
            odds, truth = self.log_odds(exposed), exposed.truth[:, 0]
            return jax.nn.softplus(odds) - truth * odds, (jax.nn.sigmoid(odds) - truth) ** 2
        value, sigma = self.estimate(exposed)
        error = value - exposed.truth
        loss = jnp.log(sigma) + (error / sigma) ** 2 / 2 + 0.5 * math.log(2 * math.pi)
        return loss.mean(1), (error**2).mean(1)

    def calibrated(self, pool: Exposed) -> Any:
        """With log-odds, or errors, that are right on events which it was not trained on."""
        if self.question.kind == "presence":
            every = jnp.ones(pool.number, bool)
            fitted = platt(self.raw(pool)[:, 0, 0], pool.truth[:, 0] > 0.5, every, self.calibration)
        else:
            fitted = self.calibration.at[0].add(jnp.log(pull_width(*self.estimate(pool), pool.truth)))
        return eqx.tree_at(lambda n: n.calibration, self, fitted)

    def training_loss(self, exposed: Exposed) -> Float[Array, ""]:
        """Mean loss in nats."""
        return jnp.mean(self.scores(exposed)[0])
