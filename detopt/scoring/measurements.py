"""Objectives about a measurement: a mass peak over background, with its systematic uncertainties. No JAX.

What they mean is in `detopt.scoring.peak` and `detopt.scoring.likelihood`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from detopt.parameters import quantity, whole

__all__ = ["Peak", "SignalError", "Significance", "Systematics", "UpperLimit"]


@dataclass(frozen=True, kw_only=True)
class Systematics:
    """What is not known exactly, as one standard deviation; the data may know it better. Nothing is unless it is given."""

    signal: Any = quantity("", min=0, default=0.0, doc="relative, of the expected signal: luminosity, flux, efficiency")
    background: Any = quantity("", min=0, default=0.0, doc="relative, of the background's normalisation")
    background_free: bool = False  # nothing but the data tells the background's normalisation
    slope: Any = quantity(
        "", min=0, max=0.9, default=0.0, doc="change of the background at the ends of the window, relative"
    )
    bump: Any = quantity(
        "", min=0, max=0.9, default=0.0, doc="a bump like the signal, relative to the background under the peak"
    )
    mass_scale: Any = quantity("", min=0, max=0.1, default=0.0, doc="relative, of measured masses")
    resolution: Any = quantity("", min=0, max=0.9, default=0.0, doc="relative, of the mass resolution")


@dataclass(frozen=True, kw_only=True)
class Peak(ABC):
    """The peak of a resonance in the mass of two muons, over a background that is smooth.

    `signal` and `background` are what is made, wherever it flies: those pairs are measured whose muons are both found and
    pass the trigger.
    """

    window: Any = quantity("GeV", above=0, range=True, doc="[from, to] of the masses that are looked at")
    bins: int = whole(40, least=2, most=400)
    fit: Literal["shape", "counting"] = "shape"  # of all bins, or of those around the peak that tell most, as one
    signal: Any = quantity("", above=0, doc="pairs of the resonance that are made")
    background: Any = quantity(
        "1/GeV", min=0, default=0.0, doc="pairs of background that are made, per mass at the peak"
    )
    falls: Any = quantity(
        "GeV", above=0, default=None, doc="mass by which the background falls e-fold; flat if not given"
    )
    systematics: Systematics = field(default_factory=Systematics)
    simulation_error: bool = True  # the statistics of simulated signal count as an uncertainty, bin by bin
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")
    worst: Any = quantity("", above=0, default=None, doc="worst value of interest to a front")
    unit: ClassVar[str] = ""
    display_unit: ClassVar[str] = ""

    def value(self, view: Any) -> Any:
        """Expected of the design."""
        return self.asks(view.peak(self))

    @abstractmethod
    def asks(self, channel: Any) -> Any:
        """What is wanted of a statistical model."""

    def faults(self) -> list[tuple[str, str]]:
        """What is wrong across fields: pairs of the field to blame and a message."""
        found = []
        if not self.window[0] < self.window[1]:
            found.append(("window", "window needs a range [from, to] of some width"))
        s = self.systematics
        if not self.background and (s.background or s.background_free or s.slope or s.bump):
            found.append(("systematics", "systematics of a background that is not there: give background: 1e5 1/GeV"))
        if self.fit == "counting" and s.background_free:
            found.append(
                ("systematics", "counting cannot tell a free background from signal: give it a size, or fit: shape")
            )
        if s.background and s.background_free:
            found.append(("systematics", "background and background_free exclude each other: known to a size, or not"))
        return found


@dataclass(frozen=True, kw_only=True)
class Significance(Peak):
    """Expected discovery significance: the square root of q0 for the Asimov data set, in standard deviations."""

    goal: Literal["maximise"] = "maximise"
    title: ClassVar[str] = "expected discovery significance (standard deviations)"

    def faults(self) -> list[tuple[str, str]]:
        """As those of any peak, and no background."""
        found = super().faults()
        if not self.background:
            found.append(("background", "without background one event is a discovery: use signal_error"))
        return found

    def asks(self, channel: Any) -> Any:
        """What is wanted of a statistical model."""
        return channel.significance()


@dataclass(frozen=True, kw_only=True)
class SignalError(Peak):
    """Expected relative uncertainty of the signal's rate, sigma(mu)."""

    goal: Literal["minimise"] = "minimise"
    display_unit: ClassVar[str] = "%"
    title: ClassVar[str] = "expected uncertainty of the signal's rate (relative)"

    def asks(self, channel: Any) -> Any:
        """What is wanted of a statistical model."""
        return channel.signal_error()


@dataclass(frozen=True, kw_only=True)
class UpperLimit(Peak):
    """Expected CLs limit at 95 % on the signal's rate, relative to what is expected, if there is none."""

    goal: Literal["minimise"] = "minimise"
    title: ClassVar[str] = "expected 95 % CLs limit on the signal's rate (relative)"

    def asks(self, channel: Any) -> Any:
        """What is wanted of a statistical model."""
        return channel.upper_limit()
