"""`detopt simulate`: the tables of truth, hits and tracks, and how it refuses."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

SLAB = """schema: 1
name: lead_slab
frame: beamline
elements:
  - {name: after,  type: plane, z: 120 mm, span: 4 m, resolution: 100 um, efficiency: 95 %}
  - {name: before, type: plane, z: 0 mm, span: 4 m}
  - {name: slab,   type: slab,  z: [10 mm, 110 mm], material: lead}
"""
PORTAL = """schema: 1
name: portal
frame: portal
elements:
  - {name: upper_1, type: panel, z: 1 m, span: 1 m, resolution: 1 mm}
  - {name: upper_2, type: panel, z: 0.8 m, span: 1 m, resolution: {x: 1 mm}, efficiency: 90 %}
  - {name: upper_3, type: panel, z: 0.6 m, span: 1 m, resolution: 1 mm}
  - {name: block, type: slab, z: [0.2 m, 0.3 m], span: 50 cm, material: lead}
  - {name: lower_1, type: panel, z: 0 m, span: 1 m, resolution: 1 mm, tilt: {x: 5 deg}}
  - {name: lower_2, type: panel, z: -0.4 m, span: 1 m, resolution: 1 mm}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slab.yaml").write_text(SLAB)
    (tmp_path / "portal.yaml").write_text(PORTAL)
    return tmp_path


def table(path):
    return {name: np.array(column) for name, column in pq.read_table(path).to_pydict().items()}


def test_the_contract(here, cli):
    answer = cli(
        "simulate", "slab.yaml", "--source", "gun", "--momentum", "3 GeV", "--events", 2000, "--seed", 1, "--out",
        "events.parquet", "--json",
    )  # fmt: skip
    result = json.loads(answer.out)
    assert answer.code == 0
    assert result["events"] == 2000
    assert (result["file"], result["hits"], result["tracks"]) == (
        "events.parquet", "events.hits.parquet", "events.tracks.parquet"
    )  # fmt: skip
    assert result["seconds"] > 0
    schema = pq.read_schema("events.parquet")
    assert all(str(schema.field(name).type).startswith("dictionary") for name in ("element", "side"))
    truth = table("events.parquet")
    assert len(truth["event"]) == result["rows"]["truth"] == 2000 * 6
    assert (np.diff(truth["event"]) >= 0).all()
    slab = truth["element"] == "slab"
    entry, leaves = slab & (truth["side"] == "entry"), slab & (truth["side"] == "exit")
    assert np.allclose(truth["z"][entry], 10)
    assert np.allclose(truth["z"][leaves], 110)
    assert np.allclose(truth["pz"][entry], 3.0)
    p = np.sqrt(sum(truth[f"p{c}"][leaves] ** 2 for c in "xyz"))
    assert np.median(3.0 - p) == pytest.approx(0.149, abs=0.003)
    # A plane of nothing changes nothing, and hits stand where the truth is.
    for name in ("before", "after"):
        rows = [(truth["element"] == name) & (truth["side"] == side) for side in ("entry", "exit")]
        assert all(np.array_equal(truth[c][rows[0]], truth[c][rows[1]]) for c in ("x", "y", "z"))
    hits = table("events.hits.parquet")
    assert set(hits["element"]) == {"after"}
    assert len(hits["event"]) / 2000 == pytest.approx(0.95, abs=0.02)
    at = dict(zip(truth["event"][rows[0]], truth["x"][rows[0]], strict=True))
    errors = hits["x"] - np.array([at[e] for e in hits["event"]])
    assert errors.std() == pytest.approx(0.1, rel=0.1)


def test_the_seed_decides(here, cli):
    tables = {}
    for name, seed, events in (("a", 3, 500), ("b", 3, 300), ("c", 4, 300)):
        cli(
            "simulate",
            "slab.yaml",
            "--momentum",
            "3 GeV",
            "--events",
            events,
            "--seed",
            seed,
            "--out",
            f"{name}.parquet",
        )
        tables[name] = table(f"{name}.parquet")
    n = len(tables["b"]["event"])
    assert np.array_equal(tables["a"]["x"][:n], tables["b"]["x"])
    assert not np.array_equal(tables["c"]["x"], tables["b"]["x"])


def test_switches(here, cli):
    widths = {}
    for name, options in {
        "all": (),
        "still": ("--no-energy-loss", "--no-tails"),
        "median": ("--no-straggling",),
    }.items():
        cli("simulate", "slab.yaml", "--momentum", "3 GeV", "--events", 2000, "--out", "e.parquet", *options)
        truth = table("e.parquet")
        last = (truth["element"] == "slab") & (truth["side"] == "exit")
        p = np.sqrt(sum(truth[f"p{c}"][last] ** 2 for c in "xyz"))
        widths[name] = (3.0 - np.median(p), p.std())
    assert widths["still"] == pytest.approx((0.0, 0.0), abs=1e-9)
    assert widths["median"][0] == pytest.approx(widths["all"][0], rel=0.03)
    assert widths["median"][1] < 1e-3 < widths["all"][1]


def test_cosmic_exposure(here, cli):
    answer = cli("simulate", "portal.yaml", "--source", "cosmic", "--exposure", "30 s", "--out", "c.parquet", "--json")
    result = json.loads(answer.out)
    # 1 m2 of upper_1 and a flux above 0.3 GeV/c: some 0.0126 per cm2 and s.
    assert result["exposure_s"] == pytest.approx(30)
    assert result["events"] == round(result["expected"])
    assert result["expected"] == pytest.approx(30 * 1e4 * 0.0125, rel=0.05)
    truth, hits, tracks = (table(f"c{kind}.parquet") for kind in ("", ".hits", ".tracks"))
    first = truth["event"][(truth["element"] == "upper_1") & (truth["side"] == "entry")]
    assert len(first) == result["events"]  # all of them cross what they aim at
    per_event = dict(zip(truth["event"], truth["weight"], strict=True))
    assert sum(per_event.values()) == pytest.approx(result["expected"], rel=1e-6)
    # Two arms: above and below the block; what one axis does not measure is not known.
    assert set(tracks["arm"]) == {0, 1}
    assert np.isnan(hits["v"][hits["element"] == "upper_2"].astype(float)).all()
    assert not np.isnan(hits["u"]).any()
    assert (tracks["chi2"] >= 0).all()
    assert (tracks["sigma_x"] > 0).all()


def test_root(here, cli):
    uproot = pytest.importorskip("uproot", reason="the extra detopt[root] is not installed")
    assert cli("simulate", "slab.yaml", "--momentum", "3 GeV", "--events", 300, "--out", "e.root").code == 0
    cli("simulate", "slab.yaml", "--momentum", "3 GeV", "--events", 300, "--out", "e.parquet")
    with uproot.open("e.root") as file:
        for name in ("x", "pz"):
            assert np.array_equal(file["truth"][name].array(library="np"), table("e.parquet")[name])
        assert str(file["elements"]).split("\n") == ["after", "before", "slab"]


BAD = {
    "no momentum": (("slab.yaml",), "gun needs momentum (--momentum)"),
    "no such source": (("slab.yaml", "--source", "gunn"), "did you mean 'gun'?"),
    "wrong frame": (("slab.yaml", "--source", "cosmic"), "goes with frame portal"),
    "no unit": (("slab.yaml", "--momentum", "3"), "--momentum"),
    "negative": (("slab.yaml", "--momentum", "-3 GeV"), "must be > 0"),
    "no exposure": (("portal.yaml", "--source", "cosmic", "--exposure", "0 s"), "must be > 0"),
    "negative exposure": (("portal.yaml", "--source", "cosmic", "--exposure", "-1 s"), "must be > 0"),
    "no exposure of a gun": (("slab.yaml", "--momentum", "3 GeV", "--exposure", "1 s"), "has no exposure"),
    "a file of another kind": (("slab.yaml", "--momentum", "3 GeV", "--out", "e.csv"), "must end in .parquet or .root"),
    "no folder": (("slab.yaml", "--momentum", "3 GeV", "--out", "none/e.parquet"), "the folder none does not exist"),
    "not a detector": (("source.yaml", "--momentum", "3 GeV"), "a detector is needed"),
    "a beam that misses": (("slab.yaml", "--source", "away.yaml"), "the source misses the detector"),
    "nothing to aim at": (("portal.yaml", "--source", "aims.yaml"), "has no 'uper'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(here, cli, case):
    Path("source.yaml").write_text("schema: 1\ntype: gun\nmomentum: 1 GeV\n")
    Path("away.yaml").write_text("schema: 1\ntype: beam\nmomentum: 1 GeV\ncentre: {x: 20 m, y: 0 m}\n")
    Path("aims.yaml").write_text("schema: 1\ntype: cosmic\naim: uper\n")
    if case == "a beam that misses":
        Path("slab.yaml").write_text(SLAB.replace("material: lead", "material: lead, span: 1 m"))
    arguments, message = BAD[case]
    answer = cli("simulate", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert not list(here.glob("*.parquet"))
    assert not list(here.glob(".*"))


def test_energies_beyond_the_formulas_are_noted(here, cli):
    answer = cli("simulate", "slab.yaml", "--momentum", "500 GeV", "--events", 100, "--out", "e.parquet")
    assert "good from 0.05 GeV to 100 GeV" in answer.err
    Path("slow.yaml").write_text("schema: 1\ntype: cosmic\nmomentum: [0.1 GeV, 1 TeV]\n")
    answer = cli("simulate", "portal.yaml", "--source", "slow.yaml", "--events", 100, "--out", "e.parquet")
    assert "0.2 GeV to 10000 GeV" in answer.err


def test_muons_that_stop_leave_no_row(here, cli):
    Path("slab.yaml").write_text(SLAB.replace("[10 mm, 110 mm]", "[10 mm, 1110 mm]").replace("z: 120 mm", "z: 1200 mm"))
    cli("simulate", "slab.yaml", "--momentum", "0.5 GeV", "--events", 200, "--out", "e.parquet")
    truth = table("e.parquet")
    assert set(truth["element"]) == {"before", "slab"}
    assert set(truth["side"][truth["element"] == "slab"]) == {"entry"}
    assert truth["stopped"][truth["element"] == "slab"].all()
    assert len(table("e.hits.parquet")["event"]) == 0


def test_nothing_stands_inside_a_slab(here, cli):
    Path("slab.yaml").write_text(SLAB.replace("z: 120 mm", "z: 60 mm"))
    answer = cli("check", "slab.yaml")
    assert answer.code == 2
    assert "slab.yaml:7:" in answer.err
    assert "after stands inside slab" in answer.err


def test_noise_is_searched(here, cli):
    planes = "\n".join(
        f"  - {{name: S{i}, type: plane, z: {z} m, span: 10 cm, resolution: 50 um, noise: 1 kHz/cm2, time_window: 2 us}}"
        for i, z in enumerate((0, 0.2, 0.4, 0.6))
    )
    Path("noisy.yaml").write_text(f"schema: 1\nname: noisy\nframe: beamline\nelements:\n{planes}\n")
    answer = cli("simulate", "noisy.yaml", "--momentum", "10 GeV", "--events", 4000, "--out", "n.parquet", "--json")
    result = json.loads(answer.out)
    hits, tracks = table("n.hits.parquet"), table("n.tracks.parquet")
    noise = hits["particle"] == -1
    # 1 kHz/cm2 x 2 us x 100 cm2 = 0.2 a plane and event
    assert noise.sum() / (4 * 4000) == pytest.approx(0.2, rel=0.05)
    assert hits["u"][noise].std() == pytest.approx(100 / 12**0.5, rel=0.05)
    assert 0.99 < result["association"]["efficiency"] <= 1
    assert 0.99 < result["association"]["purity"] <= 1
    assert (tracks["hits"] >= 2).all()
    answer = cli("check", "noisy.yaml")
    assert answer.code == 0
    Path("noisy.yaml").write_text(Path("noisy.yaml").read_text().replace("2 us", "2 ms"))
    answer = cli("simulate", "noisy.yaml", "--momentum", "10 GeV")
    assert answer.code == 2
    assert "200 hits are expected on S0" in answer.err


def test_a_tilted_panel_far_away_changes_nothing(here, cli):
    far = "  - {name: side, type: panel, z: 0.5 m, centre: {x: 20 m}, span: 10 cm, tilt: {y: 75 deg}}\n"
    for name, text in (("with", PORTAL + far), ("without", PORTAL)):
        Path(f"{name}.yaml").write_text(text)
        cli("simulate", f"{name}.yaml", "--source", "cosmic", "--events", 500, "--out", f"{name}.parquet")
    with_it, without = table("with.parquet"), table("without.parquet")
    assert set(with_it["element"]) == set(without["element"])
    assert np.allclose(with_it["x"], without["x"])
    assert not with_it["stopped"].all()


def test_a_track_that_nothing_determines_is_none(here, cli):
    plane = "  - {{name: S{}, type: plane, z: {} m, span: 20 cm, resolution: 50 um}}\n"
    planes = "".join(plane.format(i, z) for i, z in enumerate((0, 0.2, 0.4, 2.6, 2.8)))
    field = "field: {type: dipole, B: 1.2 T, z: [0.6 m, 2.4 m]}\n"
    Path("bent.yaml").write_text(f"schema: 1\nname: bent\nframe: beamline\n{field}elements:\n{planes}")
    # Bent out of the second arm: three hits, all before the magnet.
    assert cli("simulate", "bent.yaml", "--momentum", "1 GeV", "--events", 100, "--out", "b.parquet").code == 0
    assert len(table("b.tracks.parquet")["event"]) == 0
    assert cli("simulate", "bent.yaml", "--momentum", "50 GeV", "--events", 100, "--out", "b.parquet").code == 0
    assert np.isfinite(table("b.tracks.parquet")["q_over_p"]).all()
    Path("magnet.yaml").write_text(
        "schema: 1\nname: m\nframe: beamline\nelements:\n  - {name: m, type: magnet, B: 1 T, z: [0 m, 1 m]}\n"
    )
    answer = cli("simulate", "magnet.yaml", "--momentum", "1 GeV")
    assert answer.code == 2
    assert "nothing that a particle could meet" in answer.err
