"""The points of a front: chosen, scored again where scores have errors, and written into the run folder."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from detopt.backend import jax, jnp
from detopt.runs import Run
from detopt.search.belief import audited, on_the_front, with_interval
from detopt.search.emulator import Emulator, slopes_of
from detopt.search.exchange import exchange_rates, knee
from detopt.search.fronts import best_subset, nondominated
from detopt.search.pareto import State
from detopt.search.stationarity import residuals
from detopt.simulation.streams import stream
from detopt.study.front_simulator import PILOT, FrontSimulator
from detopt.study.optimise import Infeasible, Progress
from detopt.study.studies import Study

__all__ = ["publish", "rates_table"]

CANDIDATES = 2  # times the published points are scored again where scores have errors
_KEPT = "checkpoint/audit.npz"


def publish(
    study: Study,
    run: Run,
    simulator: FrontSimulator,
    state: State,
    told: Float[np.ndarray, "rows m"],
    emulator: Emulator | None,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Choose the points, score them again where scores have errors, and write the front.

    Args:
        study: what was asked.
        run: where front.parquet goes.
        simulator: that the search used.
        state: of the search at its end.
        told: the values of all its designs, without their noise.
        emulator: what `told` and the slopes are from, where scores have errors.
        progress: called after every design that is scored again.

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
        audit = _Audit(study, simulator, run, progress)
        u, values, errors = audited(u, audit, study.front.points, study.seed)
        if not len(u):
            raise Infeasible("none of the designs that the search has found could be scored again")
        slopes = np.asarray(slopes_of(emulator, jnp.asarray(u, jnp.float32)), float)
    order = np.argsort(values[:, 0], kind="stable")
    u, values, errors, slopes = u[order], values[order], errors[order], slopes[order]
    limits, active = simulator.limits(u)
    free = simulator.box.codes.moves
    kkt = residuals(slopes[..., free], u[:, free], limits[..., free], active)
    physical = scale.back(values)
    columns: dict[str, Any] = {}
    for i, name in enumerate(study.objectives):
        columns[name] = physical[:, i]
        columns[f"{name}_error"] = errors[:, i] * scale.width[i] * physical[:, i]
    columns |= {"p_nondominated": on_the_front(values, errors, study.seed), "kkt": kkt}
    columns |= simulator.box.table(u)
    run.write_table(columns, "front")
    run.write_table(
        rates_table(list(study.objectives), values * scale.width[None], errors * scale.width[None]), "rates"
    )
    evaluations = state.spent + PILOT
    return {
        "points": len(u),
        "knee": knee(values),
        "hypervolume": with_interval(values, errors, reference, study.seed)._asdict(),
        "kkt_median": float(np.median(kkt)),
        "evaluations": evaluations,
        "events": 0 if emulator is None else study.front.events * evaluations,
        "failed": int((~scored).sum()),
    }


def rates_table(
    names: list[str], logs: Float[np.ndarray, "p m"], errors: Float[np.ndarray, "p m"]
) -> dict[str, np.ndarray | list[str]]:
    """A row for each point and pair of objectives: by what share `of` gets worse for each share that `better` improves."""
    found = exchange_rates(logs, errors)
    rows = [(i, a, b) for i in range(len(logs)) for a in range(len(names)) for b in range(len(names)) if a != b]
    point, better, of = np.array(rows, int).reshape(-1, 3).T
    return {
        "point": point,
        "better": [names[i] for i in better],
        "of": [names[i] for i in of],
        "rate": -found.rate[point, better, of],
        "rate_error": found.error[point, better, of],
    }


class _Audit:
    """Scores designs on events that no search has seen. What is finished is kept in the run folder."""

    def __init__(
        self, study: Study, simulator: FrontSimulator, run: Run, progress: Callable[[Progress], None] | None = None
    ) -> None:
        self.simulator, self.scale, self.run, self.progress = simulator, simulator.scale, run, progress
        self.key = stream(jax.random.key(study.seed), "audit")
        self._kept = run.arrays(_KEPT) if (run.folder / _KEPT).is_file() else {}

    def __call__(
        self, u: Float[np.ndarray, "p n"], purpose: str
    ) -> tuple[Float[np.ndarray, "p m"], Float[np.ndarray, "p m"]]:
        """Scaled values and their errors; each purpose has events of its own."""
        keys = jax.random.split(stream(self.key, purpose), len(u))
        designs, scores = f"{purpose}.u", f"{purpose}.scores"
        # Kept scores are of the first of the same designs; others are of a search that has since gone on.
        same = designs in self._kept and np.array_equal(self._kept[designs], u)
        found = [*self._kept[scores]] if same else []
        begin = len(found)
        for i, pair in enumerate(self.simulator.audited(u[begin:], keys[begin:]), begin):
            found.append(pair)
            self._kept |= {designs: u, scores: np.array(found)}
            self.run.write_arrays(_KEPT, self._kept)
            if self.progress is not None:
                self.progress(Progress(i + 1, len(u), "audit", math.nan, f"to {purpose}"))
        values, errors = np.moveaxis(np.array(found), 1, 0)
        values = np.where(values > 0, values, np.nan)
        return self.scale(values), errors / values / self.scale.width
