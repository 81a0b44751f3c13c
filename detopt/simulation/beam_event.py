"""One event in a beam line or portal as a function of its random numbers and of what is decided about it."""

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.stops import Stops, stops
from detopt.simulation.bits import normal_pairs, uniforms
from detopt.simulation.cosmic import Cosmic
from detopt.simulation.cosmic_rays import cosmic_parts
from detopt.simulation.draws import Numbers, Start
from detopt.simulation.flight import Leg, Muon, fly
from detopt.simulation.matter import Dice
from detopt.simulation.physics import Physics
from detopt.simulation.rays import from_numbers, numbers_of
from detopt.simulation.source import Source
from detopt.simulation.streams import each, stream

__all__ = [
    "BeamDraws",
    "Decided",
    "Line",
    "Sensors",
    "Sight",
    "draw_events",
    "fly_event",
    "line_up",
    "see",
    "undecided",
]


class BeamDraws(NamedTuple):
    """All that is random in an event. Of N events, each array has them along its last axis: vmap with in_axes=-1."""

    numbers: Numbers  # of the source
    dice: Dice  # (s,) of each at every stop; None of what this physics does not need
    errors: Float[Array, "2 n *N"]  # of the hits along both sides, in units of the resolution
    chance: Float[Array, "n *N"]  # there is a hit where it is below the efficiency
    partner: "BeamDraws | None" = None  # of the other muon of a pair, which has the same numbers


class Decided(NamedTuple):
    """Decisions taken beforehand: +1 yes, -1 no, 0 as it comes."""

    within: Int[Array, "s 2"]  # the ends of a stop, along its two sides
    fires: Int[Array, " n"]  # a sensor that is crossed gives a hit
    passes: Int[Array, " 2"]  # the cuts of the trigger
    voxel: Int[Array, " s"]  # that a slice of a volume is; here -1 says as it comes


class Sensors(eqx.Module):
    """The n stops that measure."""

    at: tuple[int, ...] = eqx.field(static=True)
    resolution: Float[Array, "n 2"]  # 0 where nothing is measured
    weight: Float[Array, "n 2"]  # 1 / resolution^2, 0 where nothing is measured
    efficiency: Float[Array, " n"]
    alike: bool = eqx.field(static=True, default=False)  # known to measure x as well as y, each of them


class Line(eqx.Module):
    """A detector of arrays, ready for events."""

    stops: Stops
    sensors: Sensors
    trigger: Any


class Sight(NamedTuple):
    """What the n sensors saw of one muon, each by itself."""

    fired: tuple[Array, ...]
    sides: tuple[tuple[Array, Array], ...]  # along the two sides, from the middle, in mm
    position: Float[Array, "n 3"]  # in the laboratory, in mm

    @property
    def seen(self) -> Bool[Array, " n"]:
        """Which saw it."""
        return jnp.stack(self.fired)

    @property
    def local(self) -> Float[Array, "n 2"]:
        """All `sides`."""
        return jnp.stack([jnp.stack(pair) for pair in self.sides])


def line_up(design: Detector) -> Line:
    """The stops of a detector, and which of them measure."""
    listed = stops(design)
    dtype = listed.middle.dtype
    measuring = design.sensors()
    pairs = [[jnp.asarray(0.0 if r is None else r, dtype) for r in s.resolution or ()] for s in measuring]
    resolution = jnp.stack([jnp.stack(pair) for pair in pairs])
    some = resolution > 0
    return Line(
        listed,
        Sensors(
            at=tuple(listed.names.index(s.name) for s in measuring),
            resolution=resolution,
            weight=jnp.where(some, 1 / jnp.where(some, resolution, 1.0) ** 2, 0.0),
            efficiency=jnp.stack([jnp.asarray(s.efficiency, dtype) for s in measuring]),
        ),
        design.trigger,
    )


def undecided(line: Line) -> Decided:
    """Everything as it comes."""
    return Decided(
        jnp.zeros((len(line.stops.names), 2), jnp.int32),
        jnp.zeros(len(line.sensors.at), jnp.int32),
        jnp.zeros(2, jnp.int32),
        jnp.full(len(line.stops.names), -1, jnp.int32),
    )


def draw_events(
    source: Source,
    names: tuple[str, ...],
    bulk: tuple[bool, ...],
    sensors: tuple[str, ...],
    physics: Physics,
    key: jax.Array,
    count: int,
    dtype: Any,
    evenly: bool = True,
) -> BeamDraws:
    """The random numbers of N events.

    Every stop and every sensor has streams of its own, by its name. None of them depends on the design. `bulk` tells which
    stops are thick, and displace a muon.
    """
    looks = each(stream(key, "response"), sensors)
    return BeamDraws(
        numbers=jax.tree.map(
            lambda x: jnp.moveaxis(x, 0, -1), numbers_of(source, stream(key, "source"), count, dtype, evenly)
        ),
        dice=_dice(each(stream(key, "scattering"), names), np.array(bulk), physics, count, dtype),
        errors=jnp.stack(normal_pairs(looks, count, dtype)),
        chance=uniforms(each(stream(key, "efficiency"), sensors), count, dtype),
    )


def _dice(keys: Array, bulk: Bool[np.ndarray, " s"], physics: Physics, count: int, dtype: Any) -> Dice:
    """Of N events at s stops, what this physics needs (s, N)."""
    angles, aside = normal_pairs(keys, count, dtype), [jnp.zeros((len(bulk), count), dtype)] * 2
    if bulk.any():
        thick = np.flatnonzero(bulk)
        aside = [x.at[thick].set(z) for x, z in zip(aside, normal_pairs(keys[thick], count, dtype, 1), strict=True)]
    energy: Array | None = None
    transfers: tuple[Array | None, ...] = (None,) * 2
    hard: tuple[Array | None, ...] = (None,) * 3
    if physics.energy_loss and physics.straggling:
        energy, transfers = (
            normal_pairs(keys, count, dtype, 2)[0],
            tuple(uniforms(keys, count, dtype, i) for i in (3, 4)),
        )
    if physics.tails:
        hard = tuple(uniforms(keys, count, dtype, i) for i in (5, 6, 7))
    return Dice((*angles, energy, *aside), (*transfers, *hard))


def begin(source: Source, start: Start, numbers: Numbers) -> tuple[Muon, Array, Array]:
    """One muon where it starts, its charge, and the weight of the event."""
    if isinstance(source, Cosmic):
        parts = cosmic_parts(source, numbers, start)
        muon = Muon(jnp.stack(parts.position), jnp.stack(parts.direction), parts.momentum, jnp.ones((), bool))
        return muon, parts.charge, parts.weight
    made = from_numbers(source, jax.tree.map(lambda x: x[None], numbers), start)
    muon = Muon(made.position[0, 0], made.direction[0, 0], made.momentum[0, 0], jnp.ones((), bool))
    return muon, made.charge[0, 0], made.weight[0]


def fly_event(
    line: Line, source: Source, start: Start, physics: Physics, draws: BeamDraws, decided: Decided | None = None
) -> tuple[Leg, Array]:
    """One muon past all stops, and its charge."""
    muon, charge, _ = begin(source, start, draws.numbers)
    within, voxel = (None, None) if decided is None else (decided.within, decided.voxel)
    leg = fly(line.stops, muon, charge, draws.dice, physics, decided=within, held=voxel)
    return leg, charge


def see(line: Line, leg: Leg, draws: BeamDraws, decided: Decided) -> Sight:
    """What the sensors make of one muon."""
    sensors, stops = line.sensors, line.stops
    fired, sides, places = [], [], []
    for i, stop in enumerate(sensors.at):
        fires = jnp.where(decided.fires[i] == 0, sensors.efficiency[i] > draws.chance[i], decided.fires[i] > 0)
        pair = [leg.sides[axis][stop] + draws.errors[axis, i] * sensors.resolution[i, axis] for axis in (0, 1)]
        fired.append(leg.crossed[stop] & fires)
        sides.append((pair[0], pair[1]))
        away = jnp.stack(pair) @ stops.axes[stop, :2] if stops.tilted else jnp.stack([*pair, jnp.zeros_like(pair[0])])
        places.append(stops.middle[stop] + away)
    return Sight(tuple(fired), tuple(sides), jnp.stack(places))
