"""How long commands take to start, beside the interpreter itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import TALLOW, Child
from benchmarks.samples import Run, Sample, sample

BARE = (sys.executable, "-c", "pass")


def ended(command: Sequence[str]) -> Run:
    """A command from start to end."""

    def run(work: Path) -> Sample:
        with Child(command, work / "a") as child:
            return sample({"sender": child})

    return run


def code_shown(*payload: str) -> Run:
    """`send` from its start to its code; no CPU is told, since the command goes on."""

    def run(work: Path) -> Sample:
        given, giving = os.pipe() if payload == ("-",) else (subprocess.DEVNULL, -1)
        try:
            with Child(
                (*TALLOW, "send", "--json", "--no-relay", *payload), work / "a", stdin=given
            ) as child:
                seconds, _ = child.event("code")
                child.terminate()
                child.finish(status=None)
                return Sample(seconds, seconds)
        finally:
            for end in (given, giving):
                if end >= 0:
                    os.close(end)

    return run
