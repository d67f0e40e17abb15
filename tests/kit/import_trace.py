"""What a process of Tallow imports, as the interpreter lists it."""

from __future__ import annotations

import re

from tests.kit.lab import PROGRAM, Tallow

TRACED = (PROGRAM[0], "-X", "importtime", *PROGRAM[1:])


_IMPORTED = re.compile(r"^import time:\s+\d+ \|\s+\d+ \| +(\S+)$", re.MULTILINE)


def imported(process: Tallow) -> set[str]:
    """The modules that the process imported."""
    modules = set(_IMPORTED.findall(process.err.text))
    assert "tallow_core.cli.entry.main" in modules
    return modules
