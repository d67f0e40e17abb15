"""Standard output, whose failure ends the command, and standard error, whose failure cannot be
reported.

The program claims standard output for itself at its start: results go to a descriptor of its own,
and descriptor 1 becomes standard error. So a plugin that prints, in Python or in C, does not get
between the JSON lines or into the data of `receive --stdout`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # without the import of typing: the version is printed by this
    from typing import TextIO

_own: TextIO | None = None


class OutputError(OSError):
    """Standard output cannot be written: the disk is full, or its reader has gone."""


def claim_output() -> None:
    """Keep the real standard output for `put`; all else that writes to descriptor 1 writes to
    standard error from now on."""
    global _own
    descriptor = os.dup(1)
    # It lives as long as the process.
    _own = open(  # noqa: SIM115
        descriptor, "w", encoding=sys.stdout.encoding, errors="backslashreplace", closefd=False
    )
    os.dup2(2, 1)


def results() -> TextIO:
    """The stream for results."""
    return _own or sys.stdout


def put(text: str, stream: TextIO | None = None, *, end: str = "\n") -> None:
    """Write a line of results and flush it; raises `OutputError`."""
    try:
        print(text, end=end, file=stream or results(), flush=True)
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from error


def say(text: str, *, end: str = "\n") -> None:
    """Write a line for the person at the terminal."""
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except OSError:
        pass


def silence_output() -> None:
    """Send what is still to be written nowhere: standard output cannot be written any more, and the
    interpreter would try at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, results().fileno())
