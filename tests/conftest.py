"""Strict settings for every test: shapes and types are checked, and nothing is promoted silently."""

import gc
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("JAX_PLATFORMS", "cpu")

# The rooms that compute; pydantic does the checking where YAML is read.
ROOMS = ["units", "parameters", "materials", "detector", "events", "simulation", "reconstruction"]
ROOMS += ["inference", "scoring", "search"]
install_import_hook([f"detopt.{room}" for room in ROOMS], "typecheck.checker")

from detopt.backend import jax  # noqa: E402  (after the hook)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


# Compiled programs are kept for good, and a thousand tests' do not fit a small machine: let go of them between files.
MEMORY = 3 * 2**30


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    """Drop what is compiled after a file of tests, once this process has grown large."""
    yield
    if resident_bytes() > MEMORY:
        jax.clear_caches()
        gc.collect()


def resident_bytes() -> int:
    """Memory of this process; zero where Linux does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture
def strict_dtypes():
    """No silent promotion of types; optax, which counts steps in int32, does not live with it."""
    with jax.numpy_dtype_promotion("strict"):
        yield


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run `detopt …` in this process, as the shell would."""
    from detopt.cli import main

    def run(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["detopt", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        code = left.value.code
        assert isinstance(code, (int, type(None)))
        return Answer(code or 0, *capsys.readouterr())

    return run
