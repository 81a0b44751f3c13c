"""`detopt export`: what other programs read."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from detopt.cli.options import JsonOption, QuietOption, fail, print_json

__all__ = ["export"]

export = typer.Typer(help="Write what other programs read.", no_args_is_help=True, rich_markup_mode=None)


@export.callback()
def _group() -> None:
    """Write what other programs read."""


@export.command("pyhf")
def pyhf(
    design: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run's folder, a point of a front as RUN:INDEX, or a study.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="The workspace's file.")] = Path("workspace.json"),
    objective: Annotated[
        str | None, typer.Option(help="Which measurement, where the study has several.", show_default=False)
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the statistical model of a design's measurement as a HistFactory workspace, for pyhf, cabinetry or ROOT.

    For example: detopt export pyhf runs/jpsi/2026-01-31T12-00-00 --out jpsi.json

    The data are those expected (Asimov's). With it come detopt's own answers, which pyhf's agree with.
    """
    from detopt.study.audit import Auditor
    from detopt.study.measurements import check_measures
    from detopt.study.points import design_of

    if out.exists():
        fail(f"{out} exists: choose another file with --out", 2)
    study, detector = design_of(design)
    check_measures(study)
    found = Auditor(study, None if quiet else (lambda line: print(line, file=sys.stderr)))(detector).measurements
    if objective is None and len(found) > 1:
        fail(f"{study.name} has several measurements: choose with --objective {' | '.join(found)}", 2)
    name = next(iter(found)) if objective is None else objective
    if name not in found:
        fail(f"{study.name} has no measurement {name!r}: it has {', '.join(found)}", 2)
    try:
        out.write_text(json.dumps(found[name].workspace(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        fail(f"cannot write {out}: {error.strerror}", 2)
    answers = found[name].answers()
    if as_json:
        print_json({"file": str(out), **answers})
        return
    print(f"the workspace: {out}")
    for label, key in (
        ("expected discovery significance", "significance"),
        ("expected error of the signal's rate", "sigma_mu"),
        ("expected 95 % CLs limit", "upper_limit"),
    ):
        value = answers[key]
        print(f"{label}: {'none' if value is None else f'{value:.4g}'}")
