"""What a head of a portal knows of a muon: its tracks above and below, as numbers that do not jump."""

from typing import NamedTuple

from jaxtyping import Array, Float

from detopt.backend import jnp
from detopt.inference.heads import Momentum
from detopt.reconstruction.arms import ArmTrack, Reconstructed

__all__ = ["MUON_COLUMNS", "MuonColumns", "columns_of_muon", "named"]


class MuonColumns(NamedTuple):
    """Of one muon, or of many. All of it is measured, but for a momentum that is known; 0 stands for an unknown one."""

    seen: Float[Array, "*n"]  # 1 where there are tracks on both sides
    above_x: Float[Array, "*n"]  # of the first track, in the middle of the volume, in mm
    above_y: Float[Array, "*n"]
    above_dx: Float[Array, "*n"]  # dx/dz
    above_dy: Float[Array, "*n"]
    below_x: Float[Array, "*n"]
    below_y: Float[Array, "*n"]
    below_dx: Float[Array, "*n"]
    below_dy: Float[Array, "*n"]
    variance: Float[Array, "*n"]  # of the change of slope, along one axis, as the fits have it
    momentum: Float[Array, "*n"]  # in GeV


MUON_COLUMNS = len(MuonColumns._fields)


def columns_of_muon(muon: Reconstructed, middle: float, momentum: Momentum) -> Float[Array, " f"]:
    """The columns of one muon in a row, 0 where it is not seen.

    Args:
        muon: reconstructed.
        middle: z of the middle of the volume, in mm.
        momentum: unknown, that which the panels measured, or the true one.
    """
    above, below = muon.tracks[0], muon.tracks[-1]
    told = {"unknown": jnp.zeros_like(muon.momentum), "measured": muon.measured, "known": muon.momentum}[momentum]
    assert told is not None
    both = MuonColumns(
        jnp.ones_like(muon.momentum),
        *_line(above, middle),
        *_line(below, middle),
        (jnp.trace(above.covariance[2:4, 2:4]) + jnp.trace(below.covariance[2:4, 2:4])) / 2,
        told,
    )
    return jnp.where(muon.passes, jnp.stack(both), 0.0)


def _line(track: ArmTrack, z: float) -> tuple[Array, Array, Array, Array]:
    x, y, dx, dy = (track.parameters[i] for i in range(4))
    return x + dx * (z - track.z), y + dy * (z - track.z), dx, dy


def named(columns: Float[Array, "*n f"]) -> MuonColumns:
    """The columns by name."""
    return MuonColumns(*(columns[..., i] for i in range(MUON_COLUMNS)))
