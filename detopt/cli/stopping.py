"""How a long command is stopped: Ctrl-C and SIGTERM leave with a line that says what next, and exit code 130."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

__all__ = ["stoppable"]


@contextmanager
def stoppable() -> Iterator[None]:
    """Around the work of a command."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt as stop:
        said = str(stop) or "interrupted; what was finished is in the run folder (see `detopt runs`)"
        print(f"\ndetopt: {said}", file=sys.stderr)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
