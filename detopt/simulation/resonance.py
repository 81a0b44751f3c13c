"""Resonances that decay to two muons. A declaration: no JAX (see `detopt.simulation.muon_pairs` for the drawing)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from detopt.parameters import quantity
from detopt.simulation.muon import MUON_MASS, Source

__all__ = ["Resonance"]

# Mass and width in GeV, PDG 2022. The J/psi's 93 keV are far below what any detector resolves: it has no width here.
_RESONANCES = {"J/psi": (3.096900, 0.0), "Z": (91.1876, 2.4952)}


@dataclass(frozen=True, kw_only=True)
class Resonance(Source):
    """Pairs of mu+ and mu- from a resonance that decays isotropically, where it is made.

    Its momentum is either flat in log p over `momentum`, at a polar angle of `direction` (flat in the cosine); or along the
    beam `pz_offset` plus an exponential of mean `pz_mean`, and across it an exponential of mean `pt_mean`. The squared mass
    follows a relativistic Breit-Wigner of constant width, 1 / ((s - M^2)^2 + M^2 Gamma^2), within 20 widths of the mass.

    Pairs count whose muons both have `min_momentum` and a polar angle within `theta`. `detopt simulate` draws others again,
    and the acceptance, as measured on the way, is the weight of each event: weights sum to the number of events times it. In
    studies they are lost.

    With a `continuum` every second pair is one of background instead: of a mass that is flat between two ends, and otherwise
    made and decaying as the resonance does.
    """

    frames: ClassVar[tuple[str, ...]] = ("barrel", "beamline")
    resonance: Literal["J/psi", "Z"]
    mass: Any = quantity("GeV", above=2 * MUON_MASS, default=None, doc="the resonance's own if not given")
    width: Any = quantity("GeV", min=0, default=None, doc="full width; the resonance's own if not given")
    momentum: Any = quantity("GeV", above=0, range=True, default=None, doc="of the resonance, or [from, to]")
    direction: Any = quantity(
        "rad", min=0, max=math.pi, range=True, default=None, doc="polar angle of the resonance, or [from, to]"
    )
    pz_offset: Any = quantity("GeV", min=0, default=0.0, doc="least momentum along the beam")
    pz_mean: Any = quantity("GeV", above=0, default=None, doc="mean momentum along the beam beyond that")
    pt_mean: Any = quantity("GeV", min=0, default=0.0, doc="mean momentum across the beam")
    min_momentum: Any = quantity("GeV", min=0, default=0.0, doc="of each muon")
    theta: Any = quantity(
        "rad", min=0, max=math.pi, range=True, default=(0.0, math.pi), doc="[from, to] of each muon's polar angle"
    )
    continuum: Any = quantity(
        "GeV",
        above=2 * MUON_MASS,
        range=True,
        default=None,
        doc="[from, to] of the masses of background; none if not given",
    )

    @property
    def shape(self) -> tuple[float, float]:
        """Mass and width in GeV."""
        mass, width = _RESONANCES[self.resonance]
        return mass if self.mass is None else self.mass, width if self.width is None else self.width

    @property
    def cuts(self) -> bool:
        """Whether some pairs do not count."""
        return self.min_momentum > 0 or self.theta != (0.0, math.pi)

    def directions(self, frame: str) -> tuple[float, float]:
        """Range of the resonance's polar angle: if not given, all directions in a barrel, along the beam otherwise."""
        if self.direction is not None:
            return self.direction
        return (0.0, math.pi) if frame == "barrel" else (0.0, 0.0)

    def faults(self) -> list[tuple[str, str]]:
        """One spectrum, not two or none."""
        along = [name for name in ("pz_offset", "pz_mean", "pt_mean") if getattr(self, name)]
        found = []
        if self.momentum is not None and along:
            found.append((along[0], f"{along[0]} and momentum are two spectra: give one"))
        if self.momentum is None and self.pz_mean is None:
            found.append(("momentum", "momentum (flat in log p) or pz_mean (exponential along the beam) is missing"))
        if self.momentum is None and self.direction is not None:
            found.append(("direction", "direction goes with momentum; with pz_mean, pt_mean makes the angle"))
        if self.continuum is not None and not self.continuum[0] < self.continuum[1]:
            found.append(("continuum", "continuum needs a range [from, to] of some width"))
        if not self.theta[0] < self.theta[1]:
            found.append(("theta", "theta needs a range [from, to] of some width: it is an acceptance"))
        return found
