"""How far a search is: a bar on a terminal, plain lines otherwise; both on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["progress_bar", "share_bar"]


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[Any], None] | None]:
    """What a search calls with its `Progress`, or None; the bar is gone afterwards."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"), TimeElapsedColumn(),
        TimeRemainingColumn(), console=console, transient=True,
    )  # fmt: skip
    task = bar.add_task("compiling", total=None, loss="")

    def update(state: Any) -> None:
        loss = state.note or (_loss(state.loss) if state.total else "")
        bar.update(task, completed=state.done, total=state.total or None, description=state.phase, loss=loss)

    with bar:
        yield update


@contextmanager
def share_bar(quiet: bool, description: str) -> Iterator[Callable[[float], None] | None]:
    """What is called with the share that is done, or None; the bar is gone afterwards."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    bar = Progress(console=console, transient=True)
    task = bar.add_task(description, total=1.0)
    with bar:
        yield lambda share: bar.update(task, completed=share)


def _lines() -> Callable[[Any], None]:
    """A line every other second."""
    last = 0.0

    def line(state: Any) -> None:
        nonlocal last
        if time.monotonic() - last > 2:
            last = time.monotonic()
            step = f"step {state.done} of at most {state.total}, {state.phase}: {state.note or _loss(state.loss)}"
            print(step if state.total else state.phase, file=sys.stderr)

    return line


def _loss(loss: float) -> str:
    return "no feasible design yet" if loss != loss else f"best loss {loss:+.4f}"
