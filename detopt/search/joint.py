"""Design and head together, by stochastic gradients: several steps of the head for each step of the design.

At a head's best weights the loss does not change with them to first order, so the gradient of the design at a trained head
is the gradient of what a freshly trained head would reach. Every step draws fresh events. What the search keeps is judged
on events of a validation key that no step has seen, after a move inside the constraints; these are exact, not sampled.

A step takes its gradient from several batches of events, and their spread is its error. Adam divides by the root mean square
of the gradient, error included, so that steps shrink where noise prevails; where it drowns the signal of a whole round, the
number of batches doubles.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
import optax
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.inference.heads import Head
from detopt.inference.training import learn, split
from detopt.search.constraints import Inside, penalised, pull
from detopt.search.problem import FEASIBLE, Point, Problem

__all__ = ["BATCHES", "JointRound", "JointSearcher", "JointState", "drowned", "is_better"]

PENALTY = 10.0
ROUND = 10  # design steps between two validations
BATCHES, MOST = 2, 8  # of events for a step: at first, and at most


class JointState(NamedTuple):
    """One start."""

    u: Float[Array, " n"]
    multipliers: Float[Array, " rows"]
    design_optimiser: Any
    weights: Any  # of the head, None without
    head_optimiser: Any
    step: Array
    batches: Array  # of events in the next steps


class JointRound(NamedTuple):
    """Some steps of one start, and what validation says after them."""

    u: Float[Array, "steps n"]
    points: Point  # of every step, on its own events
    slopes: Float[Array, "steps n"]  # of the loss, constraints included
    errors: Float[Array, "steps n"]  # their standard errors
    batches: int  # of events that each step took
    state: JointState
    candidate: Float[Array, " n"]  # the design after the steps, inside the constraints
    validated: Point  # the candidate on the validation events


class JointSearcher:
    """The search of one problem, from one start at a time."""

    def __init__(
        self,
        problem: Problem,
        limits: Callable[[Float[Array, " n"]], Float[Array, " rows"]],
        validation: Callable[[Float[Array, " n"], Any], Point],
        exposures: Callable[[Float[Array, " n"], jax.Array, int], Any] | None,
        head: Head | None,
        learning_rate: float,
        steps: int,
    ) -> None:
        """
        Args:
            problem: called as problem(u, head, key), on one batch of events.
            limits: the constraints at u; no sampling.
            validation: the point at u with a head, on events that are always the same.
            exposures: fresh muons at u for the head: exposures(u, key, number).
            head: its settings, or None.
            learning_rate: Adam's step of the design, in units of a variable's range, falling to a fiftieth.
            steps: of the design.
        """
        self.problem, self.head, self.steps = problem, head, steps
        self.inside = Inside(limits)
        self._limits, self._exposures = limits, exposures
        self.validate = eqx.filter_jit(validation)
        schedule = optax.cosine_decay_schedule(learning_rate, steps, alpha=0.02)
        self._adam = optax.adam(schedule, b1=0.9, b2=0.99)
        self._head_adam = None if head is None else optax.adam(head.learning_rate * head.final)
        self._round = eqx.filter_jit(self._many_steps)

    def init(self, u: Float[Array, " n"], network: Any) -> tuple[JointState, Any]:
        """A start with a head that is warm; also the head's untrained rest."""
        weights, rest = (None, None) if network is None else split(network)
        head_state = None if self._head_adam is None else self._head_adam.init(weights)
        rows = jax.eval_shape(self._limits, u).shape
        state = JointState(
            u,
            jnp.zeros(rows, u.dtype),
            self._adam.init(u),
            weights,
            head_state,
            jnp.zeros((), jnp.int32),
            jnp.full((), BATCHES, jnp.int32),
        )
        return state, rest

    def rounds(
        self, u: Float[Array, " n"], network: Any, key: jax.Array, state: JointState | None = None
    ) -> Iterator[JointRound]:
        """All steps of one start, or those that are left after a state that they have come to."""
        begun, rest = self.init(u, network)
        state = begun if state is None else state
        while (done := int(state.step)) < self.steps:
            keys = jax.random.split(jax.random.fold_in(key, done), ROUND)[: self.steps - done]
            batches = int(state.batches)
            state, (us, points, slopes, errors) = self._round(state, rest, keys)
            if drowned(*(np.asarray(x, float) for x in (us, slopes, errors))):
                state = state._replace(batches=jnp.minimum(2 * state.batches, MOST))
            candidate = self.inside(state.u[None])[0]
            validated = self.validate(candidate, self.network(state, rest))
            yield JointRound(us, points, slopes, errors, batches, state, candidate, validated)

    def standing(
        self, u: Float[Array, " n"], state: JointState, network: Any, key: jax.Array, rounds: int
    ) -> Float[np.ndarray, "steps n"]:
        """Gradients of the loss at a design that does not move, each from events of its own.

        Args:
            u: the design; no constraint is missed.
            state: of a start that came by: its head, and how many batches of events a step takes.
            network: that the start began with; None without a head.
            key: of the events.
            rounds: of steps.
        """
        rest = None if network is None else split(network)[1]
        adam, *others = state.design_optimiser
        # What the search has compiled serves as it is: an endless second moment lets Adam make no step.
        still = adam._replace(mu=jnp.zeros_like(u), nu=jnp.full_like(u, 1e30))
        zero = jnp.zeros_like(state.multipliers)
        state = state._replace(
            u=u, multipliers=zero, design_optimiser=(still, *others), step=jnp.zeros_like(state.step)
        )
        found = []
        for i in range(rounds):
            keys = jax.random.split(jax.random.fold_in(key, i), ROUND)[: self.steps]
            state, (_, _, slopes, _) = self._round(state, rest, keys)
            found.append(np.asarray(slopes, float))
        return np.concatenate(found)

    @staticmethod
    def network(state: JointState, rest: Any) -> Any:
        """The head as it stands."""
        return None if rest is None else eqx.combine(state.weights, rest)

    def _many_steps(self, state: JointState, rest: Any, keys: Any) -> tuple[JointState, Any]:
        return jax.lax.scan(lambda s, key: self._step(s, rest, key), state, keys)

    def _step(
        self, state: JointState, rest: Any, key: jax.Array
    ) -> tuple[JointState, tuple[Array, Point, Array, Array]]:
        for_head, for_design = jax.random.split(key)
        weights, head_state = self._learn(state, rest, for_head)
        network = None if rest is None else eqx.combine(weights, rest)

        one = jnp.ones((), state.u.dtype)

        def lagrangian(u: Array, key: jax.Array) -> tuple[Array, Point]:
            point = self.problem(u, network, key)
            return point.loss + penalised(point.excess, state.multipliers, PENALTY), point

        def batch(number: Array, sums: tuple[Array, Point, Array, Array]) -> tuple[Array, Point, Array, Array]:
            key = jax.random.fold_in(for_design, number)
            (_, point), slope = jax.value_and_grad(lagrangian, has_aux=True)(state.u, key)
            # A batch without a single track has no score, and must not cost the others theirs.
            some = jnp.isfinite(point.loss) & jnp.isfinite(slope).all()
            new = (one, point, slope, slope**2)
            return jax.tree.map(lambda total, x: total + jnp.where(some, x, 0.0), sums, new)

        # A loop of any length, so that more batches need no compilation.
        nothing = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(lagrangian, state.u, for_design)[1]
        )
        zero = jnp.zeros_like(state.u)
        good, *sums = jax.lax.fori_loop(0, state.batches, batch, (jnp.zeros_like(one), nothing, zero, zero))
        point, slope, square = jax.tree.map(lambda x: x / good, tuple(sums))
        error = jnp.sqrt(jnp.maximum(square - slope**2, 0.0) / jnp.maximum(good - 1, 1.0))
        updates, optimiser = self._adam.update(jnp.where(jnp.isfinite(slope), slope, 0.0), state.design_optimiser)
        moved = JointState(
            u=optax.projections.projection_box(state.u + updates, 0.0, 1.0),
            multipliers=jnp.where(
                state.step % 10 == 9, pull(point.excess, state.multipliers, PENALTY), state.multipliers
            ),
            design_optimiser=optimiser,
            weights=weights,
            head_optimiser=head_state,
            step=state.step + 1,
            batches=state.batches,
        )
        return moved, (state.u, point, slope, error)

    def _learn(self, state: JointState, rest: Any, key: jax.Array) -> tuple[Any, Any]:
        """The head's own steps, on fresh muons of the design as it stands."""
        if self.head is None or self._exposures is None or self._head_adam is None:
            return state.weights, state.head_optimiser
        steps = self.head.steps_per_design
        size = self.head.together
        fresh = jax.lax.stop_gradient(self._exposures(state.u, key, steps * size * self.head.exposure))
        batches = jax.tree.map(lambda x: x.reshape(steps, size, *x.shape[1:]), fresh)

        def step(carry: tuple[Any, Any], batch: Any) -> tuple[tuple[Any, Any], Array]:
            weights, optimiser, loss = learn(self._head_adam, carry[0], rest, carry[1], batch)
            return (weights, optimiser), loss

        return jax.lax.scan(step, (state.weights, state.head_optimiser), batches)[0]


def drowned(
    at: Float[np.ndarray, "steps n"], slope: Float[np.ndarray, "steps n"], error: Float[np.ndarray, "steps n"]
) -> bool:
    """Whether the mean gradient of a round of steps is no larger than its error.

    What pushes against the end of its range all the time says nothing.
    """
    held = ((at <= 0) & (slope > 0)).all(0) | ((at >= 1) & (slope < 0)).all(0)
    noise = np.where(held, 0.0, np.mean(error**2, axis=0)).sum() / len(at)
    # The square of a mean holds its noise.
    return bool(np.where(held, 0.0, np.mean(slope, axis=0) ** 2).sum() - noise < noise)


def is_better(point: Point, best: float) -> bool:
    """Whether a validated point meets the constraints and has a lower loss."""
    return bool(np.all(np.asarray(point.excess) <= FEASIBLE)) and float(point.loss) < best
