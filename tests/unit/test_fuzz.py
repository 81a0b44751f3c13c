"""Mutations of the files that ship: each loads, or is refused with a fault that names a file. Nothing else, and fast."""

import gc
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detopt.study.faults import BadInput
from detopt.study.files import load_file
from detopt.study.library import shipped_files

FILES = [path for kind in ("detectors", "objectives", "studies") for path in shipped_files(kind)]
SCALARS = [
    "", "null", "true", "no", "0", "-1", "012", "1e-3", "1e999", ".nan", "1e400 mm", "80 um", "3 GeV", "5 %", "1 T", "0 mm", "-5 mm",
    "[]", "{}", "[1, 2]", "[1 mm, 2 mm]", "{a: 1}", "{init: 1 mm, bounds: [0 mm, 2 mm]}", "{init: 5 um, bounds: [1 um, 9 um]}",
    "{bounds: [1 mm, 2 mm]}", "{fixed: true}", "{choices: [1, 2]}", "*a", "&a x", "!!int 3", "!x y", "'", '"', "|", "L0", "L0.radius",
    "pt", "cost", "barrel_layer", "plane", "slab", "disk", "barrel_stack", "beamline", "x" * 300, "\u00b5m", "\x00", "\t", "? a", "- b",
]  # fmt: skip
TOKEN = re.compile(r"[A-Za-z_0-9.+%/-]+(?: (?:%|[A-Za-z]+[0-9]?(?:/[a-z0-9]+)?)(?=[,}\]\s]))?")


@st.composite
def mutated(draw):
    """A file's text with one to four changes."""
    path = draw(st.sampled_from(FILES))
    # Three of the seven layers are enough, and faster.
    lines = [line for line in path.read_text().split("\n") if not re.match(r"  L[2-5]\.", line)]
    for _ in range(draw(st.integers(1, 4))):
        i = draw(st.integers(0, len(lines) - 1))
        how = draw(
            st.sampled_from(["scalar", "scalar", "scalar", "swap", "delete", "double", "move", "text", "cut", "indent"])
        )
        tokens = list(TOKEN.finditer(lines[i]))
        if how in ("scalar", "swap") and tokens:
            spot = draw(st.sampled_from(tokens))
            other = draw(st.sampled_from(lines))
            words = TOKEN.findall(other) if how == "swap" else SCALARS
            lines[i] = lines[i][: spot.start()] + draw(st.sampled_from(words or [""])) + lines[i][spot.end() :]
        elif how == "delete" and len(lines) > 1:
            del lines[i]
        elif how == "double":
            lines.insert(i, lines[i])
        elif how == "move":
            lines.insert(draw(st.integers(0, len(lines))), lines[i])
        elif how == "text":
            lines[i] += draw(st.text(max_size=8))
        elif how == "cut":
            lines[i] = lines[i][: draw(st.integers(0, len(lines[i])))]
        elif how == "indent":
            lines[i] = draw(st.sampled_from([" ", "   ", "\t", "- "])) + lines[i]
    return path, "\n".join(lines)


def loads_or_refuses(path: Path) -> None:
    # Types are checked at run time here, which takes four times what a user waits, and a busy machine four times that; what
    # hangs takes for ever. A machine that stands still for a while counts that: what is slow five times is slow.
    assert any(seconds_to_load(path) < 10 for _ in range(5))


def seconds_to_load(path: Path) -> float:
    """Of the processor, in this thread: neither a busy machine nor the garbage of earlier tests is our fault."""
    gc.disable()
    started = time.thread_time()
    try:
        load_file(path)
    except BadInput as refused:
        assert refused.faults, "refused without a reason"
        for fault in refused.faults:
            assert fault.file
            assert fault.message
            assert (fault.line is None) == (fault.column is None)
            assert fault.excerpt() is not None
    finally:
        gc.enable()
    return time.thread_time() - started


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=True,
)
@given(case=mutated())
def test_mutations(folder, case):
    original, text = case
    path = folder / original.name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    loads_or_refuses(path)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(text=st.one_of(st.text(max_size=60), st.text(alphabet="{}[]:,-?&*!|>'\"#%@`ab01 \n\t", max_size=60)))
def test_any_text(folder, text):
    path = folder / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    loads_or_refuses(path)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(data=st.binary(max_size=40))
def test_any_bytes(folder, data):
    path = folder / "bytes.yaml"
    path.write_bytes(data)
    loads_or_refuses(path)


@pytest.mark.parametrize(
    "key", ["type: [a]", "of: {a: b}", "frame: []", "elements: 1", "detector: 1", "variables: {1: 2}"]
)
def test_short_files(folder, key):
    path = folder / "short.yaml"
    path.write_text(key + "\n")
    loads_or_refuses(path)
