"""The points of a front: chosen, scored again where scores have errors, and written into the run folder."""

from typing import Any

import numpy as np
from jaxtyping import Float

from detopt.backend import jax, jnp
from detopt.runs import Run
from detopt.search.belief import on_the_front, with_interval
from detopt.search.emulator import Emulator, slopes_of
from detopt.search.fronts import best_subset, nondominated
from detopt.search.pareto import State
from detopt.search.stationarity import residuals
from detopt.simulation.streams import stream
from detopt.study.evaluate import array_space, make_sampler
from detopt.study.front_simulator import PILOT, FrontSimulator, Scale
from detopt.study.optimise import Infeasible
from detopt.study.studies import Study

__all__ = ["publish"]

HARDLY = 0.05  # probability of being on the front below which a point is not published
CANDIDATES = 2  # times the published points are scored again where scores have errors


def publish(
    study: Study,
    run: Run,
    simulator: FrontSimulator,
    state: State,
    told: Float[np.ndarray, "rows m"],
    emulator: Emulator | None,
) -> dict[str, Any]:
    """Choose the points, score them again where scores have errors, and write the front.

    Args:
        study: what was asked.
        run: where front.parquet goes.
        simulator: that the search used.
        state: of the search at its end.
        told: the values of all its designs, without their noise.
        emulator: what `told` and the slopes are from, where scores have errors.

    Returns:
        What result.json says of the front.

    Raises:
        Infeasible: no design is better than the worst values of interest.
    """
    scale, archive, reference = simulator.scale, state.archive, np.zeros(told.shape[1])
    scored = np.isfinite(archive.values).all(axis=1)
    good = np.flatnonzero(scored & (told < reference).all(axis=1))
    if not len(good):
        names = ", ".join(study.objectives)
        raise Infeasible(
            f"no design is better than the worst values of interest in all of {names}: name worse ones (worst: …), or "
            "search longer (search: evaluations)"
        )
    number = study.front.points * (1 if emulator is None else CANDIDATES)
    chosen = good[best_subset(told[good], number, reference)]
    u, values = archive.u[chosen], archive.values[chosen]
    if emulator is None:
        best = nondominated(values)
        u, values = u[best], values[best]
        errors, slopes = np.zeros_like(values), simulator.gradients(u, stream(simulator.key, "stationarity"))
    else:
        audit = _Audit(study, scale)
        chance = on_the_front(*audit(u, "choose"), study.seed)
        best = np.argsort(-chance, kind="stable")[: study.front.points]
        u = u[best[chance[best] > HARDLY]]
        values, errors = audit(u, "publish")  # what was chosen for its luck is scored once more
        slopes = np.asarray(slopes_of(emulator, jnp.asarray(u, jnp.float32)), float)
    order = np.argsort(values[:, 0], kind="stable")
    u, values, errors, slopes = u[order], values[order], errors[order], slopes[order]
    kkt = residuals(slopes, u, *simulator.limits(u))
    physical = scale.back(values)
    columns: dict[str, Any] = {}
    for i, name in enumerate(study.objectives):
        columns[name] = physical[:, i]
        columns[f"{name}_error"] = errors[:, i] * scale.width[i] * physical[:, i]
    columns |= {"p_nondominated": on_the_front(values, errors, study.seed), "kkt": kkt}
    columns |= {v.name: np.asarray(v.value(u[:, i])) for i, v in enumerate(study.space.variables)}
    run.write_table(columns, "front")
    evaluations = state.spent + PILOT
    return {
        "points": len(u),
        "hypervolume": with_interval(values, errors, reference, study.seed)._asdict(),
        "kkt_median": float(np.median(kkt)),
        "evaluations": evaluations,
        "events": 0 if emulator is None else study.front.events * evaluations,
        "failed": int((~scored).sum()),
    }


class _Audit:
    """Scores designs on events that no search has seen."""

    def __init__(self, study: Study, scale: Scale) -> None:
        space, evaluate = array_space(study), make_sampler(study, study.audit.events)
        self.scale = scale
        self.key = stream(jax.random.key(study.seed), "audit")
        self._score = jax.jit(lambda u, key: evaluate(space.place(u), None, key))

    def __call__(
        self, u: Float[np.ndarray, "p n"], purpose: str
    ) -> tuple[Float[np.ndarray, "p m"], Float[np.ndarray, "p m"]]:
        """Scaled values and their errors; each purpose has events of its own."""
        keys = jax.random.split(stream(self.key, purpose), len(u))
        found = [self._score(jnp.asarray(point), key) for point, key in zip(u, keys, strict=True)]
        values = np.array([np.asarray(s.values) for s in found])
        errors = np.array([np.asarray(s.errors) for s in found])
        values = np.where(values > 0, values, np.nan)
        return self.scale(values), errors / values / self.scale.width
