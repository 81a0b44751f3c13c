"""Design in, score out: `evaluate(design, head, key) -> Score`, pure, jit-able, vmap-able and differentiable."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from detopt.backend import jax, jnp
from detopt.detector.cost import Prices, cost
from detopt.detector.detector import Detector
from detopt.detector.sensor import Surface
from detopt.reconstruction.expected import ExpectedTracks, expected_tracks, fewest_hits
from detopt.reconstruction.patterns import hit_patterns
from detopt.scoring.core import GAUSSIAN
from detopt.scoring.peak import Channel, Pairs, channel_of
from detopt.scoring.rejection import mistag_rate
from detopt.scoring.score import Score
from detopt.simulation.physics import Physics
from detopt.simulation.source import Decay, Gun

__all__ = ["Evaluator", "HeadLoss", "View", "constraint_rows", "limits_of", "score_terms"]


class Nodes(NamedTuple):
    """The part of the tracks that one term looks at."""

    weight: Float[Array, " N"]
    efficiency: Float[Array, " N"]
    tracks: ExpectedTracks

    def measured(self, of: str) -> Float[Array, " N"]:
        """How often a track measures it."""
        return self.tracks.z_efficiency if of in ("z0", "theta") else self.tracks.efficiency

    def variance(self, of: str) -> Float[Array, " N"]:
        """Variance of a track parameter."""
        return getattr(self.tracks, of)


class HeadLoss(NamedTuple):
    """How well a head does: its mean loss, and the mean squared error of its answer."""

    loss: Float[Array, ""]
    squared_error: Float[Array, ""]


class View:
    """An evaluated design, as objectives and constraints see it."""

    def __init__(
        self,
        design: Detector,
        prices: Prices,
        tracks: ExpectedTracks | None,
        rows: Mapping[Any, tuple[np.ndarray, np.ndarray]],
        head: HeadLoss | None = None,
        means: Mapping[Any, Float[Array, " k"]] | None = None,
        pairs: Pairs | None = None,
    ) -> None:
        self._design, self._tracks, self._rows, self._pairs = design, tracks, rows, pairs
        self.head, self.means = head, means
        self.dtype = jnp.result_type(*jax.tree.leaves(design))
        self.cost = cost(design, prices)
        self.sensors, self.surfaces = design.sensors(), design.surfaces()

    def nodes(self, term: Any) -> Nodes:
        """The particles that a term averages over."""
        assert self._tracks is not None
        index, weight = self._rows[(term.momentum, term.theta)]
        tracks = ExpectedTracks(*(column[index] for column in self._tracks))
        return Nodes(jnp.asarray(weight, tracks.efficiency.dtype), tracks.efficiency, tracks)

    def mistag_rate(self, term: Any) -> Float[Array, ""]:
        """Of a cut on d0 with the efficiency that a term asks for."""
        nodes = self.nodes(term)
        variance = nodes.variance("d0") + term.vertex**2
        return mistag_rate(nodes.weight, nodes.measured("d0"), variance, term.flight, term.efficiency)

    def mean(self, term: Any) -> Float[Array, " k"]:
        """The weighted means of a term's statistics over the muons of a beam line or portal."""
        assert self.means is not None
        return self.means[term]

    def core_width(self, term: Any) -> Float[Array, ""]:
        """Width of the core of a residual, whose statistics are its weight and its weighted square."""
        weight, square = self.mean(term)
        return jnp.sqrt(square / weight / GAUSSIAN)

    def peak(self, term: Any) -> Channel:
        """What a peak over background tells."""
        assert self._pairs is not None
        return channel_of(term, self.mean(term), self._pairs)

    def gaps(self) -> list[Array]:
        """Distances between neighbouring layers of one kind that measure, from the inside out, in mm."""
        found: list[Array] = []
        for kinds in (("cylinder",), ("disk", "plane")):
            positions = [s.position for s in self.sensors if s.kind in kinds]
            if len(positions) > 1:
                found += list(jnp.diff(jnp.sort(jnp.stack(positions))))
        return found

    def part(self, name: str) -> Any:
        """An element of the design."""
        return self._design.part(name)

    def reach(self, surface: Surface) -> Any:
        """How far the corners of a plane are from its middle along z, in mm."""
        return surface.reach(jnp.sin, jnp.cos)

    def height(self) -> Float[Array, ""]:
        """From the lowest end of a sensor to the highest along z, in mm."""
        low = jnp.stack([s.position - self.reach(s) for s in self.sensors])
        high = jnp.stack([s.position + self.reach(s) for s in self.sensors])
        return jnp.max(high) - jnp.min(low)

    def with_pitch(self, names: tuple[str, ...]) -> list[Any]:
        """The named elements, or all that have a pitch."""
        pitched = (e for e in self._design.elements if getattr(e, "pitch", None) is not None)
        return [e for e in pitched if e.name in names or not names]


def score_terms(objectives: Mapping[str, Any], constraints: Mapping[str, Any], view: View) -> Score:
    """The terms of an evaluated design, without errors."""
    dtype = view.dtype

    def stack(values: Iterable[Any]) -> Array:
        listed = [jnp.asarray(v, dtype) for v in values]
        return jnp.stack(listed) if listed else jnp.zeros(0, dtype)

    values = stack(term.value(view) for term in objectives.values())
    excess = {name: term.excess(view) for name, term in constraints.items()}
    rows = stack(row for each in excess.values() for row in each)
    return Score(
        objective_names=tuple(objectives),
        values=values,
        errors=jnp.zeros_like(values),
        constraint_names=tuple(name for name, each in excess.items() for _ in each),
        excess=rows,
        excess_errors=jnp.zeros_like(rows),
        cost_names=tuple(view.cost),
        costs=stack(view.cost.values()),
    )


def limits_of(constraints: Mapping[str, Any], prices: Prices, design: Detector) -> Float[Array, " rows"]:
    """Constraints that ask for the design alone; feasible when <= 0."""
    return score_terms({}, constraints, View(design, prices, None, {})).excess


def constraint_rows(constraints: Mapping[str, Any], prices: Prices, design: Detector) -> tuple[str, ...]:
    """The constraint that each row of the same belongs to."""
    return score_terms({}, constraints, View(design, prices, None, {})).constraint_names


class Evaluator:
    """`evaluate` of one study in `expected` mode: call it as evaluate(design, head, key)."""

    def __init__(
        self,
        objectives: Mapping[str, Any],
        constraints: Mapping[str, Any],
        prices: Prices,
        source: Gun | Decay,
        physics: Physics,
        least_efficient: Detector,
        min_hits: int | None = None,
    ) -> None:
        """
        Args:
            objectives: terms by name, see `detopt.scoring.terms`.
            constraints: likewise.
            prices: for the cost.
            source: what the terms average over.
            physics: which effects are on.
            least_efficient: the detector (floats) with every efficiency at the smallest value it may take; tells which
                hit patterns matter.
            min_hits: hits that make a track; one more than the fit needs where it is not given.

        Raises:
            ValueError: too many hit patterns.
        """
        self.objectives, self.constraints, self.prices = dict(objectives), dict(constraints), prices
        self.source, self.physics = source, physics
        self.min_hits = fewest_hits(least_efficient) + 1 if min_hits is None else min_hits
        listed = least_efficient.surfaces()
        measures = [s.resolution is not None for s in listed]
        efficiency = np.array([s.efficiency if m else 1.0 for s, m in zip(listed, measures, strict=True)])
        self.patterns, self.neglected = hit_patterns(efficiency, max(sum(measures) - self.min_hits, 0))
        self.particles, self._rows = self._collect()

    def _collect(self) -> tuple[np.ndarray, dict[Any, tuple[np.ndarray, np.ndarray]]]:
        """The distinct particles of all terms, stacked into one fit, and which rows belong to which term."""
        particles: dict[tuple[float, float], int] = {}
        rows = {}
        for term in (*self.objectives.values(), *self.constraints.values()):
            if not hasattr(term, "momentum"):
                continue
            nodes = self.source.nodes(term.momentum, term.theta)
            index = [particles.setdefault((p, t), len(particles)) for p, t, _ in nodes.tolist()]
            rows[(term.momentum, term.theta)] = (np.array(index), nodes[:, 2])
        return np.array(list(particles)).reshape(-1, 2), rows

    def tracks(self, design: Detector) -> ExpectedTracks:
        """Expected tracks of `self.particles`."""
        return expected_tracks(design, self.particles, self.source.charge, self.physics, self.patterns, self.min_hits)

    def limits(self, design: Detector) -> Float[Array, " rows"]:
        """The constraints of a design; none of them may ask for tracks."""
        return limits_of(self.constraints, self.prices, design)

    def __call__(self, design: Detector, head: None = None, key: jax.Array | None = None) -> Score:
        """Score a design whose numbers are arrays (see `as_arrays`).

        `head` is empty for analytic inference, and `key` is not used where nothing is sampled.
        """
        tracks = self.tracks(design) if len(self.particles) else None
        return score_terms(self.objectives, self.constraints, View(design, self.prices, tracks, self._rows))
