"""What the lessons share: options, numbers for a full and for a quick run, and where figures go."""

import argparse
import inspect
import os
from pathlib import Path
from typing import Any

from detopt.report.style import Drawing, save

QUICK = "LESSON_QUICK"  # in the environment: for notebooks, which take no options


class Lesson:
    """The options that a lesson was started with."""

    def __init__(self, name: str) -> None:
        """
        Args:
            name: of the lesson's file; figures go to a folder of that name.
        """
        parser = argparse.ArgumentParser(description=f"Lesson {name.replace('_', ' ')}.")
        parser.add_argument("--out", type=Path, default=Path("runs/lessons") / name, help="folder for the figures")
        parser.add_argument(
            "--quick", action="store_true", default=bool(os.environ.get(QUICK)), help="fewer events, larger errors"
        )
        options = parser.parse_known_args()[0]  # a notebook has arguments of its own
        self.out: Path = options.out
        self.quick: bool = options.quick

    def scaled(self, full: int, quick: int) -> int:
        """A number of muons, steps or starts."""
        return quick if self.quick else full

    def finish(self, figure: Drawing, name: str) -> Drawing:
        """Save a figure; a notebook shows it as well."""
        print(f"figure: {save(figure, self.out, name)}")
        return figure

    def write(self, name: str, text: str) -> Path:
        """Save a text, such as a detector's YAML, beside the figures."""
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / name
        path.write_text(text)
        return path


def listing(*functions: Any) -> None:
    """Print the code of functions that are defined elsewhere."""
    for function in functions:
        print(inspect.getsource(function))
