"""Searches that may be stopped at any moment: whose folder is held, and how they are known again."""

import hashlib
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from detopt.runs import Run
from detopt.study.studies import Study

__all__ = ["TIME_IS_UP", "asked", "working_on"]

TIME_IS_UP = "the time limit was reached"


@contextmanager
def working_on(run: Run) -> Iterator[None]:
    """Hold the run's folder; a KeyboardInterrupt says how to go on. Raises RunError where another process holds it."""
    with run.lock():
        try:
            yield
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; continue with: detopt resume {shlex.quote(str(run.folder))}") from None


def asked(study: Study) -> str:
    """A digest of all that a search depends on, to know the study again: not its name, words and files."""
    plain = replace(study, name="", description="", path=Path(), detector_path=None, notes=(), included={})
    return hashlib.sha256(repr(plain).encode()).hexdigest()
