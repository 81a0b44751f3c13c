"""The way of a search: the best design so far, now and then, as path.json in the run folder."""

import math
from typing import Any

import numpy as np

from detopt.runs import Run
from detopt.study.evaluate import number
from detopt.study.studies import Study

__all__ = ["write_path"]

FRAMES = 40  # at most


def write_path(run: Run, study: Study, layouts: dict[str, Any], steps: int) -> None:
    """Write what elements look like on the way, where that differs from the final layout.

    Args:
        run: with the history of its search.
        study: whose variables the history has; of the options that were chosen.
        layouts: of the initial and the final design.
        steps: of the whole search.
    """
    if not (frames := _best_so_far(run)):
        return
    final = {row["name"]: row for row in layouts["final"]}
    rows = []
    for frame in frames:
        values = {v.name: min(max(frame[v.name], v.lower), v.upper) for v in study.space.variables}
        changed = [row for row in study.space.at(values).layout() if final.get(row["name"]) != row]
        rows.append({"step": int(frame["step"]), "loss": number(frame["told"]), "changed": changed})
    run.write_json("path.json", {"steps": steps, "frames": rows})


def _best_so_far(run: Run) -> list[dict[str, float]]:
    """Rows of the history that are better than all before, in the order of the steps; some of them where there are many."""
    table = run.history
    if table.num_rows == 0:
        return []
    columns = {n: np.array(table.column(n).to_pylist(), object) for n in table.column_names if n != "phase"}
    # What sees fresh events in each step counts where it is validated.
    told = np.array([math.nan if v is None else v for v in columns.get("validated", columns["loss"])], float)
    allowed = np.isfinite(told) & (columns["feasible"].astype(bool) | ("validated" in columns))
    order = np.lexsort([np.where(allowed, told, np.inf), columns["step"].astype(int)])
    order = order[allowed[order]]
    lowest = np.minimum.accumulate(told[order]) if len(order) else told[order]
    better = order[np.flatnonzero(np.diff(lowest, prepend=np.inf) < 0)]
    some = better[np.unique(np.linspace(0, len(better) - 1, FRAMES).round().astype(int))] if len(better) else better
    return [
        {"told": told[i], **{n: float(c[i]) for n, c in columns.items() if c[i] is not None}} for i in some.tolist()
    ]
