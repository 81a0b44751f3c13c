"""A stack is the layers it stands for, and what a source's file says is what stands in the study."""

import numpy as np
import pytest

import detopt
from detopt.detector.cost import Prices, cost
from detopt.study.faults import BadInput

HEAD = "schema: 1\nname: {name}\nframe: barrel\nfield: {{type: solenoid, B: 2 T}}\nelements:\n"
LAYER = "half_length: 1 m, x_over_X0: 1 %, pitch: 50 um, efficiency: 98 %}"
STUDY = """schema: 1
name: s
detector: stack.yaml
source: {source}
{variables}
objectives: {{d0: {{type: resolution, of: d0}}, e: {{type: efficiency}}}}
cost: {{sensor_area: 100 kEUR/m2, channel: 0.01 EUR, light_support: 10 kEUR/m2, layer: 5 kEUR}}
"""


@pytest.fixture
def folder(tmp_path):
    stack = f"  - {{name: S, type: barrel_stack, count: 5, inner_radius: 20 mm, outer_radius: 220 mm, {LAYER}\n"
    layers = "".join(f"  - {{name: L{i}, type: barrel_layer, radius: {20 + 50 * i} mm, {LAYER}\n" for i in range(5))
    (tmp_path / "stack.yaml").write_text(HEAD.format(name="stack") + stack)
    (tmp_path / "layers.yaml").write_text(HEAD.format(name="layers") + layers)
    (tmp_path / "gun.yaml").write_text("schema: 1\nname: gun\ntype: gun\nmomentum: 5 GeV\n")
    return tmp_path


def test_a_stack_is_its_layers(folder):
    stack, layers = detopt.load(folder / "stack.yaml"), detopt.load(folder / "layers.yaml")
    one, two = stack.resolution([1.0, 10.0]), layers.resolution([1.0, 10.0])
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose([*a.values()], [*b.values()], rtol=1e-12)
    prices = Prices(sensor_area=1e-4, channel=1e-5, light_support=1e-5, layer=5.0)
    assert cost(stack, prices) == pytest.approx(cost(layers, prices), rel=1e-12)
    assert cost(stack, prices)["layer"] == 25.0


def test_source_in_a_file_and_another_detector(folder):
    (folder / "study.yaml").write_text(STUDY.format(source="gun.yaml", variables=""))
    (folder / "inline.yaml").write_text(STUDY.format(source="{type: gun, momentum: 5 GeV}", variables=""))
    score = detopt.load(folder / "study.yaml").evaluate()
    assert score == detopt.load(folder / "inline.yaml").evaluate(detector=str(folder / "layers.yaml")) | {
        "objectives": score["objectives"]
    }
    for name, entry in detopt.load(folder / "inline.yaml").evaluate()["objectives"].items():
        assert entry["value"] == pytest.approx(score["objectives"][name]["value"], rel=1e-12)


@pytest.mark.parametrize(
    ("source", "variables", "message"),
    [
        ("{type: gun, momentum: 5 GeV, theta: [2 deg, 90 deg]}", "", "cross S_2 at some angles"),
        ("{type: gun, momentum: [50 MeV, 5 GeV]}", "", "cross S_5 at some angles or momenta"),
        (
            "{type: gun, momentum: 5 GeV, theta: 20 deg}",
            "variables: {S.half_length: {bounds: [0.3 m, 2 m]}}",
            "crosses S_4 for some values within the bounds of S.half_length",
        ),
    ],
)
def test_edges_are_refused(folder, source, variables, message):
    (folder / "study.yaml").write_text(STUDY.format(source=source, variables=variables))
    study = detopt.load(folder / "study.yaml")
    with pytest.raises(BadInput, match=message):
        study.optimise(out=folder / "run") if variables else study.evaluate()
    assert not (folder / "run").exists()
