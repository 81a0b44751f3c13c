"""Matter for the second lesson: muons through a block, and a light telescope of two layers around a vertex."""

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from detopt.backend import jax, jnp
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector
from detopt.detector.elements import BarrelLayer, Slab
from detopt.detector.stops import stops
from detopt.detector.surfaces import as_arrays
from detopt.materials import material
from detopt.scoring.evaluate import Evaluator
from detopt.scoring.terms import Resolution
from detopt.simulation.flight import Muon
from detopt.simulation.physics import Physics
from detopt.simulation.source import Gun
from detopt.simulation.truth import beam_flight, beam_truth

SLICES = 8  # of a block, whatever its thickness: one compilation for all


def block(name: str, depth: float) -> Detector:
    """So many radiation lengths of a material."""
    stuff = material(name)
    slab = Slab(name="block", material=stuff, z=(0.0, depth * stuff.X0), slices=SLICES)
    return Detector(name="block", frame="beamline", elements=(slab,))


@cache
def _flight(tails: bool) -> Any:
    @jax.jit
    def fly(design: Detector, momentum: jax.Array, key: jax.Array) -> jax.Array:
        count = len(momentum)
        position = jnp.broadcast_to(jnp.array([0.0, 0.0, -1.0]), (count, 3))
        direction = jnp.broadcast_to(jnp.array([0.0, 0.0, 1.0]), (count, 3))
        muons = Muon(position, direction, momentum, jnp.ones(count, bool))
        listed = stops(design)
        legs = beam_flight(listed, muons, -jnp.ones(count), Physics(tails=tails), key)
        return beam_truth(listed, legs).exit_momentum[:, 0]

    return fly


def angles(name: str, depth: float, momentum: float, count: int, tails: bool = True) -> np.ndarray:
    """Projected angles in rad behind a block, both projections in a row."""
    design = as_arrays(block(name, depth))
    p = np.asarray(_flight(tails)(design, jnp.full(count, momentum), jax.random.key(1)))
    return np.arctan2(p[:, :2], p[:, 2:]).ravel()


TRUNCATED = 0.9346  # the central 98 % of a normal distribution have this width, of the whole


def core_width(angle: np.ndarray) -> float:
    """Of the central 98 %, as Highland's formula has it."""
    centre = np.abs(angle) <= np.quantile(np.abs(angle), 0.98)
    return float(angle[centre].std()) / TRUNCATED


class Telescope(NamedTuple):
    """Two layers around a vertex, without a field; a thicker layer measures better."""

    first: float = 30.0  # mm
    second: float = 120.0  # mm
    resolution: float = 0.05  # mm, of a layer of 1 % X0

    @property
    def lever(self) -> float:
        """Variance at the vertex, over that of a hit."""
        return (self.first**2 + self.second**2) / (self.second - self.first) ** 2

    def detector(self, thickness: float) -> Detector:
        """With layers of so many X0."""
        layers = tuple(
            BarrelLayer(name=f"L{i}", radius=r, half_length=1e4, x_over_X0=thickness, resolution=(self.resolution,) * 2)
            for i, r in enumerate((self.first, self.second))
        )
        return Detector(name="telescope", frame="barrel", elements=layers)

    def scorer(self, momenta: tuple[float, ...]) -> Any:
        """A function of thickness: sigma(d0) in mm at these momenta, from detopt."""
        detector = self.detector(0.01)
        score, design = scorer(detector, momenta, min_hits=2), as_arrays(detector)

        def of_thickness(thickness: Any) -> jax.Array:
            error = self.resolution * jnp.sqrt(0.01 / thickness)
            layers = tuple(replace(e, x_over_X0=thickness, resolution=(error, error)) for e in design.elements)
            return score(replace(design, elements=layers))

        return of_thickness


def scorer(detector: Detector, momenta: tuple[float, ...], min_hits: int | None = None) -> Any:
    """A function of a design like this detector: sigma(d0) in mm at these momenta, at 90 degrees."""
    asked = {f"{p:g} GeV": Resolution(of="d0", momentum=p) for p in momenta}
    gun = Gun(momentum=(1.0, 1.0), theta=(np.pi / 2, np.pi / 2))
    evaluate = Evaluator(asked, {}, Prices(), gun, Physics(), detector, min_hits)
    return jax.jit(lambda design: evaluate(design, None, None).values)


def thicker(detector: Detector, factors: jax.Array) -> Detector:
    """Each element with so many times its x/X0."""
    pairs = zip(detector.elements, factors, strict=True)
    return replace(detector, elements=tuple(replace(e, x_over_X0=e.x_over_X0 * k) for e, k in pairs))
