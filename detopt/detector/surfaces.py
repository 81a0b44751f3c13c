"""The surfaces of a detector as arrays, for one compiled pass over all of them."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from detopt.backend import jax, jnp, register
from detopt.detector.detector import FIELDS, Detector
from detopt.detector.elements import ELEMENTS
from detopt.detector.medium import Medium, media
from detopt.detector.trigger import Trigger
from detopt.materials import Material

__all__ = ["Surfaces", "as_arrays", "surfaces"]


class Surfaces(eqx.Module):
    """n thin surfaces, in the order of the file. Lengths in mm."""

    names: tuple[str, ...] = eqx.field(static=True)
    cylinder: tuple[bool, ...] = eqx.field(static=True)
    position: Float[Array, " n"]  # radius of a cylinder, z of a disk or plane
    low: Float[Array, " n"]
    high: Float[Array, " n"]
    x_over_X0: Float[Array, " n"]
    weight: Float[Array, "n 2"]  # 1 / resolution^2, 0 where nothing is measured
    efficiency: Float[Array, " n"]
    measured: tuple[tuple[bool, bool], ...] = eqx.field(static=True)
    materials: tuple[Material | None, ...] = eqx.field(
        static=True, default=()
    )  # None, or none at all: only x/X0 is known

    @property
    def medium(self) -> Medium:
        """What the surfaces are made of (n,)."""
        return media(list(self.materials) or [None] * len(self.names), self.position.dtype)

    @property
    def slow(self) -> bool:
        """Whether muons lose energy anywhere: where materials are known."""
        return any(m is not None for m in self.materials)


def as_arrays(detector: Detector, dtype: Any = jnp.float64) -> Detector:
    """The detector with every number a strongly typed scalar array, so that one trace serves every value."""
    for cls in (*ELEMENTS.values(), *FIELDS.values(), Trigger, Detector, *map(type, detector.elements)):
        register(cls)
    if detector.field is not None:
        register(type(detector.field))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), detector)


def surfaces(detector: Detector) -> Surfaces:
    """Stack the detector's surfaces; every array takes its dtype from the detector's leaves."""
    listed = detector.surfaces()
    dtype = jnp.result_type(*jax.tree.leaves(detector))

    def stack(values: list) -> Array:
        return jnp.stack([jnp.asarray(v, dtype) for v in values])

    resolutions = [s.resolution or (None, None) for s in listed]
    weight = [stack([0.0 if r is None else 1 / r**2 for r in pair]) for pair in resolutions]
    return Surfaces(
        names=tuple(s.name for s in listed),
        cylinder=tuple(s.kind == "cylinder" for s in listed),
        position=stack([s.position for s in listed]),
        low=stack([s.low for s in listed]),
        high=stack([s.high for s in listed]),
        x_over_X0=stack([s.x_over_X0 for s in listed]),
        weight=jnp.stack(weight),
        efficiency=stack([s.efficiency for s in listed]),
        measured=tuple((first is not None, second is not None) for first, second in resolutions),
        materials=tuple(s.material for s in listed),
    )
