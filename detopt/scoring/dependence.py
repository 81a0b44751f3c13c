"""What follows which design variable, in a beam line or portal: it tells which estimator a gradient needs."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool

from detopt.backend import jax, jnp
from detopt.parameters import Space
from detopt.simulation.beam_event import line_up

__all__ = ["Dependence", "dependence"]


class Dependence(NamedTuple):
    """For s stops, m sensors and n variables, whether it follows the variable."""

    place: Bool[np.ndarray, "s 3 n"]  # of a stop: along its own two sides, and along its normal
    ends: Bool[np.ndarray, "s 2 n"]
    turn: Bool[np.ndarray, "s n"]
    matter: Bool[np.ndarray, "s n"]
    slows: Bool[np.ndarray, "s n"]  # the same, of what takes energy
    efficiency: Bool[np.ndarray, "m n"]
    resolution: Bool[np.ndarray, "m n"]
    field: Bool[np.ndarray, " n"]

    @property
    def edges(self) -> Bool[np.ndarray, "s 2 n"]:
        """The edges of a stop along each of its sides: which of them move where they are met."""
        both = self.place[:, 2] | self.turn | self.field[None]
        return self.place[:, :2] | self.ends | both[:, None]

    @property
    def paths(self) -> Bool[np.ndarray, " n"]:
        """Whether muons, or where they are seen, move smoothly with a variable."""
        moves = self.place.any((0, 1)) | self.turn.any(0) | self.matter.any(0) | self.field
        return moves | self.resolution.any(0)

    @property
    def decides_loss(self) -> Bool[np.ndarray, " n"]:
        """Whether a variable changes how much energy a muon loses, or how far it turns."""
        return self.slows.any(0) | self.turn.any(0) | self.field


def dependence(space: Space) -> Dependence:
    """By the derivatives at the initial design: structure, not size, is what is looked at."""
    init = jnp.asarray(space.init, float)

    def parts(u: Array) -> tuple[Array, ...]:
        line = line_up(space.place(u))
        stops, start = line.stops, jax.lax.stop_gradient(line.stops)
        place = jnp.sum(start.axes * (stops.middle - start.middle)[:, None], -1)
        turn, slows = stops.axes.reshape(-1, 9), stops.matter * (stops.medium.loss > 0)
        sensors = line.sensors
        return place, stops.half, turn, stops.matter, slows, sensors.efficiency, sensors.resolution, stops.field

    place, ends, turn, matter, slows, efficiency, resolution, field = (
        np.nan_to_num(np.asarray(slope)) != 0 for slope in jax.jacfwd(parts)(init)
    )
    return Dependence(place, ends, turn.any(1), matter, slows, efficiency, resolution.any(1), field.any((0, 1)))
