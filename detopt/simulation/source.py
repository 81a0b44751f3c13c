"""Where particles come from. Declarations only: no JAX."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from detopt.parameters import quantity

__all__ = ["SOURCES", "Gun"]

_NODES = 8  # Gauss-Legendre points over a range: exact to 1e-6 for curves as smooth as a resolution's


@dataclass(frozen=True, kw_only=True)
class Gun:
    """Single particles from the origin; a range of momenta is flat in log p, a range of angles flat in cos(theta)."""

    particle: Literal["mu-", "mu+"] = "mu-"
    momentum: Any = quantity("GeV", above=0, range=True, doc="momentum, or [from, to]")
    theta: Any = quantity("rad", above=0, below=math.pi, range=True, default=(math.pi / 2,) * 2, doc="polar angle")

    @property
    def charge(self) -> int:
        """In units of the proton's."""
        return -1 if self.particle == "mu-" else 1

    def nodes(self, momentum: float | None = None, theta: float | None = None) -> np.ndarray:
        """Quadrature over the source: rows of (momentum, theta, weight), weights summing to one.

        A momentum or angle that is given replaces the source's.
        """
        low, high = self.momentum if momentum is None else (momentum, momentum)
        momenta, p_weights = _gauss(math.log(low), math.log(high))
        low, high = self.theta if theta is None else (theta, theta)
        cosines, t_weights = _gauss(math.cos(high), math.cos(low))
        p, t = np.meshgrid(np.exp(momenta), np.arccos(np.clip(cosines, -1, 1)), indexing="ij")
        return np.stack([p.ravel(), t.ravel(), np.outer(p_weights, t_weights).ravel()], axis=-1)


def _gauss(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    if low == high:
        return np.array([low]), np.array([1.0])
    x, w = np.polynomial.legendre.leggauss(_NODES)
    return low + (high - low) * (x + 1) / 2, w / 2


SOURCES: dict[str, type] = {"gun": Gun}
