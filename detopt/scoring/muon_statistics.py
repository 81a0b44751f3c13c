"""What one muon of a beam line or portal adds to each objective."""

from typing import Any

from jaxtyping import Array, Float

from detopt.backend import jnp
from detopt.reconstruction.arms import ArmTrack, Reconstructed
from detopt.scoring.core import core_weight
from detopt.scoring.measurements import Peak
from detopt.scoring.peak import peak_statistics
from detopt.scoring.terms import Efficiency, Resolution

__all__ = ["needs_tracks", "of_pairs", "statistics_of"]


def needs_tracks(term: Any) -> bool:
    """Whether a term looks at fitted tracks; one from outside says so by `tracks = False` where it does not."""
    return isinstance(term, Resolution) or (hasattr(term, "statistics") and getattr(term, "tracks", True))


def of_pairs(term: Any) -> bool:
    """Whether a term looks at the masses of pairs, of signal and background."""
    return isinstance(term, Peak)


def statistics_of(term: Any, muon: Reconstructed) -> Float[Array, " k"]:
    """The numbers whose weighted means over all muons are all that a term needs."""
    if hasattr(term, "statistics"):
        return jnp.atleast_1d(term.statistics(muon))
    dtype = muon.weight.dtype
    if isinstance(term, Peak):
        assert muon.pair is not None
        return peak_statistics(term, muon.pair, muon.passes)
    if isinstance(term, Efficiency):
        return muon.passes.astype(dtype)[None]
    if term.of == "mass":
        assert muon.pair is not None
        residual, variance = (muon.pair.measured - muon.pair.truth)[None], muon.pair.variance[None]
    else:
        residual, variance = _residuals(term, muon.tracks)
    # Where there is no track nothing may be infinite, nor any derivative.
    good = muon.passes
    residual, variance = jnp.where(good, residual, 0.0), jnp.where(good, variance, 1.0)
    weight = jnp.where(good, core_weight(residual**2 / variance), 0.0)
    return jnp.stack([jnp.sum(weight), jnp.sum(weight * residual**2)]).astype(dtype)


def _residuals(term: Resolution, tracks: tuple[ArmTrack, ...]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Measured less true, and the variance that the fit claims: along x and y, or the relative one of 1/p."""
    if term.of == "momentum":
        track = next(t for t in tracks if len(t.parameters) == 5)
        scale = 1 / jnp.where(track.found, track.truth[4], 1.0)
        return ((track.parameters - track.truth)[4] * scale)[None], (track.covariance[4, 4] * scale**2)[None]
    if term.of == "angle":
        change = [t.parameters[2:4] - t.truth[2:4] for t in (tracks[0], tracks[-1])]
        return change[1] - change[0], _variances(tracks[0], 2) + _variances(tracks[-1], 2)
    first = 0 if term.of == "position" else 2
    return (tracks[0].parameters - tracks[0].truth)[first : first + 2], _variances(tracks[0], first)


def _variances(track: ArmTrack, first: int) -> Float[Array, " 2"]:
    return jnp.diagonal(track.covariance)[first : first + 2]
