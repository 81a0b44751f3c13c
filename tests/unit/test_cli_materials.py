"""`detopt materials`: the list, one material, those of a detector's file, and names that are none."""

import json

import pytest
from test_user_materials import TEXT

from detopt.materials import MATERIALS, material, min_dedx


def test_the_list_has_every_material_once(cli):
    answer = cli("materials", "--json")
    entries = json.loads(answer.out)
    assert answer.code == 0
    assert len(entries) == len({id(m) for m in MATERIALS.values()})
    assert sorted(n for e in entries for n in (e["name"], *e["aliases"])) == sorted(MATERIALS)
    printed = cli("materials")
    assert printed.code == 0
    assert all(f"\n{e['name']} " in printed.out for e in entries)


@pytest.mark.parametrize("name", ["silicon", "Si"])
def test_one_material(cli, name):
    found = json.loads(cli("materials", name, "--json").out)
    silicon = material("silicon")
    assert (found["name"], found["aliases"]) == ("silicon", ["Si"])
    assert found["X0_mm"] == pytest.approx(silicon.X0)
    assert found["minimum"]["dEdx_MeV_cm2_g"] == min_dedx(silicon)
    assert [at["p_GeV"] for at in found["muons"]] == [1, 10, 100]
    assert sum(found["composition"].values()) == pytest.approx(1)
    printed = cli("materials", name).out
    for text in ("Si 100 %", "2.329 g/cm3", "9.3701 cm", "173 eV", "31.05 eV", "0.363 GeV/c", "PDG"):
        assert text in printed


def test_unknown_name(cli):
    answer = cli("materials", "silicn")
    assert answer.code == 2
    assert "unknown material 'silicn', did you mean 'silicon'?" in answer.err
    assert cli("materials", "fe").err.endswith("did you mean 'Fe'?\n")


def test_materials_of_a_detector(cli, tmp_path):
    path = tmp_path / "absorbers.yaml"
    path.write_text(TEXT)
    found = json.loads(cli("materials", "wet_sand", "--detector", path, "--json").out)
    assert found["density_g_cm3"] == pytest.approx(1.9)
    assert "detector file" in found["sources"]["material"]
    path.write_text(TEXT.replace("Fe: 0.5", "Fe: 0.4"))
    answer = cli("materials", "wet_sand", "--detector", path)
    assert answer.code == 2
    assert "sum to 0.9" in answer.err
