"""How the gradient of a detector is often taken, and should not be. None of this is used by detopt.

Most functions make an estimator of the form of `telescope.with_the_flip`: (design, draws of n muons) -> n gradients. How far
each is off, as `03_why_gradients_are_hard.py` measures:

| estimator | bias of the gradient | search ends | muons for 10 % |
| --- | --- | --- | --- |
| plain autodiff, lever arm at 300 mm | +114.0 ± 0.8 % | running away | 24 000 |
| soft edges as weights, 50 mm; 20 mm; 1 mm | +15.4; +0.4; +1.7 % (± 1 to 2) | within 2 % | 11 000; 17 000; 140 000 |
| the same, 50 mm, narrower beam, at 600 mm | -51 ± 1 % | +14 % | 35 000 |
| soft edges in the fit, 50 mm; 20 mm; 5 mm | +46.0; +18.0; +4.6 % (± 1) | +63; +26; +8 % | 13 000; 18 000; 44 000 |
| detached hits, wide beam; narrow beam | +19 ± 26; -110.4 ± 0.7 % | within 2 %; - | 49 000 000; 43 000 |
| REINFORCE, jitter 30 mm | +1.1 ± 3.6 % | within 2 % | 570 000 |
| finite differences, ± 15 mm | -0.3 ± 1.3 % | within 2 % | 140 000 |
| efficiency as weight in the fit | -49 % | | |
| Concrete, temperature 1; 0.5; 0.2, at e = 0.8 | -3.2; +7.3; +2.4 % (± 0.2) | +0.044; +0.018; +0.004 | 43; 210; 760 |
| straight-through, width 1; 0.5; 0.25 | -80; -53; -61 % | -0.045; -0.023; -0.037 | 3; 41; 76 |
| flips attached to sums, 300 muons; 30 muons | +12 ± 2; +50 ± 2 % | -17 % | |
| flips (not here, but right): lever arm; efficiency | +0.6 ± 0.8; 0.0 ± 0.1 % | within 1 % | 42 000; 220 |
"""

from typing import Any

import efficiency
import exposures
import telescope
from telescope import NOISE, WIDTH, Gradient, Muon, each, information, margin, measured_angle, variance

from detopt.backend import jax, jnp
from detopt.gradients.flips import Flip, with_flips


def plain() -> Gradient:
    """Autodiff of the simulation as it stands: that panel 2 catches fewer muons when it moves away is not seen."""
    return each(lambda lever, muons: jnp.mean(telescope.score(lever, muons)))


def soft_edges(width: float) -> Gradient:
    """The edge of panel 2 is a sigmoid of this width (mm), and a muon counts by the value that it has there."""

    def softened(lever: Any, muons: Muon) -> Any:
        told = information(measured_angle(lever, muons), variance(lever))
        return jnp.mean(jax.nn.sigmoid(margin(lever, muons) / width) * told)

    return each(softened)


def fit_weights(width: float) -> Gradient:
    """The sigmoid is the weight of the second hit in the fit of the track: a hit far outside has a large error."""

    def weighted(lever: Any, muons: Muon) -> Any:
        one_over_weight = 1 + jnp.exp(jnp.minimum(-margin(lever, muons) / width, 30.0))
        claimed = telescope.KICK**2 + NOISE**2 * (1 + one_over_weight) / lever**2
        return jnp.mean(information(measured_angle(lever, muons), claimed))

    return each(weighted)


def detached_hits() -> Gradient:
    """Panel 2 moves and its hit stays where it was, beside the track. The edge is done right."""

    def angle(lever: Any, muons: Muon) -> Any:
        now = jax.lax.stop_gradient(lever)
        return (measured_angle(now, muons) + muons.slope) * now / lever - muons.slope

    def mean(lever: Any, muons: Muon) -> Any:
        told = information(angle(lever, muons), variance(lever))
        return jnp.mean(jnp.where(margin(lever, muons) > 0, told, 0.0))

    return each(with_flips(mean, telescope.edge))


def reinforce(jitter: float) -> Gradient:
    """Each muon meets a panel at its own distance, spread by `jitter` (mm); muons that do well vote for theirs."""

    def gradient(lever: jax.Array, muons: Muon) -> jax.Array:
        got = telescope.score(lever + jitter * muons.spare, muons)
        return (got - jnp.mean(got)) * muons.spare / jitter

    return gradient


def finite_difference(step: float) -> Gradient:
    """The same muons at two distances, 2 `step` (mm) apart."""

    def gradient(lever: jax.Array, muons: Muon) -> jax.Array:
        return (telescope.score(lever + step, muons) - telescope.score(lever - step, muons)) / (2 * step)

    return gradient


def through_the_sums(lever: Any, head: Any, batch: exposures.Exposures) -> jax.Array:
    """The loss of `exposures` with flips attached to the sums: a muon counts by the slope of the loss, not its change."""

    def edge(lever: Any, head: Any, muons: Muon) -> Flip:
        now = jax.lax.stop_gradient(lever)
        moved, possible = telescope.onto_the_edge(now, muons)
        added = exposures.contributions(now, head, moved)[0]
        return Flip(added, jnp.zeros_like(added), jnp.where(possible, 1 / WIDTH, 0.0), margin(lever, moved))

    sums = jax.vmap(with_flips(exposures.sums_of, edge), (None, None, 0))(lever, head, batch.muons)
    return jnp.mean((jax.vmap(head.estimate)(sums) - batch.y) ** 2)


def efficiency_in_the_fit(lever: Any, efficiency: Any) -> Any:
    """Score of the telescope if the efficiency of panel 2 is the weight of its hit: imprecise where it should be absent."""
    claimed = telescope.KICK**2 + NOISE**2 * (1 + 1 / efficiency) / lever**2
    return WIDTH / (2 * telescope.SPREAD * lever) * (telescope.KICK**2 / claimed) ** 2


def concrete(temperature: float) -> Gradient:
    """Hits of `efficiency` as numbers between 0 and 1, steeper as the temperature falls (the Concrete distribution)."""

    def logit(p: Any) -> Any:
        return jnp.log(p) - jnp.log1p(-p)

    def mean(e: Any, draws: Any) -> Any:
        hits = jax.nn.sigmoid((logit(e) - logit(draws)) / temperature)
        seen = efficiency.at_least([hits[..., i] for i in range(efficiency.PLANES)], efficiency.NEEDED)
        return jnp.mean(seen) + efficiency.cost(e)

    return each(mean)


def straight_through(width: float) -> Gradient:
    """Hits of `efficiency` are counted; backwards, the threshold on their number is a sigmoid of this width."""

    def mean(e: Any, draws: Any) -> Any:
        hits = jnp.where(draws < e, 1.0, 0.0)
        number = jnp.sum(hits + e - jax.lax.stop_gradient(e), axis=-1)
        soft = jax.nn.sigmoid((number - efficiency.NEEDED + 0.5) / width)
        hard = jnp.where(number >= efficiency.NEEDED, 1.0, 0.0)
        return jnp.mean(soft + jax.lax.stop_gradient(hard - soft)) + efficiency.cost(e)

    return each(mean)


def score_function() -> Gradient:
    """REINFORCE for `efficiency`: the result times the derivative of the logarithm of the hits' probability."""

    def gradient(e: jax.Array, draws: jax.Array) -> jax.Array:
        hits = draws < e
        got = jnp.where(jnp.sum(hits, axis=-1) >= efficiency.NEEDED, 1.0, 0.0)
        slope = jnp.sum(jnp.where(hits, 1 / e, -1 / (1 - e)), axis=-1)
        return (got - jnp.mean(got)) * slope + jax.grad(efficiency.cost)(e)

    return gradient
