"""Finding YAML files: beside the file that names them, in the folders above it, in the library that ships with detopt."""

from collections.abc import Iterator
from pathlib import Path

__all__ = ["find", "is_file", "shipped", "shipped_files"]


def shipped() -> Path:
    """The folder that holds detectors/, objectives/ and studies/: the checkout, or the copy inside the wheel."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent
    # An editable checkout comes first, or a frozen copy would answer.
    return (
        checkout
        if (checkout / "pyproject.toml").exists() and (checkout / "detectors").is_dir()
        else package / "library"
    )


def shipped_files(kind: str) -> list[Path]:
    """All YAML files of a kind ("detectors", "objectives", "studies")."""
    return sorted((shipped() / kind).glob("*.yaml"))


def find(name: str, kind: str, beside: Path) -> Path | None:
    """The file that `name` means, or None.

    Args:
        name: a path such as "detectors/its2_like.yaml", or only its last part.
        kind: the library folder to look in as well.
        beside: the folder of the file that names it.
    """
    return next((path for path in _candidates(Path(name), kind, beside.resolve()) if is_file(path)), None)


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _candidates(name: Path, kind: str, beside: Path) -> Iterator[Path]:
    for folder in (beside, *beside.parents, shipped()):
        yield folder / name
        yield folder / kind / name
