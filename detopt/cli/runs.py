"""`detopt report` and `detopt runs`: what earlier runs have left."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from detopt.cli.options import JsonOption, print_json
from detopt.cli.tables import table

__all__ = ["report", "runs"]


def report(run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)]) -> None:
    """Write a run's figures and its report again."""
    from detopt.report.page import write_report
    from detopt.runs import Run

    opened = Run(run)
    if opened.is_front:
        from detopt.report.front import write_front_report

        print(write_front_report(opened))
        return
    _ = opened.result  # a run without a result has nothing to report
    print(write_report(opened))


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look.")] = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """List the runs below a folder."""
    from detopt.runs import RunError, list_runs

    entries: list[dict[str, Any]] = []
    for run in list_runs(folder):
        try:
            manifest = run.manifest
            front = run.front_result if run.is_front and run.finished else None
            result = run.result if run.finished and not run.is_front else {}
        except RunError as error:
            print(f"detopt: {error}", file=sys.stderr)
            continue
        changes = {
            name: {"initial": entry["value"], "final": result["final"]["objectives"][name]["value"]}
            for name, entry in result.get("initial", {"objectives": {}})["objectives"].items()
        }
        entries.append(
            {
                "run": str(run.folder),
                "study": manifest.get("study"),
                "seed": manifest.get("seed"),
                "started": manifest.get("started"),
                "finished": run.finished,
                "seconds": manifest.get("seconds"),
                "objectives": changes,
                **({} if front is None else {"points": front["points"]}),
            }
        )
    if as_json:
        print_json(entries)
        return
    if not entries:
        print(f"no runs below {folder}")
        return
    rows = []
    for e in entries:
        gains = ", ".join(
            f"{n} {100 * (c['final'] / c['initial'] - 1):+.0f} %"
            for n, c in e["objectives"].items()
            if c["initial"] and c["final"]
        )
        gains = gains or (f"a front of {e['points']} points" if "points" in e else "unfinished")
        rows.append([e["run"], str(e["seed"]), gains])
    table("", ["run", "seed", "change"], rows)
