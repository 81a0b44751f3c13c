"""The command line. Each command is a few lines around the Python interface; heavy imports wait until they are needed."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from detopt import __version__
from detopt.cli.compare import compare
from detopt.cli.doctor import doctor
from detopt.cli.elements import element_rows
from detopt.cli.export import export
from detopt.cli.fronts import explore, pareto, point
from detopt.cli.gradients import gradients
from detopt.cli.image import image
from detopt.cli.materials import materials
from detopt.cli.new import new
from detopt.cli.optimise import optimise
from detopt.cli.options import (
    FigureOption,
    FileArgument,
    JsonOption,
    QuietOption,
    SeedOption,
    checked_figure,
    draw_to,
    fail,
    figure_name,
    print_json,
)
from detopt.cli.resume import resume
from detopt.cli.runs import report, runs
from detopt.cli.schema import schema
from detopt.cli.simulate import simulate
from detopt.cli.tables import score_tables, table

__all__ = ["app", "main"]

app = typer.Typer(
    name="detopt",
    help="Describe a particle detector in YAML, differentiate through it, improve it.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def main() -> None:
    """Run the command line: exit code 0, 1 (failed), 2 (bad input) or 130 (stopped); no traceback for bad input."""
    from detopt.runs import RunError
    from detopt.study.faults import BadInput

    try:
        app()
    except BadInput as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
            if excerpt := fault.excerpt():
                print(excerpt, file=sys.stderr)
        raise SystemExit(2) from None
    except RunError as error:
        print(f"detopt: {error}", file=sys.stderr)
        raise SystemExit(2) from None


# -- reading ---------------------------------------------------------------------------------------------------------------


def _quantities(text: str, unit: str, option: str) -> list[float]:
    """A comma-separated option, as "1 GeV, 10 GeV"."""
    from detopt.units import UnitError, parse_quantity

    try:
        values = [parse_quantity(part, unit) for part in text.split(",")]
    except UnitError as error:
        fail(f"{option}: {error}", 2)
    if any(v <= 0 for v in values):
        fail(f"{option}: must be > 0, got {text}", 2)
    return values


# -- commands --------------------------------------------------------------------------------------------------------------


def _version(value: bool) -> None:
    if value:
        print(f"detopt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: detopt check studies/its2_upgrade.yaml")
def check(
    file: FileArgument,
    as_json: JsonOption = False,
    dry_run: Annotated[bool, typer.Option(help="Also score a study once and estimate how long it takes.")] = True,
) -> None:
    """Validate a detector, study, objective or source; for a study, print what is free and what it will cost."""
    from detopt.study.faults import BadInput
    from detopt.study.files import load_file

    try:
        loaded = load_file(file)
        report = _dry_run(loaded) if dry_run and hasattr(loaded, "space") else {}
    except BadInput as error:
        if not as_json:
            raise
        print_json({"ok": False, "errors": [f.as_dict() for f in error.faults]})
        raise typer.Exit(2) from None
    if as_json:
        print_json({"ok": True, "errors": [], **report})
        return
    print(f"{file}: ok")
    if hasattr(loaded, "space"):
        _print_study(loaded, report)


def _dry_run(study: Any) -> dict[str, Any]:
    from detopt.study.dry_run import dry_run

    return dry_run(study)


def _print_study(study: Any, report: dict[str, Any]) -> None:
    from detopt.units import format_quantity

    rows = []
    ways = {entry["name"]: entry["estimator"] for entry in report.get("variables", ())}
    for v in study.space.variables:
        unit = v.display_unit or v.unit
        bounds = f"{format_quantity(v.lower, unit)} .. {format_quantity(v.upper, unit)}"
        tied = ", ".join(v.names[1:])
        scale = "log" if v.log else "linear"
        rows.append([v.name, format_quantity(v.init, unit), bounds, scale, ways.get(v.name, ""), tied])
    if rows:
        table("design variables", ["name", "initial", "bounds", "scale", "gradient", "same for"], rows)
    for name, options in study.choices.items():
        print(f"choice: {name} is {' or '.join(options)}")
    if study.choices:
        print(f"{min(study.combinations, study.search.combinations)} of {study.combinations} combinations are tried")
    if "score" in report:
        score_tables(report["score"], None)
    if "seconds" in report:
        print(f"one score takes {1e3 * report['seconds_per_score']:.2g} ms; optimise: about {report['seconds']:.0f} s")
    for note in report.get("notes", study.notes):
        print(f"note: {note}")


@app.command(epilog="Example: detopt show detectors/its2_like.yaml --out its2.png")
def show(
    detector: FileArgument,
    out: FigureOption = None,
) -> None:
    """Draw a detector and list its layers."""
    from detopt.study.files import load_kind

    loaded = load_kind(detector, "detector")
    target = checked_figure(out or figure_name(loaded.name))
    columns, rows = element_rows(loaded)
    table(
        f"{loaded.name}: {loaded.source_reference.strip()}" if loaded.source_reference else loaded.name, columns, rows
    )
    draw_to(target, lambda: loaded.draw(str(target)))
    print(f"drawn in {target}")


@app.command(epilog='Example: detopt resolution detectors/its2_like.yaml --momentum "1 GeV, 10 GeV"')
def resolution(
    detector: FileArgument,
    momentum: Annotated[str, typer.Option(help="Momenta, separated by commas.")] = "1 GeV, 10 GeV, 100 GeV",
    theta: Annotated[str, typer.Option(help="Polar angles, separated by commas.")] = "90 deg",
    mode: Annotated[str, typer.Option(help="expected: analytic covariance; sampled: simulated muons.")] = "expected",
    events: Annotated[int, typer.Option(help="Muons of each momentum and angle, in mode sampled.", min=1000)] = 100_000,
    tails: Annotated[bool, typer.Option(help="In mode sampled, single hard scatters too.")] = False,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Track resolutions of muons that leave a hit in every layer they cross."""
    from detopt.study.files import load_kind

    if mode not in ("expected", "sampled"):
        fail(f"--mode: expected expected | sampled, got {mode!r}", 2)
    momenta, angles = _quantities(momentum, "GeV", "--momentum"), _quantities(theta, "rad", "--theta")
    if any(t >= 3.141592653589793 for t in angles):
        fail(f"--theta: must be below 180 deg, got {theta}", 2)
    loaded = load_kind(detector, "detector")
    if loaded.frame != "barrel":
        fail(f"{loaded.name} has frame: {loaded.frame}; resolutions need frame: barrel in this version", 2)
    if mode == "expected":
        rows = loaded.resolution(momenta, angles)
    else:
        from detopt.simulation.physics import Physics
        from detopt.study.resolution import sampled_resolution_table

        physics = Physics(tails=tails)
        rows = sampled_resolution_table(loaded, momenta, angles, physics, events=events, seed=seed or 0)
    if as_json:
        print_json(rows)
        return

    def text(value: float | None, factor: float = 1.0) -> str:
        return "not measured" if value is None else f"{factor * value:.4g}"

    cells = [
        [
            f"{r['p_GeV']:g}",
            f"{r['theta_deg']:g}",
            text(r["sigma_pt_over_pt"], 100),
            text(r["sigma_d0_um"]),
            text(r["sigma_z0_um"]),
        ]
        for r in rows
    ]
    table(loaded.name, ["p / GeV", "theta / deg", "sigma(pT)/pT / %", "sigma(d0) / um", "sigma(z0) / um"], cells)


app.command(epilog="Example: detopt gradients studies/its2_upgrade.yaml --out gradients.png")(gradients)
app.command(epilog="Example: detopt materials silicon")(materials)
app.command(epilog='Example: detopt image cargo_portal --exposure "120 s"')(image)
app.command(epilog='Example: detopt simulate detectors/its2_like.yaml --momentum "1 GeV" --events 100000')(simulate)


@app.command(epilog="Example: detopt evaluate studies/its2_upgrade.yaml --detector runs/…/detector.yaml")
def evaluate(
    study: FileArgument,
    detector: Annotated[Path | None, typer.Option(help="Score this detector instead of the study's.")] = None,
    point: Annotated[str | None, typer.Option(help="Score this point of a front, as RUN:INDEX.")] = None,
    seed: SeedOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score a study's detector without optimising. In sampled mode heads are trained for it from scratch."""
    from detopt.study.files import load_kind, locate

    loaded = load_kind(study, "study")

    def tell(line: str) -> None:
        if not quiet:
            print(line, file=sys.stderr)

    if point is not None:
        if detector is not None:
            fail("give --detector or --point, not both", 2)
        from detopt.study.points import at_point

        loaded = at_point(loaded, point)
    score = loaded.evaluate(seed=seed, detector=None if detector is None else str(locate(detector)), progress=tell)
    if as_json:
        print_json(score)
    else:
        score_tables(score, None)


app.command(epilog="Example: detopt optimise studies/its2_upgrade.yaml --seed 1 --out runs/first")(optimise)
app.command(epilog="Example: detopt pareto studies/tracker_tradeoff.yaml --seed 1")(pareto)
app.command(epilog="Example: detopt resume runs/tracker_tradeoff/2026-01-31T12-00-00")(resume)
app.command(epilog="Example: detopt explore runs/tracker_tradeoff/2026-01-31T12-00-00")(explore)
app.command(epilog="Example: detopt point runs/tracker_tradeoff/2026-01-31T12-00-00:17 --out mine.yaml")(point)
app.add_typer(export, name="export")
app.command(epilog="Example: detopt compare runs/first runs/second --figure both.png")(compare)
app.command(epilog="Example: detopt report runs/its2_upgrade/2026-01-31T12-00-00")(report)
app.command(epilog="Example: detopt runs --json")(runs)
app.command(epilog="Example: detopt new its2_upgrade --out mystudies")(new)
app.command(epilog="Example: detopt doctor")(doctor)
app.command(epilog="Example: detopt schema --out detopt.schema.json")(schema)
