"""Volumes in YAML: what is read, and what is refused with a reason."""

import pytest

import detopt
from detopt.study.faults import BadInput

GOOD = """\
schema: 1
name: cargo
frame: portal
elements:
  - {name: upper, type: panel, z: 0.8 m, span: 2 m, resolution: 1 mm}
  - name: load
    type: volume
    corner: [-1 m, -80 cm, -0.5 m]
    size: [2 m, 1.6 m, 1 m]
    voxels: [20, 16, 10]
    scene:
      type: shapes
      shapes:
        - {type: box, material: iron, centre: [0 m, 0 m, -0.4 m], size: [1.8 m, 1.4 m, 20 cm]}
        - {type: sphere, material: uranium, centre: [-0.5 m, 0 m, 0.1 m], radius: 12 cm}
  - {name: lower, type: panel, z: -0.8 m, span: 2 m, resolution: 1 mm}
"""


def test_read_and_drawn(tmp_path):
    (tmp_path / "cargo.yaml").write_text(GOOD)
    detector = detopt.load(tmp_path / "cargo.yaml")
    load = detector.part("load")
    assert load.z == (-500.0, 500.0)
    assert load.centre == (0.0, 0.0)
    assert load.voxels == (20, 16, 10)
    assert [str(m) for m in load.scene.materials] == ["air", "iron", "uranium"]
    assert load.scene.index.shape == (20, 16, 10)
    # 10 cm of uranium are 31 X0: 16 slices of 2 X0.
    assert max(load.scene.slices) == 16
    row = next(r for r in detector.layout() if r["kind"] == "volume")
    assert max(map(max, row["densest_x"])) == pytest.approx(1 / 3.166, rel=0.01)
    detector.draw(str(tmp_path / "cargo.png"))
    assert (tmp_path / "cargo.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("corner: [-1 m, -80 cm, -0.5 m]", "corner: [-1 m, -0.5 m]", ("corner", "[x, y, z]")),
        ("corner: [-1 m, -80 cm, -0.5 m]", "corner: [-1, -80 cm, -0.5 m]", ("corner", "mm")),
        ("size: [2 m, 1.6 m, 1 m]", "size: [2 m, 1.6 m, 0 m]", ("size", "must be > 0")),
        ("voxels: [20, 16, 10]", "voxels: 20", ("voxels", "three whole numbers")),
        ("voxels: [20, 16, 10]", "voxels: [20, 16, 0]", ("voxels", "between 1 and 500")),
        ("    scene:\n      type: shapes", "    scene:\n      type: shape", ("scene", "did you mean 'shapes'")),
        ("type: sphere", "type: ball", ("shape", "box, cylinder, sphere")),
        ("material: uranium", "material: uranum", ("unknown material", "did you mean 'uranium'")),
        ("radius: 12 cm", "radius: 12 m", ("reaches from", "keep it inside")),
        ("radius: 12 cm", "radius: 1 mm", ("no voxel has its middle inside",)),
        ("size: [1.8 m, 1.4 m, 20 cm]", "radius: 3 cm", ("unknown key 'radius'",)),
        ("z: 0.8 m", "z: 0.4 m", ("upper stands inside load",)),
        ("centre: [-0.5 m, 0 m, 0.1 m], radius", "centre: 0 m, radius", ("centre", "[x, y, z]")),
    ],
)  # fmt: skip
def test_refused(tmp_path, old, new, words):
    assert old in GOOD
    (tmp_path / "cargo.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(BadInput) as refused:
        detopt.load(tmp_path / "cargo.yaml")
    text = "\n".join(f"{f.line} {f.where}: {f.message}" for f in refused.value.faults)
    assert all(w in text for w in words), text
    assert all(f.line for f in refused.value.faults)


@pytest.mark.parametrize(("old", "what"), [("type: shapes", "scene"), ("type: sphere", "shape")])
def test_what_comes_from_outside_is_refused(tmp_path, old, what):
    (tmp_path / "own.py").write_text(
        "from dataclasses import dataclass\nfrom typing import Any\n\n@dataclass(frozen=True, kw_only=True)\n"
        "class Own:\n    shapes: Any = None\n    material: Any = None\n    centre: Any = None\n    radius: Any = None\n"
    )
    (tmp_path / "cargo.yaml").write_text(GOOD.replace(old, "type: ./own.py:Own"))
    with pytest.raises(BadInput, match=f"a {what} cannot come from outside"):
        detopt.load(tmp_path / "cargo.yaml")


def test_an_empty_list_of_shapes_is_refused(tmp_path):
    head, _, tail = GOOD.partition("      shapes:\n")
    (tmp_path / "cargo.yaml").write_text(head + "      shapes: []\n" + tail[tail.index("  - {name: lower") :])
    with pytest.raises(BadInput, match="shapes must be a list of at least one"):
        detopt.load(tmp_path / "cargo.yaml")
