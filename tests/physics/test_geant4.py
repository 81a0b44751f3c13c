"""Muons through slabs: `detopt simulate` against Geant4 itself, where that is installed (`make test-geant4`)."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from .slabs import figures

pytestmark = [
    pytest.mark.geant4,
    pytest.mark.physics,
    pytest.mark.skipif(
        importlib.util.find_spec("geant4_pybind") is None, reason="needs Geant4: pip install 'detopt[geant4]'"
    ),
]

MUONS = 20_000
DETECTOR = """
schema: 1
name: block
frame: beamline
elements:
  - {{name: before, type: plane, z: 0 mm, span: 100 m}}
  - {{name: block, type: slab, z: [10 mm, {end} mm], material: {material}}}
  - {{name: after, type: plane, z: {after} mm, span: 100 m}}
"""


def geant4(folder, material, thickness, momentum):
    """Figures of what Geant4 lets out of the slab, and its loss once more, as Geant4 has counted it."""
    out = folder / "geant4.npz"
    program = Path(__file__).with_name("geant4_slab.py")
    words = [sys.executable, program, material, thickness, momentum, MUONS, 1, out]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    columns = np.load(out)
    position, p = (np.stack([columns[name] for name in names], -1) for names in (("x", "y"), ("px", "py", "pz")))
    size = np.linalg.norm(p, axis=1)
    return figures(position, p / size[:, None], size, momentum), np.median(columns["lost"])


def detopt(folder, cli, material, thickness, momentum):
    """The same of `detopt simulate`."""
    detector, out = folder / "block.yaml", folder / "block.parquet"
    detector.write_text(DETECTOR.format(material=material, end=10 + thickness, after=20 + thickness))
    answer = cli(
        "simulate", detector, "--source", "gun", "--momentum", f"{momentum} GeV", "--events", MUONS, "--seed", 1,
        "--out", out, "--quiet",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    table = pq.read_table(out)
    rows = {name: table[name].to_numpy() for name in ("event", "x", "y", "px", "py", "pz")}
    element, side = (table[name].cast("string").to_numpy(zero_copy_only=False) for name in ("element", "side"))

    def at(wanted):
        here = (element == "block") & (side == wanted)
        order = np.argsort(rows["event"][here])
        event = rows["event"][here][order]
        position, p = (
            np.stack([rows[name][here][order] for name in names], -1) for names in (("x", "y"), ("px", "py", "pz"))
        )
        return event, position, p

    entered, start, before = at("entry")
    left, end, after = at("exit")
    assert len(entered) == MUONS
    np.testing.assert_allclose(before, [[0, 0, momentum]] * MUONS, rtol=1e-5, atol=1e-9)
    size = np.linalg.norm(after, axis=1)
    return figures(end - start[np.isin(entered, left)], after / size[:, None], size, momentum)


@pytest.mark.parametrize(
    ("material", "thickness", "momentum"),
    [("G4_Pb", 50, 2), ("G4_Si", 0.5, 2), ("G4_CONCRETE", 300, 5)],
    ids=["lead", "silicon", "concrete"],
)
def test_slab(tmp_path, cli, material, thickness, momentum):
    theirs, lost = geant4(tmp_path, material, thickness, momentum)
    ours = detopt(tmp_path, cli, material, thickness, momentum)
    # Energies of GeV hold losses of 0.1 MeV: both ways to count them are the same, but for digits.
    assert theirs["median"] == pytest.approx(lost, rel=1e-4)
    print(material, {name: f"{ours[name]:.4g} / {theirs[name]:.4g}" for name in theirs})
    # 20 000 muons know widths to 0.5 %, and medians of the loss to 0.3 %.
    assert ours["q68"] == pytest.approx(theirs["q68"], rel=0.05)
    assert ours["disp"] == pytest.approx(theirs["disp"], rel=0.05)
    assert ours["median"] == pytest.approx(theirs["median"], rel=0.03)
