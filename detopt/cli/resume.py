"""`detopt resume`: go on with a search that was stopped."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from detopt.cli.fronts import ClusterOption, tell_front
from detopt.cli.optimise import tell_optimum
from detopt.cli.options import JsonOption, QuietOption, TimeLimitOption, fail
from detopt.cli.progress import progress_bar
from detopt.cli.stopping import stoppable

__all__ = ["resume"]


def resume(
    run: Annotated[
        Path, typer.Argument(help="The folder of a run of `detopt optimise` or `pareto`.", show_default=False)
    ],
    time_limit: TimeLimitOption = None,
    cluster: ClusterOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go on with a search that was stopped, whether by Ctrl-C, a kill or its time limit.

    What it finds is what it would have found without stopping, bit for bit on the same machine with the same versions. A
    search that its time limit ended has published what it had; here it goes on with the rest of its steps or evaluations.
    """
    from detopt.study.optimise import Infeasible
    from detopt.study.resume import resume_run

    def tell(note: str) -> None:
        print(f"note: {note}", file=sys.stderr)

    try:
        with stoppable(), progress_bar(quiet) as progress:
            found = resume_run(run, progress=progress, time_limit=time_limit, cluster=cluster, tell=tell)
    except Infeasible as error:
        fail(str(error))
    (tell_front if found.is_front else tell_optimum)(found, as_json)
