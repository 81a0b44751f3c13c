"""Gradient search under constraints: Adam to explore from many starts, L-BFGS to converge, both from optax.

Constraints enter by an augmented Lagrangian (Nocedal and Wright, Numerical Optimization, section 17.4): multipliers are
updated between rounds, so that the iterates meet the constraints in the limit; a few Gauss-Newton steps at the end of
each L-BFGS round put them inside. The best feasible point of each start is kept all along, and the search as a whole
never returns worse than it started.

All starts run in one batch. The pairs (`adam_init`, `adam_round`) and (`lbfgs_init`, `lbfgs_round`) are pure: state in,
state and trace out; the caller decides how many rounds to run, writes the trace down, and can be killed in between.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.search.problem import Point, Problem

__all__ = ["GradientSearcher", "State", "Trace"]

MARGIN = 2e-6  # how far inside the constraints (relative) a design must lie, so that rounding cannot push it out
_PENALTY = {"adam": 10.0, "lbfgs": 100.0}
_MULTIPLIER_STEPS = 10  # Adam steps between two updates of the multipliers


class State(NamedTuple):
    """One start of the search."""

    u: Float[Array, " n"]
    multipliers: Float[Array, " rows"]
    best_u: Float[Array, " n"]
    best_loss: Float[Array, ""]  # infinite before any feasible point
    optimiser: Any


class Trace(NamedTuple):
    """One visited point."""

    u: Float[Array, " n"]
    point: Point
    best: Float[Array, ""]


class GradientSearcher:
    """The search of one problem; every method works on a batch of starts and is compiled once."""

    def __init__(self, problem: Problem, learning_rate: float, steps: int) -> None:
        self.problem = problem
        schedule = optax.cosine_decay_schedule(learning_rate, steps, alpha=0.02)
        self._adam = optax.adam(schedule, b1=0.9, b2=0.99)
        self._lbfgs = optax.lbfgs(memory_size=20)
        self.points = jax.jit(jax.vmap(problem))
        self.adam_init = jax.jit(jax.vmap(self._adam_init))
        self.adam_round = jax.jit(jax.vmap(self._adam_round, in_axes=(0, None)), static_argnums=1)
        self.lbfgs_round = jax.jit(jax.vmap(self._lbfgs_round, in_axes=(0, None)), static_argnums=1)

    # -- the augmented Lagrangian --------------------------------------------------------------------------------------

    def _lagrangian(self, point: Point, multipliers: Array, penalty: float) -> Array:
        pull = jnp.maximum(0.0, multipliers + penalty * (point.excess + MARGIN))
        return point.loss + jnp.sum(pull**2 - multipliers**2) / (2 * penalty)

    @staticmethod
    def _raised(point: Point, multipliers: Array, penalty: float) -> Array:
        return jnp.maximum(0.0, multipliers + penalty * (point.excess + MARGIN))

    def _keep(self, state: State, u: Array, point: Point) -> State:
        better = (point.loss < state.best_loss) & jnp.all(point.excess <= 0) & jnp.isfinite(point.loss)
        return state._replace(
            best_u=jnp.where(better, u, state.best_u), best_loss=jnp.where(better, point.loss, state.best_loss)
        )

    # -- Adam: explores ------------------------------------------------------------------------------------------------

    def _adam_init(self, u: Float[Array, " n"]) -> State:
        point = self.problem(u)
        state = State(u, jnp.zeros_like(point.excess), u, jnp.full_like(point.loss, jnp.inf), self._adam.init(u))
        return self._keep(state, u, point)

    def _adam_round(self, state: State, steps: int) -> tuple[State, Trace]:
        penalty = _PENALTY["adam"]

        def step(state: State, index: Array) -> tuple[State, Trace]:
            def loss(u: Array) -> tuple[Array, Point]:
                point = self.problem(u)
                return self._lagrangian(point, state.multipliers, penalty), point

            (_, point), gradient = jax.value_and_grad(loss, has_aux=True)(state.u)
            kept = self._keep(state, state.u, point)
            # A point where the score is not finite is left along the last momentum.
            gradient = jnp.where(jnp.isfinite(gradient), gradient, 0.0)
            updates, optimiser = self._adam.update(gradient, state.optimiser)
            raised = self._raised(point, state.multipliers, penalty)
            update_now = index % _MULTIPLIER_STEPS == _MULTIPLIER_STEPS - 1
            return kept._replace(
                u=optax.projections.projection_box(state.u + updates, 0.0, 1.0),
                multipliers=jnp.where(update_now, raised, state.multipliers),
                optimiser=optimiser,
            ), Trace(state.u, point, kept.best_loss)

        return jax.lax.scan(step, state, jnp.arange(steps))

    # -- L-BFGS: converges -----------------------------------------------------------------------------------------------
    # In u = sin^2(v): the box is closed, and an optimum on its border is an ordinary minimum in v.

    def _lbfgs_round(self, state: State, steps: int) -> tuple[State, Trace]:
        penalty = _PENALTY["lbfgs"]

        def loss(v: Array) -> Array:
            return self._lagrangian(self.problem(jnp.sin(v) ** 2), state.multipliers, penalty)

        # Exactly on a border the map has no slope, and the search could not leave it.
        v = jnp.arcsin(jnp.sqrt(jnp.clip(state.u, 1e-5, 1 - 1e-5)))
        value_and_grad = optax.value_and_grad_from_state(loss)

        def step(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], Array]:
            v, optimiser = carry
            value, gradient = value_and_grad(v, state=optimiser)
            updates, moved = self._lbfgs.update(
                gradient, optimiser, v, value=value, grad=gradient, value_fn=loss
            )
            new = optax.apply_updates(v, updates)
            fine = jnp.all(jnp.isfinite(new)) & jnp.isfinite(value)
            new = jnp.where(fine, new, v)
            moved = jax.tree.map(lambda a, b: jnp.where(fine, a, b), moved, optimiser)
            return (new, moved), new

        (v, _), _ = jax.lax.scan(step, (v, self._lbfgs.init(v)), None, length=steps)
        u = jnp.sin(v) ** 2
        point = self.problem(u)
        state = self._keep(state._replace(multipliers=self._raised(point, state.multipliers, penalty)), u, point)
        inside = self._restore(u)
        inner = self.problem(inside)
        state = self._keep(state._replace(u=u), inside, inner)
        return state, Trace(inside, inner, state.best_loss)

    def _restore(self, u: Float[Array, " n"]) -> Float[Array, " n"]:
        """The nearest point inside the constraints, to first order: Gauss-Newton on those that are violated."""

        def step(u: Array, _: None) -> tuple[Array, None]:
            excess, jacobian = self.problem(u).excess, jax.jacrev(lambda x: self.problem(x).excess)(u)
            violated = excess > -MARGIN
            # Only those that can still move: not pinned at a bound.
            rows = jnp.where(violated[:, None], jacobian, 0.0)
            gram = rows @ rows.T + jnp.diag(jnp.where(violated, 1e-12, 1.0))
            shift = rows.T @ jnp.linalg.solve(gram, jnp.where(violated, excess + 2 * MARGIN, 0.0))
            return jnp.clip(u - shift, 0.0, 1.0), None

        if self.problem_rows(u) == 0:
            return u
        return jax.lax.scan(step, u, None, length=6)[0]

    def problem_rows(self, u: Array) -> int:
        """Number of constraint rows."""
        return jax.eval_shape(self.problem, u).excess.shape[0]


def never(_: Any) -> None:
    """A progress callback that says nothing."""


Progress = Callable[[dict[str, Any]], None]
