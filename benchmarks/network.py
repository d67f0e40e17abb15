"""Network namespaces that belong to a process: they are gone when it is, however it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.processes import HERE, Child
from benchmarks.tallow import Prefix

_HOLD = (
    'ip link set lo up && { [ -z "$1" ] || ip address add "$1/32" dev lo; } && echo \'{"event":'
    ' "ready"}\' && exec cat'
)
"""Ends with its standard input, so with this process."""


@cache
def missing() -> str:
    """Why there can be no namespaces here, or nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs network namespaces: Linux and root"
    absent = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    tried = subprocess.run(
        ("unshare", "--net", "true"), capture_output=True, timeout=10, check=False
    )
    return "" if tried.returncode == 0 else "network namespaces are not permitted here"


@contextmanager
def namespace(home: Path, address: str = "") -> Iterator[tuple[int, Prefix]]:
    """An empty network with nothing but loopback, perhaps with a further address: the process that
    holds it, and what to put in front of a command to run there."""
    with Child(
        ("unshare", "--net", "sh", "-c", _HOLD, "sh", address), home, stdin=subprocess.PIPE
    ) as holder:
        holder.event("ready")
        yield holder.pid, ("nsenter", "--target", str(holder.pid), "--net", "--")


@dataclass(frozen=True, slots=True)
class Wire:
    """A round trip in seconds, and bytes a second."""

    rtt: float
    rate: float


@contextmanager
def joined(work: Path, wire: Wire) -> Iterator[tuple[Prefix, Prefix]]:
    """Two namespaces joined by a wire; see `benchmarks.wire` for their addresses."""
    with ExitStack() as stack:
        one, first = stack.enter_context(namespace(work / "one"))
        two, second = stack.enter_context(namespace(work / "two"))
        options = ("--rtt", str(wire.rtt), "--rate", str(wire.rate))
        carrying = (sys.executable, str(HERE / "wire.py"), str(one), str(two), *options)
        stack.enter_context(Child(carrying, work / "wire", stdin=subprocess.PIPE)).event("ready")
        yield first, second
