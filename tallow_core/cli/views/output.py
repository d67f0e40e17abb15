"""Writing to standard output, whose failure ends the command, and to standard error, whose failure
nobody could be told of."""

from __future__ import annotations

import contextlib
import sys
from typing import TextIO


class OutputError(OSError):
    """Standard output cannot be written: the disk is full, or whoever read it has gone."""


def put(text: str, stream: TextIO | None = None) -> None:
    """Write a line of results and flush it; raises `OutputError`."""
    try:
        print(text, file=stream or sys.stdout, flush=True)
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from error


def tell(text: str, *, end: str = "\n") -> None:
    """Write a line for the person at the terminal."""
    with contextlib.suppress(OSError):
        print(text, end=end, file=sys.stderr, flush=True)
