"""A small detector and a study of it."""

from pathlib import Path

import pytest

SMALL = """\
schema: 1
name: small
frame: barrel
field: {type: solenoid, B: 2 T}
elements:
  # a comment that stays
  - {name: pipe, type: barrel_layer, radius: 10 mm, half_length: 1 m, x_over_X0: 0.3 %}
  - {name: L0, type: barrel_layer, radius: 20 mm, half_length: 1 m, x_over_X0: 0.5 %, pitch: {rphi: 30 um, z: 60 um}}
  - {name: L1, type: barrel_layer, radius: 40 mm, half_length: 1 m, material: silicon, thickness: 0.3 mm, resolution: 5 um}
  - name: L2
    type: barrel_layer
    radius: 80 mm
    half_length: 1 m
    x_over_X0: 0.6 %
    resolution: {rphi: 7 um, z: 50 um}
  - {name: L3, type: barrel_layer, radius: 160 mm, half_length: 1 m, x_over_X0: 1e-2, resolution: 8 um}
"""

STUDY = """\
schema: 1
name: small_study
detector: small.yaml
source: {type: gun, particle: mu-, momentum: [1 GeV, 10 GeV], theta: 90 deg}
mode: expected
variables:
  L0.radius: {bounds: [15 mm, 35 mm]}
  L1.radius: {bounds: [25 mm, 70 mm]}
  L2.x_over_X0: {bounds: [0.5 %, 2 %], same_for: [L0], init: 0.55 %}
objectives:
  d0: {type: resolution, of: d0, momentum: 1 GeV, goal: minimise, weight: 1}
constraints:
  budget: {type: cost, max: 250 kEUR}
  gap: {type: minimum_gap, min: 5 mm}
cost: {sensor_area: 60 kEUR/m2, channel: 0.0001 EUR}
search: {type: gradient, steps: 30, restarts: 1}
seed: 1
"""

TWO = """\
objectives:
  d0: {type: resolution, of: d0, momentum: 1 GeV, worst: 100 um}
  cost: {type: cost}
constraints:
  gap: {type: minimum_gap, min: 5 mm}
"""


@pytest.fixture(scope="session")
def front_text(study_text) -> str:
    """The study with two objectives in conflict, and a search for their front."""
    start, end = study_text.index("objectives:"), study_text.index("cost: {sensor_area")
    return (study_text[:start] + TWO + study_text[end:]).replace(
        "search: {type: gradient, steps: 30, restarts: 1}", "search: {type: pareto, evaluations: 400, points: 20}"
    )


SMALL_NETWORKS = {"WIDTH": 32, "DEPTH": 2, "STEPS": 300, "BATCH": 128, "SLOPE_BATCH": 32}


def networks(**settings):
    """The settings, while emulators have them."""
    from detopt.search import emulator

    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setattr(emulator, name, value)
        yield settings


@pytest.fixture(scope="module")
def small_networks():
    """Emulators for few variables, so that searches of a front are quick."""
    yield from networks(**SMALL_NETWORKS)


@pytest.fixture(scope="module")
def tiny_networks():
    """Emulators that hardly learn, where it does not matter how good a front is."""
    yield from networks(**{**SMALL_NETWORKS, "STEPS": 30})


@pytest.fixture(scope="session")
def small_text() -> str:
    """The detector's YAML."""
    return SMALL


@pytest.fixture(scope="session")
def study_text() -> str:
    """The study's YAML."""
    return STUDY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with small.yaml and study.yaml in it."""
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path
