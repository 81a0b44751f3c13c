"""Scores, gradients and constraints of a study for many designs at once, scaled as a search for a front wants them."""

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np
from jaxtyping import Bool, Float

from detopt.backend import jax, jnp
from detopt.search.constraints import Inside
from detopt.search.problem import FEASIBLE
from detopt.simulation.streams import stream
from detopt.study.edges import check_ranges
from detopt.study.evaluate import array_space, make_evaluator, make_sampler
from detopt.study.faults import BadInput, Fault
from detopt.study.optimise import Infeasible
from detopt.study.studies import Study

__all__ = ["PILOT", "FrontSimulator", "Scale"]

BATCH = 32  # designs that are scored in one call
PILOT = 64  # designs that tell how much the objectives vary
LEAST_WIDTH = 0.05  # of a logarithm
ACTIVE = 1e-4  # a constraint that is met by less holds a design back


class Scale(NamedTuple):
    """From values of objectives to what a search makes small: logarithms, 0 at the worst of interest."""

    signs: Float[np.ndarray, " m"]
    worst: Float[np.ndarray, " m"]
    width: Float[np.ndarray, " m"]

    def __call__(self, values: Float[np.ndarray, "p m"]) -> Float[np.ndarray, "p m"]:
        return self.signs * (np.log(values) - np.log(self.worst)) / self.width

    def back(self, scaled: Float[np.ndarray, "p m"]) -> Float[np.ndarray, "p m"]:
        """Values of the objectives again."""
        return np.exp(self.signs * scaled * self.width + np.log(self.worst))


class FrontSimulator:
    """The simulator of one study. Raises BadInput or Infeasible where no design can be scored."""

    def __init__(self, study: Study, scale: Scale | None = None) -> None:
        """The scale is that of a search that goes on; a new one is found from a few designs."""
        self.study = study
        self.space = array_space(study)
        self.key = jax.random.key(study.seed)
        if study.mode == "sampled":
            self.evaluate: Any = make_sampler(study, study.front.events)
        else:
            check_ranges(study)
            self.evaluate = make_evaluator(study)
        space, evaluate = self.space, self.evaluate
        # One by one where each is a scan over many events, all at once where it is a few small matrices.
        many = jax.vmap if study.mode == "expected" else (lambda f: lambda *a: jax.lax.map(lambda x: f(*x), a))

        def values(u: Any, key: Any) -> Any:
            return evaluate(space.place(u), None, key).values

        def slope(u: Any, weights: Any, key: Any) -> Any:
            return jax.grad(lambda u: jnp.sum(weights * jnp.log(values(u, key))))(u)

        def excess(u: Any) -> Any:
            return evaluate.limits(space.place(u))

        self._values = jax.jit(many(values))
        self._slopes = jax.jit(many(slope))
        self._excess = jax.jit(jax.vmap(excess))
        self.inside = Inside(excess) if study.constraints else None
        self.scale = self._pilot() if scale is None else scale

    def scores(self, u: Float[np.ndarray, "p n"], key: jax.Array) -> Float[np.ndarray, "p m"]:
        """Scaled objectives of many designs; NaN where one cannot be scored or misses a constraint."""
        return self.scale(self._objectives(u, key))

    def slopes(
        self, u: Float[np.ndarray, "p n"], weights: Float[np.ndarray, "p m"], key: jax.Array
    ) -> Float[np.ndarray, "p n"]:
        """Gradients of weighted sums of the same."""
        weights = weights * (self.scale.signs / self.scale.width)
        return _batches(self._slopes, u, weights, jax.random.split(key, len(u)))

    def gradients(self, u: Float[np.ndarray, "p n"], key: jax.Array) -> Float[np.ndarray, "p m n"]:
        """Of all objectives."""
        unit = np.eye(len(self.study.objectives))
        return np.stack([self.slopes(u, np.tile(row, (len(u), 1)), key) for row in unit], axis=1)

    def limits(self, u: Float[np.ndarray, "p n"]) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of the constraints, and which are active."""
        if self.inside is None:
            return np.zeros((len(u), 0, u.shape[1])), np.zeros((len(u), 0), bool)
        slopes, excess = self.inside.jacobian(jnp.asarray(u))
        return np.asarray(slopes), np.asarray(excess) > -ACTIVE

    def _objectives(self, u: Float[np.ndarray, "p n"], key: jax.Array) -> Float[np.ndarray, "p m"]:
        found = _batches(self._values, u, jax.random.split(key, len(u)))
        return np.where(self._meets(u)[:, None] & (found > 0) & np.isfinite(found), found, np.nan)

    def _meets(self, u: Float[np.ndarray, "p n"]) -> Bool[np.ndarray, " p"]:
        return np.all(_batches(self._excess, u) <= FEASIBLE, axis=1)

    def _pilot(self) -> Scale:
        """From the initial design, the worst values that the study names, and random designs."""
        objectives = self.study.objectives.values()
        rng = np.random.default_rng([self.study.seed, *b"pilot"])
        u = rng.uniform(size=(PILOT, len(self.space)))
        u[0] = self.study.space.init
        if self.inside is not None:
            u[1:] = np.array(self.inside(jnp.asarray(u)))[1:]
        found = self._objectives(u, stream(self.key, "pilot"))
        if not np.isfinite(found).all(axis=1).any():
            self._refuse(u)
        signs = np.array([1.0 if t.goal == "minimise" else -1.0 for t in objectives])
        start = np.where(np.isfinite(found[0]), found[0], np.nanmedian(found, axis=0))
        named = np.array([getattr(t, "worst", None) or np.nan for t in objectives])
        worst = np.where(np.isnan(named), start * 2.0**signs, named)
        best = np.nanquantile(signs * np.log(found), 0.05, axis=0)
        return Scale(signs, worst, np.maximum(signs * np.log(worst) - best, LEAST_WIDTH))

    def _refuse(self, u: Float[np.ndarray, "p n"]) -> NoReturn:
        """Why none of these designs can be scored."""
        study = self.study
        missed = _batches(self._excess, u) > FEASIBLE
        if missed.any(axis=1).all():
            score = jax.eval_shape(lambda u: self.evaluate(self.space.place(u), None, self.key), jnp.asarray(u[0]))
            rows = dict.fromkeys(score.constraint_names[j] for j in np.flatnonzero(missed.all(axis=0)))
            which = f"{', '.join(rows)} cannot be met" if rows else "the constraints cannot hold together"
            raise Infeasible(f"{which} by any of {PILOT} designs over the bounds: loosen it, or widen the bounds")
        message = "no objective of the initial design or of random ones is a positive number; do enough layers measure?"
        raise BadInput([Fault(str(study.path), *study.document.position(("objectives",)), "objectives", message)])


def _batches(compiled: Callable[..., Any], *columns: Any) -> np.ndarray:
    """Call what is compiled for a fixed number of rows with any number of them."""
    found = []
    for first in range(0, len(columns[0]), BATCH):
        part = [c[first : first + BATCH] for c in columns]
        missing = BATCH - len(part[0])
        part = [jnp.concatenate([jnp.asarray(c), jnp.repeat(jnp.asarray(c)[:1], missing, axis=0)]) for c in part]
        found.append(np.asarray(compiled(*part))[: BATCH - missing])
    return np.concatenate(found)
