"""Beam lines and portals as they are drawn, and every detector of the library: read, drawn, simulated."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

import detopt
from detopt.detector.detector import Detector
from detopt.detector.elements import Magnet, Panel, Plane, Slab
from detopt.detector.magnets import Dipole
from detopt.materials import material
from detopt.report import draw_detector, draw_layout
from detopt.report.drawing import spread
from detopt.simulation.physics import Physics
from detopt.simulation.source import Beam, Cosmic, Gun
from detopt.study.simulate import Simulation

LIBRARY = sorted((Path(__file__).resolve().parents[2] / "detectors").glob("*.yaml"))
NATURAL = {
    "barrel": Gun(momentum=(5.0, 5.0)),
    "beamline": Beam(momentum=(50.0, 50.0), spot=(10.0, 10.0), divergence=(1e-3, 1e-3)),
    "portal": Cosmic(),
}


def panel(name: str = "panel", z: float = 0.0, **fields: Any) -> Panel:
    numbers: dict[str, Any] = {"span": (200.0, 300.0), "resolution": (0.1, 0.1), "x_over_X0": 0.01}
    return Panel(name=name, z=z, **numbers | fields)


def detector(*elements: Any, frame: str = "beamline", field: Any = None) -> Detector:
    return Detector(name="test", frame=frame, elements=elements, field=field)


def side_view(drawn: Detector) -> Axes:
    return draw_detector(drawn).axes[-1]  # the colours of thickness, if any, come first


def ends(ax: Axes) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """The two ends of every surface: what is drawn in the data's coordinates from point to point."""
    for line in ax.lines:
        x, y = (np.asarray(line.get_data()[i], float) for i in (0, 1))
        if line.get_transform() == ax.transData and len(x) == 2:
            yield (float(x[0]), float(y[0])), (float(x[1]), float(y[1]))


def labels(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("frame", ["beamline", "portal"])
def test_centre_and_tilt_in_x(frame: str) -> None:
    tilt = math.radians(30)
    drawn = detector(panel(z=500.0, centre=(40.0, 0.0), tilt=(0.0, tilt)), panel("other"), frame=frame)
    ax = side_view(drawn)
    dx, dz = 100 * math.cos(tilt), 100 * math.sin(tilt)
    # What stands at larger x comes earlier along z: the plane's first side is (cos, 0, -sin).
    expected = [(500 + dz, 40 - dx), (500 - dz, 40 + dx)]
    if frame == "portal":
        expected = [(x, z) for z, x in expected]
    assert any(np.allclose(line, expected) for line in ends(ax))
    label = ax.get_xlabel() if frame == "portal" else ax.get_ylabel()
    assert label == "x [mm]"


def test_what_happens_in_y_is_seen_in_y() -> None:
    tilt = math.radians(20)
    ax = side_view(detector(panel(z=500.0, centre=(0.0, -30.0), tilt=(tilt, 0.0)), panel("other")))
    assert ax.get_ylabel() == "y [mm]"
    dy, dz = 150 * math.cos(tilt), 150 * math.sin(tilt)
    assert any(np.allclose(line, [(500 - dz, -30 - dy), (500 + dz, -30 + dy)]) for line in ends(ax))


def test_drawn_where_the_simulation_has_it() -> None:
    """The slanted line has the direction of the side that `stops` gives the plane."""
    from detopt.detector.stops import stops
    from detopt.detector.surfaces import as_arrays

    drawn = detector(panel(z=500.0, centre=(40.0, 0.0), tilt=(0.2, -0.3)), panel("other"))
    listed = stops(as_arrays(drawn))
    middle, side, half = (np.asarray(a)[0] for a in (listed.middle, listed.axes, listed.half))
    expected = [(middle - half[0] * side[0])[[2, 0]], (middle + half[0] * side[0])[[2, 0]]]
    assert any(np.allclose(line, expected) for line in ends(side_view(drawn)))


@pytest.mark.parametrize(
    ("B", "along", "axis", "marker"),
    [(1.2, "y", "x", "."), (-1.2, "y", "x", "x"), (1.2, "x", "y", "x"), (-1.2, "x", "y", ".")],
)
def test_magnets(B: float, along: Any, axis: str, marker: str) -> None:
    region = (100.0, 300.0)
    for magnet in (Dipole(B=B, z=region, along=along), Magnet(name="M1", B=B, z=region, along=along)):
        field = magnet if isinstance(magnet, Dipole) else None
        planes = [panel(), panel("last", 400.0)]
        ax = side_view(detector(*planes, *([] if field else [magnet]), field=field))
        (shade,) = (p for p in ax.patches if isinstance(p, Rectangle))
        assert (shade.get_x(), shade.get_width()) == (100, 200)
        assert (shade.get_y(), shade.get_y() + shade.get_height()) == pytest.approx(ax.get_ylim())
        assert f"{magnet.name}\n{B:g} T".replace("-", "−") in labels(ax)
        assert ax.get_ylabel() == f"{axis} [mm]"  # the plane in which it bends
        assert marker in [line.get_marker() for line in ax.lines]


def test_a_field_in_the_plane_of_the_drawing() -> None:
    magnets = [Magnet(name="M1", B=1.0, z=(0, 100), along="x"), Magnet(name="M2", B=1.0, z=(200, 300), along="y")]
    ax = side_view(detector(panel(z=-50.0), panel("last", 400.0), *magnets))
    assert ax.get_ylabel() == "x [mm]"
    assert {"^", "."} <= {line.get_marker() for line in ax.lines}


@pytest.mark.parametrize("span", [None, (80.0, 60.0)])
@pytest.mark.parametrize("frame", ["beamline", "portal"])
def test_slabs(frame: str, span: Any) -> None:
    slab = Slab(name="slab", z=(10.0, 110.0), material=material("lead"), span=span)
    planes = [
        Plane(name=name, z=z, span=(400.0, 200.0), resolution=(0.1, 0.1)) for name, z in (("a", 0.0), ("b", 120.0))
    ]
    ax = side_view(detector(*planes, slab, frame=frame))
    (block,) = ax.patches
    assert isinstance(block, Rectangle)
    assert block.get_hatch()
    along, across = block.get_width(), block.get_height()
    if frame == "portal":
        along, across = across, along
    assert (along, across) == (100, 400 if span is None else 80)
    assert any("100 mm lead" in text for text in labels(ax))


def test_rows_of_older_runs() -> None:
    """Run folders hold planes without centre, span and tilt, and slabs without a span."""
    plane = {
        "name": "a",
        "kind": "plane",
        "position": 50.0,
        "low": 0.0,
        "high": 20.0,
        "x_over_X0": 0.0,
        "resolution": None,
    }
    slab = plane | {"name": "s", "kind": "slab", "position": 15.0, "low": 60.0, "high": 90.0, "material": "lead"}
    ax = draw_layout([plane, slab], frame="beamline").axes[-1]
    assert ((50.0, -20.0), (50.0, 20.0)) in list(ends(ax))
    (block,) = ax.patches
    assert isinstance(block, Rectangle)
    assert block.get_height() == 30


def test_spread_by_the_width_of_each_label() -> None:
    assert spread([0.5, 0.5, 0.9], [0.1, 0.3], 0.0, 1.0) == pytest.approx([0.45, 0.55, 0.9])
    assert spread([0.9, 0.9, 0.9], [0.1, 0.3], 0.0, 1.0) == pytest.approx([0.6, 0.7, 1.0])


def test_show_lists_along_the_flight(cli: Any, root: Path, tmp_path: Path) -> None:
    for name, order in (
        ("beam_spectrometer", ["S3", "field", "S4", "S5", "S6", "filter", "H1"]),
        ("muon_portal", ["upper_1", "upper_2", "object", "lower_1", "lower_2"]),
    ):
        answer = cli("show", root / f"detectors/{name}.yaml", "--out", tmp_path / "drawn.png")
        assert answer.code == 0
        lines = [line.split() for line in answer.out.splitlines()]
        rows = {words[0]: " ".join(words[1:]) for words in lines if words and words[0] in order}
        assert list(rows) == order
        if name == "beam_spectrometer":
            assert rows["field"] == "magnet 1200 .. 2200 1.2 along y"
            assert rows["filter"] == "slab 3500 .. 4300 800 x 800 800 mm iron 4552"
            assert rows["S4"] == "plane 2400 240 x 240 0.57 mm silicon 0.608 0.017 x 0.58 99"
        assert "tilt" not in answer.out  # no element has one


# -- the library -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_library(path: Path, tmp_path: Path) -> None:
    loaded = detopt.load(path)
    assert loaded.source_reference
    assert loaded.description
    figure = draw_detector(loaded, tmp_path / "drawn.png")  # warnings are errors here
    assert (tmp_path / "drawn.png").stat().st_size > 10_000
    figure.draw_without_rendering()
    for ax in figure.axes:
        boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
        for i, box in enumerate(boxes):
            assert figure.bbox.contains(box.x0, box.y0)
            assert figure.bbox.contains(box.x1, box.y1)
            assert not any(box.shrunk(0.9, 0.7).overlaps(other.shrunk(0.9, 0.7)) for other in boxes[:i])


ONE_OF_A_KIND = ("its2_like", "beam_spectrometer", "cargo_portal")  # the others take minutes to compile


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, id=p.stem, marks=() if p.stem in ONE_OF_A_KIND else pytest.mark.slow) for p in LIBRARY],
)
def test_library_is_simulated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detopt.study.simulate.CHUNK", 200)
    loaded = detopt.load(path)
    simulation = Simulation(loaded, NATURAL[loaded.frame], 200, 1, Physics())
    (tables,) = simulation.chunks()
    # Without a magnet no momentum is measured.
    straight = not simulation.barrel and not any(arm.bends for arm in simulation.arms)
    unknown = {"q_over_p", "sigma_q_over_p"} if straight else set()
    for name in ("truth", "hits", "tracks"):
        for label, column in getattr(tables, name).items():
            values = np.asarray(column, float)
            assert np.isnan(values).all() if label in unknown else np.isfinite(values).all(), f"{name}.{label}"
    assert len(np.unique(tables.truth["event"])) == 200
    assert len(tables.hits["event"]) > 150
    tracked = simulation.barrel or bool(simulation.arms)
    assert len(tables.tracks["event"]) > 100 if tracked else len(tables.tracks["event"]) == 0
