"""What the machine is and does: figures from a machine that does other things too are worth less,
and should say so."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

_STAT = Path("/proc/stat")


def description() -> str:
    """One line about the machine."""
    return (
        f"{os.cpu_count()} CPUs ({_model()}), {platform.system()} {platform.release()}, Python"
        f" {platform.python_version()}"
    )


def load(seconds: float = 0.3) -> dict[str, float | None]:
    """What others do while we do nothing: the load of the last minute, and the share of all CPUs
    that was busy for `seconds`."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    busy = None
    if before and after and after[1] > before[1]:
        busy = (after[0] - before[0]) / (after[1] - before[1])
    return {"load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None, "busy": busy}


def _model() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _ticks() -> tuple[int, int] | None:
    """Ticks of all CPUs so far: busy, all (proc(5))."""
    if not _STAT.exists():
        return None
    fields = [int(field) for field in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)
