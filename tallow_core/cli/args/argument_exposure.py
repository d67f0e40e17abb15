"""Where command lines can be read by other users of the machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallow_core.events import Reporter


def arguments_are_visible() -> bool:
    """Whether other users of this machine can list our arguments: everywhere but on Windows, and on
    Linux with hidepid."""
    if sys.platform == "win32":
        return False
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return True
    options = next(
        (line.split()[3].split(",") for line in mounts if line.split()[1:3] == ["/proc", "proc"]),
        [],
    )
    return not {
        "hidepid=1",
        "hidepid=2",
        "hidepid=4",
        "hidepid=noaccess",
        "hidepid=invisible",
        "hidepid=ptraceable",
    } & set(options)


def warn_of_argument(reporter: Reporter, instead: str) -> None:
    """Say once that a code in the argument list is no secret here, and what to do instead."""
    if arguments_are_visible():
        reporter.warn(f"other users of this machine can see a code given as an argument; {instead}")
