"""What a design's measurements tell: significance, error and limit, with systematic uncertainties and without."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from jaxtyping import Array

from detopt.backend import jax
from detopt.scoring.likelihood import Templates, discovery_significance, signal_error, statistics_only, upper_limit
from detopt.scoring.measurements import Peak
from detopt.scoring.model_faults import faults
from detopt.scoring.nuisances import Nuisances
from detopt.scoring.peak import Channel
from detopt.scoring.workspace import workspace
from detopt.study.evaluate import number
from detopt.study.faults import BadInput, Fault
from detopt.study.studies import Study

__all__ = ["Measurement", "check_measures", "measurements"]


@dataclass(frozen=True)
class Measurement:
    """Of one objective in one design."""

    term: Peak
    name: str
    templates: Templates
    nuisances: Nuisances

    def answers(self) -> dict[str, Any]:
        """{significance, sigma_mu, upper_limit}, None for what is infinite."""
        Z, error, limit = _told(self.templates, self.nuisances)
        return {"significance": number(Z), "sigma_mu": number(error), "upper_limit": number(limit)}

    def statistics_only(self) -> float | None:
        """The objective without systematic uncertainties and without errors of the simulation."""
        return number(self.term.asks(Channel(*statistics_only(self.templates, self.nuisances))))

    def workspace(self) -> dict[str, Any]:
        """As HistFactory's JSON."""
        limit = self.answers()["upper_limit"] or 0.0
        return workspace(self.templates, self.nuisances, self.name, max(10.0, 3 * limit))


@partial(jax.jit, static_argnames="nuisances")
def _told(templates: Templates, nuisances: Nuisances) -> tuple[Array, Array, Array]:
    return (
        discovery_significance(templates, nuisances), signal_error(templates, nuisances), upper_limit(templates, nuisances)
    )  # fmt: skip


def measurements(study: Study, peaks: dict[str, Channel]) -> dict[str, Measurement]:
    """Checked. Raises BadInput for a model that means nothing."""
    found, wrong = {}, []
    for name, peak in peaks.items():
        found[name] = Measurement(study.objectives[name], name, peak.templates, peak.nuisances)
        place = study.document.position(("objectives", name), key=True)
        wrong += [
            Fault(str(study.path), *place, f"objectives.{name}", message)
            for message in faults(peak.templates, peak.nuisances, background=study.objectives[name].background > 0)
        ]
    if wrong:
        raise BadInput(wrong)
    return found


def check_measures(study: Study) -> None:
    """Raises BadInput where no objective is a measurement."""
    if not any(isinstance(term, Peak) for term in study.objectives.values()):
        words = "significance, signal_error or upper_limit"
        place = study.document.position(("objectives",), key=True)
        raise BadInput([Fault(str(study.path), *place, "objectives", f"no objective is a measurement: {words}")])
