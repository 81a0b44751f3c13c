"""Tables of events in files: Parquet, or ROOT where uproot is installed. A file appears when it is complete."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from detopt.detector.detector import Detector
from detopt.reconstruction.association import Quality
from detopt.simulation.physics import Physics
from detopt.simulation.source import Cosmic, Source
from detopt.study.faults import BadInput, Fault
from detopt.study.simulate import Columns, Simulation, prepared

__all__ = ["check_path", "simulate_to_files", "write_events"]

_FEW = 0.01  # share of events that meet the detector below which there is a note
_VALID = 0.05, 100.0  # GeV: momenta for which ionisation by Bethe is the loss, to a few per cent

TABLES = ("truth", "hits", "tracks")
_SIDES = ("entry", "exit")
_TYPES = {
    "event": np.int64,
    "particle": np.int8,
    "element": np.int16,
    "side": np.int8,
    "arm": np.int8,
    "hits": np.int16,
    "stopped": np.bool_,
}


def check_path(path: Path) -> None:
    """Raises BadInput: the path ends in neither .parquet nor .root, its folder is not there, or uproot is missing."""
    if path.suffix not in (".parquet", ".root"):
        raise _refused(path, "must end in .parquet or .root")
    if not path.parent.is_dir():
        raise _refused(path, f"the folder {path.parent} does not exist")
    for target in _paths(path):
        if target.is_dir():
            raise _refused(target, "is a folder")
    if path.suffix == ".root":
        try:
            import uproot  # noqa: F401
        except ImportError:
            raise _refused(path, "needs uproot: pip install 'detopt[root]', or write .parquet") from None


def simulate_to_files(
    detector: Detector,
    source: Source,
    out: Path | str,
    events: int | None = None,
    seed: int = 0,
    physics: Physics | None = None,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Simulate, and write truth to `out`, hits and tracks beside it.

    Args:
        detector: its numbers are floats.
        source: of a kind that goes with the detector's frame.
        out: ends in .parquet or .root.
        events: how many; of an exposure, as many as are expected, if it is not given.
        seed: of all random numbers.
        physics: which effects are on; all of them by default.
        progress: called with the share that is done.

    Returns:
        events, file, hits and tracks (paths), the rows of each table, share (of the events that meet an element), notes;
        of an exposure its seconds and the expected number of muons; with noise, how well hits were put to tracks.

    Raises:
        BadInput: the path cannot be written to, or no event meets the detector.
    """
    out = Path(out)
    check_path(out)
    notes, more = [], {}
    simulation = prepared(detector, source, events, seed, physics)
    if isinstance(source, Cosmic) and simulation.expected is not None:
        more = {"exposure_s": source.seconds, "expected": simulation.expected}
    rows = write_events(simulation, out, progress)
    share = simulation.met / simulation.events
    if share < _FEW:
        notes.append(f"only {100 * share:.2g} % of the events meet an element of {detector.name}")
    low, high = getattr(source, "momentum", None) or _VALID
    outside = low < _VALID[0] or (high > _VALID[1] and not isinstance(source, Cosmic))  # few cosmic muons are that fast
    if simulation.physics.energy_loss and outside:
        notes.append(
            f"energy loss is ionisation after Bethe, good from {_VALID[0]:g} GeV to {_VALID[1]:g} GeV: slower muons need "
            "shell corrections, faster ones radiate, and neither is simulated"
        )
    names = dict(zip(TABLES, _paths(out), strict=True))
    return {
        "events": simulation.events,
        "file": str(out),
        "hits": str(names["hits"]),
        "tracks": str(names["tracks"]),
        "rows": rows,
        "share": share,
        "notes": notes,
        **({} if simulation.quality is None else {"association": _association(simulation.quality)}),
        **more,
    }


def write_events(simulation: Simulation, path: Path, progress: Any = None) -> dict[str, int]:
    """Simulate, and write the tables. Parquet: truth to `path`, hits and tracks beside it; ROOT: three trees in one file.

    Args:
        simulation: what to write.
        path: ends in .parquet or .root.
        progress: called with the share of the events that is done.

    Returns:
        Rows of each table.

    Raises:
        BadInput: the path cannot be written to. Files that are there already stay as they were.
    """
    check_path(path)
    rows = dict.fromkeys(TABLES, 0)
    open_files = _root if path.suffix == ".root" else _parquet
    try:
        with open_files(path, simulation) as write:
            for number, tables in enumerate(simulation.chunks()):
                simulation.met += len(np.unique(tables.truth["event"]))
                if number == 0 and not simulation.met:
                    raise BadInput([Fault("--source", None, None, "", _missed(simulation))])
                for name in TABLES:
                    columns = {c: v.astype(_TYPES.get(c, np.float64)) for c, v in getattr(tables, name).items()}
                    write(name, columns)
                    rows[name] += len(columns["event"])
                if progress is not None:
                    progress(min(1.0, (number + 1) * simulation.chunk / simulation.events))
    except OSError as error:
        raise _refused(path, f"cannot be written: {error.strerror or error}") from None
    return rows


def _association(quality: Quality) -> dict[str, float]:
    return {name: float(getattr(quality, name)) for name in ("efficiency", "purity", "fake_rate")}


def _paths(path: Path) -> tuple[Path, ...]:
    if path.suffix == ".root":
        return (path,) * 3
    return path, *(path.with_suffix(f".{name}.parquet") for name in TABLES[1:])


def _missed(simulation: Simulation) -> str:
    tried = min(simulation.chunk, simulation.events)
    return f"0 % of {tried} events meet an element of {simulation.detector.name}: the source misses the detector"


def _refused(path: Path, message: str) -> BadInput:
    return BadInput([Fault(str(path), None, None, "--out", message)])


@contextmanager
def _complete(paths: list[Path]) -> Iterator[list[Path]]:
    """Temporary files that take their places together, when all is written."""
    temporary: list[Path] = []
    try:
        for path in paths:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            os.close(handle)
            temporary.append(Path(name))
        yield temporary
        for path, written in zip(paths, temporary, strict=True):
            with written.open("rb") as file:
                os.fsync(file.fileno())
            written.chmod(0o644)
            written.replace(path)
    finally:
        for written in temporary:
            written.unlink(missing_ok=True)


@contextmanager
def _parquet(path: Path, simulation: Simulation) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = {"truth": simulation.elements, "hits": simulation.sensors}
    with _complete(list(_paths(path))) as temporary, ExitStack() as stack:
        writers: dict[str, Any] = {}

        def table(name: str, columns: Columns) -> Any:
            arrays: dict[str, Any] = dict(columns)
            if "element" in columns:
                arrays["element"] = pa.DictionaryArray.from_arrays(columns["element"], list(words[name]))
            if "side" in columns:
                arrays["side"] = pa.DictionaryArray.from_arrays(columns["side"], list(_SIDES))
            return pa.table(arrays)

        def write(name: str, columns: Columns) -> None:
            rows = table(name, columns)
            if name not in writers:
                file = temporary[TABLES.index(name)]
                writers[name] = stack.enter_context(pq.ParquetWriter(file, rows.schema))
            writers[name].write_table(rows)

        yield write
        stack.close()


@contextmanager
def _root(path: Path, simulation: Simulation) -> Iterator[Any]:
    import uproot

    with _complete([path]) as (temporary,), uproot.recreate(temporary) as file:

        def write(name: str, columns: Columns) -> None:
            if name not in file:
                file.mktree(name, {c: v.dtype for c, v in columns.items()})
            file[name].extend(columns)

        # Elements and sides are numbers there; these are their names.
        file["elements"], file["sensors"] = "\n".join(simulation.elements), "\n".join(simulation.sensors)
        yield write
