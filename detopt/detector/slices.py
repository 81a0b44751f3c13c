"""In how many slices a muon takes what is thick."""

import math

from detopt.materials import Material

__all__ = ["MOST_SLICES", "slices_of"]

_LONGEST = 2.0, 0.05  # X0 and GeV of mean loss that one slice of a body holds: finer slices change nothing
MOST_SLICES = 200


def slices_of(material: Material, depth: float) -> int:
    """In how many slices a muon takes so many mm of a material."""
    lost = 2e-3 * material.density / 10 * depth  # GeV: 2 MeV cm2/g is minimum ionisation, roughly
    needed = max(depth / material.X0 / _LONGEST[0], lost / _LONGEST[1])
    return min(max(math.ceil(needed), 1), MOST_SLICES)
