"""Whether detopt works here: what is installed, and a small question whose answer is known."""

import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, metadata, version
from typing import NamedTuple

__all__ = ["Finding", "examine"]

# Transverse impact parameter of a 1 GeV/c muon in the tracker `its2_like`, in um, on the machines where detopt is tested.
_KNOWN, _TOLERANCE = 24.14603, 1e-4


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    fine: bool
    found: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Everything that is worth knowing before a fault is reported, in the order in which it is looked at."""
    yield Finding("detopt", True, f"{version('detopt')}, Python {platform.python_version()}, {platform.platform()}")
    yield from _packages()
    yield _attempt("scratch folder", _scratch, "set TMPDIR to a folder that can be written")
    yield _attempt("this folder", lambda: _writable("."), "runs go to ./runs: work where you may write, or say --out")
    yield _attempt("JAX", _jax, "reinstall it: pip install --force-reinstall jax jaxlib")
    yield _attempt("a known resolution", _resolution, "report this, with the lines above")


def _packages() -> Iterator[Finding]:
    needed: list[str] = []
    for line in metadata("detopt").get_all("Requires-Dist") or []:
        name = re.split(r"[^\w.-]", line)[0]
        if "extra ==" not in line:
            needed.append(name)
    missing = [name for name in needed if _version(name) is None]
    found = ", ".join(f"{name} {_version(name)}" for name in needed if name not in missing)
    advice = f"pip install {' '.join(missing)}" if missing else ""
    yield Finding("packages", not missing, f"missing: {', '.join(missing)}" if missing else found, advice)
    extras = {"root": "uproot", "dask": "distributed", "pyhf": "pyhf", "geant4": "geant4-pybind"}
    here = [f"{extra} ({name} {_version(name)})" for extra, name in extras.items() if _version(name)]
    rest = [extra for extra, name in extras.items() if not _version(name)]
    words = f"installed: {', '.join(here) or 'none'}" + (f"; not: {', '.join(rest)}" if rest else "")
    yield Finding("extras", True, words)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _attempt(what: str, look: Callable[[], str], advice: str) -> Finding:
    try:
        return Finding(what, True, look())
    except Exception as error:  # whatever is wrong here is what was asked for
        return Finding(what, False, f"{type(error).__name__}: {error}".split("\n")[0], advice)


def _scratch() -> str:
    with tempfile.TemporaryFile() as file:
        file.write(b"detopt")
    return tempfile.gettempdir()


def _writable(folder: str) -> str:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".detopt-"):
        return os.path.abspath(folder)


def _jax() -> str:
    from detopt.backend import jax, jnp

    device = jax.devices()[0]
    assert jnp.zeros(1).dtype == jnp.float64, "double precision is off: unset JAX_ENABLE_X64"
    where = f"{len(jax.devices())} {device.platform} ({os.cpu_count()} cores)"
    return f"{jax.__version__} on {where}, compiled programs in {jax.config.values['jax_compilation_cache_dir']}"


def _resolution() -> str:
    from pathlib import Path

    from detopt.study.files import load_kind

    detector, started = load_kind(Path("its2_like"), "detector"), time.monotonic()
    found = detector.resolution(momentum=1)[0]["sigma_d0_um"]
    if abs(found - _KNOWN) > _TOLERANCE:
        raise ArithmeticError(f"σ(d0) of its2_like at 1 GeV/c is {found:.4g} µm, and should be {_KNOWN} µm")
    return f"σ(d0) of its2_like at 1 GeV/c: {found:.2f} µm, right, in {time.monotonic() - started:.1f} s"
