"""The page of a front in a browser: what a click, a drag, a key, a link does. Skipped where there is no browser."""

import re
import shutil
import time
from pathlib import Path

import pytest

import detopt
from detopt.report.explorer import ShownDesign, write_explorer

from .front_run import front_run, tracker_study

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian, Ubuntu: apt install chromium")
FLAGS = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
FLAGS += ["disable-component-update", "disable-sync"]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=[f"--{flag}" for flag in FLAGS])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front")
    return front_run(tracker_study(folder, "<img src=x onerror=alert(1)>"), 30, folder / "run")


@pytest.fixture(scope="module")
def page_file(run) -> Path:
    return detopt.explore(run.folder)


@pytest.fixture
def visit(browser):
    """Open a page; at the end nothing may have gone wrong in it, and nothing may have been fetched."""
    complaints, contexts = [], []

    def opened(path: Path, fragment: str = "", width: int = 1400, height: int = 900, theme: str = "light"):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append("a dialog"))
        allowed = (path.as_uri(), "blob:", "data:")
        page.on("request", lambda r: None if r.url.startswith(allowed) else complaints.append(r.url))
        page.goto(path.as_uri() + fragment)
        page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def told(page, point: int) -> None:
    page.wait_for_function(f"document.getElementById('which').textContent.startsWith('Point {point} of')")


def test_begins_at_the_knee(visit, page_file):
    page = visit(page_file)
    assert page.locator("#which").inner_text() == "Point 10 of 30, the knee"
    assert page.locator("#description").inner_text() == "<img src=x onerror=alert(1)>"
    assert page.locator("#objectives tbody tr").count() == 4
    assert page.locator("#variables tbody tr").count() == 20
    assert page.locator("#drawing svg").count() == 2
    assert page.locator("#parallel .axis").count() == 24


def test_click_on_a_point(visit, page_file):
    page = visit(page_file)
    page.evaluate(
        "document.querySelectorAll('#scatter .scatterlayer .trace')[1].querySelectorAll('.point')[3].id = 'third'"
    )
    box = page.locator("#third").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    told(page, 3)
    assert "design=3" in page.url


def test_drawing_follows(visit, page_file, run):
    page = visit(page_file)
    picture = page.locator("#drawing svg").first
    before = picture.inner_html()
    page.locator("#next").click()
    told(page, 11)
    assert picture.inner_html() != before
    radius = run.front().column("L3.radius")[11].as_py()
    assert page.locator("#variables tr", has_text="L3.radius").locator("td").first.inner_text() == f"{radius:.5g} mm"


def test_hover_tells_of_a_layer(visit, page_file):
    page = visit(page_file)
    page.locator("#drawing .catch").first.hover(force=True)
    assert "radius" in page.locator("#hint").inner_text()


def test_box_selection_and_letting_go(visit, page_file):
    page = visit(page_file)
    area = page.locator("#scatter .nsewdrag").first.bounding_box()
    page.mouse.move(area["x"] + 5, area["y"] + 5)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] / 2, area["y"] + area["height"] - 5, steps=5)
    page.mouse.up()
    page.wait_for_function("document.getElementById('kept').textContent.includes(' of 30')")
    kept = int(page.locator("#kept").inner_text().split()[0])
    assert 0 < kept < 30
    assert page.locator("#parallel .line:not(.out):not(.selected):not(.compared)").count() == kept
    page.locator("#clear").click()
    page.wait_for_function("document.getElementById('kept').textContent === '30 designs'")


def test_brush_along_an_axis(visit, page_file, run):
    page = visit(page_file)
    page.locator("#clear").evaluate("button => button.closest('section').scrollIntoView({block: 'center'})")
    grip = page.locator("#parallel .axis").nth(3).locator(".grip").bounding_box()
    x = grip["x"] + grip["width"] / 2
    page.mouse.move(x, grip["y"] + 2)
    page.mouse.down()
    page.mouse.move(x, grip["y"] + grip["height"] / 2, steps=6)
    page.mouse.up()
    page.wait_for_function("location.hash.includes('keep=cost')")
    low, high = map(float, re.search(r"keep=cost%3A([\d.]+)%3A([\d.]+)", page.url).groups())
    inside = sum(low <= value <= high for value in run.front().column("cost").to_pylist())
    assert page.locator("#kept").inner_text() == f"{inside} of 30 designs kept"
    fields = page.locator("#limits tr", has_text="cost").locator("input")
    page.locator("summary").click()
    assert float(fields.first.input_value()) == low
    page.mouse.click(x, grip["y"] + 30)  # a click lets go
    page.wait_for_function("document.getElementById('kept').textContent === '30 designs'")


def test_limits_by_keyboard(visit, page_file, run):
    page = visit(page_file)
    page.locator("summary").press("Enter")
    field = page.locator("#limits tr", has_text="d0").first.locator("input").nth(1)
    d0 = sorted(1e3 * value for value in run.front().column("d0").to_pylist())
    field.fill(f"{(d0[7] + d0[8]) / 2:.4f}")
    field.press("Tab")
    page.wait_for_function("document.getElementById('kept').textContent === '8 of 30 designs kept'")


def test_keys_walk_along_what_is_kept(visit, page_file):
    page = visit(page_file, "#design=4")
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    told(page, 5)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    told(page, 3)


def test_permalink(visit, page_file):
    page = visit(page_file, "#design=7&x=cost&y=d0&colour=L0.radius&beside=2&keep=pt:1:1000")
    assert page.locator("#which").inner_text() == "Point 7 of 30"
    assert page.locator("#x").input_value() == "cost"
    assert page.locator("#colour").input_value() == "L0.radius"
    assert page.locator("#objectives thead th").nth(2).inner_text() == "point 2"
    page.locator("#knee").click()
    told(page, 10)
    again = visit(page_file, "#" + page.url.split("#")[1])
    for control in ("#which", "#objectives", "#kept"):
        assert again.locator(control).inner_text() == page.locator(control).inner_text()


@pytest.mark.parametrize("fragment", ["#design=99999", "#design=-1&x=nothing", "#keep=pt:a:b", "#box=", "#%%%"])
def test_bad_links_show_the_page(visit, page_file, fragment):
    page = visit(page_file, fragment)
    assert page.locator("#which").inner_text() == "Point 10 of 30, the knee"


def test_compare_with_another(visit, page_file):
    page = visit(page_file, "#design=2")
    page.locator("#pin").click()
    page.locator("#next").click()
    told(page, 3)
    assert page.locator("#objectives thead th").nth(2).inner_text() == "point 2"
    page.locator("#unpin").click()
    page.wait_for_function("document.querySelectorAll('#objectives thead th')[2].textContent === 'the initial design'")


def test_download_loads(visit, page_file, tmp_path, run):
    page = visit(page_file, "#design=5")
    with page.expect_download() as waiting:
        page.locator("#download").click()
    path = tmp_path / "mine.yaml"
    waiting.value.save_as(path)
    detector = detopt.load(path)
    assert detector.elements[1].radius == pytest.approx(run.front().column("L0.radius")[5].as_py(), rel=1e-6)


def test_light_and_dark(visit, page_file):
    page = visit(page_file, theme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.locator("#theme").click()
    page.wait_for_function(f"{paper} !== '{dark}'")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1024, 768), (1920, 1080)])
def test_fits_the_screen(visit, page_file, width, height):
    page = visit(page_file, width=width, height=height)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_five_hundred_designs(visit, tmp_path):
    """Below 8 MB, and ready within three seconds (of a machine that may be busy: twice that here)."""
    run = front_run(tracker_study(tmp_path), 500, tmp_path / "run")
    study = detopt.load(run.folder / "study.yaml")
    layout, front = study.detector.layout(), run.front().to_pylist()
    text = (run.folder / "study.yaml").read_text()

    def shown(i: int) -> ShownDesign:
        moved = [{**row, "position": row["position"] * (1 + 1e-4 * i)} for row in layout]
        words = "\n".join(f"{line} {i}" if n % 3 == 0 else line for n, line in enumerate(text.split("\n")))
        curve = [
            {"p_GeV": 1.0 + n, "sigma_d0_um": 20.0 + n + i, "sigma_pt_over_pt": 0.1, "sigma_z0_um": 9.0}
            for n in range(40)
        ]
        return ShownDesign(moved, curve, words)

    path = write_explorer(run, [shown(i) for i in range(len(front) + 1)], tmp_path / "page.html")
    assert path.stat().st_size < 8e6
    started = time.monotonic()
    page = visit(path)
    assert page.locator("#parallel .line").count() == 502
    assert time.monotonic() - started < 6
