"""Gradients of hard-edged simulations, geometry by kind of parameter, against differences with common random numbers.

The verdict is that of `detopt gradients` (see `detopt.gradients.check`): within 5 % of the scale, two standard errors
included. These take minutes; `tests/studies/test_gradients_command.py` holds a span and an efficiency in the quick suite.
"""

from pathlib import Path

import numpy as np
import pytest

import detopt
from detopt.gradients.check import Budget, check
from detopt.study.edges import check_sampled_bounds
from detopt.study.evaluate import array_space, make_sampler
from detopt.study.gradients import trained_head

PORTAL = """
schema: 1
name: portal
detector:
  schema: 1
  name: four_panels
  frame: portal
{trigger}  elements:
  - {{name: a, type: panel, z: 1.5 m, centre: {{x: 5 cm}}, span: 1.1 m, resolution: 2 mm, efficiency: 90 %, x_over_X0: 2 %}}
  - {{name: b, type: panel, z: 1.2 m, centre: {{x: 12 cm, y: -4 cm}}, span: 0.9 m, tilt: {{y: 5 deg}},
     resolution: 2 mm, efficiency: 90 %, x_over_X0: 2 %}}
  - {{name: lead, type: slab, z: [0.4 m, 0.5 m], span: 40 cm, material: lead, slices: 2}}
  - {{name: d, type: panel, z: -0.1 m, centre: {{x: -10 cm}}, span: 1 m, resolution: 2 mm, efficiency: 90 %, x_over_X0: 2 %}}
  - {{name: e, type: panel, z: -0.5 m, centre: {{y: 6 cm}}, span: 1.1 m, resolution: 2 mm, efficiency: 90 %, x_over_X0: 2 %}}
source: {source}
mode: sampled
tracking: {{min_hits: 2}}
variables:
{variables}
objectives:
  goal: {objective}
search: {{type: gradient, events: {events}}}
seed: 3
"""
COSMIC = "{type: cosmic, momentum: [2 GeV, 200 GeV], zenith: [0 deg, 60 deg], aim: a}"
POINT = "{type: gun, momentum: [2 GeV, 20 GeV], theta: [0 deg, 40 deg]}"
PENCIL = "{type: beam, momentum: 2 GeV, spot: 20 cm, divergence: 100 mrad}"
ACCEPTED, ANGLE = "{type: efficiency}", "{type: resolution, of: angle}"

LINE = """
schema: 1
name: line
detector:
  schema: 1
  name: spectrometer
  frame: beamline
  field: {{type: dipole, B: 1 T, z: [1 m, 2 m]}}
{trigger}  elements:
  - {{name: a, type: plane, z: 0.2 m, span: 12 cm, resolution: 200 um, efficiency: 95 %, x_over_X0: 0.02}}
  - {{name: b, type: plane, z: 0.8 m, span: 14 cm, resolution: 200 um, efficiency: 95 %, x_over_X0: 0.02}}
  - {{name: c, type: plane, z: 2.2 m, span: 30 cm, resolution: 200 um, efficiency: 95 %, x_over_X0: 0.02}}
  - {{name: d, type: plane, z: 3.0 m, span: 40 cm, resolution: 200 um, efficiency: 95 %, x_over_X0: 0.02}}
source: {source}
mode: sampled
tracking: {{min_hits: 3}}
variables:
{variables}
objectives:
  goal: {objective}
search: {{type: gradient, events: {events}}}
seed: 3
"""
BEAM = "{type: beam, momentum: [3 GeV, 30 GeV], spot: 20 mm, divergence: 20 mrad}"
SPREAD = "{type: gun, momentum: [3 GeV, 30 GeV], theta: [0 deg, 4 deg]}"
FOCUSED = (
    "{type: beam, momentum: 3 GeV, centre: {x: 46.5 mm}}"  # 197 mm off the axis at d, where it has scattered by 2 mm
)
MOMENTUM = "{type: resolution, of: momentum}"

BARREL = """
schema: 1
name: barrel
detector:
  schema: 1
  name: short
  frame: barrel
  field: {{type: solenoid, B: 1 T}}
  elements:
  - {{name: a, type: barrel_layer, radius: 40 mm, half_length: 60 mm, pitch: 50 um, efficiency: 95 %, x_over_X0: 0.01}}
  - {{name: b, type: barrel_layer, radius: 90 mm, half_length: 110 mm, pitch: 50 um, efficiency: 90 %, x_over_X0: 0.02}}
  - {{name: c, type: barrel_layer, radius: 150 mm, half_length: 200 mm, pitch: 50 um, efficiency: 95 %, x_over_X0: 0.01}}
  - {{name: d, type: barrel_layer, radius: 220 mm, half_length: 250 mm, pitch: 50 um, efficiency: 95 %, x_over_X0: 0.01}}
  - {{name: e, type: disk, z: 300 mm, inner_radius: 50 mm, outer_radius: 250 mm, pitch: 50 um, efficiency: 95 %,
     x_over_X0: 0.01}}
{trigger}source: {source}
mode: sampled
tracking: {{min_hits: 3}}
variables:
{variables}
objectives:
  goal: {objective}
search: {{type: gradient, events: {events}}}
seed: 3
"""
AROUND = "{type: gun, momentum: [1 GeV, 10 GeV], theta: [20 deg, 120 deg]}"
CHARM = (
    "{type: decay, hadron: D+, hadron_momentum: [2 GeV, 15 GeV], momentum: [0.7 GeV, 8 GeV], theta: [30 deg, 120 deg], "
    "within: 18 mm}"
)
FRACTION = CHARM[:-1] + ", displaced: [0 %, 100 %]}"
PT = "{type: resolution, of: pt}"

CASES = {
    "barrel radius": (BARREL, AROUND, ACCEPTED, {"b.radius": "[60 mm, 130 mm]", "c.radius": "[120 mm, 190 mm]"}, ""),
    "barrel ends": (
        BARREL, AROUND, ACCEPTED,
        {"b.half_length": "[70 mm, 200 mm]", "d.half_length": "[150 mm, 400 mm]", "e.z": "[260 mm, 400 mm]",
         "e.inner_radius": "[30 mm, 100 mm]"}, "",
    ),
    "barrel efficiency": (
        BARREL, AROUND, ACCEPTED, {"b.efficiency": "[80 %, 99 %]", "e.efficiency": "[80 %, 99 %]"}, "",
    ),
    "barrel sharpness": (
        BARREL, AROUND, PT,
        {"b.radius": "[60 mm, 130 mm]", "d.half_length": "[150 mm, 400 mm]", "b.pitch": "[20 um, 200 um]",
         "c.x_over_X0": "[0.002, 0.05]", "field.B": "[0.5 T, 1.5 T]", "d.efficiency": "[80 %, 99 %]"}, "",
    ),
    "barrel track head": (
        BARREL, CHARM, "{type: discrimination}",
        {"a.radius": "[25 mm, 60 mm]", "b.half_length": "[70 mm, 200 mm]", "a.efficiency": "[80 %, 99 %]"},
        "head: {type: track, width: 16, warm_up: 400}\n",
    ),
    "barrel set head": (
        BARREL, FRACTION, "{type: fraction}",
        {"a.radius": "[25 mm, 60 mm]", "b.half_length": "[70 mm, 200 mm]", "a.efficiency": "[80 %, 99 %]"},
        "head: {type: set, muons: 100, width: 16, warm_up: 400}\n",
    ),
    "portal z": (PORTAL, COSMIC, ACCEPTED, {"b.z": "[1.15 m, 1.45 m]", "e.z": "[-0.8 m, -0.3 m]"}, ""),
    "portal sizes": (PORTAL, COSMIC, ACCEPTED, {"b.span.x": "[0.6 m, 1.2 m]", "b.centre.x": "[-20 cm, 40 cm]"}, ""),
    "portal tilt": (PORTAL, COSMIC, ACCEPTED, {"b.tilt.y": "[-20 deg, 40 deg]"}, ""),
    "portal efficiency": (PORTAL, COSMIC, ACCEPTED, {"b.efficiency": "[70 %, 99 %]", "d.efficiency": "[70 %, 99 %]"}, ""),
    "portal from a point": (PORTAL, POINT, ACCEPTED, {"d.span": "[0.7 m, 1.3 m]", "d.z": "[-0.3 m, 0.2 m]"}, ""),
    "portal in a beam": (PORTAL, PENCIL, ACCEPTED, {"d.span": "[0.7 m, 1.3 m]", "e.centre.x": "[-30 cm, 30 cm]"}, ""),
    "portal sharpness": (
        PORTAL, COSMIC, ANGLE,
        {"b.resolution": "[1 mm, 4 mm]", "b.x_over_X0": "[0.005, 0.1]", "b.z": "[1.15 m, 1.45 m]"}, "",
    ),
    "portal cut": (
        PORTAL, COSMIC, ACCEPTED, {"trigger.angle": "[5 mrad, 20 mrad]", "b.span.x": "[0.6 m, 1.2 m]"},
        "  trigger: {angle: 12 mrad}\n",
    ),
    "line sizes": (LINE, BEAM, ACCEPTED, {"b.span.x": "[8 cm, 18 cm]", "d.span": "[25 cm, 60 cm]"}, ""),
    "line z": (LINE, BEAM, ACCEPTED, {"d.z": "[2.4 m, 4 m]", "a.z": "[0.1 m, 0.6 m]"}, ""),
    "line field": (LINE, BEAM, ACCEPTED, {"field.B": "[0.5 T, 2 T]"}, ""),
    "line efficiency": (LINE, BEAM, ACCEPTED, {"b.efficiency": "[80 %, 99 %]"}, ""),
    "line from a point": (LINE, SPREAD, ACCEPTED, {"d.span": "[25 cm, 60 cm]", "c.z": "[2.1 m, 2.8 m]"}, ""),
    "line scattered": (LINE, FOCUSED, ACCEPTED, {"d.span": "[39.6 cm, 60 cm]"}, ""),
    "line momentum": (LINE, BEAM, MOMENTUM, {"field.B": "[0.5 T, 2 T]", "c.z": "[2.1 m, 2.8 m]"}, ""),
    "line cut": (
        LINE, BEAM, ACCEPTED, {"trigger.momentum": "[4 GeV, 20 GeV]", "d.span": "[25 cm, 60 cm]"},
        "  trigger: {momentum: 8 GeV}\n",
    ),
}  # fmt: skip


def study_of(folder: Path, case: str, events: int) -> Path:
    """The study of a case."""
    text, source, objective, free, trigger = CASES[case]
    variables = "\n".join(f"  {name}: {{bounds: {bounds}}}" for name, bounds in free.items())
    path = folder / "study.yaml"
    path.write_text(
        text.format(source=source, objective=objective, variables=variables, trigger=trigger, events=events)
    )
    return path


def verdicts(path: Path, budget: Budget) -> list[str]:
    """What the check says of each variable; printed with its numbers."""
    study = detopt.load(path)
    space = array_space(study)
    sampler = make_sampler(study, study.search.events)
    check_sampled_bounds(study, space, sampler)
    head = None if study.head is None else trained_head(study, sampler)
    rows = check(lambda u, key: sampler(space.place(u), head, key).values, np.array(space.init), True, budget)
    for row in rows:
        print(
            f"{space.names[row.parameter]:18s} {row.gradient:10.4g} +- {row.gradient_error:.2g}, difference "
            f"{row.difference:10.4g} +- {row.difference_error:.2g}: {100 * row.bias / row.scale:6.2f} +- "
            f"{100 * row.bias_error / row.scale:.2f} % of the scale, {row.keys} keys: {row.verdict}"
        )
    return [row.verdict for row in rows]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_differences(case, tmp_path):
    assert set(verdicts(study_of(tmp_path, case, 16384), Budget(keys=600, seconds=900))) == {"ok"}
