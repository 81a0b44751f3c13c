"""What a study may ask for: objectives and constraints, as YAML declares them. No JAX.

A term works on a `View` of the evaluated design with plain arithmetic; `detopt.scoring.evaluate` makes the view.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from detopt.parameters import quantity
from detopt.scoring.measurements import SignalError, Significance, UpperLimit
from detopt.scoring.places import Outside, TotalHeight
from detopt.scoring.scene_terms import Detection, Estimate, ImageError
from detopt.units import format_quantity

__all__ = ["CONSTRAINTS", "OBJECTIVES"]

Of = Literal["d0", "z0", "pt", "phi", "theta", "momentum", "position", "slope", "angle", "mass"]
BEAM = ("momentum", "position", "slope", "angle", "mass")  # in beam lines and portals; the others in barrels
UNITS = {
    "d0": "mm", "z0": "mm", "pt": "", "phi": "rad", "theta": "rad",
    "momentum": "", "position": "mm", "slope": "rad", "angle": "rad", "mass": "GeV",
}  # fmt: skip
DISPLAY = {
    "d0": "um", "z0": "um", "pt": "%", "phi": "mrad", "theta": "mrad",
    "momentum": "%", "position": "um", "slope": "mrad", "angle": "mrad", "mass": "MeV",
}  # fmt: skip
TITLES = {
    "d0": "d0", "z0": "z0", "pt": "pT (relative)", "phi": "phi", "theta": "theta",
    "momentum": "momentum (relative)", "position": "position", "slope": "slope", "angle": "scattering angle",
    "mass": "mass",
}  # fmt: skip


# -- objectives: `.value(view)` is a scalar ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Tracks:
    momentum: Any = quantity("GeV", above=0, default=None, doc="momentum; the source's where it is not given")
    theta: Any = quantity("rad", above=0, below=math.pi, default=None, doc="polar angle; the source's where not given")

    @property
    def _at(self) -> str:
        momentum = "" if self.momentum is None else f" at {self.momentum:g} GeV"
        return momentum + ("" if self.theta is None else f", {math.degrees(self.theta):g} deg")


@dataclass(frozen=True, kw_only=True)
class Resolution(_Tracks):
    """RMS resolution of one track parameter over the source and over the hit patterns that make a track.

    In beam lines and portals: of 1/p, relative; of the position (x and y alike) and slope at the first plane of the first
    arm; of the change of the slopes from the first arm to the last, which is what matter between them does.
    """

    of: Of
    goal: Literal["minimise"] = "minimise"
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")
    worst: Any = quantity("of", above=0, default=None, doc="worst value of interest to a front")

    @property
    def unit(self) -> str:
        """Base unit; sigma(pT)/pT has none."""
        return UNITS[self.of]

    @property
    def display_unit(self) -> str:
        """The unit people quote it in."""
        return DISPLAY[self.of]

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"{TITLES[self.of]} resolution{self._at}"

    def value(self, view: Any) -> Any:
        """Root of the mean variance."""
        if view.means is not None:
            return view.core_width(self)
        nodes = view.nodes(self)
        weight = nodes.weight * nodes.measured(self.of)
        return ((weight * nodes.variance(self.of)).sum() / weight.sum()) ** 0.5


@dataclass(frozen=True, kw_only=True)
class Efficiency(_Tracks):
    """Probability that a particle leaves enough hits for a track."""

    goal: Literal["maximise"] = "maximise"
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")
    worst: Any = quantity("", above=0, default=None, doc="worst value of interest to a front")
    unit: ClassVar[str] = ""
    display_unit: ClassVar[str] = "%"

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"track efficiency{self._at}"

    def value(self, view: Any) -> Any:
        """Mean over the source."""
        if view.means is not None:
            return view.mean(self)[0]
        nodes = view.nodes(self)
        return (nodes.weight * nodes.efficiency).sum()


@dataclass(frozen=True, kw_only=True)
class Rejection(_Tracks):
    """Share of prompt particles that a cut on the significance of d0 tags as displaced, at a fixed efficiency.

    The displaced ones have an exponential |d0|. Errors are Gaussian, with the mean variance of the hit patterns; a particle
    without a track is not tagged. See `detopt.scoring.rejection`.
    """

    efficiency: Any = quantity("", above=0, below=1, doc="displaced particles that are tagged, of all")
    flight: Any = quantity("mm", above=0, doc="mean |d0| of displaced tracks: about c tau of what decays")
    vertex: Any = quantity("mm", min=0, default=0.0, doc="how well the place is known that prompt tracks come from")
    goal: Literal["minimise"] = "minimise"
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")
    worst: Any = quantity("", above=0, default=None, doc="worst value of interest to a front")
    unit: ClassVar[str] = ""
    display_unit: ClassVar[str] = "%"

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"mistag rate at {100 * self.efficiency:g} % efficiency{self._at}"

    def value(self, view: Any) -> Any:
        """Mean over the source."""
        return view.mistag_rate(self)


@dataclass(frozen=True, kw_only=True)
class DataRate(_Tracks):
    """What the hits of the source's particles add up to, in bytes a second.

    Sensors that are crossed give a hit with their efficiency. Noise hits are not among them, nor are headers.
    """

    rate: Any = quantity("Hz", above=0, doc="particles of the source in a second")
    hit_size: Any = quantity("B", above=0, doc="of one hit, as in 4 B or 32 bit")
    triggered: bool = False  # only hits of particles that have tracks and pass the trigger
    goal: Literal["minimise"] = "minimise"
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")
    worst: Any = quantity("GB/s", above=0, default=None, doc="worst value of interest to a front")
    unit: ClassVar[str] = "GB/s"
    display_unit: ClassVar[str] = "MB/s"
    tracks: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"data rate{' after the trigger' if self.triggered else ''}{self._at}"

    def statistics(self, muon: Any) -> Any:
        """Number of hits of one muon in a beam line or portal."""
        counted = muon.seen & muon.passes if self.triggered else muon.seen
        return counted.sum().astype(muon.weight.dtype)[None]

    def value(self, view: Any) -> Any:
        """Mean number of hits of a particle, as bytes a second."""
        if view.means is not None:
            return view.mean(self)[0] * (self.rate * self.hit_size)
        nodes = view.nodes(self)
        return (nodes.weight * nodes.tracks.hits).sum() * (self.rate * self.hit_size)


@dataclass(frozen=True, kw_only=True)
class Discrimination:
    """Cross-entropy, in bits a muon, of a head that tells displaced muons from prompt ones.

    0 for certainty. With as many displaced as prompt muons, 1 when nothing is known, and 1 minus the loss is the
    information about its origin that a muon's hits carry. A muon without a track counts with the even odds it had before.
    """

    goal: Literal["minimise"] = "minimise"
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")
    unit: ClassVar[str] = ""
    display_unit: ClassVar[str] = ""
    title: ClassVar[str] = "loss of displaced against prompt muons (bits)"
    needs_head: ClassVar[str] = "track"

    def value(self, view: Any) -> Any:
        """Mean over the muons of the source."""
        return view.head.loss / math.log(2)


@dataclass(frozen=True, kw_only=True)
class Fraction:
    """RMS error of the fraction of displaced muons that a head estimates in an exposure."""

    goal: Literal["minimise"] = "minimise"
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")
    unit: ClassVar[str] = ""
    display_unit: ClassVar[str] = "%"
    title: ClassVar[str] = "error of the displaced fraction"
    needs_head: ClassVar[str] = "set"

    def value(self, view: Any) -> Any:
        """Root of the mean square over exposures."""
        return view.head.squared_error**0.5


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The total cost."""

    goal: Literal["minimise"] = "minimise"
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")
    worst: Any = quantity("kEUR", above=0, default=None, doc="worst value of interest to a front")
    unit: ClassVar[str] = "kEUR"
    display_unit: ClassVar[str] = "kEUR"
    title: ClassVar[str] = "cost"

    def value(self, view: Any) -> Any:
        """From the study's prices."""
        return view.cost["total"]


# -- constraints ---------------------------------------------------------------------------------------------------------
# `.excess(view)` lists relative excesses, each feasible when <= 0; a limit is called `max` or `min`.


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The total cost stays below a limit."""

    max: Any = quantity("kEUR", above=0, doc="most that may be spent")
    unit: ClassVar[str] = "kEUR"
    display_unit: ClassVar[str] = "kEUR"

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"cost at most {self.max:g} kEUR"

    def excess(self, view: Any) -> list[Any]:
        """cost / limit - 1."""
        return [view.cost["total"] / self.max - 1]


@dataclass(frozen=True, kw_only=True)
class MinimumGap:
    """Neighbouring layers that measure keep a distance: radii of cylinders, z of disks and planes."""

    min: Any = quantity("mm", above=0, doc="smallest distance between neighbours")
    unit: ClassVar[str] = "mm"
    display_unit: ClassVar[str] = "mm"

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"gap between layers at least {self.min:g} mm"

    def excess(self, view: Any) -> list[Any]:
        """1 - gap / limit of each pair of neighbours."""
        return [1 - gap / self.min for gap in view.gaps()]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Every barrel layer that measures is long enough for straight tracks from the origin at a polar angle."""

    theta: Any = quantity("rad", above=0, below=math.pi / 2, doc="smallest polar angle that every layer covers")
    unit: ClassVar[str] = ""

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"every layer covers {math.degrees(self.theta):g} deg"

    def excess(self, view: Any) -> list[Any]:
        """radius x cot(theta) / half length - 1 of each layer."""
        layers = [s for s in view.sensors if s.kind == "cylinder"]
        return [s.position / (math.tan(self.theta) * s.high) - 1 for s in layers]


@dataclass(frozen=True, kw_only=True)
class MaterialFloor:
    """A sensor cannot be lighter than its mechanics and the services that its channels need.

    x/X0 >= structure + services x (at_pitch / pitch)^2, with pitch^2 the product over both axes: power and cooling follow
    the number of channels per area.
    """

    structure: Any = quantity("", min=0, doc="x/X0 of sensor and mechanics, whatever the pitch")
    services: Any = quantity("", min=0, doc="x/X0 of power and cooling at `at_pitch`")
    at_pitch: Any = quantity("mm", above=0, doc="pitch that `services` is quoted at")
    elements: tuple[str, ...] = ()  # all that have a pitch, where none is named
    unit: ClassVar[str] = ""
    display_unit: ClassVar[str] = "%"

    @property
    def title(self) -> str:
        """A few words for tables."""
        which = f" of {', '.join(self.elements)}" if self.elements else ""
        return f"thickness{which} at least what mechanics and services need"

    def excess(self, view: Any) -> list[Any]:
        """floor / (x/X0) - 1 of each sensor."""
        return [self.floor(e) / e.radiation_thickness - 1 for e in view.with_pitch(self.elements)]

    def floor(self, element: Any) -> Any:
        """The least x/X0 of an element."""
        pitches = [p for p in element.pitch if p is not None]
        return self.structure + self.services * self.at_pitch**2 / (pitches[0] * pitches[-1])


@dataclass(frozen=True, kw_only=True)
class ResolutionLimit(_Tracks):
    """A resolution stays below a limit."""

    of: Of
    max: Any = quantity("of", above=0, doc="worst resolution allowed")

    @property
    def _objective(self) -> Resolution:
        return Resolution(of=self.of, momentum=self.momentum, theta=self.theta)

    @property
    def unit(self) -> str:
        """Base unit."""
        return UNITS[self.of]

    @property
    def display_unit(self) -> str:
        """The unit people quote it in."""
        return DISPLAY[self.of]

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"{self._objective.title} at most {format_quantity(self.max, self.display_unit)}"

    def excess(self, view: Any) -> list[Any]:
        """resolution / limit - 1."""
        return [self._objective.value(view) / self.max - 1]


@dataclass(frozen=True, kw_only=True)
class EfficiencyLimit(_Tracks):
    """The track efficiency stays above a limit."""

    min: Any = quantity("", above=0, max=1, doc="least efficiency allowed")
    unit: ClassVar[str] = ""
    display_unit: ClassVar[str] = "%"

    @property
    def title(self) -> str:
        """A few words for tables."""
        return f"track efficiency{self._at} at least {100 * self.min:g} %"

    def excess(self, view: Any) -> list[Any]:
        """1 - efficiency / limit."""
        return [1 - Efficiency(momentum=self.momentum, theta=self.theta).value(view) / self.min]


OBJECTIVES: dict[str, type] = {
    "resolution": Resolution,
    "efficiency": Efficiency,
    "rejection": Rejection,
    "data_rate": DataRate,
    "cost": Cost,
    "discrimination": Discrimination,
    "fraction": Fraction,
    "detection": Detection,
    "estimate": Estimate,
    "image": ImageError,
    "significance": Significance,
    "signal_error": SignalError,
    "upper_limit": UpperLimit,
}
CONSTRAINTS: dict[str, type] = {
    "cost": Budget,
    "minimum_gap": MinimumGap,
    "total_height": TotalHeight,
    "outside": Outside,
    "coverage": Coverage,
    "material_floor": MaterialFloor,
    "resolution": ResolutionLimit,
    "efficiency": EfficiencyLimit,
}
