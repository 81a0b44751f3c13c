"""A learned emulator of scores: a few small networks that are fitted to all designs evaluated so far.

A search asks it millions of times where it asks the simulator thousands of times. It learns from values and, where they are
known, from slopes (Czarnecki et al., "Sobolev training for neural networks", NeurIPS 2017), and takes the noise of sampled
scores out of them. Close to a design whose score and slope are known it is corrected to first order, so that it agrees
with the simulator there (Alexandrov et al., Struct. Optim. 15 (1998) 16).
"""

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from detopt.backend import jax, jnp

__all__ = [
    "Anchors",
    "Emulator",
    "Examples",
    "anchored",
    "examples",
    "fit",
    "new_emulator",
    "predicted",
    "slopes_of",
    "weighed",
]

MEMBERS, WIDTH, DEPTH = 3, 128, 3
STEPS = 600  # of Adam in one fit
BATCH, SLOPE_BATCH = 256, 64
SLOPE_SHARE = 0.1  # weight of squared errors of slopes beside those of values
_SPREAD = 3.4  # inputs of unit width: a uniform number between 0 and 1 has 1 / sqrt(12)
_STEEPEST = 5.0  # slopes beyond are those of a singular corner, and are cut


class Emulator(eqx.Module):
    """Networks of one shape, stacked; the answer is their mean."""

    networks: eqx.nn.MLP
    middle: Float[Array, " m"]
    scale: Float[Array, " m"]

    def each(self, u: Float[Array, " n"]) -> Float[Array, "members m"]:
        """What every network says of a point of the unit box."""
        centred = (u - 0.5) * jnp.asarray(_SPREAD, u.dtype)
        said = eqx.filter_vmap(lambda network: network(centred))(self.networks)
        return said * jax.lax.stop_gradient(self.scale)[None] + jax.lax.stop_gradient(self.middle)[None]

    def __call__(self, u: Float[Array, " n"]) -> Float[Array, " m"]:
        """Their mean."""
        return self.each(u).mean(axis=0)


class Examples(NamedTuple):
    """What is known, in arrays of fixed length so that nothing is compiled twice; the first `used` rows count."""

    u: Float[Array, "rows n"]
    values: Float[Array, "rows m"]
    weight: Float[Array, " rows"]
    used: Array  # rows
    at: Float[Array, "rows n"]
    along: Float[Array, "rows m"]  # of which combination of the values the slope is
    slope: Float[Array, "rows n"]
    used_slopes: Array  # rows of the last three
    moves: Float[Array, " n"]  # 1 for coordinates that slopes are known for, 0 for options of choices


class Anchors(NamedTuple):
    """Designs whose scores are known, and one slope of each: the emulator agrees with them."""

    u: Float[Array, "p n"]
    shift: Float[Array, "p m"]
    tilt: Float[Array, "p m n"]


def new_emulator(values: Float[np.ndarray, "rows m"], variables: int, key: PRNGKeyArray) -> Emulator:
    """Untrained networks for values like these."""

    def one(key: PRNGKeyArray) -> eqx.nn.MLP:
        return eqx.nn.MLP(variables, values.shape[1], WIDTH, DEPTH, jax.nn.silu, dtype=jnp.float32, key=key)

    spread = values.std(axis=0)
    return Emulator(
        eqx.filter_vmap(one)(jax.random.split(key, MEMBERS)),
        jnp.asarray(values.mean(axis=0), jnp.float32),
        jnp.asarray(np.where(spread > 0, spread, 1.0), jnp.float32),
    )


def examples(
    u: np.ndarray,
    values: np.ndarray,
    weight: np.ndarray,
    at: np.ndarray,
    along: np.ndarray,
    slope: np.ndarray,
    rows: int,
    moves: np.ndarray,
) -> Examples:
    """Arrays of so many rows; `moves` says which coordinates have slopes."""

    def padded(array: np.ndarray) -> Array:
        full = np.zeros((rows, *array.shape[1:]), np.float32)
        full[: len(array)] = array
        return jnp.asarray(full)

    slope = np.clip(slope, -_STEEPEST, _STEEPEST)
    used, used_slopes = (jnp.asarray(len(x), jnp.int32) for x in (u, at))
    return Examples(
        padded(u), padded(values), padded(weight), used, padded(at), padded(along), padded(slope), used_slopes,
        jnp.asarray(moves, jnp.float32),
    )  # fmt: skip


@eqx.filter_jit
def _fitted(emulator: Emulator, known: Examples, key: PRNGKeyArray, rates: Array, sobolev: bool) -> Emulator:
    trained, fixed = eqx.partition(emulator, eqx.is_inexact_array)
    adam = optax.scale_by_adam()

    def loss(trained: Any, key: PRNGKeyArray) -> Array:
        model = eqx.combine(trained, fixed)
        first, second = jax.random.split(key)
        rows = jax.random.randint(first, (BATCH,), 0, known.used)
        wrong = jax.vmap(model.each)(known.u[rows]) - known.values[rows][:, None]
        total = jnp.mean(known.weight[rows][:, None, None] * wrong**2)
        if sobolev:
            rows = jax.random.randint(second, (SLOPE_BATCH,), 0, known.used_slopes)

            def slopes(u: Array, along: Array) -> Array:
                return jax.jacrev(lambda u: model.each(u) @ along)(u)

            wrong = jax.vmap(slopes)(known.at[rows], known.along[rows]) - known.slope[rows][:, None]
            wrong = wrong * known.moves[None, None, :]
            total += jnp.asarray(SLOPE_SHARE, total.dtype) * jnp.mean(jnp.sum(wrong**2, axis=-1))
        return MEMBERS * total

    def step(carry: tuple[Any, Any], inputs: tuple[Array, Array]) -> tuple[tuple[Any, Any], None]:
        trained, state = carry
        rate, key = inputs
        updates, state = adam.update(jax.grad(loss)(trained, key), state)
        return (eqx.apply_updates(trained, jax.tree.map(lambda x: -rate * x, updates)), state), None

    keys = jax.random.split(key, len(rates))
    (trained, _), _ = jax.lax.scan(step, (trained, adam.init(trained)), (rates, keys))
    return eqx.combine(trained, fixed)


def fit(emulator: Emulator, known: Examples, key: PRNGKeyArray, rate: float) -> Emulator:
    """Train on, with a rate that falls."""
    rates = jnp.asarray(np.geomspace(rate, 1e-4, STEPS), jnp.float32)
    return _fitted(emulator, known, key, rates, bool(known.used_slopes > 0))


@eqx.filter_jit
def predicted(emulator: Emulator, u: Float[Array, "p n"]) -> Float[Array, "p m"]:
    """Its answers at many points."""
    return jax.vmap(emulator)(u)


@eqx.filter_jit
def slopes_of(emulator: Emulator, u: Float[Array, "p n"]) -> Float[Array, "p m n"]:
    """The slopes of its answers."""
    return jax.vmap(jax.jacrev(emulator))(u)


@eqx.filter_jit
def anchored(
    emulator: Emulator,
    u: Float[Array, "p n"],
    values: Float[Array, "p m"],
    along: Float[Array, "p m"],
    slope: Float[Array, "p n"],
    moves: Float[Array, " n"],
) -> Anchors:
    """What has to be added close to known designs: of all corrections that give the known slope the smallest."""

    def one(u: Array, values: Array, along: Array, slope: Array) -> Anchors:
        said, back = jax.vjp(emulator, u)
        missing = moves * (jnp.clip(slope, -_STEEPEST, _STEEPEST) - back(along)[0])
        return Anchors(u, values - said, along[:, None] * missing[None] / jnp.sum(along**2))

    return jax.vmap(one)(u, values, along, slope)


@eqx.filter_jit
def weighed(
    emulator: Emulator, u: Float[Array, "p n"], weights: Float[Array, "p m"], anchors: Anchors
) -> tuple[Float[Array, "p m"], Float[Array, "p n"]]:
    """Corrected answers, and the slopes of their weighted sums."""

    def one(u: Array, weights: Array, anchor: Anchors) -> tuple[Array, Array]:
        def total(u: Array) -> tuple[Array, Array]:
            said = emulator(u) + anchor.shift + anchor.tilt @ (u - anchor.u)
            return jnp.sum(weights * said), said

        slope, said = jax.grad(total, has_aux=True)(u)
        return said, slope

    return jax.vmap(one)(u, weights, anchors)
