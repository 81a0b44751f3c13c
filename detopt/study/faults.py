"""What is wrong with an input: file, line, column, place and reason, collected until all of them can be shown."""

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["BadInput", "Fault", "near"]


@dataclass(frozen=True)
class Fault:
    """One fault of one file; line and column count from 1, and are None where the whole file is meant."""

    file: str
    line: int | None
    column: int | None
    where: str
    message: str

    def __str__(self) -> str:
        place = ":".join(str(p) for p in (self.file, self.line, self.column) if p is not None)
        return f"{place}: {self.where}: {self.message}" if self.where else f"{place}: {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """The entry of `detopt check --json`."""
        return asdict(self)

    def excerpt(self) -> str:
        """The line in question with a caret below it, or nothing where it cannot be shown."""
        if self.line is None or self.column is None:
            return ""
        try:
            lines = Path(self.file).read_text(encoding="utf-8", errors="replace").splitlines()
            text = lines[self.line - 1].replace("\t", " ")
        except (OSError, IndexError):
            return ""
        start = max(0, self.column - 80)
        return f"  {text[start : start + 110]}\n  {' ' * (self.column - 1 - start)}^"


class BadInput(Exception):
    """Input that cannot be used; the command line prints its faults and leaves with exit code 2."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(set(faults), key=lambda f: (f.file, f.line or 0, f.column or 0, f.message)))
        super().__init__("\n".join(str(f) for f in self.faults))


def near(word: Any, known: Any) -> str:
    """ ", did you mean …?" where a known word is close, else nothing."""
    lowered = {str(k).lower(): k for k in known}
    found = difflib.get_close_matches(str(word).lower(), lowered, n=1, cutoff=0.6)
    return f", did you mean {lowered[found[0]]!r}?" if found else ""
