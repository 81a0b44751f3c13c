"""What a study may say of its neural head. Declarations only: no JAX (see `detopt.inference.networks`)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from detopt.parameters import quantity, whole

__all__ = ["HEADS", "DeepSetHead", "Head", "Momentum", "PortalHead", "SetHead", "TrackHead", "VoxelHead"]

Momentum = Literal["unknown", "measured", "known"]  # what is told of that of each muon


@dataclass(frozen=True, kw_only=True)
class _Head:
    """Size and training of a head.

    It is trained alone for `warm_up` steps; then `steps_per_design` steps follow each step of the design. The learning rate
    goes from `learning_rate` to `final` times that during the warm-up, and stays there.
    """

    width: int = whole(32, least=1, most=4096)  # of the hidden layers
    layers: int = whole(2, least=1, most=16)  # hidden ones
    conditioned: bool = (
        False  # the design variables are inputs: one head for all designs, trained over the whole box first
    )
    batch: int = whole(4096, least=1)  # muons in a training step
    warm_up: int = whole(800, least=0)
    steps_per_design: int = whole(4, least=1)
    learning_rate: Any = quantity("", above=0, max=1, default=3e-3, doc="Adam's step at the start")
    final: Any = quantity("", above=0, max=1, default=0.1, doc="learning rate at the end of the warm-up, relative")
    schedule: Literal["cosine", "constant"] = "cosine"

    @property
    def exposure(self) -> int:
        """Muons in one exposure."""
        return 1

    @property
    def together(self) -> int:
        """Exposures in a training step."""
        return max(self.batch // self.exposure, 1)


@dataclass(frozen=True, kw_only=True)
class TrackHead(_Head):
    """Looks at one muon's track, and tells how likely the muon comes from a decay away from the origin."""

    objective: ClassVar[str] = "discrimination"


@dataclass(frozen=True, kw_only=True)
class SetHead(_Head):
    """Looks at an exposure of many muons, and estimates which fraction of them comes from decays, with its error."""

    objective: ClassVar[str] = "fraction"
    muons: int = whole(100, least=2, most=100_000)

    @property
    def exposure(self) -> int:
        """Muons in one exposure."""
        return self.muons


@dataclass(frozen=True, kw_only=True)
class PortalHead(_Head):
    """Looks at an exposure of a portal, and answers what the objective asks about the scene.

    An exposure is a number of cosmic muons through what they aim at; as many as the source's exposure brings, where it is
    not given.
    """

    batch: int = whole(32, least=1)  # exposures in a training step
    muons: int = whole(0, least=0, most=10_000_000)
    momentum: Momentum = "unknown"  # measured: by how the panels themselves scatter the muon

    @property
    def exposure(self) -> int:
        """Muons in one exposure."""
        return self.muons

    @property
    def together(self) -> int:
        """Exposures in a training step."""
        return self.batch


@dataclass(frozen=True, kw_only=True)
class VoxelHead(PortalHead):
    """Looks at sums on a grid of voxels."""

    grid: tuple[int, int, int] = (0, 0, 0)  # voxels of the sums; those of the volume where it is not given
    bins: int = whole(6, least=2, most=32)  # of the scattering angle


@dataclass(frozen=True, kw_only=True)
class DeepSetHead(PortalHead):
    """Looks at the muons one by one, and at the mean of what it makes of them."""


Head = TrackHead | SetHead | VoxelHead | DeepSetHead
HEADS: dict[str, type] = {"track": TrackHead, "set": SetHead, "voxels": VoxelHead, "deep_set": DeepSetHead}
