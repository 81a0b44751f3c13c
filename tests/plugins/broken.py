"""Plug-ins that are wrong, each in one way: the contract kit has to find it."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from detopt.backend import jax, jnp
from detopt.detector.sensor import Element, Readout, Surface
from detopt.events import Rays
from detopt.parameters import quantity
from detopt.simulation.source import Source


@dataclass(frozen=True, kw_only=True)
class Good(Element):
    """A plane without a fault."""

    frames = ("beamline",)
    z: Any = quantity("mm", doc="position along the beam")
    span: Any = quantity("mm", above=0, doc="full width")
    sigma: Any = quantity("mm", min=0.01, max=1, doc="resolution")

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        pair = (self.span, self.span)
        return (Surface(self.name, "plane", self.z, 0.0, self.span / 2, 0.01, (self.sigma,) * 2, 0.99, span=pair),)

    def readouts(self) -> tuple[Readout, ...]:
        """One."""
        return (Readout(self.span**2, self.span / self.sigma, 0.01),)


@dataclass(frozen=True, kw_only=True)
class Tilts(Good):
    """A plane without a fault that leans."""

    lean: Any = quantity("rad", min=-0.5, max=0.5, default=0.1, doc="turned about the x axis")

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return changed(self, tilt=(self.lean, 0.0))


def changed(self: Any, **values: Any) -> tuple[Surface, ...]:
    """The plane with other values."""
    return tuple(replace(s, **values) for s in Good.surfaces(self))


@dataclass(frozen=True, kw_only=True)
class Rounds(Good):
    """It stands on a grid of 0.1 mm."""

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return changed(self, position=jnp.round(self.z, 1))


@dataclass(frozen=True, kw_only=True)
class Steps(Good):
    """A coarse sensor sees less."""

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return changed(self, efficiency=jnp.where(self.sigma > 0.3, 0.9, 0.99))


@dataclass(frozen=True, kw_only=True)
class Hides(Good):
    """Its derivative is not its own."""

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return changed(self, position=jax.lax.stop_gradient(self.z))


@dataclass(frozen=True, kw_only=True)
class Branches(Good):
    """It asks how large a number is."""

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return changed(self, efficiency=0.9 if self.sigma > 0.3 else 0.99)


@dataclass(frozen=True, kw_only=True)
class Counts(Good):
    """A wide one has two planes."""

    def surfaces(self) -> tuple[Surface, ...]:
        """As many as fit."""
        planes = Good.surfaces(self)
        return (*planes, replace(planes[0], name=f"{self.name}_2")) if float(self.span) > 120 else planes


@dataclass(frozen=True, kw_only=True)
class Pays(Good):
    """Someone pays for it."""

    def readouts(self) -> tuple[Readout, ...]:
        """Less than nothing for fine ones."""
        return (Readout(1.0, 1.0 - 0.1 / self.sigma, 0.01),)


@dataclass(frozen=True, kw_only=True)
class Ignores(Good):
    """One of its numbers means nothing."""

    cable: Any = quantity("mm", min=0, max=5, doc="length of the cable")


@dataclass(frozen=True, kw_only=True)
class UsesNumpy(Good):
    """It computes with NumPy."""

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return changed(self, efficiency=np.exp(-0.1 * self.sigma))


@dataclass(frozen=True, kw_only=True)
class Widens(Good):
    """A number of NumPy's makes float64 of everything."""

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return changed(self, position=self.z * np.float64(1.0))


@dataclass(frozen=True, kw_only=True)
class Differs(Good):
    """It knows when it is watched."""

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return changed(self, position=self.z + 1.0 if isinstance(self.z, float) else self.z)


@dataclass(frozen=True, kw_only=True)
class SameName(Good):
    """Its surface is called like that of another."""

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return changed(self, name="plane")


@dataclass(frozen=True, kw_only=True)
class Explodes(Good):
    """Its derivative is infinite somewhere."""

    def surfaces(self) -> tuple[Surface, ...]:
        """One plane."""
        return changed(self, efficiency=1 - 0.1 * jnp.where(self.sigma > 0.5, jnp.sqrt(self.sigma - 0.5), 0.0))


@dataclass(kw_only=True)
class Thaws:
    """It is not frozen."""

    name: str


# -- sources -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Pencil(Source):
    """A line of muons."""

    frames = ("beamline",)
    width: Any = quantity("mm", above=0, default=10.0, doc="of the line")

    def numbers(self) -> dict[str, str]:
        """One."""
        return {"x": "uniform"}

    def carriers(self) -> dict[str, str]:
        """Along x."""
        return {"x": "x"}

    def where(self, u: Any) -> Any:
        """Position along x."""
        return self.width * (u - 0.5)

    def draw(self, numbers: dict[str, Any], start: Any) -> Rays:
        """One muon an event."""
        x = self.where(numbers["x"])
        zero, one = jnp.zeros_like(x), jnp.ones_like(x)
        position, direction = jnp.stack([x, zero, zero + start.z], -1), jnp.stack([zero, zero, one], -1)
        return Rays(position[:, None], direction[:, None], 3 * one[:, None], one[:, None], one)


_RANDOM = np.random.default_rng(0)


@dataclass(frozen=True, kw_only=True)
class Remembers(Pencil):
    """Its draws come from a state of its own."""

    def where(self, u: Any) -> Any:
        """Somewhere."""
        return u + jnp.asarray(_RANDOM.uniform(size=u.shape))


@dataclass(frozen=True, kw_only=True)
class Deaf(Pencil):
    """It does not listen to its numbers."""

    def where(self, u: Any) -> Any:
        """Always the same."""
        return jnp.linspace(0.0, self.width, len(u)) + 0 * u


@dataclass(frozen=True, kw_only=True)
class Returns(Pencil):
    """It goes forth and back."""

    def where(self, u: Any) -> Any:
        """A wave."""
        return self.width * jnp.sin(6 * u)


@dataclass(frozen=True, kw_only=True)
class Hops(Pencil):
    """It hops from strip to strip."""

    def where(self, u: Any) -> Any:
        """In the middle of a strip."""
        return self.width * jnp.floor(10 * u)


@dataclass(frozen=True, kw_only=True)
class Kinks(Pencil):
    """Its normal number, which would carry it together with those of scattering, is cut into steps."""

    def numbers(self) -> dict[str, str]:
        """One."""
        return {"x": "normal"}

    def carriers(self) -> dict[str, str]:
        """None."""
        return {}

    def where(self, u: Any) -> Any:
        """In the middle of a strip."""
        return self.width * jnp.round(u)


@dataclass(frozen=True, kw_only=True)
class Lies(Pencil):
    """What it says carries along y does not."""

    def carriers(self) -> dict[str, str]:
        """Along y."""
        return {"y": "x"}


@dataclass(frozen=True, kw_only=True)
class Weightless(Pencil):
    """Some of its muons do not count."""

    def draw(self, numbers: dict[str, Any], start: Any) -> Rays:
        """One muon an event."""
        made = super().draw(numbers, start)
        return made._replace(weight=jnp.where(numbers["x"] > 0.5, 1.0, 0.0))


@dataclass(frozen=True, kw_only=True)
class Averages(Pencil):
    """Its events look at each other."""

    def where(self, u: Any) -> Any:
        """From the middle of all."""
        return self.width * (u - u.mean())


# -- objectives ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Precision:
    """A resolution."""

    goal: ClassVar[str] = "minimise"
    unit: ClassVar[str] = "mm"
    display_unit: ClassVar[str] = "um"
    title: ClassVar[str] = "resolution"
    momentum: ClassVar[Any] = None
    theta: ClassVar[Any] = None
    weight: Any = quantity("", min=0, default=1.0, doc="weight")

    def value(self, view: Any) -> Any:
        """Mean variance."""
        return view.nodes(self).variance("d0").mean()


@dataclass(frozen=True, kw_only=True)
class GoodTracks(Precision):
    """It counts tracks."""

    def value(self, view: Any) -> Any:
        """Those that are good enough."""
        return 1.0 + (view.nodes(self).variance("d0") < 1e-3).sum()


@dataclass(frozen=True, kw_only=True)
class Worst(Precision):
    """It asks which is larger."""

    def value(self, view: Any) -> Any:
        """The larger of two."""
        variance = view.nodes(self).variance("d0")
        return variance[0] if variance[0] > variance[1] else variance[1]


@dataclass(frozen=True, kw_only=True)
class Negative(Precision):
    """Its value is negative."""

    def value(self, view: Any) -> Any:
        """The logarithm."""
        return jnp.log(super().value(view))


@dataclass(frozen=True, kw_only=True)
class CutsHits(Precision):
    """It cuts on positions, whose edges nobody knows of."""

    def statistics(self, muon: Any) -> Any:
        """Whether the first hit is in the middle."""
        return 0.1 + (jnp.abs(muon.hits[0, 0]) < 50).astype(muon.weight.dtype)[None]

    def value(self, view: Any) -> Any:
        """The mean over all muons."""
        return view.mean(self)[0]
