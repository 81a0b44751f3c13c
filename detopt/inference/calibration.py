"""Making the uncertainty of a head right on events that it was not trained on."""

from typing import Any

from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp

__all__ = ["platt", "pull_width"]


def platt(
    raw: Float[Array, "*n"], truth: Bool[Array, "*n"], counts: Bool[Array, "*n"], start: Float[Array, " 2"]
) -> Float[Array, " 2"]:
    """The log of the factor, and the shift, that give log-odds the least cross-entropy.

    Platt scaling, by Newton's method; see Guo et al., arXiv:1706.04599.
    """
    right, weight = truth.astype(raw.dtype), counts.astype(raw.dtype)

    def loss(calibration: Array) -> Array:
        odds = jnp.exp(calibration[0]) * raw + calibration[1]
        return jnp.sum(weight * (jax.nn.softplus(odds) - right * odds)) / jnp.sum(weight)

    def newton(_: Any, calibration: Array) -> Array:
        (a, b), (_, c) = jax.hessian(loss)(calibration) + 1e-6 * jnp.eye(2, dtype=raw.dtype)
        g, h = jax.grad(loss)(calibration)
        step = jnp.stack([c * g - b * h, a * h - b * g]) / (a * c - b * b)
        return calibration - jnp.clip(step, -0.5, 0.5)

    return jax.lax.fori_loop(0, 8, newton, start)


def pull_width(mean: Float[Array, "*n"], sigma: Float[Array, "*n"], truth: Float[Array, "*n"]) -> Float[Array, ""]:
    """Root mean square of (estimate - truth) / error."""
    return jnp.sqrt(jnp.mean(((mean - truth) / sigma) ** 2))
