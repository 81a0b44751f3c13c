"""Two designs, or two fronts, side by side: what run folders say of both, and how far they differ."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detopt.report.text import number
from detopt.runs import Run, RunError
from detopt.search.belief import with_interval
from detopt.study.points import read_point

__all__ = ["compare"]

_CLEAR = 2.0  # standard errors by which a point is better than another


class _Design(NamedTuple):
    """A design of a run folder."""

    name: str
    objectives: dict[str, dict[str, Any]]
    variables: dict[str, dict[str, Any]]
    choices: dict[str, str]


def compare(first: str, second: str) -> dict[str, Any]:
    """What differs between two designs, or between two fronts.

    Args:
        first: a run folder; or a point of a front, as RUN:INDEX. Of a run of `optimise`, its final design is meant.
        second: the same.

    Returns:
        Plain data. Of designs: `objectives` and `variables`, each with the values of both, and `change`, the second minus
        the first, with its error as if the two were independent. Of fronts: the hypervolume of each and of both together in
        the objectives that they share, up to the same worst values, in natural logarithms; and for each how many of its
        points the other one beats in everything by two standard errors.

    Raises:
        RunError: a folder cannot be read, one side is a front and the other a design, or they share no objective.
    """
    fronts = [run for run in map(_front, (first, second)) if run is not None]
    if len(fronts) == 1:
        front, other = (first, second) if _front(first) else (second, first)
        raise RunError(f"{front} is a front and {other} a design: compare one of its points, as in {front}:0")
    return _fronts(*fronts) if fronts else _designs(_design(first), _design(second))


def _front(named: str) -> Run | None:
    """The run of a whole front."""
    if not Path(named).is_dir() and ":" in named:
        return None
    run = Run(named)
    return run if run.is_front else None


def _design(named: str) -> _Design:
    if Path(named).is_dir() or ":" not in named:
        result = Run(named).result
        variables = {v["name"]: {**v, "value": v["final"]} for v in result["variables"]}
        return _Design(
            named, result["final"]["objectives"], variables, (result.get("choices") or {}).get("chosen") or {}
        )
    run, row = read_point(named)
    result = run.front_result
    objectives = {n: {**o, "value": row[n], "error": row[f"{n}_error"]} for n, o in result["objectives"].items()}
    variables = {v["name"]: {**v, "value": row[v["name"]]} for v in result["variables"]}
    return _Design(named, objectives, variables, {name: row[name] for name in result.get("choices") or {}})


def _shared(first: dict[str, Any], second: dict[str, Any], names: tuple[str, str]) -> list[str]:
    """The objectives of both. Raises RunError where there are none, or where one name means two things."""
    shared = [name for name in first if name in second]
    if not shared:
        raise RunError(f"{names[0]} and {names[1]} share no objective")
    for name in shared:
        said = [f"{o[name]['title']}{f' in {unit}' if (unit := o[name]['unit']) else ''}, to {o[name]['goal']}"
                for o in (first, second)]  # fmt: skip
        if said[0] != said[1]:
            raise RunError(f"{name} is not the same in {names[0]} ({said[0]}) and in {names[1]} ({said[1]})")
    return shared


def _known(value: Any) -> float | None:
    """A number, None for what a design does not have."""
    return float(value) if math.isfinite(number(value)) else None


def _designs(a: _Design, b: _Design) -> dict[str, Any]:
    def entry(one: dict[str, Any] | None, two: dict[str, Any] | None) -> dict[str, Any]:
        known: dict[str, Any] = one or two or {}
        first, second = (None if e is None else _known(e["value"]) for e in (one, two))
        return {
            "unit": known.get("unit", ""),
            "display_unit": known.get("display_unit") or known.get("unit", ""),
            "first": first,
            "second": second,
            "change": None if first is None or second is None else second - first,
        }

    objectives = {}
    for name in _shared(a.objectives, b.objectives, (a.name, b.name)):
        one, two = a.objectives[name], b.objectives[name]
        errors = [_known(e["error"]) for e in (one, two)]
        objectives[name] = {
            **entry(one, two), "title": one["title"], "goal": one["goal"],
            "first_error": errors[0], "second_error": errors[1], "change_error": math.hypot(*(e or 0.0 for e in errors)),
        }  # fmt: skip
    names = [*a.variables, *(n for n in b.variables if n not in a.variables)]
    return {
        "kind": "designs",
        "first": a.name,
        "second": b.name,
        "objectives": objectives,
        "variables": {name: entry(a.variables.get(name), b.variables.get(name)) for name in names},
        "choices": {
            name: {"first": a.choices.get(name), "second": b.choices.get(name)} for name in {**a.choices, **b.choices}
        },
    }


def _fronts(a: Run, b: Run) -> dict[str, Any]:
    names, worst = _common(a, b)
    points = [_points(run, names, worst) for run in (a, b)]
    reference = np.zeros(len(names))
    both = [np.concatenate(columns) for columns in zip(*points, strict=True)]
    sides = [
        {
            "run": str(run.folder),
            "points": len(values),
            "hypervolume": with_interval(values, errors, reference, 0)._asdict(),
            "beaten": int(_beaten(values, errors, *points[1 - i]).sum()),
        }
        for i, (run, (values, errors)) in enumerate(zip((a, b), points, strict=True))
    ]
    return {
        "kind": "fronts",
        "first": sides[0],
        "second": sides[1],
        "both": with_interval(both[0], both[1], reference, 0).value,
        "objectives": {
            name: {**{k: a.front_result["objectives"][name][k] for k in ("title", "unit", "display_unit", "goal")},
                   "worst": float(w)}
            for name, w in zip(names, worst, strict=True)
        },
    }  # fmt: skip


def _common(a: Run, b: Run) -> tuple[list[str], np.ndarray]:
    """The objectives of both fronts, and the better of their worst values: there both have been searched."""
    asked = [run.front_result["objectives"] for run in (a, b)]
    names = _shared(asked[0], asked[1], (str(a.folder), str(b.folder)))
    better = [min if asked[0][name]["goal"] == "minimise" else max for name in names]
    return names, np.array([pick(q[name]["worst"] for q in asked) for name, pick in zip(names, better, strict=True)])


def _points(run: Run, names: list[str], worst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the objectives, to be small and 0 at the worst, and their errors."""
    table, asked = run.front(), run.front_result["objectives"]
    values = np.stack([np.asarray(table.column(n), float) for n in names], axis=1)
    errors = np.stack([np.asarray(table.column(f"{n}_error"), float) for n in names], axis=1)
    signs = np.array([1.0 if asked[n]["goal"] == "minimise" else -1.0 for n in names])
    return signs * np.log(values / worst), errors / values


def _beaten(values: np.ndarray, errors: np.ndarray, others: np.ndarray, other_errors: np.ndarray) -> np.ndarray:
    """Which points one of the others is better than in everything, by some standard errors."""
    apart = values[:, None] - others[None]
    errors = np.hypot(errors[:, None], other_errors[None])
    return np.asarray(((apart > _CLEAR * errors) & (apart > 0)).all(axis=2).any(axis=1))
