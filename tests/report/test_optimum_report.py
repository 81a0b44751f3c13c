"""What the optimum rests on, in a page: names that are markup, numbers that are missing, arrows that point downhill."""

import math
from typing import Any

import pytest
from matplotlib.patches import FancyArrowPatch

from detopt.report import write_report
from detopt.report.arrows import gradients, slopes
from detopt.report.optimum import optimum_tables
from detopt.report.text import per, signed

from .sample_run import history, sample_result, stand_in
from .test_report import Page


def gradient(name: str, slope: Any, held_by: list[str] | None = None, **objectives: Any) -> dict[str, Any]:
    return {
        "variable": name, "loss": {"value": slope, "error": 0.0}, "per_range": {"value": slope, "error": 0.0},
        "objectives": {n: {"value": v, "error": 0.0} for n, v in objectives.items()},
        "held_by": held_by or [], "free": not held_by,
    }  # fmt: skip


def sample_optimum() -> dict[str, Any]:
    return {
        "residual": 0.0013, "unique": True,
        "gradients": [gradient("L0.radius", 2.0, ["its bound"], d0=-0.00012, pt=1e-5),
                      gradient("L3.radius", -0.5, ["budget"], d0=0.0), gradient("L5.radius", 0.1, d0=None),
                      gradient("L0.pitch", 0.02, ["budget"])],
        "prices": [
            {"kind": "constraint", "name": "budget", "title": "cost at most 900 kEUR", "sense": "max", "limit": 900.0,
             "step": 20.0, "unit": "kEUR", "display_unit": "kEUR", "loss": {"value": -0.004, "error": 0.0},
             "objectives": {"d0": -0.004, "pt": None}},
            {"kind": "constraint", "name": "floor", "title": "thick enough", "sense": None, "limit": None, "step": 0.01,
             "loss": {"value": -0.001, "error": 0.0}, "objectives": None},
            {"kind": "bound", "name": "L0.radius", "sense": "lower", "limit": 20.0, "step": 0.5, "unit": "mm",
             "display_unit": "mm", "loss": {"value": -0.018, "error": 0.0}, "objectives": {"d0": -0.02, "pt": 1e-6}},
        ],
        "tolerances": [{"variable": "L0.radius", "minus": None, "plus": 0.27, "room": [0.0, 40.0]},
                       {"variable": "L3.radius", "minus": 19.2, "plus": None, "room": [88.0, 222.0]}],
        "seconds": 0.4,
    }  # fmt: skip


def page_of(tmp_path: Any, optimum: dict[str, Any]) -> Page:
    result = sample_result() | {"optimum": optimum, "curves": {}}
    return Page(write_report(stand_in(tmp_path, result, history(0))).read_text(encoding="utf-8"))


def test_tells_what_holds_and_what_it_costs(tmp_path: Any) -> None:
    text = page_of(tmp_path, sample_optimum()).text
    for piece in ("all of the loss's gradient but 0.13 %", "limit 900 kEUR, 20 kEUR more", "1 % looser",
                  "lower bound 20 mm, 0.5 mm lower", "−0.12 µm/mm", "≈ 0", "−1.8 %",
                  "beyond 222 mm (bound)", "19.2 mm", "at the bound"):  # fmt: skip
        assert piece in text, piece
    assert {p.name for p in (tmp_path / "figures").iterdir()} >= {"gradients.png", "slopes.pdf"}


def test_names_are_escaped_and_nulls_are_dashes(tmp_path: Any) -> None:
    evil = "<script>alert('$x')</script>"
    optimum = sample_optimum()
    optimum["residual"] = None
    optimum["gradients"] += [gradient(evil, None, [evil]), gradient("L1.radius", math.nan)]
    optimum["gradients"] = [g | {"per_range": {"value": None, "error": None}} if g["variable"] == "L1.radius" else g
                            for g in optimum["gradients"]]  # fmt: skip
    for g in optimum["gradients"]:
        g["loss"]["value"] = None
    optimum["prices"][0] |= {"name": evil, "display_unit": evil, "loss": {"value": None, "error": None}}
    optimum["prices"][1] |= {"name": evil, "title": evil}
    optimum["tolerances"] += [{"variable": evil, "minus": None, "plus": None, "room": None}]
    page = page_of(tmp_path, optimum)
    assert [name for name, _ in page.tags].count("script") == 1
    assert evil in page.text
    assert "nan" not in page.text.lower().replace("provenance", "")


@pytest.mark.parametrize("optimum", [None, {}, {"gradients": []}, {"gradients": [], "prices": None}])
def test_nothing_to_tell(optimum: Any) -> None:
    assert optimum_tables(sample_result() | {"optimum": optimum}) == []


def test_sampled_runs_have_errors_and_no_tolerances() -> None:
    optimum = sample_optimum() | {"tolerances": None}
    optimum["gradients"][0]["loss"]["error"] = 0.1
    optimum["prices"][0]["loss"]["error"] = 0.001
    text = "".join(optimum_tables(sample_result() | {"optimum": optimum, "mode": "sampled"}))
    assert "not computed in sampled mode" in text
    assert "(−0.40 ± 0.10) %" in text


def test_arrows_point_downhill_and_are_hollow_where_held(tmp_path: Any) -> None:
    run = stand_in(tmp_path, sample_result() | {"optimum": sample_optimum()}, history(0))
    figure = slopes(run)
    assert figure is not None
    arrows = [p for p in figure.axes[0].patches if isinstance(p, FancyArrowPatch)]
    ends = [p._posA_posB[1][0] for p in arrows]
    assert [end < 0 for end in ends] == [True, False, True, True]
    assert abs(ends[0]) == pytest.approx(1.0)
    assert abs(ends[1]) == pytest.approx(1 - math.log10(4) / 3)
    assert [p.get_facecolor()[0] > 0.9 for p in arrows] == [True, True, False, True], "hollow where held"
    drawn = gradients(run)
    assert drawn is not None
    inside = [p for ax in drawn.axes for p in ax.patches if isinstance(p, FancyArrowPatch)]
    assert len(inside) >= 3 + 2, "three layers, and the legend"


def test_units_of_a_derivative() -> None:
    assert per("um", "mm") == "um/mm"
    assert per("", "mm") == "1/mm"
    assert per("um", "") == "um"
    assert signed(0.00012, per("um", "mm")) == "+0.12 µm/mm"
    assert signed(None, "um/mm") == "–"
