"""A report opens offline, cannot be broken by a name, and says what it does not know."""

import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from detopt.report import draw_layout, write_report
from detopt.report.drawing import spread
from detopt.report.figures import FIGURES, convergence, resolution, variables
from detopt.report.markup import tag
from detopt.report.style import svg
from detopt.report.text import percent, quantity, unit
from detopt.runs import Run

from .sample_run import RADII, STUDY, curves, history, layout, sample_result, score, stand_in, variable

DRAWN = [
    name for name in FIGURES if name not in ("head", "exposures", "layout_without", "gradients", "slopes")
]  # of a bare run
VOID = {"meta", "link", "br", "img", "source"}


class Page(HTMLParser):
    """The tags of a page, checked for balance, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert write_report(stand_in(folder, sample_result(), history())) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_writes_every_figure_twice(folder: Path) -> None:
    names = {f"{figure}.{suffix}" for figure in DRAWN for suffix in ("png", "pdf")}
    assert {path.name for path in (folder / "figures").iterdir()} == names
    assert {path.name for path in folder.iterdir()} == {"design.tex", "figures", "report.html"}


def test_loads_nothing(html: str) -> None:
    page = Page(html)
    for name, attributes in page.tags:
        for key, value in attributes.items():
            loads = key in ("src", "href", "xlink:href", "action", "data", "srcset", "poster")
            assert not loads or (value or "").startswith(("#", "data:")), (name, key, value)
    outside = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert not re.search(r"https?:|@import|url\((?!#)", outside)


def test_ids_are_unique(html: str) -> None:
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html))
    assert {a or b for a, b in targets} <= set(ids)


def test_answer_comes_first(html: str) -> None:
    text = Page(html).text
    headings = ("its2_upgrade", "The answer", "Layout", "Resolution", "Design variables", "Cost", "Convergence")
    places = [text.index(heading) for heading in (*headings, "Provenance", "How to reproduce", "Files")]
    assert places == sorted(places)
    pieces = ("21.3 µm", "16.8 µm", "−21.1 %", "better", "all constraints are met", "met, 0.20 % to spare")
    for piece in (*pieces, "at the lower bound", "898.2 kEUR", "detopt optimise", "No restart", "jax 0.10.2"):
        assert piece in text


def test_follows_light_and_dark(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    assert "var(--ink)" in html
    assert "#1b1f24" not in html.split("</head>")[1]


def test_same_run_gives_the_same_figure(html: str, run: SimpleNamespace) -> None:
    assert svg(FIGURES["cost"](run), "cost", "Cost by component, before and after") in html


def test_awkward_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Markup and formulas in names, nulls, 50 layers, no constraints, no cost, one objective, no history."""
    drawn: list[str] = []
    monkeypatch.setattr("detopt.report.page.save", lambda figure, folder, name: drawn.append(name))
    evil = "<script>alert('$x')</script>\n" + "a very long name " * 6
    result = sample_result()
    one = score(0.0213, 0.0121, {})["objectives"]["d0"] | {"title": evil}
    result |= {"study": evil, "description": evil, "detector": evil, "stopped": evil}
    result["initial"] = {"objectives": {evil: one}, "constraints": {}, "cost": {}}
    result["final"] = {"objectives": {evil: one | {"value": None}}, "constraints": {}, "cost": {}}
    result["variables"] = [variable(f"L{i}.{evil}", 20.0 + i, 21.0 + i, 0.0, 100.0, tied=[evil]) for i in range(50)]
    result["variables"][7] |= {"final": None}
    layers = [layout(RADII)[1] | {"name": f"{evil} {i}", "position": 30.0 + 10 * i} for i in range(50)]
    layers[3] |= {"x_over_X0": None, "resolution": [0.005, None]}
    result["layouts"] = {"initial": layers, "final": layers}
    for row in result["curves"]["final"]:
        row |= {"sigma_pt_over_pt": None, "sigma_z0_um": None}
    html = write_report(stand_in(tmp_path, result, history(0), evil + STUDY)).read_text(encoding="utf-8")
    page = Page(html)
    assert [name for name, _ in page.tags].count("script") == 1
    assert "<script>alert('$x')</script>" in page.text
    assert "nan" not in page.text.lower().replace("provenance", "")
    assert drawn == ["layout", "resolution", "variables"]


def test_empty_run(tmp_path: Path) -> None:
    result = sample_result() | {"variables": [], "layouts": {}, "curves": {"initial": [], "final": []}}
    result["initial"]["cost"] = result["final"]["cost"] = {}
    run = stand_in(tmp_path, result, history(0))
    (tmp_path / "manifest.json").write_text("{}")
    run.text = Run(tmp_path).text  # there is no such file
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "This run holds no history." in text
    assert "Design variables" not in text
    assert "study.yaml)" not in text
    assert not (tmp_path / "figures").exists()


def test_says_worse_and_not_met(tmp_path: Path) -> None:
    result = sample_result() | {"layouts": {}, "curves": {}, "variables": []}
    final = result["final"]
    final["objectives"]["d0"] |= {"goal": "maximise"}
    final["objectives"]["pt"] |= {"value": result["initial"]["objectives"]["pt"]["value"] + 5e-5}
    final["constraints"]["budget"] |= {"value": 0.07, "actual": 963.0}
    final["constraints"]["gap"] |= {"value": None, "actual": None}
    final["cost"] = {}
    text = Page(write_report(stand_in(tmp_path, result, history(0))).read_text(encoding="utf-8")).text
    for piece in ("worse", "same within errors", "0 of 2 constraints met", "not met, by 7.0 %", "unknown"):
        assert piece in text


@pytest.mark.parametrize("name", DRAWN)
def test_axes_have_units(name: str, run: SimpleNamespace) -> None:
    figure = FIGURES[name](run)
    labels = []
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            named = bool(axis.get_ticklabels()) and any(re.search(r"\d", t.get_text()) for t in axis.get_ticklabels())
            shown = axis.get_tick_params().get("labelbottom", axis.get_tick_params().get("labelleft", True))
            if named and shown and ax.get_window_extent().height > 15:  # the colour scale has its label beside it
                labels.append(axis.get_label_text())
    assert labels
    assert all(re.search(r"\[[^]]+\]$", label) for label in labels), labels


def test_labels_stay_apart(run: SimpleNamespace) -> None:
    figure = FIGURES["layout"](run)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for ax in figure.axes for text in ax.texts if text.get_text()]
    assert len(boxes) > 18
    for i, box in enumerate(boxes):
        assert figure.bbox.contains(box.x0, box.y0)
        assert figure.bbox.contains(box.x1, box.y1)
        assert not any(box.shrunk(0.9, 0.7).overlaps(other.shrunk(0.9, 0.7)) for other in boxes[:i])


def test_before_and_after_share_scales(run: SimpleNamespace) -> None:
    sides = [ax for ax in FIGURES["layout"](run).axes if ax.get_title("left") in ("before", "after")]
    assert len(sides) == 2
    assert sides[0].get_xlim() == sides[1].get_xlim()
    assert sides[0].get_position().size == pytest.approx(sides[1].get_position().size)
    (x0, x1), (y0, y1) = sides[0].get_xlim(), sides[0].get_ylim()
    box = sides[0].get_window_extent()
    assert box.width / (x1 - x0) == pytest.approx(box.height / (y1 - y0)), "to scale"


def test_best_so_far_is_the_lowest_of_all_restarts(run: SimpleNamespace) -> None:
    thick = max(convergence(run).axes[0].lines, key=lambda line: line.get_linewidth())
    best = [v for v in run.history.column("best").to_pylist() if math.isfinite(v)]
    assert thick.get_ydata()[-1] == pytest.approx(100 * min(best))


def test_no_constraint_no_violation_panel(run: SimpleNamespace) -> None:
    run.history = run.history.drop_columns(["violation"])
    assert len(convergence(run).axes) == 1


def test_ratio_skips_what_is_missing(run: SimpleNamespace) -> None:
    final = curves(0.5)
    final[0]["sigma_d0_um"] = None
    run.result["curves"]["final"] = final
    ratio = resolution(run).axes[3].lines[0]
    assert ratio.get_ydata()[1:] == pytest.approx(0.5)
    assert math.isnan(ratio.get_ydata()[0])


def test_variables_mark_bounds(run: SimpleNamespace) -> None:
    diamonds = [line for line in variables(run).axes[0].lines if line.get_marker() == "D"]
    assert [line.get_xdata()[0] for line in diamonds] == [0, 100]


def test_draws_nothing_and_shows_itself() -> None:
    assert draw_layout([], []).axes
    assert draw_layout(layout(RADII))._repr_png_().startswith(b"\x89PNG")


def test_pyplot_keeps_its_settings() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_layout(layout(RADII))
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize(
    ("wanted", "places"),
    [([0.1, 0.9], [0.1, 0.9]), ([0.5, 0.5], [0.45, 0.55]), ([1.0, 1.0], [0.9, 1.0]), ([0.0], [0.0]), ([], [])],
)
def test_spread(wanted: list[float], places: list[float]) -> None:
    assert spread(wanted, 0.1, 0.0, 1.0) == pytest.approx(places)


def test_numbers_as_people_write_them() -> None:
    assert quantity(0.0213, "um") == "21.3 µm"
    assert quantity(0.0213, "um", 0.00022) == "(21.30 ± 0.22) µm"
    assert quantity(12345.6, "kEUR") == "12346 kEUR"
    assert quantity(-1.5, "mm") == "−1.5 mm"
    assert quantity(None, "mm") == quantity(math.nan) == percent(math.nan) == "–"
    assert [percent(v) for v in (1.2, -0.2134, 0.0021)] == ["+120 %", "−21.3 %", "+0.21 %"]
    assert [unit(u) for u in ("kEUR/m2", "1/mm", "")] == ["kEUR/m²", "1/mm", ""]


def test_tag_escapes_children_and_attributes() -> None:
    assert tag("p", "a<b", tag("b", "&"), None, class_='"') == '<p class="&quot;">a&lt;b<b>&amp;</b></p>'
