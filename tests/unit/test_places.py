"""Limits on heights and on distances from bodies: their values, their gradients, and what is refused."""

import numpy as np
import pytest
from texts import changed

import detopt
from detopt.backend import jax, jnp
from detopt.detector.cost import Prices
from detopt.detector.surfaces import as_arrays
from detopt.parameters import Space
from detopt.scoring.evaluate import View
from detopt.scoring.terms import CONSTRAINTS
from detopt.search.constraints import Inside
from detopt.study.evaluate import array_space
from detopt.study.faults import BadInput
from detopt.study.studies import Study

DETECTOR = """\
schema: 1
name: little_portal
frame: portal
elements:
  - {name: upper_1, type: panel, z: 1.2 m, span: {x: 2 m, y: 1 m}, tilt: {x: 0.2 rad, y: 0.1 rad}, resolution: 1 mm}
  - {name: upper_2, type: panel, z: 0.8 m, span: 1 m, resolution: 1 mm}
  - {name: plate,   type: plane, z: 0.6 m, span: 1 m, x_over_X0: 5 %}
  - {name: load,    type: slab,  z: [-20 cm, 30 cm], span: 80 cm, material: iron}
  - {name: lower_1, type: panel, z: -0.7 m, span: 1 m, resolution: 1 mm}
  - {name: lower_2, type: panel, z: -1.1 m, span: 1 m, resolution: 1 mm}
"""
STUDY = """\
schema: 1
name: room
detector: portal.yaml
source: {type: cosmic, momentum: [1 GeV, 100 GeV], aim: load}
mode: sampled
variables:
  upper_1.z: {bounds: [1 m, 2 m]}
  upper_1.tilt.x: {bounds: [-0.3 rad, 0.4 rad]}
  upper_1.tilt.y: {bounds: [-0.3 rad, 0.3 rad]}
  upper_2.z: {bounds: [0.5 m, 1 m]}
  lower_1.span: {bounds: [0.5 m, 2 m], same_for: [lower_2]}
  lower_2.z: {bounds: [-2 m, -0.9 m]}
objectives:
  angle: {type: resolution, of: angle}
constraints:
  height: {type: total_height, max: 2.5 m}
  room: {type: outside, of: load, clearance: 5 cm}
seed: 1
"""


def load(folder, *changes, detector=()) -> Study:
    """The study, with changes in it and in its detector."""
    (folder / "portal.yaml").write_text(changed(DETECTOR, detector))
    (folder / "study.yaml").write_text(changed(STUDY, changes))
    return detopt.load(folder / "study.yaml")


def rows(study: Study, space: Space, u) -> jax.Array:
    """The excesses of all constraints at a point of the unit box."""
    view = View(space.place(u), Prices(), None, {})
    return jnp.stack([jnp.asarray(row) for term in study.constraints.values() for row in term.excess(view)])


def test_heights_and_distances_count_corners(tmp_path):
    study = load(tmp_path)
    found = np.asarray(rows(study, array_space(study), jnp.asarray(study.space.init)))
    # The corner (1 m, 0.5 m) of a plane turned about x, then about y: its z, by the two rotations in turn.
    z = 500 * np.sin(0.2) * np.cos(0.1) + 1000 * np.sin(0.1)
    assert found[0] == pytest.approx((1200 + z + 1100) / 2500 - 1, rel=1e-12)
    distances = [1200 - z - 300, 500, 300, 700 - 200, 1100 - 200]
    assert found[1:] == pytest.approx([1 - d / 50 for d in distances], rel=1e-12)


def test_the_length_of_a_beam_line():
    detector = detopt.load("beam_spectrometer")
    z = [s.position for s in detector.sensors()]
    term = CONSTRAINTS["total_height"](max=1000.0)
    (excess,) = term.excess(View(as_arrays(detector), Prices(), None, {}))
    assert float(excess) == pytest.approx((max(z) - min(z)) / 1000 - 1)


def test_the_gradient_is_the_difference(tmp_path):
    study = load(tmp_path)
    space, start = array_space(study), jnp.asarray(study.space.init)
    jacobian, every = jax.jacrev(lambda u: rows(study, space, u))(start), 1e-6 * np.eye(len(study.space))
    high, low = (jnp.stack([rows(study, space, start + s * e) for e in every], -1) for s in (1, -1))
    np.testing.assert_allclose(jacobian, (high - low) / 2e-6, atol=1e-7)
    assert np.abs(np.asarray(jacobian)).sum(1)[[0, 1, 2, 5]].min() > 0.01
    # Of a plane that lies flat no corner is the nearest: its gradient is finite there.
    flat = start.at[1:3].set([3 / 7, 0.5])
    assert np.isfinite(np.asarray(jax.jacrev(lambda u: rows(study, space, u))(flat))).all()


def test_designs_are_moved_inside(tmp_path):
    """From a portal that is too tall, with a corner that hangs into the load's clearance."""
    tight = [("max: 2.5 m", "max: 2.2 m"), ("bounds: [1 m, 2 m]}", "bounds: [0.4 m, 2 m], init: 0.5 m}")]
    study = load(tmp_path, *tight, ("bounds: [-2 m, -0.9 m]}", "bounds: [-2 m, -0.9 m], init: -1.9 m}"))
    space = array_space(study)
    start = jnp.asarray(study.space.init)[None]
    inside = Inside(lambda u: rows(study, space, u))(start)
    assert np.asarray(rows(study, space, start[0]) > 0).sum() == 2
    assert np.asarray(rows(study, space, inside[0])).max() <= 0


def test_below_the_body_means_below(tmp_path):
    """A plane under the body gets closer when it rises, one above when it sinks."""
    study = load(tmp_path)
    term, body = CONSTRAINTS["outside"](of="load", clearance=50.0), study.detector.part("load")
    assert term.distance(body, -240.0, 10.0) == pytest.approx(30)
    assert term.distance(body, 310.0, 0.0) == pytest.approx(10)
    assert term.distance(body, -210.0, 25.0) == pytest.approx(-15)


@pytest.mark.parametrize(
    ("changes", "line", "words"),
    [
        ([("max: 2.5 m", "max: 0 m")], 16, "max must be > 0"),
        ([("clearance: 5 cm", "clearance: -5 cm")], 17, "clearance must be > 0"),
        ([("clearance: 5 cm", "clearance: 5")], 17, "needs a unit of length"),
        ([(", clearance: 5 cm", "")], 17, "clearance is missing"),
        ([("of: load", "of: laod")], 17, "did you mean 'load'?"),
        ([("of: load", "of: upper_1")], 17, "upper_1 is no slab or volume; it has load"),
        ([("max: 2.5 m", "max: 1.5 m")], 16, "upper_1 reaches up to 1000 mm at least, and lower_2 down to -900 mm"),
        ([("clearance: 5 cm", "clearance: 40 cm")], 17, "plate is within 300 mm of the heights of load"),
        ([("type: outside, of: load, clearance: 5 cm", "type: equal")], 17, "same_for: [upper_2]"),
    ],
    ids=lambda v: "" if isinstance(v, list) else str(v)[:20],
)  # fmt: skip
def test_refused(tmp_path, changes, line, words):
    with pytest.raises(BadInput) as refused:
        load(tmp_path, *changes)
    (fault,) = refused.value.faults
    assert fault.file.endswith("study.yaml")
    assert fault.line == line
    assert words in fault.message


def test_a_tilt_that_cannot_be_flat_enough(tmp_path):
    fixed = ("  upper_1.tilt.x: {bounds: [-0.3 rad, 0.4 rad]}", "  upper_1.tilt.x: {bounds: [0.15 rad, 0.4 rad]}")
    with pytest.raises(BadInput, match=r"upper_1 .* with its nearest corner"):
        load(tmp_path, fixed, ("bounds: [1 m, 2 m]", "bounds: [0.34 m, 0.4 m], init: 0.38 m"))


def test_a_height_without_two_sensors(tmp_path):
    gone = [(f"  - {line}\n", "") for line in DETECTOR.replace("  - ", "").splitlines() if "upper_2" in line]
    few = [(n, n.replace(", resolution: 1 mm", "")) for n in DETECTOR.splitlines() if "upper_1" in n or "lower" in n]
    with pytest.raises(BadInput, match="total_height is from sensor to sensor, and 0 of them measure"):
        load(tmp_path, ("  upper_2.z: {bounds: [0.5 m, 1 m]}\n", ""), detector=[*gone, *few])


@pytest.mark.parametrize("term", ["{type: total_height, max: 1 m}", "{type: outside, of: L0, clearance: 1 cm}"])
def test_barrels_have_neither(folder, study_text, term):
    (folder / "study.yaml").write_text(study_text.replace("gap: {type: minimum_gap, min: 5 mm}", f"gap: {term}"))
    with pytest.raises(BadInput, match="is about the planes of beam lines and portals"):
        detopt.load(folder / "study.yaml")


def test_a_single_design_is_scored_whatever_it_is(tmp_path):
    """Without variables a limit that is not met is a number in the table, and no fault."""
    start, end = STUDY.index("variables:"), STUDY.index("objectives:")
    study = load(tmp_path, (STUDY[start:end], ""), ("clearance: 5 cm", "clearance: 40 cm"))
    found = np.asarray(rows(study, array_space(study), jnp.zeros(0)))
    assert found.max() == pytest.approx(1 - 300 / 400)


@pytest.mark.parametrize(
    ("upper", "inside"),
    [
        # The load ends at 300 mm, and at 400 mm along x and y.
        ("z: 0.32 m, span: 1 m, tilt: {y: 0.1 rad}", True),
        ("z: 0.32 m, span: 1 m, tilt: {x: 0.1 rad}", True),
        ("z: 0.32 m, span: 1 m, tilt: {y: 0.02 rad}", False),
        ("z: 0.36 m, span: 1.4 m, tilt: {y: 0.1 rad}", False),  # it hangs down beside the load
        ("z: 0.36 m, span: 1.4 m, tilt: {y: 0.16 rad}", True),
        ("z: 0.36 m, span: 1.4 m, tilt: {y: 0.16 rad}, centre: {x: 1.2 m}", False),
        ("z: 0.36 m, span: 1.4 m, tilt: {y: 0.16 rad}, centre: {y: 1.2 m}", False),
        ("z: 0.2 m, span: 1 m, centre: {x: 5 m}", True),  # no plane stands between the heights of a body
    ],
)
def test_panels_inside_a_body(tmp_path, upper, inside):
    (tmp_path / "portal.yaml").write_text(changed(DETECTOR, [("z: 0.8 m, span: 1 m", upper)]))
    if inside:
        with pytest.raises(BadInput, match="upper_2 stands inside load"):
            detopt.load(tmp_path / "portal.yaml")
    else:
        assert detopt.load(tmp_path / "portal.yaml").part("upper_2").z > 0
