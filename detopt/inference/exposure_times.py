"""How well a head of a portal answers after shorter and longer exposures, and how long one must look. NumPy at the end.

One head answers for all lengths. It is judged on scenes that it was not trained on; every stretch of a long exposure counts
as a short one. What belongs to a scene belongs together: errors are from drawing whole scenes again and again, the same ones
for all designs, so that what two designs have in common drops out of their difference.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float

from detopt.backend import jax, jnp
from detopt.inference.pictures import Pictures, Series

__all__ = ["FALSE_ALARMS", "FOUND", "ExposureScan", "exposure_scan", "exposures_differ"]

FALSE_ALARMS, FOUND = 0.01, 0.95  # how long until so many are found, with so few false alarms
_REPEATS = 200
_NORMAL = NormalDist()

# Answers and truth of the scenes that were drawn: (windows, scenes) and (scenes,).
Measure = Callable[[Float[np.ndarray, "w s"], Float[np.ndarray, " s"]], float]


@dataclass(frozen=True)
class ExposureScan:
    """What was found for one design, at L lengths; `again` holds it for R sets of scenes drawn again."""

    muons: Float[np.ndarray, " L"]
    measures: dict[str, Float[np.ndarray, " L"]]
    again: dict[str, Float[np.ndarray, "R L"]]

    def needed(self) -> tuple[float, Float[np.ndarray, " R"]] | None:
        """Muons until the measure "found" reaches `FOUND`; NaN where no length is enough. None of what is no detection."""
        if "found" not in self.measures:
            return None
        return _reached(self.muons, self.measures["found"]), np.array(
            [_reached(self.muons, row) for row in self.again["found"]]
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        found: dict[str, Any] = {"muons": self.muons.tolist()}
        for name, values in self.measures.items():
            errors = self.again[name].std(0)
            found[name] = [{"value": float(v), "error": float(e)} for v, e in zip(values, errors, strict=True)]
        if (needed := self.needed()) is not None:
            found["needed"] = _told(*needed)
            found |= {"of_found": FOUND, "false_alarms": FALSE_ALARMS}
        return found


def exposure_scan(network: Any, series: Series) -> ExposureScan:
    """Judge a `VoxelNetwork` on exposures in parts."""
    kind, lengths = network.question.kind, series.lengths
    raw = np.asarray(_answers(network, series), float)
    truth = np.asarray(series.truth, float)
    ends = np.cumsum([series.sums.shape[1] // n for n in lengths])[:-1]
    if kind == "presence":
        each, known = np.split(raw[..., 0].T, ends), truth[:, 0]
        measures: dict[str, Measure] = {"area": _area, "found": _found}
    else:  # the mean square of what a scene's answers are off by
        squares = network.question.range**2 * ((raw - truth[:, None]) ** 2).mean(-1).T
        each, known = np.split(squares, ends), np.zeros(len(truth))
        measures = {"rms": lambda squares, _: float(np.sqrt(squares.mean()))}
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(known), len(known)) for _ in range(_REPEATS)]
    return ExposureScan(
        float(series.muons[0]) * np.array(lengths, float),
        {name: np.array([m(e, known) for e in each]) for name, m in measures.items()},
        {name: np.array([[m(e[:, s], known[s]) for e in each] for s in drawn]) for name, m in measures.items()},
    )


def exposures_differ(before: ExposureScan, after: ExposureScan) -> dict[str, Any] | None:
    """The exposure that is needed afterwards, relative to before: value and error, or None where either is not reached."""
    old, new = before.needed(), after.needed()
    return None if old is None or new is None else _told(new[0] / old[0], new[1] / old[1])


def _told(value: float, again: Float[np.ndarray, " R"]) -> dict[str, Any] | None:
    """Value and error; where too many of the repeats have none, neither has this."""
    some = again[np.isfinite(again)]
    if not np.isfinite(value) or len(some) < 0.9 * len(again):
        return None
    return {"value": float(value), "error": float(some.std())}


@eqx.filter_jit
def _answers(network: Any, series: Series) -> Float[Array, "scenes windows answers"]:
    """Log-odds, or estimates, of all stretches of each exposure, the shortest first."""

    def of_scene(one: Series) -> Array:
        stretches = [one.sums.reshape(-1, n, *one.sums.shape[1:]).mean(1) for n in series.lengths]
        muons = [jnp.full(len(s), n, s.dtype) * one.muons for n, s in zip(series.lengths, stretches, strict=True)]
        number = sum(map(len, stretches))
        same = (jnp.broadcast_to(x, (number, *x.shape)) for x in (one.truth, one.condition))
        pictures = Pictures(jnp.concatenate(stretches), jnp.concatenate(muons), *same)
        if network.question.kind == "presence":
            return network.log_odds(pictures)[:, None]
        return network.estimate(pictures)[0]

    return jax.lax.map(of_scene, series)


def _area(odds: Float[np.ndarray, "w s"], there: Float[np.ndarray, " s"]) -> float:
    """Area under the ROC curve."""
    signal, background = (np.sort(odds[:, which].ravel()) for which in (there > 0.5, there < 0.5))
    below = np.searchsorted(background, signal, "left") + np.searchsorted(background, signal, "right")
    return float(below.mean() / (2 * len(background)))


def _found(odds: Float[np.ndarray, "w s"], there: Float[np.ndarray, " s"]) -> float:
    """Share that passes the cut which lets `FALSE_ALARMS` pass."""
    is_there: Bool[np.ndarray, " s"] = there > 0.5
    cut = np.quantile(odds[:, ~is_there], 1 - FALSE_ALARMS)
    return float((odds[:, is_there] > cut).mean())


def _reached(muons: Float[np.ndarray, " L"], found: Float[np.ndarray, " L"]) -> float:
    """Where the curve comes up to `FOUND` and stays there.

    Between two lengths the distance of signal and background, in units of their width, goes with the root of the exposure.
    """
    enough = found >= FOUND
    if not enough[-1] or enough[0]:
        return np.nan
    last = int(np.flatnonzero(~enough)[-1])
    low, high = (_NORMAL.inv_cdf(p) for p in np.clip(found[last : last + 2], 1e-4, 1 - 1e-4))
    share = (_NORMAL.inv_cdf(FOUND) - low) / (high - low)
    begin, end = np.sqrt(muons[last : last + 2])
    return float((begin + share * (end - begin)) ** 2)
