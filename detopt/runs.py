"""Run folders: what a run leaves behind, written so that a kill at any moment loses nothing that was finished.

`runs/<study>/<timestamp>/` holds study.yaml, manifest.json, history.parquet, path.json, detector.yaml, design.tex,
result.json, figures/ and report.html; with a head also heads/ (those of the audit). A front has front.parquet,
rounds.parquet and rates.parquet. In checkpoint/ lies what `detopt resume` goes on from.
"""

import json
import os
import socket
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Run", "RunError", "list_runs", "new_run"]


_FRONT = ("study", "objectives", "variables", "points", "hypervolume", "evaluations", "seconds")
_RESULT = ("initial", "final", "variables", "layouts", "curves", "steps", "seconds", "stopped")


class RunError(Exception):
    """A run folder that cannot be read or written; the message says what to do."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old content or the new, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Run:
    """A run folder.

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not (self.folder / "manifest.json").is_file():
            raise RunError(f"{self.folder} is not a run folder: it has no manifest.json (see `detopt runs`)")

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _json(self, name: str, needed: tuple[str, ...]) -> dict[str, Any]:
        path = self.folder / name
        if not path.is_file():
            raise RunError(f"{path} is missing: the run did not get that far")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is damaged: {error}") from None
        missing = [key for key in needed if not isinstance(data, dict) or key not in data]
        if missing:
            raise RunError(f"{path} is damaged: {', '.join(missing)} is missing")
        return data

    @property
    def manifest(self) -> dict[str, Any]:
        """Versions, seed, commit, platform, durations."""
        return self._json("manifest.json", ("study", "seed", "started"))

    @property
    def result(self) -> dict[str, Any]:
        """The initial and the final score, the variables, the layouts and resolution curves of both."""
        if self.is_front:
            raise RunError(f"{self.folder} has a front instead of one result: see front() and front_result")
        return self._json("result.json", _RESULT)

    @property
    def is_front(self) -> bool:
        """Whether the run searched a front."""
        return self.manifest.get("kind") == "front"

    @property
    def front_result(self) -> dict[str, Any]:
        """What a search for a front found, but for its points."""
        return self._json("result.json", _FRONT)

    def front(self) -> "pa.Table":
        """A row for each point of the front: objectives, their errors, probability of being non-dominated, variables."""
        import pyarrow.parquet as pq

        path = self.folder / "front.parquet"
        if not path.is_file():
            raise RunError(f"{path} is missing: the run searched no front, or did not get that far")
        return pq.read_table(path)

    @property
    def finished(self) -> bool:
        """Whether there is a result."""
        return (self.folder / "result.json").is_file()

    @property
    def complete(self) -> bool:
        """Whether all is written, to the report."""
        return self.finished and "finished" in self.manifest and (self.folder / "report.html").is_file()

    @property
    def history(self) -> "pa.Table":
        """One row for each start and step of the search; empty where none was written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / "history.parquet"
        return pq.read_table(path) if path.is_file() else pa.table({})

    @property
    def rounds(self) -> "pa.Table":
        """Evaluations, hypervolume and seconds after each round of a search for a front; empty where there is none."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / "rounds.parquet"
        return pq.read_table(path) if path.is_file() else pa.table({})

    @property
    def path(self) -> dict[str, Any]:
        """Some of the best designs on the way, and what their elements look like; empty where none were written."""
        return self._json("path.json", ("steps", "frames")) if (self.folder / "path.json").is_file() else {}

    def rates(self) -> "pa.Table":
        """What objectives cost in each other at each point of a front: see README; empty where none were written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / "rates.parquet"
        return pq.read_table(path) if path.is_file() else pa.table({})

    def text(self, name: str) -> str:
        """A text file of the folder, such as "study.yaml" or "detector.yaml"."""
        path = self.folder / name
        if not path.is_file():
            raise RunError(f"{path} is missing: the run did not get that far")
        return path.read_text(encoding="utf-8")

    def arrays(self, name: str) -> dict[str, Any]:
        """Named arrays of the folder, such as "heads/final.npz"."""
        import numpy as np

        path = self.folder / name
        if not path.is_file():
            raise RunError(f"{path} is missing: the run has none, or did not get that far")
        try:
            with path.open("rb") as file, np.load(file) as stored:
                return dict(stored)
        except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise RunError(f"{path} is damaged: {error}") from None

    def write_json(self, name: str, data: dict[str, Any]) -> None:
        """Write JSON; NaN is refused, since it is not JSON."""
        self.write_text(name, json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n")

    def store(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write rows that JSON may not hold, such as infinite losses, for `stored`."""
        self.write_text(name, json.dumps(rows) + "\n")

    def stored(self, name: str) -> list[dict[str, Any]]:
        """What `store` has written."""
        try:
            return json.loads(self.text(name))
        except ValueError as error:
            raise RunError(f"{self.folder / name} is damaged: {error}") from None

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file as it is."""
        write_atomically(self.folder / name, content)

    def write_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Write named arrays (.npz), in a folder below where the name says so."""
        import io

        import numpy as np

        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        sink = io.BytesIO()
        np.savez(sink, **arrays)
        write_atomically(path, sink.getvalue())

    def finish(self, result: dict[str, Any], seconds: float) -> None:
        """Write the result, and note the end in the manifest."""
        self.write_json("result.json", result)
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        self.write_json("manifest.json", {**self.manifest, "finished": ended, "seconds": seconds})

    def reopen(self, note: dict[str, Any]) -> None:
        """Go on with a run: note it in the manifest, and take away what says that all is written."""
        (self.folder / "report.html").unlink(missing_ok=True)
        known = {k: v for k, v in self.manifest.items() if k not in ("finished", "seconds")}
        self.write_json("manifest.json", {**known, "resumed": [*known.get("resumed", []), note]})
        for depth in ("", "*/"):
            for path in self.folder.glob(f"{depth}.*.????????"):  # of a kill in the middle of `write_atomically`
                path.unlink()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Work on the folder alone. Raises RunError where another process does.

        The system lets go of the lock when the process ends, however it ends.
        """
        path = self.folder / "checkpoint" / "lock"
        try:
            path.parent.mkdir(exist_ok=True)
            file = path.open("a+")
        except OSError as error:
            raise RunError(f"cannot write the run folder: {error}") from None
        with file:
            if not _locked(file.fileno()):
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise RunError(f"{self.folder} is being worked on by {holder}: wait until it ends, or stop it")
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield

    def write_table(self, columns: Mapping[str, Any], name: str = "history") -> None:
        """Write a whole table; the old one stands until the new one is complete."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(dict(columns)), sink)
        write_atomically(self.folder / f"{name}.parquet", sink.getvalue().to_pybytes())


def _locked(file: int) -> bool:
    """Lock an open file; False where another process has. Where there are no locks, all goes without."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without
        return True
    return True


def new_run(study: str, manifest: dict[str, Any], out: Path | str | None = None) -> Run:
    """Create a run folder: `out` itself, or a fresh one below runs/<study>/. Raises RunError."""
    now = datetime.now(UTC)
    try:
        if out is not None:
            folder = Path(out)
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise RunError(f"{folder} exists and is not an empty folder: choose another with --out")
            folder.mkdir(parents=True, exist_ok=True)
        else:
            stem, number = now.strftime("%Y-%m-%dT%H-%M-%S"), 0
            while True:  # two runs in one second get folders of their own
                folder = Path("runs") / study / (stem + (f"-{number}" if number else ""))
                try:
                    folder.mkdir(parents=True)
                    break
                except FileExistsError:
                    number += 1
        text = json.dumps({**manifest, "started": now.isoformat(timespec="seconds")}, indent=1)
        write_atomically(folder / "manifest.json", text.encode())
    except OSError as error:
        raise RunError(f"cannot write the run folder: {error}") from None
    return Run(folder)


def list_runs(root: Path | str = "runs") -> list[Run]:
    """Every run below a folder, oldest first."""
    return [Run(path.parent) for path in sorted(Path(root).glob("**/manifest.json"), key=lambda p: p.parent.name)]
