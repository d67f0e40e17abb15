"""How long commands take to start, beside the interpreter itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.processes import TALLOW, Child
from benchmarks.transfer import direct

SMALL = 4096


def ended(*command: str) -> Callable[[Path], float]:
    """Seconds from start to end of a command."""

    def measure(work: Path) -> float:
        with Child(command, work) as child:
            return child.finish().wall

    return measure


def code_shown(source: Path) -> Callable[[Path], float]:
    """Seconds from the start of `send` to its code."""

    def measure(work: Path) -> float:
        with Child((*TALLOW, "send", "--json", "--no-relay", str(source)), work) as child:
            seconds, _ = child.event("code")
            child.terminate()
            child.finish(status=None)
            return seconds

    return measure


def small_file(source: Path) -> Callable[[Path], float]:
    """Seconds of CPU of both ends for one small file, from start to finish."""
    copy = direct("tcp")
    return lambda work: copy(source, work).cpu


def cases(small: Path, large: Path) -> dict[str, Callable[[Path], float]]:
    """What is measured, by name; the first is the measure."""
    return {
        "python -c pass": ended(sys.executable, "-c", "pass"),
        "tallow --version": ended(*TALLOW, "--version"),
        "tallow --help": ended(*TALLOW, "--help"),
        "send, small file: code shown": code_shown(small),
        "send, large file: code shown": code_shown(large),
        "small file, CPU of both ends": small_file(small),
    }
