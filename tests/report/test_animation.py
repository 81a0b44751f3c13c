"""The film of a search: small, inside the page, and still for those who want no motion."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detopt.report import write_report
from detopt.report.animation import animation

from .sample_run import NEW_RADII, RADII, history, layout, sample_result, stand_in


def sample_path(frames: int = 12) -> dict[str, Any]:
    def radii(part: float) -> tuple[float, ...]:
        return tuple(a + part * (b - a) for a, b in zip(RADII, NEW_RADII, strict=True))

    rows = [{"step": 7 * i, "loss": -0.02 * i, "changed": layout(radii(i / frames))[1:-1]} for i in range(frames)]
    return {"steps": 100, "frames": rows}


def run_with(folder: Path, path: dict[str, Any]) -> Any:
    run = stand_in(folder, sample_result(), history(0))
    run.path = path
    return run


def test_the_design_moves(tmp_path: Path) -> None:
    film = animation(run_with(tmp_path, sample_path()))
    assert film is not None
    moving, still = (Image.open(io.BytesIO(part)) for part in film)
    assert moving.n_frames == 13, "and the final design"  # type: ignore[attr-defined]
    assert moving.size == still.size
    assert len(film[0]) < 1_000_000
    assert animation(run_with(tmp_path, sample_path())) == film, "the same run gives the same film"


def test_in_the_page(tmp_path: Path) -> None:
    run = run_with(tmp_path, sample_path())
    html = write_report(run).read_text(encoding="utf-8")
    (still,) = re.findall(
        r'<source media="\(prefers-reduced-motion: reduce\)" srcset="data:image/png;base64,([^"]+)">', html
    )
    assert Image.open(io.BytesIO(base64.b64decode(still))).format == "PNG"
    assert '<img src="data:image/gif;base64,' in html
    assert (tmp_path / "figures" / "animation.gif").read_bytes().startswith(b"GIF89a")


@pytest.mark.parametrize("path", [{}, {"frames": []}, {"frames": [{"step": 0, "loss": None, "changed": []}] * 5}])
def test_no_film_of_what_stands_still(tmp_path: Path, path: dict[str, Any]) -> None:
    assert animation(run_with(tmp_path, path)) is None


def test_losses_that_are_missing(tmp_path: Path) -> None:
    path = sample_path(4)
    path["frames"][1] |= {"loss": None}
    assert animation(run_with(tmp_path, path)) is not None
