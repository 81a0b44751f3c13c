"""A run of an ALICE-like tracker, read from no folder."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from .sample_run import history, sample_result, stand_in


@pytest.fixture
def run(tmp_path: Path) -> SimpleNamespace:
    return stand_in(tmp_path, sample_result(), history())
