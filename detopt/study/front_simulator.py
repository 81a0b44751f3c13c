"""Scores, gradients and constraints of a study for many designs at once, scaled as a search for a front wants them."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays
from detopt.search.constraints import Inside
from detopt.search.problem import FEASIBLE
from detopt.simulation.streams import stream
from detopt.study.edges import check_ranges
from detopt.study.evaluate import array_space, evaluator_key, make_evaluator, make_sampler
from detopt.study.faults import BadInput, Fault
from detopt.study.front_box import FrontBox
from detopt.study.optimise import Infeasible
from detopt.study.reach import check_reach
from detopt.study.studies import Study

if TYPE_CHECKING:
    from detopt.study.cluster import Cluster

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


class _Kind:
    """What is compiled for all combinations whose designs are made of the same elements."""

    def __init__(self, study: Study) -> None:
        if study.mode == "sampled":
            evaluate: Any = make_sampler(study, study.front.events)
        else:
            check_ranges(study)
            check_reach(study)
            evaluate = make_evaluator(study)
        # One by one where each is a scan over many events, all at once where it is a few small matrices.
        self.batch = BATCH if study.mode == "expected" else 1
        many = jax.vmap if study.mode == "expected" else (lambda f: lambda *a: jax.lax.map(lambda x: f(*x), a))

        def at(u: Any, detector: Any) -> Any:
            return replace(study.space, detector=detector).place(u)

        def score(u: Any, detector: Any, key: Any) -> Any:
            return evaluate(at(u, detector), None, jax.random.wrap_key_data(key))

        def values(u: Any, detector: Any, key: Any) -> Any:
            return score(u, detector, key).values

        def slope(u: Any, detector: Any, weights: Any, key: Any) -> Any:
            return jax.grad(lambda u: jnp.sum(weights * jnp.log(values(u, detector, key))))(u)

        def excess(u: Any, detector: Any) -> Any:
            return evaluate.limits(at(u, detector))

        self.score = score
        self.values = jax.jit(many(values))
        self.slopes = jax.jit(many(slope))
        self.excess = jax.jit(jax.vmap(excess))
        self.inside = Inside(excess)

    def moved_inside(self, u: Array, designs: Any) -> Array:
        """To the nearest points that meet the constraints."""
        return self.inside(u, about=(designs,))

    def limits(self, u: Array, designs: Any) -> tuple[Array, Array]:
        """Gradients of the constraints, and by how much they are missed."""
        return self.inside.jacobian(jnp.asarray(u), designs)


class _Group(NamedTuple):
    """Points whose designs are made of the same elements."""

    rows: Int[np.ndarray, " p"]
    kind: _Kind
    columns: Int[np.ndarray, " c"]  # of the box
    designs: Any  # detectors of arrays, stacked


class FrontSimulator:
    """The simulator of one study. Raises BadInput or Infeasible where no design can be scored."""

    def __init__(self, study: Study, scale: Scale | None = None, cluster: "Cluster | None" = None) -> None:
        """The scale is that of a search that goes on; a new one is found from a few designs."""
        self.study, self.box, self.cluster = study, FrontBox(study), cluster
        self.key = jax.random.key(study.seed)
        self._kinds: dict[Any, _Kind] = {}
        self._audits: dict[tuple[int, ...], Callable[..., Any]] = {}  # for each combination of options
        self.scale = self._pilot() if scale is None else scale

    def scores(self, u: Float[np.ndarray, "p n"], key: jax.Array) -> Float[np.ndarray, "p m"]:
        """Scaled objectives of many designs; NaN where one cannot be scored or misses a constraint."""
        return self.scale(self._objectives(u, key))

    def slopes(
        self, u: Float[np.ndarray, "p n"], weights: Float[np.ndarray, "p m"], key: jax.Array
    ) -> Float[np.ndarray, "p n"]:
        """Gradients of weighted sums of the same; options have none."""
        return self._shared("weighed", u, weights * (self.scale.signs / self.scale.width), _keys(key, len(u)))

    def values(self, u: Float[np.ndarray, "p n"], keys: UInt32[np.ndarray, "p k"]) -> Float[np.ndarray, "p m"]:
        """Objectives as they are, each design on the events of its own key (the data of one); computed here."""
        found = np.full((len(u), len(self.study.objectives)), np.nan)
        for rows, kind, columns, designs in self._groups(u):
            found[rows] = _batches(kind.batch, kind.values, u[np.ix_(rows, columns)], designs, keys[rows])
        return found

    def weighed(
        self, u: Float[np.ndarray, "p n"], weights: Float[np.ndarray, "p m"], keys: UInt32[np.ndarray, "p k"]
    ) -> Float[np.ndarray, "p n"]:
        """Gradients of weighted sums of their logarithms; computed here."""
        found = np.zeros_like(u)
        for rows, kind, columns, designs in self._groups(u):
            inner = u[np.ix_(rows, columns)]
            found[np.ix_(rows, columns)] = _batches(kind.batch, kind.slopes, inner, designs, weights[rows], keys[rows])
        return found

    def audited(self, u: Float[np.ndarray, "p n"], keys: Any) -> Iterator[Float[np.ndarray, "2 m"]]:
        """Values and errors of designs on the audit's events, one after the other; by the cluster where there is one."""
        data = np.asarray(jax.random.key_data(keys))
        if self.cluster is None:
            return (self.audit(*row) for row in zip(u, data, strict=True))
        return self.cluster.map(self.study, "audit", u, data)

    def audit(self, u: Float[np.ndarray, " n"], key: UInt32[np.ndarray, " k"]) -> Float[np.ndarray, "2 m"]:
        """Values and errors of one design on the events of the audit; computed here."""
        options = tuple(self.box.codes.options(u[None])[0].tolist())
        variant = self.box.variant(options)
        assert variant is not None  # it had a score
        if options not in self._audits:
            space, evaluate = array_space(variant), make_sampler(variant, variant.audit.events)
            self._audits[options] = jax.jit(
                lambda u, key: evaluate(space.place(u), None, jax.random.wrap_key_data(key))
            )
        score = self._audits[options](jnp.asarray(u[self.box.columns(variant)]), jnp.asarray(key))
        return np.stack([score.values, score.errors])

    def _shared(self, what: str, *columns: np.ndarray) -> np.ndarray:
        """`values` or `weighed` of some designs, by the cluster where there is one."""
        if self.cluster is None:
            found: np.ndarray = getattr(self, what)(*columns)
            return found
        number = self.cluster.pieces(len(columns[0]))
        parts = [np.array_split(column, number) for column in columns]
        return np.concatenate([*self.cluster.map(self.study, what, *parts)])

    def gradients(self, u: Float[np.ndarray, "p n"], key: jax.Array) -> Float[np.ndarray, "p m n"]:
        """Of all objectives."""
        unit = np.eye(len(self.study.objectives))
        return np.stack([self.slopes(u, np.tile(row, (len(u), 1)), key) for row in unit], axis=1)

    def limits(self, u: Float[np.ndarray, "p n"]) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of the constraints, and which are active."""
        parts = [
            (group, *_whole(group.kind.limits, u[np.ix_(group.rows, group.columns)], group.designs))
            for group in self._groups(u)
        ]
        most = max((excess.shape[1] for _, _, excess in parts), default=0)
        slopes, active = np.zeros((len(u), most, u.shape[1])), np.zeros((len(u), most), bool)
        for (rows, _, columns, _), slope, excess in parts:
            own = np.arange(excess.shape[1])
            slopes[np.ix_(rows, own, columns)] = slope
            active[np.ix_(rows, own)] = excess > -ACTIVE
        return slopes, active

    @property
    def inside(self) -> Callable[[Float[np.ndarray, "p n"]], Float[np.ndarray, "p n"]] | None:
        """Moves points inside the constraints; None where there are none."""
        return self._inside if self.study.constraints else None

    def _inside(self, u: Float[np.ndarray, "p n"]) -> Float[np.ndarray, "p n"]:
        u = u.copy()
        for rows, kind, columns, designs in self._groups(u):
            at = np.ix_(rows, columns)
            u[at] = _whole(kind.moved_inside, u[at], designs)
        return u

    def _groups(self, u: Float[np.ndarray, "p n"]) -> Iterator[_Group]:
        """All points, by what their designs are made of."""
        listed: dict[_Kind, list[tuple[np.ndarray, Study]]] = {}
        for rows, variant in self.box.variants(u):
            listed.setdefault(self._kind(variant), []).append((rows, variant))
        for kind, members in listed.items():
            rows = np.concatenate([rows for rows, _ in members])
            designs = [as_arrays(variant.detector) for _, variant in members]
            repeats = np.array([len(rows) for rows, _ in members])
            stacked = jax.tree.map(lambda *each, r=repeats: np.repeat(np.array(each), r), *designs)
            yield _Group(rows, kind, self.box.columns(members[0][1]), stacked)

    def _kind(self, variant: Study) -> _Kind:
        key = evaluator_key(variant)
        if key not in self._kinds:
            self._kinds[key] = _Kind(variant)
        return self._kinds[key]

    def _objectives(self, u: Float[np.ndarray, "p n"], key: jax.Array) -> Float[np.ndarray, "p m"]:
        meets = np.all(self.excess(u) <= FEASIBLE, axis=1)
        found = self._shared("values", u, _keys(key, len(u)))
        return np.where(meets[:, None] & (found > 0) & np.isfinite(found), found, np.nan)

    def excess(self, u: Float[np.ndarray, "p n"]) -> Float[np.ndarray, "p rows"]:
        """By what the constraints are missed, met where it is <= 0.

        A design that has fewer of them meets the others; one whose options do not go together meets none.
        """
        parts = [
            (g.rows, _batches(BATCH, g.kind.excess, u[np.ix_(g.rows, g.columns)], g.designs)) for g in self._groups(u)
        ]
        found = np.full((len(u), max((part.shape[1] for _, part in parts), default=0)), np.inf)
        for rows, part in parts:
            found[rows] = -np.inf
            found[rows, : part.shape[1]] = part
        return found

    def _pilot(self) -> Scale:
        """From the initial design, the worst values that the study names, and random designs."""
        objectives = self.study.objectives.values()
        rng = np.random.default_rng([self.study.seed, *b"pilot"])
        continuous = rng.uniform(size=(PILOT, self.box.codes.continuous))
        u = self.box.codes.with_codes(continuous, self.box.codes.balanced(PILOT, rng))
        u[0] = self.box.start[0]
        if self.inside is not None:
            u[1:] = self._inside(u)[1:]
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
        missed = self.excess(u) > FEASIBLE
        if missed.any(axis=1).all():
            _, kind, columns, designs = max(self._groups(u), key=lambda g: len(g.columns))
            one = jax.tree.map(lambda x: x[0], (u[:, columns], designs))
            names = jax.eval_shape(kind.score, *one, self.key).constraint_names
            rows = dict.fromkeys(names[j] for j in np.flatnonzero(missed.all(axis=0)) if j < len(names))
            which = f"{', '.join(rows)} cannot be met" if rows else "the constraints cannot hold together"
            raise Infeasible(f"{which} by any of {PILOT} designs over the bounds: loosen it, or widen the bounds")
        message = "no objective of the initial design or of random ones is a positive number; do enough layers measure?"
        raise BadInput([Fault(str(study.path), *study.document.position(("objectives",)), "objectives", message)])


def _keys(key: jax.Array, number: int) -> UInt32[np.ndarray, "p k"]:
    """The data of a key for each design."""
    return np.asarray(jax.random.key_data(jax.random.split(key, number)))


def _batches(size: int, compiled: Callable[..., Any], *columns: Any) -> np.ndarray:
    """Call what is compiled for so many rows with any number of them."""
    found = []
    for first in range(0, len(columns[0]), size):
        part = [jax.tree.map(lambda c, first=first: c[first : first + size], c) for c in columns]
        found.append(_whole(compiled, *part, batch=size))
    return np.concatenate(found)


def _whole(compiled: Callable[..., Any], *columns: Any, batch: int = BATCH) -> Any:
    """Call it once, with the first row again until there are whole batches: few shapes have to be compiled."""
    number = len(columns[0])
    missing = math.ceil(number / batch) * batch - number

    def padded(column: Any) -> Array:
        return jnp.concatenate([jnp.asarray(column), jnp.repeat(jnp.asarray(column)[:1], missing, axis=0)])

    found = compiled(*(jax.tree.map(padded, c) for c in columns))
    return jax.tree.map(lambda x: np.asarray(x)[:number], found)
