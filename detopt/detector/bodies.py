"""What particles pass through and nothing reads out: slabs of one material, and volumes of voxels."""

from dataclasses import dataclass
from typing import Any, ClassVar

from detopt.detector.sensor import Readout, Surface
from detopt.detector.slices import MOST_SLICES, slices_of
from detopt.detector.voxel_map import FROM_FILE
from detopt.materials import Material
from detopt.parameters import quantity, whole

__all__ = ["BODIES", "Slab", "Volume"]


@dataclass(frozen=True, kw_only=True)
class _Body:
    """A block of matter between `z[0]` and `z[1]`, around `centre`, of some `span` or endless."""

    axes: ClassVar[tuple[str, str]] = ("x", "y")
    frames: ClassVar[tuple[str, ...]] = ("beamline", "portal")
    measures: ClassVar[bool] = False
    name: str

    def readouts(self) -> tuple[Readout, ...]:
        """Bodies are not read out."""
        return ()

    def surfaces(self) -> tuple[Surface, ...]:
        """None: what is thick is no surface."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Slab(_Body):
    """A block of material across the beam, thick enough that a particle slows down and is displaced inside."""

    material: Material
    z: Any = quantity("mm", range=True, doc="from and to along the beam")
    span: Any = quantity("mm", above=0, axes=True, default=None, doc="full width in x and y; endless if not given")

    slices: int = whole(0, least=0, most=MOST_SLICES)  # that a muon takes it in; 0: as many as it needs

    def __post_init__(self) -> None:
        if self.slices == 0:  # while the numbers are floats; their number is part of the structure
            object.__setattr__(self, "slices", slices_of(self.material, self.z[1] - self.z[0]))

    @property
    def centre(self) -> tuple[float, float]:
        """In x and y."""
        return 0.0, 0.0


@dataclass(frozen=True, kw_only=True)
class Volume(_Body):
    """A box of voxels, each of one material: what a portal looks into.

    A muon takes each layer of voxels in slices, as many as the densest material in it needs, and in each the voxel in which
    the middle of its way lies.
    """

    corner: Any = quantity("mm", vector=True, doc="the corner of least x, y and z")
    size: Any = quantity("mm", vector=True, above=0, doc="full width along x, y and z")
    voxels: tuple[int, int, int] = FROM_FILE  # along x, y and z; a scene in a file says how many
    scene: Any  # a `Filling`: which material each voxel has

    @property
    def z(self) -> tuple[Any, Any]:
        """From and to along the beam."""
        return self.corner[2], self.corner[2] + self.size[2]

    @property
    def span(self) -> tuple[Any, Any]:
        """Full width in x and y."""
        return self.size[0], self.size[1]

    @property
    def centre(self) -> tuple[Any, Any]:
        """In x and y."""
        return self.corner[0] + self.size[0] / 2, self.corner[1] + self.size[1] / 2


BODIES = (Slab, Volume)
