"""What a run folder holds from the start: the study with everything in it, and where the run comes from."""

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from detopt import __version__
from detopt.runs import Run
from detopt.study.studies import Study
from detopt.study.write import Companions, inline_detector, resolved_study

__all__ = ["manifest", "write_inputs"]


def manifest(study: Study, command: str | None) -> dict[str, Any]:
    """Where the run comes from; `command` is how it was started."""
    packages = (
        "jax",
        "jaxlib",
        "equinox",
        "optax",
        "numpy",
        "scipy",
        "moocore",
        "pymoo",
        "pydantic",
        "ruamel.yaml",
        "pyarrow",
    )
    return {
        "schema": 1,
        "detopt": __version__,
        "command": command or f"detopt optimise {study.path} --seed {study.seed}",
        "study": study.name,
        "study_file": str(study.path),
        "seed": study.seed,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in packages},
        "commit": _commit(),
        "argv": sys.argv,
    }


def _commit() -> str | None:
    """The commit of detopt's own checkout, where it runs from one."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def write_inputs(run: Run, study: Study) -> str:
    """study.yaml with everything in it, and the files of its plug-ins and scenes; returns the text of the detector."""
    companions = Companions()

    def read(path: Path) -> str:
        return companions.beside(path.read_text(encoding="utf-8-sig"), path.parent)

    study_text = read(study.path)
    detector_text = inline_detector(study_text) if study.detector_path is None else read(study.detector_path)
    included = {place: read(path) for place, path in study.included.items()}
    for name, content in companions.contents.items():
        run.write_bytes(name, content)
    run.write_text("study.yaml", resolved_study(study_text, detector_text, included))
    return detector_text
