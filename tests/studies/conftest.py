"""A study small enough to be optimised in seconds: four layers, one objective, a budget and a gap."""

from pathlib import Path

import pytest
from texts import changed

DETECTOR = """\
schema: 1
name: four
frame: barrel
field: {type: solenoid, B: 2 T}
elements:
  # the beam pipe
  - {name: pipe, type: barrel_layer, radius: 10 mm, half_length: 1 m, x_over_X0: 0.3 %}
  - {name: L0, type: barrel_layer, radius: 30 mm, half_length: 1 m, x_over_X0: 0.5 %, pitch: {rphi: 40 um, z: 60 um}}
  - {name: L1, type: barrel_layer, radius: 60 mm, half_length: 1 m, x_over_X0: 0.5 %, pitch: 50 um}
  - {name: L2, type: barrel_layer, radius: 90 mm, half_length: 1 m, x_over_X0: 0.5 %, pitch: 50 um}
  - {name: L3, type: barrel_layer, radius: 120 mm, half_length: 1 m, x_over_X0: 0.5 %, resolution: 10 um}
"""

STUDY = """\
schema: 1
name: small
detector: four.yaml
source: {type: gun, momentum: 1 GeV}
variables:
  L0.radius: {bounds: [15 mm, 50 mm]}
  L3.radius: {bounds: [80 mm, 250 mm]}
  L1.pitch: {bounds: [20 um, 100 um], same_for: [L2]}
  L0.pitch.rphi: {bounds: [20 um, 100 um]}
objectives:
  d0: {type: resolution, of: d0, momentum: 2 GeV}
constraints:
  budget: {type: cost, max: 320 kEUR}
  gap: {type: minimum_gap, min: 12 mm}
cost: {sensor_area: 60 kEUR/m2, channel: 0.0001 EUR}
search: {type: gradient, steps: 30, restarts: 1}
seed: 3
"""


JOINT = """\
schema: 1
name: joint
detector: four.yaml
source:
  type: decay
  hadron: D0
  hadron_momentum: [3 GeV, 15 GeV]
  momentum: [1 GeV, 8 GeV]
  theta: [70 deg, 110 deg]
  within: 9 mm
mode: sampled
head: {type: track, width: 16, layers: 2, batch: 512, warm_up: 500, steps_per_design: 2, learning_rate: 0.01}
variables:
  L0.radius: {bounds: [15 mm, 50 mm]}
  L3.radius: {bounds: [100 mm, 250 mm]}
  L0.pitch.rphi: {bounds: [20 um, 100 um]}
objectives:
  origin: {type: discrimination}
  pt: {type: resolution, of: pt, momentum: 2 GeV, weight: 0.2}
constraints:
  budget: {type: cost, max: 330 kEUR}
  gap: {type: minimum_gap, min: 10 mm}
cost: {sensor_area: 60 kEUR/m2, channel: 0.0001 EUR}
search: {type: gradient, steps: 20, restarts: 0, events: 1024, learning_rate: 0.05}
audit: {events: 32768, head_events: 65536, head_steps: 3000, heads: 2}
seed: 3
"""


@pytest.fixture(scope="session")
def joint_text() -> str:
    """A study in which geometry and head learn together."""
    return JOINT


@pytest.fixture(scope="session")
def detector_text() -> str:
    """The detector's YAML."""
    return DETECTOR


@pytest.fixture(scope="session")
def study_text() -> str:
    """The study's YAML."""
    return STUDY


@pytest.fixture(scope="session")
def write_small():
    """Write four.yaml and study.yaml into a folder; returns the study's path."""

    def write(folder: Path, *changes: tuple[str, str]) -> Path:
        (folder / "four.yaml").write_text(DETECTOR)
        (folder / "study.yaml").write_text(changed(STUDY, changes))
        return folder / "study.yaml"

    return write
