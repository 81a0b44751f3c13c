"""The demonstration: at the cost of the real detector, better than the real layout and than an equidistant one."""

import json

import pytest

import detopt


def improvement(root, name, out):
    run = detopt.load(root / "studies" / f"{name}.yaml").optimise(out=out)
    result = run.result
    initial, final = result["initial"], result["final"]
    assert all(c["value"] <= 0 for c in final["constraints"].values()), json.dumps(final["constraints"])
    assert final["cost"]["total"] <= max(initial["cost"]["total"], 6247.1)
    ratios = {n: final["objectives"][n]["value"] / initial["objectives"][n]["value"] for n in initial["objectives"]}
    print(name, ratios)
    assert min(ratios.values()) < 0.9
    assert max(ratios.values()) <= 1.0
    return run


def test_better_than_the_real_layout(root, tmp_path):
    run = improvement(root, "its2_upgrade", tmp_path / "run")
    page = (run.folder / "report.html").read_text()
    assert "its2_upgrade" in page
    assert {p.name for p in (run.folder / "figures").glob("*.png")} >= {
        "layout.png",
        "resolution.png",
        "convergence.png",
    }


@pytest.mark.slow
def test_better_than_an_equidistant_layout(root, tmp_path):
    improvement(root, "its2_from_equidistant", tmp_path / "run")


@pytest.mark.slow
def test_vertex_detector(root, tmp_path):
    run = detopt.load(root / "studies/fccee_vertex.yaml").optimise(out=tmp_path / "run")
    final = run.result["final"]
    assert all(c["value"] <= 0 for c in final["constraints"].values())
