"""The report of a sampled run: errors, the third design, the head against its baselines; what is missing hurts nothing."""

import copy
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from detopt.report import write_report
from detopt.report.figures import FIGURES, convergence, layout_without, resolution, variables
from detopt.report.head import audit, comparison, head
from detopt.report.text import DESIGNS, quantity, sigmas

from .sample_run import history, sample_result, stand_in
from .sampled_run import fractions, joint_history, sampled_result, tracks
from .test_report import Page

WITHOUT = DESIGNS["without"]
KINDS = ("discrimination", "fraction")


def sampled_run(folder: Path, objective: str | None) -> SimpleNamespace:
    run = stand_in(folder, sampled_result(objective), joint_history())
    texts = {name: run.text(name) for name in ("study.yaml", "detector.yaml")}
    run.text = lambda name: {**texts, "detector_without_head.yaml": "schema: 1\nname: another\n"}[name]
    return run


@pytest.fixture(scope="module", params=KINDS)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page, set[str]]:
    drawn: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detopt.report.page.save", lambda figure, folder, name: drawn.add(name))
        path = write_report(sampled_run(tmp_path_factory.mktemp("sampled"), request.param))
    return request.param, Page(path.read_text(encoding="utf-8")), drawn


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the figures that a head may change, and no files of them."""
    chosen = {name: FIGURES[name] for name in ("layout_without", "head", "convergence")}
    monkeypatch.setattr("detopt.report.page.FIGURES", chosen)
    monkeypatch.setattr("detopt.report.page.save", lambda figure, folder, name: None)


def words(text: str) -> str:
    return " ".join(text.replace("\u202f", " ").split())


def test_page(page: tuple[str, Page, set[str]]) -> None:
    kind, parsed, drawn = page
    text = words(parsed.text)
    headings = ("The answer", "Layout", "Resolution", "What the head knows", "Design variables", "Cost", "Convergence")
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)
    assert drawn == set(FIGURES) - {
        "exposures",
        "gradients",
        "slopes",
    }  # these are of portals, and of runs with an optimum
    assert text.count(WITHOUT) >= 6  # objectives, constraints, comparison, variables, cost, beside the layout
    assert (
        "2 heads were trained from scratch for each design, in 1 500 steps on 65 536 events, and scored on 40 000"
        in text
    )
    assert "name: another" in text
    assert not re.search(r"\bnan\b|None", text)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    expected = {
        "discrimination": ("0.2709 ± 0.0045", "−2.4 σ", "by 2.4 standard errors", "0.2663 ± 0.0045", "lower by 1.7 standard "
                           "errors, which may be chance", "d0 and z0 significance", "head minus d0 significance",
                           "131 072 a design", "+0.03273 ± 0.00060"),
        "fraction": ("(4.120 ± 0.080) %", "−6.0 σ", "by 6.0 standard errors", "head / baseline", "0.5714 ± 0.0097",
                     "1.030 ± 0.011", "counting beyond a cut", "4 096 exposures"),
    }  # fmt: skip
    for piece in expected[kind]:
        assert piece in text, piece


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["head", "layout_without", "convergence", "resolution"])
def test_axes_have_units(kind: str, name: str, tmp_path: Path) -> None:
    figure = FIGURES[name](sampled_run(tmp_path, kind))
    labels = [axis.get_label_text() for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) if axis.get_label_text()]
    assert len(labels) >= 4 - (name == "convergence")
    assert all(re.search(r"\[[^]]+\]$", label) for label in labels), labels


@pytest.mark.usefixtures("few")
def test_without_a_head(tmp_path: Path) -> None:
    run = sampled_run(tmp_path, None)
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    for absent in ("What the head knows", "from scratch", WITHOUT, "random numbers"):
        assert absent not in text
    assert head(run) is None
    assert "in errors" in text
    assert "moved inside the constraints" in text


@pytest.mark.usefixtures("few")
def test_expected_mode_has_no_new_words(tmp_path: Path) -> None:
    result = sample_result()
    for which in ("initial", "final"):
        for objective in result[which]["objectives"].values():
            objective["error"] = 0.0
    text = Page(write_report(stand_in(tmp_path, result, history(40))).read_text(encoding="utf-8")).text
    for absent in ("in errors", "σ ", "What the head knows", WITHOUT, "no step has seen"):
        assert absent not in text
    assert "the values have no statistical error" in text


def holes(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in plain data, but only the first of a list."""
    below = tree.items() if isinstance(tree, dict) else list(enumerate(tree))[:1] if isinstance(tree, list) else []
    return [*([path] if path else []), *(hole for key, part in below for hole in holes(part, (*path, key)))]


@pytest.mark.parametrize("kind", KINDS)
def test_null_anywhere(kind: str) -> None:
    whole = sampled_result(kind)
    parts = [("inference", *path) for path in holes(whole["inference"])] + [("inference",), ("without",)]
    assert len(parts) > 25
    for path in parts:
        result = copy.deepcopy(whole)
        place = result
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = None
        said = " ".join([audit(result) or "", *comparison(result)])
        assert not re.search(r"\bnan\b|None", said), path


@pytest.mark.parametrize(
    ("kind", "hole"),
    [
        ("discrimination", ("reliability",)), ("discrimination", ("reliability", 0, "observed")),
        ("discrimination", ("head", "prompt")), ("discrimination", ("baselines",)), ("discrimination", ("muons",)),
        ("fraction", ("estimates",)), ("fraction", ("estimates", "sigma")), ("fraction", ("estimates", "head", 3)),
        ("fraction", ("estimates", "baseline")),
    ],
)  # fmt: skip
def test_figure_with_a_hole(kind: str, hole: tuple[Any, ...], tmp_path: Path) -> None:
    run = sampled_run(tmp_path, kind)
    for which in ("initial", "final"):
        place = run.result["inference"]["designs"][which]
        for key in hole[:-1]:
            place = place[key]
        place[hole[-1]] = None
    figure = head(run)
    assert (figure is None) == (hole == ("estimates",))
    if figure is not None:
        figure.draw_without_rendering()


def test_nothing_to_draw(tmp_path: Path) -> None:
    run = sampled_run(tmp_path, "discrimination")
    run.result["inference"]["head"]["objective"] = "something else"
    assert head(run) is None
    assert comparison(run.result) == []
    assert "from scratch" in (audit(run.result) or "")
    run.result["inference"]["designs"] = {}
    run.result["inference"]["head"]["objective"] = "fraction"
    assert head(run) is None
    run.result["layouts"].pop("without")
    assert layout_without(run) is None


def test_roc_curves_leave_out_what_never_passes(tmp_path: Path) -> None:
    ax = head(sampled_run(tmp_path, "discrimination")).axes[0]
    assert ax.get_yscale() == "log"
    assert len(ax.lines) == 6
    for line in ax.lines:
        y = np.asarray(line.get_ydata())
        assert (y[np.isfinite(y)] > 0).all()
        assert np.isfinite(y).any()


def test_reliability_and_estimates_have_error_bars(tmp_path: Path) -> None:
    for kind, design in (("discrimination", tracks(1.0)), ("fraction", fractions(1.0))):
        figure = head(sampled_run(tmp_path, kind))
        bars = [bar for ax in figure.axes for bar in ax.containers]
        assert len(bars) == 4, kind
        size = 100 * (
            design["reliability"][0]["error"] if kind == "discrimination" else design["estimates"]["sigma"][0]
        )
        (low, high) = bars[0].lines[2][0].get_segments()[0][:, 1]
        assert high - low == pytest.approx(2 * size)


def test_best_is_what_was_validated(tmp_path: Path) -> None:
    run = sampled_run(tmp_path, "discrimination")
    lines = convergence(run).axes[0].lines
    thick = max(lines, key=lambda line: line.get_linewidth() if line.get_linestyle() == "-" else 0.0)
    validated = np.array(run.history.column("validated").to_pylist())
    assert thick.get_xdata()[0] == 9
    assert thick.get_ydata()[-1] == pytest.approx(100 * np.nanmin(validated))
    points = next(line for line in lines if line.get_marker() == "o")
    assert len(points.get_xdata()) == 12
    assert [text.get_text() for text in convergence(run).axes[0].texts] == ["start 2 →"]


def test_third_design_in_the_figures(tmp_path: Path) -> None:
    run = sampled_run(tmp_path, "fraction")
    squares = [line for line in variables(run).axes[0].lines if line.get_marker() == "s"]
    assert len(squares) == len(run.result["variables"])
    assert len(resolution(run).axes[0].lines) == 3
    names = {ax.get_title("left") for ax in layout_without(run).axes}
    assert {"after", "without the head's loss"} <= names


def test_head_that_did_not_help() -> None:
    result = sampled_result("discrimination")
    result["final"]["objectives"]["origin"]["value"] = 0.2709
    assert "did not change" in (audit(result) or "")
    result["final"]["objectives"]["origin"]["value"] = 0.30
    said = audit(result) or ""
    assert "rose from" in said
    assert "higher by" in said


def test_change_in_errors() -> None:
    a, b = {"value": 1.0, "error": 0.3}, {"value": 0.0, "error": 0.4}
    assert sigmas(a, b) == "−2.0 σ"
    assert sigmas({"value": 1.0, "error": 0.0}, {"value": 2.0, "error": None}) == "exact"
    assert sigmas(a, {}) == sigmas(a, {"value": math.nan}) == "–"
    assert quantity(0.8813, "", 0.000999) == "0.8813 ± 0.0010"
