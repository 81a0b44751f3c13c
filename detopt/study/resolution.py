"""Track resolutions of a detector against momentum and angle: `detopt resolution`, and the curves of a report."""

import functools
import math
from collections.abc import Sequence

import numpy as np

from detopt.backend import jax, jnp
from detopt.detector.cost import Prices
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Space
from detopt.reconstruction.expected import ExpectedTracks, expected_tracks, fewest_hits
from detopt.scoring.sampled import SampledEvaluator
from detopt.scoring.terms import Resolution
from detopt.simulation.physics import Physics
from detopt.simulation.source import Gun
from detopt.study.evaluate import number
from detopt.study.studies import Study
from detopt.units import parse_quantity

__all__ = ["resolution_curves", "resolution_table", "sampled_resolution_table"]

CURVE_MOMENTA = np.geomspace(0.2, 200, 40)


def resolution_curves(study: Study, detector: Detector) -> list[dict[str, float | None]]:
    """Resolution against momentum at the central angle of a study's source; nothing where there is no barrel."""
    if detector.frame != "barrel":
        return []
    low, high = study.source.theta
    theta = math.acos((math.cos(low) + math.cos(high)) / 2) if low != high else low
    return resolution_table(detector, CURVE_MOMENTA.tolist(), theta, study.physics)


def resolution_table(
    detector: Detector,
    momentum: float | str | Sequence[float | str],
    theta: float | str | Sequence[float | str] | None = None,
    physics: Physics | None = None,
) -> list[dict[str, float | None]]:
    """Resolutions of muons that leave a hit in every layer they cross.

    Args:
        detector: a barrel of floats.
        momentum: in GeV, or text with a unit ("500 MeV"), one or several.
        theta: polar angle in rad, or text with a unit ("40 deg"), one or several; 90 degrees where it is not given.
        physics: which effects are on; all of them by default.

    Returns:
        A row for each angle and momentum: p_GeV, theta_deg, sigma_pt_over_pt, sigma_d0_um, sigma_z0_um, with None for
        what such a track does not determine.
    """
    momenta = [_number(p, "GeV") for p in np.atleast_1d(momentum).tolist()]
    angles = [_number(t, "rad") for t in np.atleast_1d(math.pi / 2 if theta is None else theta).tolist()]
    grid = tuple((p, t) for t in angles for p in momenta)
    found = _tracks(as_arrays(detector), grid, physics or Physics())
    return [
        {
            "p_GeV": p,
            "theta_deg": round(math.degrees(t), 9),
            "sigma_pt_over_pt": number(found.pt[i] ** 0.5),
            "sigma_d0_um": number(1e3 * found.d0[i] ** 0.5),
            "sigma_z0_um": number(1e3 * found.z0[i] ** 0.5),
        }
        for i, (p, t) in enumerate(grid)
    ]


def sampled_resolution_table(
    detector: Detector,
    momentum: float | str | Sequence[float | str],
    theta: float | str | Sequence[float | str] | None = None,
    physics: Physics | None = None,
    events: int = 100_000,
    seed: int = 0,
) -> list[dict[str, float | None]]:
    """The same from simulated muons: the width of the core of what a fit finds minus the truth.

    Args:
        detector: as for `resolution_table`.
        momentum: likewise.
        theta: likewise.
        physics: which effects are on; by default all but single hard scatters, which make the core wider by some per cent
            and are no part of `resolution_table`.
        events: muons of each momentum and angle.
        seed: of the random numbers.

    Returns:
        The same rows, with an error beside each resolution (`sigma_d0_um_error` and so on).
    """
    physics, design = physics or Physics(tails=False), as_arrays(detector)
    momenta = [_number(p, "GeV") for p in np.atleast_1d(momentum).tolist()]
    angles = [_number(t, "rad") for t in np.atleast_1d(math.pi / 2 if theta is None else theta).tolist()]
    of = {"sigma_pt_over_pt": ("pt", 1.0), "sigma_d0_um": ("d0", 1e3), "sigma_z0_um": ("z0", 1e3)}
    rows: list[dict[str, float | None]] = []
    for t in angles:
        for p in momenta:
            terms = {name: Resolution(of=word, momentum=p, theta=t) for name, (word, _) in of.items()}  # type: ignore[arg-type]
            sampler = SampledEvaluator(
                terms, {}, Prices(), Gun(momentum=(p, p)), physics, Space(design, ()), events,
                min_hits=fewest_hits(detector), precision=jnp.float32, all_hits=True,
            )  # fmt: skip
            score = jax.jit(sampler)(design, None, jax.random.key(seed))
            row: dict[str, float | None] = {"p_GeV": p, "theta_deg": round(math.degrees(t), 9)}
            for i, (name, (_, factor)) in enumerate(of.items()):
                row[name] = number(factor * score.values[i])
                row[f"{name}_error"] = None if row[name] is None else number(factor * score.errors[i])
            rows.append(row)
    return rows


def _number(value: float | str, unit: str) -> float:
    return parse_quantity(value, unit) if isinstance(value, str) else float(value)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _tracks(design: Detector, grid: tuple[tuple[float, float], ...], physics: Physics) -> ExpectedTracks:
    patterns = np.ones((1, len(design.surfaces())), bool)
    return expected_tracks(design, np.array(grid), -1, physics, patterns, fewest_hits(design))
