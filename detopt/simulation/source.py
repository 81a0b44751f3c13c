"""Where particles come from. Declarations only: no JAX.

`detopt.simulation.generate` draws guns and decays for the scores of a barrel, `detopt.simulation.rays` everything else.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from detopt.parameters import quantity
from detopt.simulation.cosmic import Cosmic
from detopt.simulation.muon import MUON_MASS, Source
from detopt.simulation.resonance import Resonance

__all__ = [
    "HADRONS",
    "MUON_MASS",
    "SOURCES",
    "Beam",
    "Cosmic",
    "Decay",
    "Gun",
    "Hadron",
    "Resonance",
    "Source",
    "check_frame",
    "word_of",
]

_NODES = 8  # Gauss-Legendre points over a range: exact to 1e-6 for curves as smooth as a resolution's
_LIGHT = 299.792458  # mm/ns
_AXES = {"beamline": "beam", "portal": "vertical"}  # what theta is the angle to


@dataclass(frozen=True, kw_only=True)
class _Muons(Source):
    """What every source of single muons says."""

    particle: Literal["mu-", "mu+"] = "mu-"
    momentum: Any = quantity("GeV", above=0, range=True, doc="momentum of the muon, or [from, to]")

    @property
    def charge(self) -> int:
        """In units of the proton's."""
        return -1 if self.particle == "mu-" else 1


@dataclass(frozen=True, kw_only=True)
class _AngledMuons(_Muons):
    """What sources say whose muons have a polar angle of their own."""

    theta: Any = quantity(
        "rad", above=0, below=math.pi, range=True, default=(math.pi / 2,) * 2, doc="polar angle of the muon"
    )

    def angles(self, frame: str = "barrel") -> tuple[float, float]:
        """Range of theta: if not given, 90 deg in a barrel, along the beam (or downwards) otherwise."""
        if self.theta is not None:
            return self.theta
        return (math.pi / 2,) * 2 if frame == "barrel" else (0.0, 0.0)

    def nodes(self, momentum: float | None = None, theta: float | None = None) -> np.ndarray:
        """Quadrature over the source: rows of (momentum, theta, weight), weights summing to one.

        A momentum or angle that is given replaces the source's.
        """
        low, high = self.momentum if momentum is None else (momentum, momentum)
        momenta, p_weights = _gauss(math.log(low), math.log(high))
        low, high = self.angles() if theta is None else (theta, theta)
        cosines, t_weights = _gauss(math.cos(high), math.cos(low))
        p, t = np.meshgrid(np.exp(momenta), np.arccos(np.clip(cosines, -1, 1)), indexing="ij")
        return np.stack([p.ravel(), t.ravel(), np.outer(p_weights, t_weights).ravel()], axis=-1)


@dataclass(frozen=True, kw_only=True)
class Gun(_AngledMuons):
    """Single particles; a range of momenta is flat in log p, a range of angles flat in cos(theta).

    They start at the origin of a barrel, else on the axis in front of everything. theta is the angle to the beam, in a
    portal to the vertical (0: downwards); the azimuth is uniform.
    """

    frames: ClassVar[tuple[str, ...]] = ("barrel", "beamline", "portal")
    theta: Any = quantity(
        "rad", min=0, below=math.pi, range=True, default=None, doc="polar angle; 90 deg in a barrel, else 0"
    )

    def frame_fault(self, frame: str) -> str | None:
        """Angles that never reach the detector."""
        low, high = self.angles(frame)
        if frame == "barrel" and not low > 0:
            return "theta must be > 0 in a barrel: along the beam there is nothing to hit"
        if frame != "barrel" and not high < math.pi / 2:
            return f"theta must be < 90 deg in a {frame}: it is the angle to the {_AXES[frame]}"
        return None


@dataclass(frozen=True, kw_only=True)
class Beam(_Muons):
    """A beam of muons along z (in a portal downwards), Gaussian in position and in slope, from in front of everything.

    A range of momenta is flat in log p; one momentum may have a Gaussian spread.
    """

    frames: ClassVar[tuple[str, ...]] = ("beamline", "portal")
    axes: ClassVar[tuple[str, ...]] = ("x", "y")

    momentum_spread: Any = quantity("", min=0, max=0.2, default=0.0, doc="relative sigma, cut at 4 sigma")
    centre: Any = quantity("mm", axes=True, left_out=0.0, default=(0.0, 0.0), doc="middle of the spot")
    spot: Any = quantity(
        "mm", min=0, axes=True, left_out=0.0, default=(0.0, 0.0), doc="sigma of the position where it starts"
    )
    divergence: Any = quantity(
        "rad", min=0, max=0.2, axes=True, left_out=0.0, default=(0.0, 0.0), doc="sigma of dx/dz and dy/dz"
    )

    def faults(self) -> list[tuple[str, str]]:
        """A range and a spread are two spectra."""
        if self.momentum_spread and self.momentum[0] < self.momentum[1]:
            return [("momentum_spread", "momentum_spread is about one momentum, and momentum is a range: give one")]
        return []


@dataclass(frozen=True)
class Hadron:
    """A hadron that decays to a muon, a neutrino and one more hadron."""

    mass: float  # GeV
    lifetime: float  # ns
    recoil: float  # GeV, mass of the other hadron

    @property
    def c_tau(self) -> float:
        """In mm."""
        return _LIGHT * self.lifetime


# Masses and lifetimes: PDG 2022 (Prog. Theor. Exp. Phys. 2022, 083C01). Recoil: the ground state that is most frequent
# in semileptonic decays (D* for B mesons, K for D mesons, phi for D_s, Lambda and Lambda_c for baryons).
HADRONS = {
    "B0": Hadron(5.27966, 1.519e-3, 2.01026),
    "B+": Hadron(5.27934, 1.638e-3, 2.00685),
    "B_s0": Hadron(5.36692, 1.520e-3, 2.1122),
    "Lambda_b0": Hadron(5.61960, 1.471e-3, 2.28646),
    "D0": Hadron(1.86484, 0.4103e-3, 0.493677),
    "D+": Hadron(1.86966, 1.033e-3, 0.497611),
    "D_s+": Hadron(1.96835, 0.504e-3, 1.019461),
    "Lambda_c+": Hadron(2.28646, 0.2015e-3, 1.115683),
}


@dataclass(frozen=True, kw_only=True)
class Decay(_AngledMuons):
    """Muons from semileptonic decays of a c or b hadron that flew some way, mixed with muons that are prompt.

    The hadrons come from the origin, where the primary vertex is known to be, in all directions. Their momenta are flat in
    log p over `hadron_momentum`; the muon's energy in the rest frame follows three-body phase space; the flight is
    exponential. Of these decays the muons with `momentum` and `theta` count, flat in cos(theta) since the source is
    isotropic. A prompt muon is such a muon whose hadron did not fly: both kinds have the same momenta and angles, and only
    the hits can tell.
    """

    frames: ClassVar[tuple[str, ...]] = ("barrel",)
    hadron: Literal["B0", "B+", "B_s0", "Lambda_b0", "D0", "D+", "D_s+", "Lambda_c+"]
    hadron_momentum: Any = quantity("GeV", above=0, range=True, doc="momentum of the hadrons whose muon counts")
    c_tau: Any = quantity("mm", above=0, default=None, doc="mean proper decay length; the hadron's own if not given")
    within: Any = quantity("mm", above=0, doc="flights end within this distance of the beam line")
    displaced: Any = quantity(
        "", min=0, max=1, range=True, default=(0.5, 0.5), doc="fraction from decays; [from, to]: it differs by exposure"
    )

    @property
    def properties(self) -> Hadron:
        """Mass and lifetime of the hadron."""
        return HADRONS[self.hadron]

    @property
    def decay_length(self) -> float:
        """c tau in mm."""
        return self.properties.c_tau if self.c_tau is None else self.c_tau

    @property
    def largest_energy(self) -> float:
        """Of the muon in the rest frame of the hadron: the neutrino takes nothing but what balances momenta."""
        h = self.properties
        return (h.mass**2 + MUON_MASS**2 - h.recoil**2) / (2 * h.mass)

    def muon_energies(self, hadron_momentum: float) -> tuple[float, float]:
        """Lowest and highest energy in GeV of the muons of such a hadron."""
        h, e = self.properties, self.largest_energy
        gamma, boost = math.hypot(1, hadron_momentum / h.mass), hadron_momentum / h.mass
        p = math.sqrt(e**2 - MUON_MASS**2)
        # A muon that is slower than the hadron can come to rest in the laboratory.
        slow = MUON_MASS if boost * MUON_MASS < p else gamma * e - boost * p
        return slow, gamma * e + boost * p


def _gauss(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    if low == high:
        return np.array([low]), np.array([1.0])
    x, w = np.polynomial.legendre.leggauss(_NODES)
    return low + (high - low) * (x + 1) / 2, w / 2


SOURCES: dict[str, type] = {"gun": Gun, "decay": Decay, "beam": Beam, "cosmic": Cosmic, "resonance": Resonance}


def word_of(source: Source) -> str:
    """The `type` of a source in YAML."""
    return next((word for word, cls in SOURCES.items() if cls is type(source)), type(source).__name__)


def check_frame(source: Source, frame: str) -> str | None:
    """Why a source cannot be used with a detector of this frame, or None."""
    if frame not in source.frames:
        return f"source {word_of(source)} goes with frame {' or '.join(source.frames)}, and this detector is a {frame}"
    return source.frame_fault(frame)
