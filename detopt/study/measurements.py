"""What a design's measurements tell: significance, error and limit, with systematic uncertainties and without."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from detopt.backend import jax
from detopt.detector.detector import Detector
from detopt.detector.surfaces import as_arrays
from detopt.scoring.beam_sampled import BeamEvaluator
from detopt.scoring.likelihood import Templates, discovery_significance, signal_error, statistics_only, upper_limit
from detopt.scoring.measurements import SignalError
from detopt.scoring.model_faults import faults
from detopt.scoring.nuisances import Nuisances
from detopt.scoring.peak import Measured
from detopt.scoring.workspace import workspace
from detopt.simulation.streams import stream
from detopt.study.evaluate import make_sampler, number
from detopt.study.faults import BadInput, Fault
from detopt.study.studies import Study

__all__ = ["Measurement", "measure", "measurements"]


@dataclass(frozen=True)
class Measurement:
    """Of one objective in one design."""

    name: str
    templates: Templates
    nuisances: Nuisances

    def answers(self) -> dict[str, Any]:
        """{significance, sigma_mu, upper_limit}, and the same of statistics alone under `statistics_only`."""
        return {
            **_answers(self.templates, self.nuisances),
            "statistics_only": _answers(*statistics_only(self.templates, self.nuisances)),
        }

    def workspace(self) -> dict[str, Any]:
        """As HistFactory's JSON."""
        limit = float(upper_limit(self.templates, self.nuisances))
        return workspace(self.templates, self.nuisances, self.name, max(10.0, 3 * limit if np.isfinite(limit) else 10.0))


def _answers(templates: Templates, nuisances: Nuisances) -> dict[str, float | None]:
    asked = {"significance": discovery_significance, "sigma_mu": signal_error, "upper_limit": upper_limit}
    return {name: number(of(templates, nuisances)) for name, of in asked.items()}


def measurements(study: Study, peaks: dict[str, Measured]) -> dict[str, Measurement]:
    """Checked. Raises BadInput for a model that means nothing."""
    found, wrong = {}, []
    for name, peak in peaks.items():
        templates = Templates(*(np.asarray(x, float) for x in jax.tree.leaves(peak.templates)))
        found[name] = Measurement(name, templates, peak.nuisances)
        counted = isinstance(study.objectives[name], SignalError)
        wrong += [
            Fault(str(study.path), *study.document.position(("objectives", name), key=True), f"objectives.{name}", message)
            for message in faults(templates, peak.nuisances, infinite=counted)
        ]
    if wrong:
        raise BadInput(wrong)
    return found


def measure(study: Study, detector: Detector) -> dict[str, Measurement]:
    """Simulate a design on the events of the study's audit. Raises BadInput where the study measures nothing."""
    sampler = make_sampler(study, study.audit.events) if study.mode == "sampled" else None
    peaks: dict[str, Measured] = {}
    if isinstance(sampler, BeamEvaluator):
        key = stream(stream(jax.random.key(study.seed), "audit"), "events")
        mean = jax.jit(sampler.with_means)(as_arrays(detector), None, key)[2]
        peaks = sampler.peaks(mean)
    if not peaks:
        words = "significance, signal_error or upper_limit"
        place = study.document.position(("objectives",), key=True)
        raise BadInput([Fault(str(study.path), *place, "objectives", f"no objective is a measurement: {words}")])
    return measurements(study, peaks)
