"""Where particles of a beam line or portal begin. No JAX."""

from typing import NamedTuple

__all__ = ["Aim", "Start"]


class Aim(NamedTuple):
    """A horizontal rectangle that cosmic muons are to cross, in mm."""

    z: float
    centre: tuple[float, float]  # x and y
    span: tuple[float, float]  # full lengths along x and y


class Start(NamedTuple):
    """Where particles begin: in front of a beam line, above a portal. None of it may follow the design."""

    frame: str
    z: float  # mm
    aim: Aim | None = None
