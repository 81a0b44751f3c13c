"""One event in a beam line or portal as a function of its random numbers and of what is decided about it."""

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.detector.stops import Stops, stops
from detopt.simulation.draws import Numbers, Start
from detopt.simulation.flight import Leg, Muon, fly
from detopt.simulation.matter import Dice, dice
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
    """All that is random in an event."""

    numbers: Numbers  # of the source
    dice: Dice  # (s, 5) at every stop
    errors: Float[Array, "*N n 2"]  # of the hits, in units of the resolution
    chance: Float[Array, "*N n"]  # there is a hit where it is below the efficiency


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


class Line(eqx.Module):
    """A detector of arrays, ready for events."""

    stops: Stops
    sensors: Sensors
    trigger: Any


class Sight(NamedTuple):
    """What the n sensors saw of one muon."""

    seen: Bool[Array, " n"]
    local: Float[Array, "n 2"]  # along the two sides, from the middle, in mm
    position: Float[Array, "n 3"]  # in the laboratory, in mm


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
    sensors: tuple[str, ...],
    physics: Physics,
    key: jax.Array,
    count: int,
    dtype: Any,
    evenly: bool = True,
) -> BeamDraws:
    """The random numbers of N events.

    Every stop and every sensor has streams of its own, by its name. None of them depends on the design.
    """

    def by_name(which: str, listed: tuple[str, ...], draw: Any) -> Any:
        drawn = jax.vmap(draw)(each(stream(key, which), listed))
        return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), drawn)

    return BeamDraws(
        numbers=numbers_of(source, stream(key, "source"), count, dtype, evenly),
        dice=by_name("scattering", names, lambda k: dice(k, count, dtype, physics, False)),
        errors=by_name("response", sensors, lambda k: jax.random.normal(k, (count, 2), dtype)),
        chance=by_name("efficiency", sensors, lambda k: jax.random.uniform(k, (count,), dtype)),
    )


def begin(source: Source, start: Start, numbers: Numbers) -> tuple[Muon, Array, Array]:
    """One muon where it starts, its charge, and the weight of the event."""
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
    sensors, at = line.sensors, np.array(line.sensors.at)
    fires = jnp.where(decided.fires == 0, sensors.efficiency > draws.chance, decided.fires > 0)
    local = leg.local[at] + draws.errors * sensors.resolution
    position = line.stops.middle[at] + jnp.sum(local[:, :, None] * line.stops.axes[at, :2], axis=1)
    return Sight(leg.crossed[at] & fires, local, position)
