"""What a search for a front has come to, in the run folder after every round: its tables, and a checkpoint to go on from."""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from detopt.backend import jax
from detopt.inference.stored import leaves, with_leaves
from detopt.runs import Run, RunError
from detopt.search.emulator import Emulator, new_emulator
from detopt.search.fronts import hypervolume
from detopt.search.pareto import Archive, Population, State
from detopt.study.front_simulator import FrontSimulator, Scale
from detopt.study.optimise import Progress
from detopt.study.studies import Study

__all__ = ["Checkpoint", "History", "read_checkpoint"]

_FILE = "checkpoint/state.npz"


class Checkpoint(NamedTuple):
    """All that a search goes on from."""

    state: State
    scale: Scale
    round_of: Int[np.ndarray, " rows"]  # in which each design was scored
    rounds: dict[str, np.ndarray]  # evaluations, hypervolume and seconds after each


def read_checkpoint(run: Run) -> Checkpoint | None:
    """The checkpoint of a run; None where there is none. Raises RunError where it cannot be read."""
    if not (run.folder / _FILE).is_file():
        return None
    parts: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, array in run.arrays(_FILE).items():
        part, _, rest = name.partition(".")
        parts[part][rest] = array
    try:
        archive, scale = Archive(**parts["archive"]), Scale(**parts["scale"])
        current = Population(**parts["current"]) if parts["current"] else None
        emulator = _emulator(parts["emulator"], archive) if parts["emulator"] else None
        spent, round_of = int(parts["search"]["spent"]), parts["search"]["round_of"]
        state = State(archive, emulator, current, int(parts["search"]["rounds"]), spent)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.folder / _FILE} is damaged, or of another version: {error}") from None
    return Checkpoint(state, scale, round_of, parts["rounds"])


def _emulator(arrays: dict[str, Any], archive: Archive) -> Emulator:
    """Raises KeyError or ValueError where these are not its arrays."""
    emulator = new_emulator(np.zeros((1, archive.values.shape[1])), archive.u.shape[1], jax.random.key(0))
    for name, array in leaves(emulator).items():
        if arrays[name].shape != array.shape:
            raise ValueError(f"{name} has the shape {arrays[name].shape}, not {array.shape}")
    loaded: Emulator = with_leaves(emulator, arrays)
    return loaded


class History:
    """Every design that was scored, and the hypervolume after each round."""

    def __init__(
        self,
        study: Study,
        run: Run,
        simulator: FrontSimulator,
        believed: Callable[[State], Float[np.ndarray, "rows m"]],
        progress: Callable[[Progress], None] | None,
        started: float,
        before: Checkpoint | None,
    ) -> None:
        """
        Args:
            study: what was asked.
            run: where it is written.
            simulator: of the search.
            believed: the values of all its designs, without their noise.
            progress: called after each round.
            started: when, by `time.monotonic`; of a search that goes on, as if it had never been stopped.
            before: what the search goes on from.
        """
        self.study, self.run, self.progress, self.started = study, run, progress, started
        self.believed = believed
        self.scale, self.box = simulator.scale, simulator.box
        self.rounds = {} if before is None else before.rounds
        self.round_of = np.zeros(0, int) if before is None else before.round_of
        if before is not None:
            self._write(before.state)  # the tables may be of a round more or less

    def add(self, state: State) -> None:
        """Write down what a round has found."""
        archive = state.archive
        new = np.full(len(archive.u) - len(self.round_of), state.rounds)
        self.round_of = np.concatenate([self.round_of, new])
        volume = hypervolume(self.believed(state), np.zeros(archive.values.shape[1]))
        row = {"evaluations": state.spent, "hypervolume": volume, "seconds": time.monotonic() - self.started}
        self.rounds = {
            key: np.append(self.rounds.get(key, np.zeros(0, type(value))), value) for key, value in row.items()
        }
        self._write(state)
        if self.progress is not None:
            total = self.study.front.evaluations
            self.progress(Progress(state.spent, total, "front", math.nan, f"hypervolume {volume:.4g}"))

    def _write(self, state: State) -> None:
        archive = state.archive
        parts: dict[str, dict[str, Any]] = {
            "archive": archive._asdict(),
            "current": {} if state.current is None else state.current._asdict(),
            "emulator": {} if state.emulator is None else leaves(state.emulator),
            "search": {"rounds": state.rounds, "spent": state.spent, "round_of": self.round_of},
            "scale": self.scale._asdict(),
            "rounds": self.rounds,
        }
        arrays = {f"{part}.{name}": array for part, entries in parts.items() for name, array in entries.items()}
        self.run.write_arrays(_FILE, arrays)
        values = self.scale.back(archive.values)
        columns: dict[str, Any] = {"round": self.round_of}
        columns |= {name: values[:, i] for i, name in enumerate(self.study.objectives)}
        columns |= self.box.table(archive.u)
        self.run.write_table(columns)
        self.run.write_table(self.rounds, "rounds")
