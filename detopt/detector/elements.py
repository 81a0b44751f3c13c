"""The elements a detector is made of.

Each declares its numbers once (see `detopt.parameters.quantity`), says at which surfaces a particle meets it, and what
drives its cost. Lengths are full lengths unless a name says `half_`.
"""

from detopt.detector.barrel import BarrelLayer, BarrelStack, Disk
from detopt.detector.bodies import BODIES, Slab, Volume
from detopt.detector.magnets import Magnet
from detopt.detector.planar import Panel, Plane
from detopt.detector.sensor import BINARY

__all__ = [
    "BINARY",
    "BODIES",
    "ELEMENTS",
    "BarrelLayer",
    "BarrelStack",
    "Disk",
    "Magnet",
    "Panel",
    "Plane",
    "Slab",
    "Volume",
]

# The word in YAML's `type:`.
ELEMENTS: dict[str, type] = {
    "barrel_layer": BarrelLayer,
    "barrel_stack": BarrelStack,
    "disk": Disk,
    "plane": Plane,
    "panel": Panel,
    "slab": Slab,
    "volume": Volume,
    "magnet": Magnet,
}
