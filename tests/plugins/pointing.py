"""Objectives that are no part of detopt."""

from dataclasses import dataclass
from typing import Any, ClassVar

from detopt.parameters import quantity


@dataclass(frozen=True, kw_only=True)
class VertexArea:
    """Root of the mean product of the variances of d0 and z0: how large the spot is that a track points back to."""

    goal: ClassVar[str] = "minimise"
    unit: ClassVar[str] = "mm2"
    display_unit: ClassVar[str] = "um2"
    title: ClassVar[str] = "area that tracks point back to"
    momentum: Any = quantity("GeV", above=0, default=None, doc="momentum; the source's where it is not given")
    theta: Any = quantity("rad", above=0, below=3.14, default=None, doc="polar angle; the source's where not given")
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")

    def value(self, view: Any) -> Any:
        """Over the source and the hit patterns."""
        nodes = view.nodes(self)
        weight = nodes.weight * nodes.measured("z0")
        return ((weight * nodes.variance("d0") * nodes.variance("z0")).sum() / weight.sum()) ** 0.5


@dataclass(frozen=True, kw_only=True)
class Crowding:
    """Share of the muons that leave at least three of four hits, softly: a beam line or portal's objective."""

    goal: ClassVar[str] = "maximise"
    unit: ClassVar[str] = ""
    display_unit: ClassVar[str] = "%"
    title: ClassVar[str] = "muons with many hits"
    tracks: ClassVar[bool] = False
    weight: Any = quantity("", min=0, default=1.0, doc="weight in the sum of logarithms that `optimise` minimises")

    def statistics(self, muon: Any) -> Any:
        """Whether it has three hits."""
        return (muon.seen.sum() >= 3).astype(muon.weight.dtype)[None]

    def value(self, view: Any) -> Any:
        """The mean over all muons."""
        return view.mean(self)[0]
