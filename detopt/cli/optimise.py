"""`detopt optimise`: one optimum."""

import sys
from typing import Any

from detopt.cli.options import (
    FileArgument,
    JsonOption,
    OutOption,
    QuietOption,
    SeedOption,
    TimeLimitOption,
    fail,
    print_json,
)
from detopt.cli.progress import progress_bar
from detopt.cli.stopping import stoppable
from detopt.cli.tables import result_tables

__all__ = ["optimise", "tell_optimum"]


def optimise(
    study: FileArgument,
    seed: SeedOption = None,
    out: OutOption = None,
    time_limit: TimeLimitOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Optimise a study by gradients, and leave a run folder with a report.

    Stop it at any time, with Ctrl-C for instance, and go on with `detopt resume RUN`.
    """
    from detopt.study.files import load_kind

    loaded = load_kind(study, "study")
    if not (quiet or as_json):
        for note in loaded.notes:
            print(f"note: {note}", file=sys.stderr)
    from detopt.study.optimise import Infeasible, optimise_study

    command = "detopt " + " ".join(sys.argv[1:])
    try:
        with stoppable(), progress_bar(quiet) as progress:
            run = optimise_study(loaded, seed=seed, out=out, progress=progress, time_limit=time_limit, command=command)
    except Infeasible as error:
        fail(str(error))
    tell_optimum(run, as_json)


def tell_optimum(run: Any, as_json: bool) -> None:
    """What a finished search has found."""
    from detopt.study.interruption import TIME_IS_UP

    result = run.result
    if as_json:
        keys = ("initial", "final", "choices", "rivals", "after_minus", "steps", "seconds", "stopped")
        print_json({"run": str(run.folder), **{k: result[k] for k in keys if k in result}})
        return
    result_tables(result)
    if "choices" in result:
        found = result["choices"]
        chosen = ", ".join(f"{name} {option}" for name, option in found["chosen"].items())
        print(f"chosen, of {found['tried']} combinations that were tried of {found['combinations']}: {chosen}")
    print(f"The search stopped after {result['steps']} steps and {result['seconds']:.0f} s: {result['stopped']}.")
    if result["stopped"].startswith(TIME_IS_UP):
        print(f"to go on: detopt resume {run.folder}")
    print(f"the detector: {run.folder / 'detector.yaml'}\nthe report:   {run.folder / 'report.html'}")
