"""The smallest detector whose best design is known: two panels, of which the second may be missed.

A beam of muons of known slope crosses a thin sample that lies on panel 1, is scattered there, and has to hit panel 2 at a
distance `lever` behind it. The two hits give the slope behind the sample, the beam's slope is subtracted, and the angle that
remains tells how strongly the sample scatters. Near panels catch many muons and measure angles badly, far ones the
other way round. Lengths are in mm, slopes and angles in rad.

What a muon tells is its Fisher information about ln(KICK^2), twice the squared derivative of its log-likelihood. Its mean
over accepted muons is (KICK^2 / variance)^2, and the fraction accepted is WIDTH / (2 SPREAD lever). The product is
largest at

    lever = sqrt(6) NOISE / KICK = 489.9 mm.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import optax

from detopt.backend import jax, jnp
from detopt.gradients.flips import Flip, with_flips

WIDTH = 200.0  # mm, of both panels
SPREAD = 1.0  # slopes of the beam are uniform within +-SPREAD
NOISE = 1.0  # mm, of a hit
KICK = 5e-3  # rad, width of the scattering angle
BEST = math.sqrt(6) * NOISE / KICK
BOUNDS = (1.05 * WIDTH / SPREAD, 5000.0)  # mm; further in, the beam is too narrow for the closed form


class Muon(NamedTuple):
    """All that chance decides, for one muon or for many."""

    x: jax.Array  # mm, where it crosses panel 1
    slope: jax.Array  # before the sample
    kick: jax.Array  # rad, scattering angle
    noise_1: jax.Array  # mm
    noise_2: jax.Array  # mm
    spare: jax.Array  # standard normal, for an estimator that wants more randomness


@functools.partial(jax.jit, static_argnames=("shape", "spread", "dtype"))
def draw(key: jax.Array, shape: tuple[int, ...], spread: float = SPREAD, dtype: Any = None) -> Muon:
    """Muons as the beam brings them."""
    keys = jax.random.split(key, 6)
    flat = [
        jax.random.uniform(k, shape, dtype, -half, half) for k, half in zip(keys, (WIDTH / 2, spread), strict=False)
    ]
    normal = [
        jax.random.normal(k, shape, dtype) * width for k, width in zip(keys[2:], (KICK, NOISE, NOISE, 1.0), strict=True)
    ]
    return Muon(*flat, *normal)


def margin(lever: Any, muon: Muon) -> Any:
    """How far inside the edge of panel 2 the muon passes; it is missed where this is negative."""
    return WIDTH / 2 - jnp.abs(muon.x + (muon.slope + muon.kick) * lever)


def measured_angle(lever: Any, muon: Muon) -> Any:
    """The slope between the two hits, minus that of the beam."""
    hit_1 = muon.x + muon.noise_1
    hit_2 = muon.x + (muon.slope + muon.kick) * lever + muon.noise_2
    return (hit_2 - hit_1) / lever - muon.slope


def variance(lever: Any) -> Any:
    """Of the measured angle: scattering and two hits."""
    return KICK**2 + 2 * NOISE**2 / lever**2


def information(angle: Any, variance: Any) -> Any:
    """What one measured angle tells about ln(KICK^2). Its mean is (KICK^2 / variance)^2."""
    return 0.5 * (KICK**2 / variance) ** 2 * (angle**2 / variance - 1) ** 2


def score(lever: Any, muon: Muon) -> Any:
    """The information of each muon, zero for those that miss panel 2: a hard edge."""
    told = information(measured_angle(lever, muon), variance(lever))
    return jnp.where(margin(lever, muon) > 0, told, 0.0)


def exact_score(lever: Any) -> Any:
    """The mean of `score`: acceptance times information."""
    return WIDTH / (2 * SPREAD * lever) * (KICK**2 / variance(lever)) ** 2


def onto_the_edge(lever: Any, muon: Muon) -> tuple[Muon, jax.Array]:
    """The same muon, shifted along panel 1 until it meets the edge of panel 2, and whether the beam could bring it there."""
    slope = muon.slope + muon.kick
    x = jnp.sign(slope) * WIDTH / 2 - slope * lever
    return muon._replace(x=x), jnp.abs(x) < WIDTH / 2


def edge(lever: Any, muon: Muon) -> Flip:
    """The flip: a muon on the edge counts or does not. Weight: density of x, over |d margin / d x| = 1."""
    now = jax.lax.stop_gradient(lever)
    moved, possible = onto_the_edge(now, muon)
    told = information(measured_angle(now, moved), variance(now))
    density = jnp.where(possible, 1 / WIDTH, 0.0)
    return Flip(on=told, off=jnp.zeros_like(told), weight=density / density.size, handle=margin(lever, moved))


mean_score = with_flips(lambda lever, muons: jnp.mean(score(lever, muons)), edge)

Gradient = Callable[[jax.Array, Any], jax.Array]  # (design, draws of n muons) -> n gradients, whose mean is wanted


def each(mean: Callable[[Any, Any], Any]) -> Gradient:
    """The gradient that each muon contributes to a mean over muons."""

    def gradient(design: jax.Array, muons: Any) -> jax.Array:
        alone = jax.tree.map(lambda draws: draws[:, None], muons)
        return jax.vmap(jax.grad(mean), (None, 0))(design, alone)

    return gradient


with_the_flip = each(mean_score)


Averaged = Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]


def averaged(gradient: Gradient, draws: Callable[[jax.Array], Any]) -> Averaged:
    """A function of design and key: mean of the gradient over fresh muons, and mean of its square."""

    @jax.jit
    def moments(design: Any, muons: Any) -> tuple[jax.Array, jax.Array]:
        values = gradient(design, muons)
        return jnp.mean(values), jnp.mean(values**2)

    return lambda design, key: moments(design, draws(key))


@functools.cache
def adam(step: float, steps: int, low: float, high: float) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """First state, and a compiled step uphill within bounds; the steps shrink to nothing at the end."""
    rule = optax.adam(optax.cosine_decay_schedule(step, steps))

    def move(design: jax.Array, state: Any, gradient: jax.Array) -> tuple[jax.Array, Any]:
        update, state = rule.update(-gradient, state)
        return optax.projections.projection_box(design + update, low, high), state

    return rule.init, jax.jit(move)


def ascend(
    gradient: Averaged,
    start: float,
    bounds: tuple[float, float],
    step: float,
    steps: int = 200,
    seed: int = 0,
) -> np.ndarray:
    """The design after each step of Adam along an `averaged` gradient, with fresh muons each time."""
    first, move = adam(step, steps, *bounds)
    design = jnp.asarray(start, float)
    state, path = first(design), []
    for key in jax.random.split(jax.random.key(seed), steps):
        design, state = move(design, state, gradient(design, key)[0])
        path.append(float(design))
    return np.array(path)
