"""Cosmic muons at sea level. A declaration: no JAX (see `detopt.simulation.cosmic_rays` for the drawing)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from detopt.parameters import quantity
from detopt.simulation.muon import Source

__all__ = ["Cosmic"]

_SECOND = 1e9  # ns

# Momenta in GeV that each formula was fitted to, or that it is known to hold for.
_VALID = {"guan": (0.2, 1e4), "reyna": (1.0, 2e3)}


@dataclass(frozen=True, kw_only=True)
class Cosmic(Source):
    """The cosmic muons of an exposure through a horizontal rectangle, which is that of the element aimed at.

    Every event crosses the rectangle (in a straight line; what matter does comes later), and none is wasted on muons that
    miss it. The weights of the events sum to the number of muons expected in the exposure, however many events are drawn.
    `sampling: natural` draws muons as they come, all of one weight; `flat_log` as many in each decade of momentum, with
    weights that make up for it, for what depends on rare energetic muons.

    `flux: guan` is Guan et al. 2015 (arXiv:1509.06176), valid to 10 TeV and at all zenith angles; `reyna` is Reyna 2006
    (hep-ph/0604145), a fit to p cos(zenith) of 1 GeV to 2 TeV. Neither knows the charge: mu+ are 1.27 times as many as mu-,
    as CMS saw it below 100 GeV (1.2766 +- 0.0045, arXiv:1005.5332), and PDG's review of cosmic rays.
    """

    frames: ClassVar[tuple[str, ...]] = ("portal",)
    exposure: Any = quantity("ns", above=0, default=60 * _SECOND, doc="how long muons are collected")
    flux: Literal["guan", "reyna"] = "guan"
    momentum: Any = quantity("GeV", above=0, range=True, default=(0.3, 1e3), doc="[from, to] of the muons' momenta")
    zenith: Any = quantity(
        "rad", min=0, max=math.pi / 2, range=True, default=(0.0, math.pi / 2), doc="[from, to] of the zenith angles"
    )
    charge_ratio: Any = quantity("", above=0, default=1.27, doc="mu+ to mu-")
    sampling: Literal["natural", "flat_log"] = "natural"
    aim: str = ""  # name of the element whose rectangle the muons cross; the detector's choice if not given

    @property
    def seconds(self) -> float:
        """The exposure in s."""
        return self.exposure / _SECOND

    def faults(self) -> list[tuple[str, str]]:
        """Ranges of no width hold no muons."""
        return [
            (field, f"{field} needs a range [from, to] of some width: no cosmic muon has exactly one value")
            for field in ("momentum", "zenith")
            if not getattr(self, field)[0] < getattr(self, field)[1]
        ]

    def warnings(self) -> list[str]:
        """Momenta where the formula of the flux is extrapolated."""
        (low, high), (least, most) = self.momentum, _VALID[self.flux]
        if least <= low and high <= most:
            return []
        seen, known = f"{low:g} GeV to {high:g} GeV", f"{least:g} GeV to {most:g} GeV"
        return [f"momentum: {seen} goes beyond {known}, where the flux formula ({self.flux}) is valid"]
