"""Gradients of hard-edged simulations: the derivative of what is drawn, plus that of what is decided.

A statistic jumps where something discrete changes: a particle misses an edge, a hit is lost, a cut is passed. Autodiff sees
none of it. With decision j taken where its margin g_j(design, draws) is positive,

    d E[F] / d design = E[dF / d design] + sum_j E[ delta(g_j) (F(on) - F(off)) d g_j / d design ],

which holds for any function F of one particle (Reynolds' transport theorem). Whoever simulates proposes flips that sample
the second term. A flip knows no physics: the weight of an efficiency is 1 and its handle the probability of a hit; the
weight of an edge is the density of one continuous draw s where the particle stands on the edge, over |dg / ds|, and its
handle the margin g of that particle.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Float, PyTree

from detopt.backend import jax, jnp

__all__ = ["Flip", "with_flips"]


class Flip(NamedTuple):
    """M discrete changes that a design may cause. Only the handle is differentiated."""

    on: PyTree[Float[Array, "M ..."]]  # statistics, of the shape that they are summed in, with the decision taken
    off: PyTree[Float[Array, "M ..."]]  # and without
    weight: Float[Array, " M"]
    handle: Float[Array, " M"]


def with_flips(
    statistics: Callable[..., PyTree[Float[Array, "..."]]],
    flips: Callable[..., Flip | tuple[Flip, ...]],
    shown: bool = False,
) -> Callable[..., PyTree[Float[Array, "..."]]]:
    """Statistics whose reverse-mode gradient counts the flips. Values cost what they did.

    Args:
        statistics: statistics(design, *rest), additive over particles. `design` is all that is differentiated.
        flips: flips(design, *rest), normalised as the statistics are: a sum over M flips estimates the gradient's second
            term. Whatever it needs of the design beside the handle it takes from `jax.lax.stop_gradient(design)`.
        shown: statistics gives two things, its sums and what the flips are to be shown of the events that these are made
            of: flips(shown, design, *rest).

    Returns:
        A function like `statistics`. It has a first derivative in reverse mode; a second one would miss the flips of the
        first, and raises TypeError, as forward mode does.
    """

    def sums(design: Any, *rest: Any) -> tuple[Any, tuple[Any, ...]]:
        """The statistics, and what comes first among the arguments of the flips."""
        if not shown:
            return statistics(design, *rest), ()
        found, events = statistics(design, *rest)
        return found, (jax.lax.stop_gradient(events),)

    @eqx.filter_custom_vjp
    def value(design: Any, *rest: Any) -> Any:
        return sums(design, *rest)[0]

    @value.def_fwd
    def _forward(perturbed: Any, design: Any, *rest: Any) -> tuple[Any, None]:
        del perturbed
        return sums(design, *rest)[0], None

    @value.def_bwd
    def _backward(residuals: None, cotangent: Any, perturbed: Any, design: Any, *rest: Any) -> Any:
        del residuals, perturbed
        moving, fixed = eqx.partition(design, eqx.is_inexact_array)

        def surrogate(moving: Any) -> Array:
            """Only its derivative means anything."""
            together = eqx.combine(moving, fixed)
            found, events = sums(together, *rest)
            smooth, proposed = _inner(cotangent, found), flips(*events, together, *rest)
            for flip in (proposed,) if isinstance(proposed, Flip) else proposed:
                smooth = smooth + jnp.sum(_jump(cotangent, flip) * flip.handle)
            return smooth

        return jax.tree.map(_only_once, jax.grad(surrogate)(moving), moving)

    def with_arrays(design: Any, *rest: Any) -> Any:
        # A Python number would be a constant to the reverse pass.
        return value(jax.tree.map(jnp.asarray, design), *rest)

    return with_arrays


def _inner(cotangent: Any, statistics: Any) -> Array:
    """Sum over all leaves of cotangent times statistic; leaves that nothing depends on have no cotangent."""
    arrays = eqx.filter(statistics, eqx.is_inexact_array)
    products = jax.tree.map(lambda c, s: None if c is None else jnp.sum(c * s), cotangent, arrays, is_leaf=_nothing)
    return jnp.asarray(sum(jax.tree.leaves(products)))


def _jump(cotangent: Any, flip: Flip) -> Float[Array, " M"]:
    """weight x (on - off), as the cotangent sees it: a constant."""
    # A flip with no weight may stand where nothing is finite.
    counts = flip.weight != 0

    def leaf(c: Any, on: Any, off: Any) -> Any:
        if c is None:
            return None
        change = jnp.where(counts.reshape(-1, *(1,) * (on.ndim - 1)), on - off, 0.0)
        return jnp.sum((change * c[None]).reshape(len(change), -1), axis=1)

    total = sum(jax.tree.leaves(jax.tree.map(leaf, cotangent, flip.on, flip.off, is_leaf=_nothing)))
    return jax.lax.stop_gradient(jnp.where(counts, flip.weight, 0.0) * total)


def _nothing(leaf: Any) -> bool:
    return leaf is None


@jax.custom_jvp
def _only_once(gradient: Array, at: Array) -> Array:
    """The gradient; `at` makes it look differentiable where it is, even if nothing in it is."""
    del at
    return gradient


@_only_once.defjvp
def _refuse(primals: Any, tangents: Any) -> Any:
    raise TypeError(
        "second derivatives of a sampled score are not in detopt: the flips of the first derivative would be missed. Take "
        "differences of gradients instead"
    )
