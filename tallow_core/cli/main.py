"""The entry of the program. What can be answered without importing anything heavy is answered here."""

from __future__ import annotations

import os
import sys

from tallow_core import __version__


def main() -> int:
    """Run the command line; returns the exit status."""
    code = _take_code()
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"tallow {__version__}")
        return 0
    if not words or words[0] in ("--help", "-h", "help"):
        return _help(words)
    from tallow_core.cli.run import run

    return run(words, code)


def _take_code() -> str | None:
    """Take the code out of the environment: children and crash reports see it, and /proc/PID/environ shows what it was at the start."""
    code = os.environ.get("TALLOW_CODE")
    if code is None:
        return None
    if os.name == "posix":
        import ctypes

        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_void_p
        if place := getenv(b"TALLOW_CODE"):
            ctypes.memset(place, 0, len(os.fsencode(code)))
    del os.environ["TALLOW_CODE"]
    return code


def _help(words: list[str]) -> int:
    from tallow_core.cli.plugin_commands import summaries
    from tallow_core.cli.table import help_text

    print(help_text(summaries()), end="", file=sys.stdout if words else sys.stderr)
    return 0 if words else 2
