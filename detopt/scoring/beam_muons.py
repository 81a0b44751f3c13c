"""One muon of a study of a beam line or portal: drawn, flown, reconstructed, and what it adds to the terms."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.detector.arms import Arm
from detopt.detector.detector import Detector
from detopt.parameters import Space
from detopt.reconstruction.arms import ArmTrack, Reconstructed, fit_arm
from detopt.reconstruction.panel_momentum import panel_momentum
from detopt.scoring.muon_statistics import needs_tracks, statistics_of
from detopt.scoring.unchanging import Unchanging
from detopt.simulation.beam_event import (
    BeamDraws,
    Decided,
    Line,
    begin,
    draw_events,
    fly_event,
    line_up,
    see,
    undecided,
)
from detopt.simulation.draws import Start
from detopt.simulation.flight import Leg, Muon
from detopt.simulation.physics import Physics
from detopt.simulation.source import Source

__all__ = ["BeamMuons"]

LOOKS = 10  # how often the sensors look at one flight, where that is cheap
_CUTS = ("momentum", "angle")


class BeamMuons:
    """Muons of one source in one detector. Names are in the order of its stops and sensors."""

    copies = 1  # of what is decided about one muon, in each event

    def __init__(
        self,
        space: Space,
        source: Source,
        start: Start,
        physics: Physics,
        arms: tuple[Arm, ...],
        terms: list[Any],
        columns: Callable[[Reconstructed], Float[Array, " f"]] | None = None,
        momenta: Float[np.ndarray, " K"] | None = None,
        usual: float | None = None,
    ) -> None:
        """
        Args:
            space: the design variables, and the detector that they change.
            source: where muons come from.
            start: where they begin; it must not follow the design.
            physics: which effects are on.
            arms: which sensors make a track.
            terms: that want statistics of a muon.
            columns: what a head wants of a muon, as numbers beside its statistics.
            momenta: in GeV, to try where the panels are to measure them; see `detopt.reconstruction.panel_momentum`.
            usual: in GeV, what straight tracks are fitted for; if not given each muon's own momentum, which then shows in
                their errors.
        """
        self.source, self.start, self.physics, self.arms, self.terms = source, start, physics, arms, terms
        self.columns, self.momenta, self.usual = columns, momenta, usual
        detector, self.unchanging = space.detector, Unchanging.of(space)
        line = jax.eval_shape(lambda: line_up(detector).stops)
        self.names, self.bulk = line.names, line.bulk
        self.sensors = tuple(s.name for s in detector.sensors())
        trigger = detector.trigger
        # What the trigger looks at.
        self.cuts = tuple(name for name in _CUTS if trigger is not None and getattr(trigger, name) is not None)
        self.fits = any(map(needs_tracks, terms)) or trigger is not None or columns is not None
        self.looks = 1 if self.fits else LOOKS

    def line(self, design: Detector) -> Line:
        """A detector lined up, with all that is known about it."""
        return self.unchanging.line(design)

    def draws(self, key: jax.Array, count: int, dtype: Any, evenly: bool = True) -> BeamDraws:
        """The random numbers of so many muons, which are along the last axis of each array.

        Independent ones, where a head looks at them together, are not even.
        """
        return draw_events(self.source, self.names, self.bulk, self.sensors, self.physics, key, count, dtype, evenly)

    def muon(self, line: Line, draws: BeamDraws, decided: Decided) -> Reconstructed:
        """Simulate and reconstruct one muon."""
        return self.reconstructed(line, self.flown(line, draws, decided), draws, decided)

    def flown(self, line: Line, draws: BeamDraws, decided: Decided) -> tuple[Leg, Muon, Array, Array]:
        """What it does, where it starts, its charge and its weight."""
        leg, _ = fly_event(line, self.source, self.start, self.physics, draws, decided)
        return leg, *begin(self.source, self.start, draws.numbers)

    def reconstructed(
        self, line: Line, flown: tuple[Leg, Muon, Array, Array], draws: BeamDraws, decided: Decided
    ) -> Reconstructed:
        """What the sensors and fits make of one that has flown."""
        leg, muon, charge, weight = flown
        sight = see(line, leg, draws, decided)
        tracks: tuple[ArmTrack, ...] = ()
        if self.fits and self.arms:  # a track has the hits that it needs
            tracks = tuple(
                fit_arm(line.stops, self._shown(leg, arm), charge, line.sensors, sight, arm, self.physics)
                for arm in self.arms
            )
            passes = tracks[0].found
            for track in tracks[1:]:
                passes = passes & track.found
        else:
            passes = self.enough(sight.fired)
        for i, cut in enumerate(self.cuts):
            margin = _margin(cut, line.trigger, tracks)
            passes = passes & jnp.where(decided.passes[i] == 0, margin > 0, decided.passes[i] > 0)
        made = Reconstructed(
            weight, muon.momentum, charge, sight.seen, sight.position, line.sensors.resolution, tracks, passes
        )
        if self.momenta is None:
            return made
        measured = panel_momentum(line.stops, leg.crossed, line.sensors, made, self.arms, self.momenta, self.physics)
        return made._replace(measured=measured)

    def _shown(self, leg: Leg, arm: Arm) -> Leg:
        """What a fit may know of a flight: the momentum tells it how much planes scatter."""
        if self.usual is None or arm.bends:
            return leg
        met, left = (m._replace(momentum=jnp.full_like(m.momentum, self.usual)) for m in (leg.met, leg.left))
        return leg._replace(met=met, left=left)

    def enough(self, fired: tuple[Array, ...]) -> Bool[Array, ""]:
        """Whether each arm has the hits that it needs."""
        passes = jnp.ones((), bool)
        for arm in self.arms:
            passes = passes & (sum(fired[i].astype(int) for i in arm.sensors) >= arm.min_hits)
        return passes

    def margin(self, cut: int, line: Line, draws: BeamDraws) -> Float[Array, ""]:
        """How far a muon passes a cut."""
        return _margin(self.cuts[cut], line.trigger, self.muon(line, draws, undecided(line)).tracks)

    def with_and_without(self, cut: int, line: Line, draws: BeamDraws) -> tuple[Array, Array]:
        """The statistics of a muon that passes a cut, and of one that does not."""
        nothing = undecided(line)

        def taken(sign: Any) -> Array:
            return self.statistics(line, draws, nothing._replace(passes=nothing.passes.at[cut].set(sign)))

        on, off = jax.vmap(taken)(np.array([1, -1], np.int32))
        return on, off

    def statistics(self, line: Line, draws: BeamDraws, decided: Decided) -> Float[Array, " k"]:
        """Of one muon: its weight, then that times the statistics of each term, then what a head wants."""
        return self._columns(self.muon(line, draws, decided))

    def _columns(self, muon: Reconstructed) -> Float[Array, " k"]:
        columns = [jnp.ones(1, muon.weight.dtype), *(statistics_of(term, muon) for term in self.terms)]
        weighted = muon.weight * jnp.concatenate(columns)
        return weighted if self.columns is None else jnp.concatenate([weighted, self.columns(muon)])

    def pieces(self, line: Line, draws: BeamDraws, decided: Decided) -> tuple[Array, ...]:
        """Of one muon, what `total` makes sums of: its weight, and the features of each term, or its statistics."""
        muon = self.muon(line, draws, decided)
        return muon.weight, *(term.features(muon) if _sums(term) else statistics_of(term, muon) for term in self.terms)

    def total(self, pieces: tuple[Float[Array, "N ..."], ...]) -> Float[Array, " k"]:
        """The sum of `statistics` over N muons, of their `pieces`."""
        weight, *of_terms = pieces
        columns = [jnp.sum(weight)[None]]
        for term, piece in zip(self.terms, of_terms, strict=True):
            columns.append(term.sums(piece, weight) if _sums(term) else weight @ piece)
        return jnp.concatenate(columns)

    def often(self, line: Line, draws: BeamDraws, decided: Decided, key: jax.Array) -> Float[Array, " k"]:
        """The same flight, seen by the sensors several times: where no track is fitted that costs little."""
        if self.looks == 1:
            return self.statistics(line, draws, decided)
        flown, dtype = self.flown(line, draws, decided), draws.errors.dtype

        def once(key: jax.Array) -> Array:
            first, second = jax.random.split(key)
            again = draws._replace(
                errors=jax.random.normal(first, draws.errors.shape, dtype),
                chance=jax.random.uniform(second, draws.chance.shape, dtype),
            )
            return self._columns(self.reconstructed(line, flown, again, decided))

        return jnp.mean(jax.vmap(once)(jax.random.split(key, self.looks)), axis=0)


def _sums(term: Any) -> bool:
    """Whether a term adds up features of many muons by itself: where it has many statistics, that can be far quicker."""
    return hasattr(term, "sums")


def _margin(cut: str, trigger: Any, tracks: tuple[ArmTrack, ...]) -> Float[Array, ""]:
    """How far a muon passes a cut, as the logarithm of a ratio."""
    tiny = 1e-12
    if cut == "momentum":
        curved = next(t for t in tracks if len(t.parameters) == 5)
        return -jnp.log(jnp.abs(jnp.where(curved.found, curved.parameters[4], 1.0)) + tiny) - jnp.log(trigger.momentum)
    first, last = tracks[0], tracks[-1]
    both = first.found & last.found
    kink = jnp.where(both, last.parameters[2:4] - first.parameters[2:4], 1.0)
    return 0.5 * jnp.log(jnp.sum(kink**2) + tiny) - jnp.log(trigger.angle)
