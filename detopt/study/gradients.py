"""`detopt gradients`: every free parameter's gradient against differences, with what it costs and how far it reaches."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import equinox as eqx
import numpy as np

from detopt.backend import jax
from detopt.detector.surfaces import as_arrays
from detopt.gradients.check import TOLERANCE, Budget, Row, check, inside
from detopt.inference.training import train
from detopt.search.joint import BATCHES
from detopt.simulation.streams import stream
from detopt.study.audit import CALIBRATION, Pool
from detopt.study.differentiable import check_differentiable
from detopt.study.edges import check_bounds, check_ranges, check_sampled_bounds
from detopt.study.estimators import estimators
from detopt.study.evaluate import array_space, make_evaluator, make_sampler, number
from detopt.study.faults import BadInput, Fault
from detopt.study.networks import make_head
from detopt.study.reach import check_reach
from detopt.study.studies import Study

__all__ = ["check_gradients", "trained_head"]

SET = 2048  # muons: many small sets of events decide as soon as they can
LARGER = 16  # times the events of a set, for the reference that the values are compared with


def check_gradients(
    study: Study,
    seed: int | None = None,
    keys: int = 2000,
    seconds: float = float("inf"),
    step: float = Budget.step,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Compare the gradients of a study's initial design with central differences; see `detopt.gradients.check`.

    Args:
        study: from `detopt.load`.
        seed: instead of the study's own.
        keys: at most so many sets of events.
        seconds: after which no more keys are added.
        step: of the differences, to either side, relative to the parameter's range; the gradient is the mean over it.
        progress: called with a line now and then.

    Returns:
        {parameters: [{objective, name, unit, gradient, …, verdict, ok}], values, notes, ok}; gradients in base units.

    Raises:
        BadInput: nothing is free, or a gradient is refused.
    """
    study = study if seed is None else replace(study, seed=seed)
    if not study.space.variables:
        message = "nothing is free: give bounds to some numbers, as in L0.radius: {bounds: [20 mm, 40 mm]}"
        raise BadInput([Fault(str(study.path), None, None, "variables", message)])
    check_differentiable(study)
    tell = progress or (lambda line: None)
    space, sampled, notes = array_space(study), study.mode == "sampled", []
    network: Any = None
    if sampled:
        evaluate: Any = make_sampler(study, _set(study))
        check_sampled_bounds(study, space, evaluate)
        if study.head is not None:
            tell("training a head")
            network = trained_head(study, evaluate)
            notes.append("the head is trained at the initial design, and held fixed")
    else:
        check_ranges(study)
        check_reach(study)
        evaluate = make_evaluator(study)
        check_bounds(study, space, evaluate.particles)
    budget = Budget(keys, seconds, step, study.seed)

    def values(u: Any, key: jax.Array) -> Any:
        return evaluate(space.place(u), network, key).values

    start = np.array(study.space.init)
    rows = check(values, start, sampled, budget, tell)
    at = inside(start, sampled, step)
    if names := [v.name for v, a, b in zip(study.space.variables, start, at, strict=True) if a != b]:
        notes.append(f"looked at a little inside the bounds, since the initial value is at one: {', '.join(names)}")
    events = evaluate.events if sampled else 1
    ways = estimators(study)
    table = [_described(study, r, ways, at, events) for r in rows]
    compared = _values(study, values, network, at, tell) if sampled else {}
    fine = all(row["ok"] for row in table) and all(v["ok"] for v in compared.values())
    return {"parameters": table, "values": compared, "notes": notes, "ok": fine}


def _set(study: Study) -> int:
    """Muons of a set: no more than a batch of the search has."""
    return min(math.ceil(study.search.events / BATCHES), SET)


def _described(study: Study, row: Row, ways: dict[str, str], at: np.ndarray, events: int) -> dict[str, Any]:
    """A row as plain data, in base units of the parameter."""
    variable = study.space.variables[row.parameter]
    u = float(at[row.parameter])
    value = variable.value(u)
    # From the unit box to the parameter's own unit.
    width = value * np.log(variable.upper / variable.lower) if variable.log else variable.upper - variable.lower
    sampled = row.keys > 1
    signal = abs(row.gradient) > 2 * row.gradient_error
    needed = events * row.keys * (row.gradient_error / (0.1 * abs(row.gradient))) ** 2 if sampled and signal else None
    z = row.bias / row.bias_error if row.bias_error > 0 else 0.0
    percent = 100 * row.bias / abs(row.difference) if row.difference else (0.0 if row.bias == 0 else None)
    low, high = (variable.value(min(max(u + s, 0.0), 1.0)) - value for s in (row.low, row.high))
    return {
        "objective": list(study.objectives)[row.objective],
        "name": variable.name,
        "unit": variable.unit,
        "display_unit": variable.display_unit,
        "gradient": number(row.gradient / width),
        "gradient_error": number(row.gradient_error / width),
        "difference": number(row.difference / width),
        "difference_error": number(row.difference_error / width),
        "bias_percent": None if percent is None else number(percent),
        "bias_of_scale": number(row.bias / row.scale) if row.scale else 0.0,
        "bias_of_scale_error": number(row.bias_error / row.scale) if row.scale else 0.0,
        "z": number(z) if sampled else None,
        "estimator": ways[variable.name],
        "events_for_10_percent": None if needed is None else number(np.ceil(needed)),
        "linear_range": [number(low), number(high)],
        "step": number(row.step * width),
        "keys": row.keys,
        "events": events if sampled else None,
        "verdict": row.verdict,
        "ok": row.verdict == "ok",
    }


def _values(study: Study, values: Any, network: Any, at: np.ndarray, tell: Any) -> dict[str, Any]:
    """Whether the value of a few events is, on average, that of many: a readout that is not linear has a bias."""
    tell("comparing values with those of more events")
    space, many = array_space(study), make_sampler(study, LARGER * _set(study))
    first = jax.jit(values)
    key = stream(jax.random.key(study.seed), "values")
    few = np.stack([np.asarray(first(at, jax.random.fold_in(key, i))) for i in range(LARGER)])
    reference = jax.jit(lambda u, k: many(space.place(u), network, k))(at, stream(key, "reference"))
    found = {}
    for i, name in enumerate(study.objectives):
        error = float(np.hypot(few[:, i].std(ddof=1) / np.sqrt(LARGER), reference.errors[i]))
        difference = float(few[:, i].mean() - reference.values[i])
        fine = abs(difference) - 2 * error <= TOLERANCE * abs(float(reference.values[i]))
        found[name] = {
            "value": number(few[:, i].mean()),
            "reference": number(reference.values[i]),
            "error": number(error),
            "ok": bool(fine),
        }
    return found


def trained_head(study: Study, sampler: Any) -> Any:
    """A head, trained from scratch at the initial design."""
    head = study.head
    assert head is not None
    key = stream(jax.random.key(study.seed), "head for gradients")
    count = min(head.together * head.exposure * max(head.warm_up, 1), study.audit.head_events)
    pool = Pool(sampler.exposures)(as_arrays(study.detector), stream(key, "events"), count)
    network = make_head(study, stream(key, "weights"))
    network = network.normalised(jax.tree.map(lambda x: x[: max(CALIBRATION // head.exposure, 1)], pool))
    trained = eqx.filter_jit(lambda net, pool, key: train(net, pool, head, max(head.warm_up, 1), key)[0])
    return trained(network, pool, stream(key, "batches"))
