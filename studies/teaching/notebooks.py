"""Write each lesson as a Jupyter notebook, with the modules that it imports beside it: `python notebooks.py FOLDER`."""

import argparse
import shutil
from pathlib import Path

import jupytext

HERE = Path(__file__).parent
LESSONS = sorted(HERE.glob("[0-9]*.py"))


def write(folder: Path, lessons: list[Path] = LESSONS) -> list[Path]:
    """The notebooks that were written."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in HERE.glob("[a-z]*.py"):
        shutil.copy(module, folder)
    written = []
    for lesson in lessons:
        notebook = jupytext.read(lesson, fmt="py:percent")
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        written.append(folder / f"{lesson.stem}.ipynb")
        jupytext.write(notebook, written[-1])
    return written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for path in write(parser.parse_args().folder):
        print(path)
