"""What is the same for all values of the design variables, in a beam line or portal: it need not be found out a muon."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Array

from detopt.backend import jax, jnp
from detopt.detector.detector import Detector
from detopt.parameters import Space
from detopt.simulation.beam_event import Line, line_up

__all__ = ["Unchanging"]

_CLOSE = 1e-9  # of a length


class Unchanging(NamedTuple):
    """Of a study."""

    leaves: tuple[bool, ...]  # which numbers of the detector follow no variable
    level: bool  # no plane is ever tilted
    alike: bool  # every sensor measures x as well as y
    sequence: tuple[int, ...] | None  # of the stops along the flight, where that cannot change

    @classmethod
    def of(cls, space: Space) -> "Unchanging":
        """By the derivatives at two designs: structure, not size, is what is looked at."""

        def parts(u: Array) -> tuple[list[Array], Array, Array, Array, Array]:
            line = line_up(space.place(u))
            stops = line.stops
            uneven = line.sensors.resolution[:, 0] - line.sensors.resolution[:, 1]
            height = stops.forward * stops.middle[:, 2]
            return jax.tree.leaves(space.place(u)), stops.axes, uneven, height, stops.depth

        init = jnp.asarray(space.init, float)
        leaves, axes, uneven, height, depth = (jax.tree.map(np.asarray, x) for x in parts(init))
        if not len(space):
            return cls((True,) * len(leaves), _level(axes), not uneven.any(), _sorted(height, height, depth))
        slopes = [jax.tree.map(np.asarray, jax.jacfwd(parts)(at)) for at in (init, init / 2 + 0.2)]
        follow, turn, _, lift, deepen = slopes[0]
        straight = np.allclose(lift, slopes[1][3], rtol=1e-6, atol=0)
        up, down, start = np.maximum(lift, 0), np.maximum(-lift, 0), np.asarray(init)
        low, high = height - up @ start - down @ (1 - start), height + up @ (1 - start) + down @ start
        return cls(
            tuple(not np.nan_to_num(slope).any() for slope in follow),
            _level(axes) and not turn.any(),
            not uneven.any() and not any(slope[2].any() for slope in slopes),
            _sorted(low, high, depth) if straight and not deepen.any() else None,
        )

    def line(self, design: Detector) -> Line:
        """A detector lined up, with all that is known about it."""
        leaves, tree = jax.tree.flatten(design)
        held = [jax.lax.stop_gradient(x) if fixed else x for x, fixed in zip(leaves, self.leaves, strict=True)]
        line = line_up(jax.tree.unflatten(tree, held))
        stops = replace(line.stops, tilted=line.stops.tilted and not self.level, sequence=self.sequence)
        return replace(line, stops=stops, sensors=replace(line.sensors, alike=self.alike))


def _level(axes: np.ndarray) -> bool:
    return bool((axes == np.eye(3)).all())


def _sorted(low: np.ndarray, high: np.ndarray, depth: np.ndarray) -> tuple[int, ...] | None:
    """The order of stops between these heights along the flight, thin ones first; None where it may change."""
    order = np.lexsort((depth > 0, (low + high) / 2))
    before, after = order[:-1], order[1:]
    apart = high[before] < low[after] - _CLOSE * np.abs(low[after])
    together = (low[before] == high[before]) & (low[after] == high[after]) & (low[before] == low[after])
    return tuple(int(i) for i in order) if (apart | together).all() else None
