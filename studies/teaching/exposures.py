"""The telescope with a neural head: how strongly does the sample scatter, seen from 300 muons at once?

The width of the scattering angle is KICK exp(y/2), and the head estimates y from the angles of those muons that hit panel 2.
Its loss, the squared error of y, is not a sum over muons: what one more muon is worth depends on those that are there.

The best design is known all the same: for given y the sum of squared angles of N muons is distributed as variance(y) times
chi^2 with N degrees of freedom and holds all that there is to know. `bayes_loss` integrates the squared error of the
posterior mean; it is smallest near lever = 486 mm.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
import optax
from telescope import KICK, NOISE, WIDTH, Muon, draw, margin, measured_angle, onto_the_edge

from detopt.backend import jax, jnp
from detopt.gradients.flips import Flip, with_flips

SPREAD = 0.5  # slopes of the beam
INCIDENT = 300  # muons an exposure
RANGE = 0.5  # y is uniform within +-RANGE
BOUNDS = (250.0, 2000.0)  # mm


class Exposures(NamedTuple):
    """E exposures of N muons."""

    y: jax.Array  # (E,)
    muons: Muon  # (E, N) each


@functools.partial(jax.jit, static_argnames=("number", "incident"))
def expose(key: jax.Array, number: int, incident: int = INCIDENT) -> Exposures:
    """Exposures of samples that scatter more or less."""
    first, second = jax.random.split(key)
    y = jax.random.uniform(first, (number,), jnp.float32, -RANGE, RANGE)
    muons = draw(second, (number, incident), SPREAD, jnp.float32)
    return Exposures(y, muons._replace(kick=muons.kick * jnp.exp(y / 2)[:, None]))


class Head(eqx.Module):
    """DeepSets: each angle is embedded, the accepted ones are summed, and the sums are read out."""

    embed: eqx.nn.MLP
    readout: eqx.nn.MLP

    def __init__(self, key: jax.Array, width: int = 16, sums: int = 4) -> None:
        first, second = jax.random.split(key)
        self.embed = eqx.nn.MLP(1, sums, width, 1, jax.nn.silu, key=first, dtype=jnp.float32)
        self.readout = eqx.nn.MLP(sums + 1, 1, width, 1, jax.nn.silu, key=second, dtype=jnp.float32)

    def contribution(self, angle: jax.Array) -> jax.Array:
        """What one muon adds to the sums of its exposure: (sums + 1,), the last one counts muons."""
        return jnp.append(self.embed(angle[None] / KICK), 1.0)

    def estimate(self, sums: jax.Array) -> jax.Array:
        """y from the sums of one exposure: from mean values and the number of muons."""
        seen = sums[-1]
        return self.readout(jnp.append(sums[:-1] / jnp.maximum(seen, 1.0), seen / INCIDENT))[0]


def contributions(lever: Any, head: Head, muons: Muon) -> tuple[jax.Array, jax.Array]:
    """Of each muon of an exposure, if it were accepted, (N, sums + 1); and whether it is, (N,)."""
    return jax.vmap(head.contribution)(measured_angle(lever, muons)), margin(lever, muons) > 0


def sums_of(lever: Any, head: Head, muons: Muon) -> jax.Array:
    """The sums of an exposure."""
    added, seen = contributions(lever, head, muons)
    return jnp.sum(jnp.where(seen[:, None], added, 0.0), axis=0)


def loss(lever: Any, head: Head, exposures: Exposures) -> jax.Array:
    """Mean squared error of y: hard edges, no gradient to the acceptance."""
    sums = jax.vmap(sums_of, (None, None, 0))(lever, head, exposures.muons)
    return jnp.mean((jax.vmap(head.estimate)(sums) - exposures.y) ** 2)


def edge(tried: int) -> Callable[..., Flip]:
    """The finite flip, for the first `tried` muons of each exposure: the loss with the muon on the edge and without it."""

    def flips(lever: Any, head: Head, exposures: Exposures) -> Flip:
        now = jax.lax.stop_gradient(lever)

        def one(y: jax.Array, muons: Muon) -> Flip:
            added, seen = contributions(now, head, muons)
            present = jnp.where(seen[:, None], added, 0.0)
            chosen = jax.tree.map(lambda a: a[:tried], muons)
            moved, possible = onto_the_edge(now, chosen)
            others = jnp.sum(present, axis=0)[None, :] - present[:tried]
            with_it = others + contributions(now, head, moved)[0]
            error = jax.vmap(lambda sums: (head.estimate(sums) - y) ** 2)
            scale = len(seen) / len(possible) / len(exposures.y)
            density = jnp.where(possible, scale / WIDTH, 0.0)
            return Flip(error(with_it), error(others), density, margin(lever, moved))

        return jax.tree.map(jnp.ravel, jax.vmap(one)(exposures.y, exposures.muons))

    return flips


def loss_with_flips(tried: int = 32) -> Callable[[Any, Head, Exposures], jax.Array]:
    """The loss with its full gradient to the lever arm. (That to the head is plain autodiff of `loss`.)"""
    return with_flips(loss, edge(tried))


class Trace(NamedTuple):
    """What a joint training leaves behind."""

    head: Head
    lever: np.ndarray  # (steps,), mm
    loss: np.ndarray  # (steps,), on the exposures of the step


def train(
    design_loss: Callable[[Any, Head, Exposures], jax.Array],
    start: float,
    steps: int,
    *,
    step: float = 15.0,
    warm_up: int = 400,
    head_steps: int = 4,
    batch: int = 64,
    exposures: int = 128,
    seed: int = 0,
) -> Trace:
    """Head and design together, each on fresh exposures: some steps of the head for one of the design."""
    head_rule = optax.adam(optax.cosine_decay_schedule(1e-2, warm_up + steps * head_steps, 0.02))
    rule = optax.adam(optax.cosine_decay_schedule(step, steps))
    start_key, warm_key, joint_key = jax.random.split(jax.random.key(seed), 3)

    @eqx.filter_jit
    def teach(head: Head, state: Any, lever: jax.Array, known: Exposures) -> tuple[Head, Any]:
        gradient = eqx.filter_grad(lambda head: loss(lever, head, known))(head)
        update, state = head_rule.update(gradient, state)
        return eqx.apply_updates(head, update), state

    @eqx.filter_jit
    def move(lever: jax.Array, state: Any, head: Head, known: Exposures) -> tuple[jax.Array, Any, jax.Array]:
        value, gradient = jax.value_and_grad(design_loss)(lever, head, known)
        update, state = rule.update(gradient / value, state)
        return optax.projections.projection_box(lever + update, *BOUNDS), state, value

    head, lever = Head(start_key), jnp.asarray(start, jnp.float32)
    head_state, state = head_rule.init(eqx.filter(head, eqx.is_inexact_array)), rule.init(lever)
    for key in jax.random.split(warm_key, warm_up):
        head, head_state = teach(head, head_state, lever, expose(key, batch))
    levers, losses = [], []
    for key in jax.random.split(joint_key, steps):
        *keys, last = jax.random.split(key, head_steps + 1)
        for k in keys:
            head, head_state = teach(head, head_state, lever, expose(k, batch))
        lever, state, value = move(lever, state, head, expose(last, exposures))
        levers.append(float(lever))
        losses.append(float(value))
    return Trace(head, np.array(levers), np.array(losses))


def acceptance(lever: float) -> float:
    """Fraction of the muons that hit panel 2."""
    reach = lever * SPREAD
    return WIDTH / (2 * reach) if reach > WIDTH else 1 - reach / (2 * WIDTH)


def bayes_loss(lever: float) -> float:
    """The smallest mean squared error of y that any head can have, by numerical integration."""
    mean = INCIDENT * acceptance(lever)
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)  # the number of accepted muons
    number = mean + np.sqrt(mean * (1 - acceptance(lever))) * nodes
    y, y_weight = np.polynomial.legendre.leggauss(32)
    y, y_weight = y * RANGE, y_weight / 2
    z, z_weight = np.polynomial.legendre.leggauss(64)  # the sum of squares, in standard deviations of chi^2
    n = number[:, None]
    chi2 = n + np.sqrt(2 * n) * 7 * z[None, :]
    valid = chi2 > 0
    density = np.where(valid, (n / 2 - 1) * np.log(np.where(valid, chi2, 1.0)) - chi2 / 2, -np.inf)
    density = np.exp(density - density.max(1, keepdims=True)) * z_weight[None, :]
    density /= density.sum(1, keepdims=True)
    variance = KICK**2 * np.exp(y) + 2 * NOISE**2 / lever**2
    # axes: number, true y, sum of squares, y of the posterior
    squares = np.where(valid, chi2, n)[:, None, :, None] * variance[None, :, None, None]
    log = (
        -n[:, :, None, None] / 2 * np.log(variance)[None, None, None, :] - squares / (2 * variance)[None, None, None, :]
    )
    posterior = np.exp(log - log.max(-1, keepdims=True)) * y_weight[None, None, None, :]
    estimate = (posterior * y[None, None, None, :]).sum(-1) / posterior.sum(-1)
    error = (estimate - y[None, :, None]) ** 2
    each = np.einsum("nyz,y,nz->n", error, y_weight, density)
    return float(weights @ each / weights.sum())


def bayes_optimum() -> tuple[float, float]:
    """Lever arm (mm) and loss."""
    levers = np.linspace(430.0, 550.0, 25)
    losses = np.array([bayes_loss(s) for s in levers])
    fit = np.polynomial.Polynomial.fit(levers, losses, 4)
    roots = [r.real for r in fit.deriv().roots() if abs(r.imag) < 1e-9 and levers[0] < r.real < levers[-1]]
    best = min(roots, key=fit)
    return best, float(fit(best))


def regret(lever: float) -> float:
    """How much larger the Bayes loss is than at the best design."""
    return bayes_loss(lever) / bayes_optimum()[1] - 1
