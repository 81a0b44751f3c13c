"""Gradient search under constraints: Adam to explore from many starts, L-BFGS to converge, both from optax.

Constraints enter by an augmented Lagrangian (Nocedal and Wright, Numerical Optimization, section 17.4): multipliers are
updated now and then, so that the iterates meet the constraints in the limit, and a few Gauss-Newton steps put the result
inside them. The best feasible point of each start is kept all along, so a search never returns worse than it started.

All starts run in one batch. Every step is a pure function of the state; `rounds` strings them together and hands each
round to the caller, who may write it down or stop. Value and gradient are compiled once and serve both optimisers.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import optax
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.search.constraints import Inside, penalised, pull
from detopt.search.problem import FEASIBLE, Point, Problem

__all__ = ["GradientSearcher", "Position", "Round", "State", "Visit"]

ADAM_PENALTY, LBFGS_PENALTY = 10.0, 100.0
ROUND = 25  # Adam steps that are handed over together
LBFGS_ITERATIONS = 40  # in a round
LBFGS_ROUNDS = 20  # at most
TOLERANCE = 1e-6  # stop when two rounds of L-BFGS improve the best loss by less
_MULTIPLIER_STEPS = 10  # Adam steps between two updates of the multipliers
_HALVINGS = 12  # of a step of L-BFGS that does not go down enough
_SUFFICIENT = 1e-4  # Armijo's fraction of the slope


class State(NamedTuple):
    """A batch of starts."""

    u: Float[Array, "starts n"]
    multipliers: Float[Array, "starts rows"]
    best_u: Float[Array, "starts n"]
    best_loss: Float[Array, " starts"]  # infinite before any feasible point
    optimiser: Any
    steps: int
    about: tuple = ()  # what else the problem takes, a row for each start


class Visit(NamedTuple):
    """Where each start stood in one step."""

    u: Float[Array, "starts n"]
    point: Point
    best_loss: Float[Array, " starts"]


class Position(NamedTuple):
    """Where a search stands between two rounds: all that it goes on from."""

    state: State
    best: tuple[float, ...] = ()  # the best loss before L-BFGS, and after each of its rounds


class Round(NamedTuple):
    """Some steps, and where the search stands after them."""

    phase: str
    visits: list[Visit]
    position: Position


class Slope(NamedTuple):
    """The augmented Lagrangian at a batch of points."""

    value: Float[Array, " starts"]
    gradient: Float[Array, "starts n"]
    point: Point


class GradientSearcher:
    """The search of one problem."""

    def __init__(self, problem: Problem, learning_rate: float, steps: int) -> None:
        def lagrangian(u: Array, multipliers: Array, penalty: Array, about: tuple) -> tuple[Array, Point]:
            point = problem(u, *about)
            return point.loss + penalised(point.excess, multipliers, penalty), point

        @jax.jit
        def slope(u: Array, multipliers: Array, penalty: Array, about: tuple) -> Slope:
            each = jax.vmap(jax.value_and_grad(lagrangian, has_aux=True), (0, 0, None, 0))
            (value, point), gradient = each(u, multipliers, penalty, about)
            # A point whose score is not finite repels, and is left along the momentum of the steps before.
            value = jnp.where(jnp.isfinite(value), value, jnp.inf)
            return Slope(value, jnp.where(jnp.isfinite(gradient), gradient, 0.0), point)

        def slope_in_v(v: Array, multipliers: Array, penalty: Array, about: tuple) -> Slope:
            found = slope(jnp.sin(v) ** 2, multipliers, penalty, about)
            return found._replace(gradient=found.gradient * jnp.sin(2 * v))

        self._slope, self._slope_v = slope, slope_in_v
        self.inside = Inside(lambda u, *about: problem(u, *about).excess)
        self.steps = steps
        schedule = optax.cosine_decay_schedule(learning_rate, steps, alpha=0.02)
        self._adam = optax.adam(schedule, b1=0.9, b2=0.99)
        self._lbfgs = optax.scale_by_lbfgs(memory_size=20)
        self._adam_update = jax.jit(self._adam.update)
        self._lbfgs_init = jax.jit(jax.vmap(self._lbfgs.init))
        self._lbfgs_update = jax.jit(jax.vmap(self._lbfgs.update))

    def slope(self, u: Array, multipliers: Array, penalty: float, about: tuple = ()) -> Slope:
        """Value and gradient of the augmented Lagrangian, and the scored points."""
        return self._slope(u, multipliers, jnp.asarray(penalty, u.dtype), about)

    def init(self, u: Float[Array, "starts n"], about: tuple = ()) -> State:
        """The starts, ready for Adam."""
        rows = self.inside.jacobian(u, *about)[1].shape[1]
        return State(
            u=u,
            multipliers=jnp.zeros((len(u), rows), u.dtype),
            best_u=u,
            best_loss=jnp.full(len(u), jnp.inf, u.dtype),
            optimiser=self._adam.init(u),
            steps=0,
            about=about,
        )

    def rounds(self, position: Position) -> Iterator[Round]:
        """The rest of a search: Adam up to the given number of steps, then L-BFGS until `stopped` says why not."""
        state, best = position
        while not best and state.steps < self.steps:
            visits = []
            for _ in range(min(ROUND, self.steps - state.steps)):
                state, visit = self.adam_step(state)
                visits.append(visit)
            yield Round("adam", visits, Position(state))
        if not best:
            # L-BFGS starts from the best point where there is one.
            feasible = jnp.isfinite(state.best_loss)
            state = state._replace(u=jnp.where(feasible[:, None], state.best_u, state.u))
            best = (float(jnp.min(state.best_loss)),)
        while self.stopped(best) is None:
            state, visit = self.lbfgs_round(state)
            best = (*best, float(jnp.min(state.best_loss)))
            yield Round("lbfgs", [visit], Position(state, best))

    def stopped(self, best: tuple[float, ...]) -> str | None:
        """Why a search ends where L-BFGS has come to these losses; None where it goes on."""
        if len(best) > 3 and np.isfinite(best[-1]) and best[-3] - best[-1] < TOLERANCE:
            return f"it has converged: two rounds of L-BFGS improved the best loss by less than {TOLERANCE:g}"
        if len(best) > LBFGS_ROUNDS:
            return f"it has spent its {self.steps} Adam steps and {LBFGS_ROUNDS} rounds of L-BFGS"
        return None

    def adam_step(self, state: State) -> tuple[State, Visit]:
        """Score the batch where it stands, and move it one step."""
        slope = self.slope(state.u, state.multipliers, ADAM_PENALTY, state.about)
        state = _keep(state, state.u, slope.point)
        updates, optimiser = self._adam_update(slope.gradient, state.optimiser)
        multipliers = state.multipliers
        if state.steps % _MULTIPLIER_STEPS == _MULTIPLIER_STEPS - 1:
            multipliers = jax.vmap(pull, (0, 0, None))(slope.point.excess, multipliers, ADAM_PENALTY)
        moved = state._replace(
            u=optax.projections.projection_box(state.u + updates, 0.0, 1.0),
            multipliers=multipliers,
            optimiser=optimiser,
            steps=state.steps + 1,
        )
        return moved, Visit(state.u, slope.point, moved.best_loss)

    def lbfgs_round(self, state: State) -> tuple[State, Visit]:
        """Converge on the Lagrangian at fixed multipliers, then update them and step inside the constraints.

        Works in u = sin^2(v): the box is closed, and an optimum on its border is an ordinary minimum in v.
        """
        # Exactly on a border the map has no slope, and the search could not leave it.
        v = jnp.arcsin(jnp.sqrt(jnp.clip(state.u, 1e-5, 1 - 1e-5)))
        optimiser = self._lbfgs_init(v)
        slope = self._slope_in_v(v, state)
        for _ in range(LBFGS_ITERATIONS):
            step, optimiser = self._lbfgs_update(slope.gradient, optimiser, v)
            direction, length, expected = _downhill(step, slope.gradient)
            new, below = self._line_search(v, direction, length, expected, slope, state)
            if not np.any(np.asarray(below.value) < np.asarray(slope.value)):
                break
            v, slope = new, below
        u = jnp.sin(v) ** 2
        state = _keep(state, u, slope.point)
        multipliers = jax.vmap(pull, (0, 0, None))(slope.point.excess, state.multipliers, LBFGS_PENALTY)
        inside = self.inside(u, about=state.about)
        point = self.slope(inside, multipliers, LBFGS_PENALTY, state.about).point
        state = _keep(state, inside, point)
        state = state._replace(u=u, multipliers=multipliers, steps=state.steps + 1)
        return state, Visit(inside, point, state.best_loss)

    def _slope_in_v(self, v: Array, state: State) -> Slope:
        return self._slope_v(v, state.multipliers, jnp.asarray(LBFGS_PENALTY, v.dtype), state.about)

    def _line_search(
        self, v: Array, direction: Array, length: Array, expected: Array, slope: Slope, state: State
    ) -> tuple[Array, Slope]:
        """Halve the step of each start until it goes down enough; a start that finds none stays."""
        best, done = (v, slope), jnp.zeros(len(v), bool)
        for _ in range(_HALVINGS):
            trial = v + length[:, None] * direction
            found = self._slope_in_v(trial, state)
            best, done, length = _take_lower(best, (trial, found), done, slope.value, length, expected)
            if np.all(done):
                break
        return best


@jax.jit
def _downhill(step: Array, gradient: Array) -> tuple[Array, Array, Array]:
    """Direction, first length and slope along it; steepest descent where the curvature misled L-BFGS."""
    descent = jnp.sum(step * gradient, axis=1) > 0
    direction = -jnp.where(descent[:, None], step, gradient)
    # No step across more than a fraction of the box.
    length = jnp.minimum(1.0, 0.3 / jnp.maximum(jnp.max(jnp.abs(direction), axis=1), 1e-12))
    return direction, length, jnp.sum(direction * gradient, axis=1)


@jax.jit
def _take_lower(
    best: Any, trial: Any, done: Array, value: Array, length: Array, expected: Array
) -> tuple[Any, Array, Array]:
    enough = trial[1].value <= value + _SUFFICIENT * length * expected
    best = jax.tree.map(lambda new, old: jnp.where(_like(enough & ~done, new), new, old), trial, best)
    done = done | enough
    return best, done, jnp.where(done, length, length / 2)


def _like(mask: Array, array: Array) -> Array:
    return mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim))


def _keep(state: State, u: Array, point: Point) -> State:
    better = (point.loss < state.best_loss) & jnp.all(point.excess <= FEASIBLE, axis=1) & jnp.isfinite(point.loss)
    return state._replace(
        best_u=jnp.where(better[:, None], u, state.best_u), best_loss=jnp.where(better, point.loss, state.best_loss)
    )
