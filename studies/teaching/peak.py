"""The J/psi spectrometer of studies/jpsi_peak.yaml, asked many questions at once, over a grid of its two variables."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

import detopt
from detopt.backend import jax, jnp
from detopt.detector.surfaces import as_arrays
from detopt.scoring.measurements import SignalError, Systematics
from detopt.scoring.terms import Efficiency, Resolution
from detopt.study.evaluate import array_space, make_sampler

THRESHOLDS = (0.2, 0.6, 1.0, 1.4, 1.7, 2.0, 2.3, 2.6, 3.0)
PLACES = (3100.0, 3500.0, 4000.0, 4500.0, 5000.0, 5500.0)  # of the last plane, in mm

ASKED = {"signal": 1000.0, "window": (2.8, 3.4), "bins": 60, "simulation_error": False}
COUNTED = {**ASKED, "bins": 120, "fit": "counting"}
QUESTIONS = {
    "no background": SignalError(**COUNTED),
    "counting": SignalError(**COUNTED, background=1e5),
    "counting, background to 5 %": SignalError(**COUNTED, background=1e5, systematics=Systematics(background=0.05)),
    "mass spectrum": SignalError(**ASKED, background=1e5),
    "spectrum, background to 5 %": SignalError(**ASKED, background=1e5, systematics=Systematics(background=0.05)),
    "spectrum, and a bump of 5 %": SignalError(
        **ASKED, background=1e5, systematics=Systematics(background=0.05, bump=0.05)
    ),
}


class Scan(NamedTuple):
    """Of all designs of the grid: rows are thresholds, columns places of the last plane."""

    efficiency: np.ndarray
    resolution: np.ndarray  # of the mass, in GeV
    errors: dict[str, np.ndarray]  # of the rate of J/psi, relative, by question
    spread: dict[str, np.ndarray]  # their statistical errors

    def best(self, question: str) -> tuple[int, int]:
        """Where the error is smallest."""
        row, column = np.unravel_index(np.argmin(self.errors[question]), self.efficiency.shape)
        return int(row), int(column)

    def most_efficient(self) -> tuple[int, int]:
        """The least precise end of the front."""
        row, column = np.unravel_index(np.argmax(self.efficiency), self.efficiency.shape)
        return int(row), int(column)

    def front(self) -> np.ndarray:
        """Efficiency and resolution (n, 2) of the designs that no other beats in both."""
        points = np.stack([self.efficiency.ravel(), self.resolution.ravel()], axis=1)
        beaten = [((points[:, 0] > e) & (points[:, 1] < r)).any() for e, r in points]
        kept = points[~np.array(beaten)]
        return kept[np.argsort(kept[:, 0])]


def scan(events: int, thresholds: tuple[float, ...] = THRESHOLDS, places: tuple[float, ...] = PLACES) -> Scan:
    """Simulate every design of the grid with the same pairs of muons."""
    study = detopt.load("jpsi_peak")
    asked = {"efficiency": Efficiency(), "resolution": Resolution(of="mass"), **QUESTIONS}
    study = replace(study, objectives=asked)
    sampler, space = make_sampler(study, events), array_space(study)

    @jax.jit
    def score(threshold: jax.Array, place: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = sampler(space.at({"S1.threshold": threshold, "S6.z": place}), None, jax.random.key(3))
        return found.values, found.errors

    rows = [[score(jnp.asarray(t), jnp.asarray(z)) for z in places] for t in thresholds]
    values, errors = (np.array([[pair[i] for pair in row] for row in rows]) for i in (0, 1))
    answers, spread = ({q: x[..., 2 + i] for i, q in enumerate(QUESTIONS)} for x in (values, errors))
    return Scan(values[..., 0], values[..., 1], answers, spread)


def spectrum(events: int, threshold: float, place: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges of the bins in GeV, and what signal and background are expected in them."""
    question = "mass spectrum"
    study = detopt.load("jpsi_peak")
    study = replace(study, objectives={question: QUESTIONS[question]})
    design = as_arrays(study.space.at({"S1.threshold": threshold, "S6.z": place}))
    sampler = make_sampler(study, events)
    mean = jax.jit(sampler.with_means)(design, None, jax.random.key(4))[2]
    signal, background = np.asarray(sampler.peaks(mean)[question].templates.nominal)
    return np.linspace(*ASKED["window"], ASKED["bins"] + 1), signal, background
