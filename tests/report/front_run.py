"""A run folder of a front with made-up scores, as `detopt pareto` leaves it: seconds instead of minutes."""

from pathlib import Path

import numpy as np

from detopt.runs import Run, new_run
from detopt.study.front_box import FrontBox
from detopt.study.front_points import rates_table
from detopt.study.front_simulator import Scale
from detopt.study.pareto import asked_of
from detopt.study.run_inputs import manifest, write_inputs
from detopt.study.studies import load_study

ITS2 = Path(__file__).resolve().parents[2] / "detectors" / "its2_like.yaml"
TRACKER = """\
schema: 1
name: tracker
description: "{description}"
detector: {detector}
source: {{type: gun, momentum: [1 GeV, 50 GeV]}}
variables:
{variables}
objectives:
  d0: {{type: resolution, of: d0, momentum: 1 GeV}}
  pt: {{type: resolution, of: pt, momentum: 50 GeV}}
  z0: {{type: resolution, of: z0, momentum: 1 GeV}}
  cost: {{type: cost}}
cost: {{sensor_area: 300 kEUR/m2, channel: 0.1 EUR}}
search: {{type: pareto}}
"""


def tracker_study(folder: Path, description: str = "Seven layers.") -> Path:
    """A study of twenty variables and four objectives."""
    radii = [23.2, 31.3, 39.1, 194.1, 247.1, 353.3, 405.3]
    lines = [f"  L{i}.radius: {{bounds: [{0.95 * r:.1f} mm, {1.05 * r:.1f} mm]}}" for i, r in enumerate(radii)]
    lines += [f"  L{i}.x_over_X0: {{bounds: [0.2 %, 1.5 %]}}" for i in range(7)]
    lines += [f"  L{i}.pitch: {{bounds: [15 um, 60 um]}}" for i in range(3)]
    lines += [f"  L{i}.half_length: {{bounds: [10 cm, 80 cm]}}" for i in range(3)]
    path = folder / "tracker.yaml"
    path.write_text(TRACKER.format(description=description, detector=ITS2, variables="\n".join(lines)))
    return path


def front_run(study_file: Path, points: int, out: Path, noise: float = 0.01) -> Run:
    """A run of a study with a front of random designs.

    Args:
        study_file: with two objectives or more.
        points: on the front.
        out: the run folder.
        noise: relative errors of the scores.
    """
    study, rng = load_study(study_file), np.random.default_rng(1)
    names, box = list(study.objectives), FrontBox(study)
    m, total = len(names), 3 * points
    u = np.concatenate([box.start, rng.random((total - 1, box.start.shape[1]))])
    share = rng.dirichlet(np.ones(m), total)  # better in one is worse in another
    typical = np.array([{"d0": 0.02, "pt": 0.1, "z0": 0.03, "cost": 4000.0}.get(name, 0.01) for name in names])
    values = typical * np.exp(1.5 * share)
    run = new_run(study.name, {**manifest(study, "detopt pareto"), "kind": "front"}, out)
    write_inputs(run, study)
    run.write_table(
        {"round": np.arange(total) // 50, **{n: values[:, i] for i, n in enumerate(names)}, **box.table(u)}, "history"
    )
    counted = np.arange(1, 11)
    run.write_table({"evaluations": 100 * counted, "hypervolume": np.sqrt(counted), "seconds": counted}, "rounds")
    order = np.argsort(values[:points, 0])
    front, errors = values[order], noise * values[order]
    columns = {}
    for i, name in enumerate(names):
        columns |= {name: front[:, i], f"{name}_error": errors[:, i]}
    columns |= {"p_nondominated": np.linspace(0.5, 1, points), "kkt": rng.random(points), **box.table(u[order])}
    run.write_table(columns, "front")
    run.write_table(rates_table(names, np.log(front), np.full_like(front, noise)), "rates")
    asked = asked_of(study, Scale(np.ones(m), 5 * typical, np.ones(m)))
    found = {"points": points, "knee": points // 3, "hypervolume": {"value": 3.0, "low": 2.9, "high": 3.1}}
    more = {"kkt_median": 0.05, "evaluations": total, "events": 0, "failed": 0, "stopped": "it has spent them"}
    run.finish({**asked, **found, **more, "seconds": 1.0}, 1.0)
    return run
