"""Constraints of every search: the pull of an augmented Lagrangian, and the nearest points that meet them all."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp

__all__ = ["MARGIN", "Inside", "penalised", "pull"]

MARGIN = 2e-6  # how far inside the constraints (relative) a design must lie, so that rounding cannot push it out


def pull(excess: Float[Array, " rows"], multipliers: Float[Array, " rows"], penalty: Any) -> Float[Array, " rows"]:
    """What the constraints pull with, and the multipliers of the next round (Nocedal and Wright, section 17.4)."""
    return jnp.maximum(0.0, multipliers + penalty * (excess + MARGIN))


def penalised(excess: Float[Array, " rows"], multipliers: Float[Array, " rows"], penalty: Any) -> Float[Array, ""]:
    """What an augmented Lagrangian adds to the loss."""
    return jnp.sum(pull(excess, multipliers, penalty) ** 2 - multipliers**2) / (2 * penalty)


class Inside:
    """Moves points of the unit box inside the constraints."""

    def __init__(self, excess: Callable[..., Float[Array, " rows"]]) -> None:
        """`excess` is called with a point, and with what else is given for it."""

        def both(u: Array, *about: Any) -> tuple[Array, Array]:
            rows = excess(u, *about)
            return rows, rows

        self.jacobian = jax.jit(jax.vmap(jax.jacrev(both, has_aux=True)))

    def __call__(
        self, u: Float[Array | np.ndarray, "starts n"], free: Bool[Array, "starts n"] | None = None, about: tuple = ()
    ) -> Float[Array, "starts n"]:
        """The nearest points inside the constraints, to first order: Gauss-Newton on those that are violated.

        Only variables that are `free` move; all are where it is not given. `about` holds further arguments of the excess, a
        row for each point.
        """
        moved = jnp.asarray(u)
        free = jnp.ones(moved.shape, bool) if free is None else free
        for _ in range(6):
            jacobian, excess = self.jacobian(moved, *about)
            if bool(jnp.all(excess <= -MARGIN)):
                break
            moved = _inwards(moved, free, excess, jacobian)
        return moved


@jax.jit
@jax.vmap
def _inwards(u: Array, free: Array, excess: Array, jacobian: Array) -> Array:
    violated = excess > -MARGIN
    # A variable at a bound that a step would push it through does not take part.
    towards = -jnp.sum(jnp.where(violated[:, None], jacobian, 0.0), axis=0)
    stuck = ((u <= 0) & (towards < 0)) | ((u >= 1) & (towards > 0))
    rows = jnp.where(violated[:, None] & (free & ~stuck)[None, :], jacobian, 0.0)
    scale = jnp.sum(rows**2, axis=1)
    gram = rows @ rows.T + jnp.diag(jnp.where(violated, 1e-12 * scale + 1e-30, 1.0))
    return jnp.clip(u - rows.T @ jnp.linalg.solve(gram, jnp.where(violated, excess + 2 * MARGIN, 0.0)), 0.0, 1.0)
