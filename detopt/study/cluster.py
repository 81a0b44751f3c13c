"""Designs scored by other processes: those of a Dask cluster, or some on this machine."""

import pickle
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np

from detopt.runs import RunError
from detopt.study.front_simulator import FrontSimulator, Scale
from detopt.study.plugins import FROM_FILES
from detopt.study.studies import Study

__all__ = ["Cluster", "computed", "joined"]

_PATIENCE = 10  # seconds for a scheduler to answer
_UNSCALED = Scale(*np.ones((3, 1)))  # whoever asks knows the scale
_PIECES = 2  # of work for each process, so that none waits long for the slowest


class Cluster:
    """Processes that score designs of one study.

    Each design is scored as it would be here, with the same random numbers: a front does not tell where it was searched.
    """

    def __init__(self, where: str) -> None:
        """
        Args:
            where: address of a Dask scheduler; or how many processes to start on this machine.

        Raises:
            RunError: Dask is not installed, or no scheduler with workers answers.
        """
        try:
            from distributed import Client, LocalCluster
        except ImportError:
            raise RunError("a cluster needs Dask: pip install 'detopt[dask]'") from None
        self.where = where
        self.own: Any = None
        self.client: Any = None
        if not where.isdigit():
            _knock(where)
        elif int(where) == 0:
            raise RunError("--cluster 0: give the number of processes, or the address of a Dask scheduler")
        try:
            if where.isdigit():
                self.own = LocalCluster(
                    n_workers=int(where), threads_per_worker=1, dashboard_address=None, silence_logs=50
                )
            self.client = Client(self.own or where, timeout=_PATIENCE, set_as_default=False)
            self.client.wait_for_workers(1, timeout=_PATIENCE)
        except Exception as error:  # of a dozen kinds
            self.close()
            raise RunError(f"the Dask scheduler at {where} has no workers, or is none: {error}") from None

    def pieces(self, number: int) -> int:
        """Into how many parts so much work is cut."""
        with self._explained():
            processes = len(self.client.scheduler_info(n_workers=-1)["workers"])
        return max(min(_PIECES * processes, number), 1)

    def map(self, study: Study, what: str, *columns: Any) -> Iterator[np.ndarray]:
        """What simulators of the study answer to each row of the columns, in order. Raises RunError where the cluster fails.

        `what` is a method of `FrontSimulator` that computes where it is called.
        """
        futures = []
        try:
            with self._explained():
                futures = self.client.map(partial(computed, study, what), *columns, pure=False)
            for future in futures:
                with self._explained():
                    answer = future.result()
                yield answer
        finally:
            with suppress(Exception):
                self.client.cancel(futures)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever breaks, a run can go on without it. Raises RunError."""
        try:
            yield
        except Exception as error:
            raise RunError(
                f"the cluster at {self.where} failed ({type(error).__name__}: {error}); what a run folder has of finished "
                "rounds is kept, and `detopt resume` goes on from there, with a cluster or without"
            ) from error

    def close(self) -> None:
        """Let go of it; processes that were started here end."""
        for part in (self.client, self.own):
            if part is not None:
                with suppress(Exception):
                    part.close()


_KNOWN: dict[str, FrontSimulator] = {}  # in a process of a cluster: the last study that it was asked about
_ONE = threading.Lock()


def computed(study: Study, what: str, *row: np.ndarray) -> np.ndarray:
    """In a process of a cluster: one answer."""
    name = repr(study)
    with _ONE:
        if name not in _KNOWN:
            _KNOWN.clear()
            _KNOWN[name] = FrontSimulator(study, _UNSCALED)
        simulator = _KNOWN[name]
    found: np.ndarray = getattr(simulator, what)(*row)
    return found


def _knock(where: str) -> None:
    """Raises RunError where nobody is in: Dask itself would take long to say so, and say much."""
    form = re.fullmatch(r"(?:tcp|tls)://(.+):(\d+)", where)
    if form is None:
        raise RunError(f"--cluster {where}: expected the address of a Dask scheduler, as tcp://host:8786, or a number")
    try:
        socket.create_connection((form[1].strip("[]"), int(form[2])), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise RunError(f"no Dask scheduler answers at {where}: {error}") from None


@contextmanager
def joined(where: str | None, study: Study) -> Iterator[Cluster | None]:
    """A cluster for as long as a study is worked on; None where there is none to join.

    Raises:
        RunError: as `Cluster` does; or the study has parts from a file, which other processes do not know.
    """
    if where is not None and FROM_FILES.encode() in pickle.dumps(study):
        raise RunError(
            "this study has parts that are classes of a file (type: ./file.py:Class), and processes of a cluster know those "
            "of installed packages only: run it without --cluster, or install them (type: package.module:Class)"
        )
    cluster = None if where is None else Cluster(where)
    try:
        yield cluster
    finally:
        if cluster is not None:
            cluster.close()
