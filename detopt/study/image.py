"""An image of the volume of a portal, from simulated muons: what `detopt image` returns."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from detopt.backend import jnp
from detopt.detector.bodies import Volume
from detopt.detector.detector import Detector
from detopt.inference.x0_map import Box, Scatters, likelihood_map, poca_map, unit_widths
from detopt.simulation.physics import Physics
from detopt.simulation.scattering import beta, highland
from detopt.simulation.source import Cosmic, Source
from detopt.study.faults import BadInput, Fault
from detopt.study.simulate import Simulation, prepared

__all__ = ["Image", "aimed", "image_of"]

Knowledge = Literal["known", "spectrum"]
Map = Float[np.ndarray, "x y z"]

_SOLID = 1e-3  # 1 / X0 in 1/mm
_CHOICES = 16  # momenta of equal shares of the muons


@dataclass(frozen=True)
class Image:
    """Maps of 1 / X0 in 1/mm, by voxels along x, y and z: the truth, the most likely one, and that of closest approach."""

    box: Box
    truth: Map
    likely: Map
    poca: Map
    muons: int  # that were sent
    seen: int  # that have tracks on both sides

    def ratios(self) -> dict[str, float | None]:
        """Median of predicted over true X0, over the voxels that hold more than a gas."""
        found, solid = {}, self.truth > _SOLID
        for name, estimate in (("likelihood", self.likely), ("poca", self.poca)):
            ratio = (self.truth / np.where(estimate > 0, estimate, np.nan))[solid]
            found[name] = float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else None
        return found


def image_of(
    detector: Detector,
    source: Source,
    events: int | None = None,
    seed: int = 0,
    physics: Physics | None = None,
    momentum: Knowledge = "spectrum",
    progress: Callable[[float], None] | None = None,
) -> Image:
    """Send muons through a portal and map its volume.

    Args:
        detector: of floats, with one volume, and planes for a track above it and one below.
        source: of muons; cosmic ones that aim at nothing else are those through the top of the volume.
        events: how many; of an exposure, as many as are expected, if it is not given.
        seed: of all random numbers.
        physics: which effects are on; all of them by default.
        momentum: "known" before and behind the volume for each muon, or only the "spectrum" of all that are seen.
        progress: told which fraction is done.

    Raises:
        BadInput: no portal, not one volume with planes on both sides, or no muon that is seen on both.
    """
    volumes = [e for e in detector.elements if isinstance(e, Volume)]
    if detector.frame != "portal" or len(volumes) != 1:
        raise _refused(f"{detector.name} needs frame: portal and one volume; it has {len(volumes)}")
    volume, tell = volumes[0], progress or (lambda share: None)
    simulation = prepared(detector, aimed(detector, source), events, seed, physics)
    if len(simulation.arms) != 2:
        raise _refused(f"{detector.name} needs two planes that measure above {volume.name}, and two below")
    parts = []
    for number, found in enumerate(simulation.flown()):
        left = simulation.events - number * simulation.chunk
        parts.append(_scatters(found, simulation, volume, min(simulation.chunk, left)))
        tell(0.5 * min(1.0, (number + 1) * simulation.chunk / simulation.events))
    scatters = Scatters(*(np.concatenate(columns) for columns in zip(*(p[:-1] for p in parts), strict=True)))
    if len(scatters.turned) == 0:
        raise _refused(f"none of {simulation.events} muons has a track above and below {volume.name}")
    if momentum == "spectrum":
        scatters = _of_a_spectrum(scatters)
    box = Box(np.array(volume.corner, float), np.array(volume.size, float), volume.voxels)
    truth = np.array([1 / m.X0 for m in volume.scene.materials])[volume.scene.index]
    likely = likelihood_map(scatters, box, progress=lambda share: tell(0.5 + 0.5 * share))
    return Image(box, truth, likely, poca_map(scatters, box), simulation.events, len(scatters.turned))


def _refused(why: str) -> BadInput:
    return BadInput([Fault("detector", None, None, "", why)])


def _of_a_spectrum(scatters: Scatters) -> Scatters:
    """The same muons, each of which may have any of a few momenta."""
    p = scatters.momentum
    strength = np.mean(unit_widths(p) ** 2, axis=1)
    choices = np.quantile(strength, (np.arange(_CHOICES) + 0.5) / _CHOICES)
    middle = float(np.median(np.mean(p, axis=1)))
    return scatters._replace(
        momentum=np.full_like(p, middle), spectrum=choices / float(unit_widths(np.array(middle)) ** 2)
    )


def aimed(detector: Detector, source: Source) -> Source:
    """Cosmic muons that aim at nothing else are those through the top of the volume."""
    volumes = [e.name for e in detector.elements if isinstance(e, Volume)]
    if isinstance(source, Cosmic) and not source.aim and volumes:
        return replace(source, aim=volumes[0])
    return source


def _scatters(found: dict[str, Any], simulation: Simulation, volume: Volume, count: int) -> Scatters:
    """Of the muons of a chunk that have both tracks."""
    one, other = found["tracks"]
    top, bottom = float(volume.z[1]), float(volume.z[0])
    both = (np.asarray(one["found"]) & np.asarray(other["found"]))[:count]
    up, _ = _moved(one, top, both, count)
    # Both tracks where the muon leaves: there they are compared.
    there, error_there = _moved(one, bottom, both, count)
    down, error_down = _moved(other, bottom, both, count)
    error = error_there + error_down
    at = simulation.elements.index(volume.name)
    entry, leaving = (
        np.linalg.norm(np.asarray(found["truth"]._asdict()[side])[:count][both, at], axis=-1)
        for side in ("entry_momentum", "exit_momentum")
    )
    cells = [[[error[:, i + 2, i + 2], error[:, i + 2, i]], [error[:, i, i + 2], error[:, i, i]]] for i in (0, 1)]
    extra = _panels(simulation.detector, volume, entry, leaving)
    covariance = np.moveaxis(np.array(cells), -1, 0)
    covariance[:, :, 0, 0] += extra[:, None]
    return Scatters(
        above=np.column_stack([up[:, :2], np.full(len(up), top)]),
        below=np.column_stack([down[:, :2], np.full(len(down), bottom)]),
        slope=up[:, 2:4],
        turned=down[:, 2:4] - up[:, 2:4],
        aside=down[:, :2] - there[:, :2],
        error=covariance,
        momentum=np.column_stack([entry, leaving]),
    )


def _moved(
    track: dict[str, Any], z: float, both: np.ndarray, count: int
) -> tuple[Float[np.ndarray, "N 4"], Float[np.ndarray, "N 4 4"]]:
    """Tracks at another z, in a straight line, and their covariance."""
    parameters = np.asarray(track["parameters"])[:count][both][:, :4]
    covariance = np.asarray(track["covariance"])[:count][both][:, :4, :4]
    step = z - np.asarray(track["z"])[:count][both]
    moved = np.broadcast_to(np.eye(4), covariance.shape).copy()
    moved[:, 0, 2] = moved[:, 1, 3] = step
    return np.einsum("nij,nj->ni", moved, parameters), moved @ covariance @ np.swapaxes(moved, 1, 2)


def _panels(detector: Detector, volume: Volume, entry: np.ndarray, leaving: np.ndarray) -> Float[np.ndarray, " N"]:
    """Variance of the slope from the planes next to the volume: what the tracks do not know of."""
    above = [s for s in detector.surfaces() if s.position > volume.z[1]]
    below = [s for s in detector.surfaces() if s.position < volume.z[0]]
    variance = np.zeros_like(entry)
    for near, p in ((min(above, key=lambda s: s.position), entry), (max(below, key=lambda s: s.position), leaving)):
        momentum = jnp.asarray(p)
        variance += np.asarray(highland(jnp.full_like(momentum, near.x_over_X0), momentum, beta(momentum))) ** 2
    return variance
