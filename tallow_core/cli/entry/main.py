"""The entry of the program. What can be answered without importing anything heavy is answered
here."""

from __future__ import annotations

import errno
import gc
import os
import sys

from tallow_core import __version__
from tallow_core.cli.views.output import claim_output, results, silence_output


def main() -> int:
    """Run the command line; returns the exit status."""
    # Imports make many objects and no garbage; `run_loop` collects again from where the work
    # begins.
    gc.disable()
    code = _take_code()
    _open_standard_streams()
    try:
        status = _answer(sys.argv[1:], code)
        results().flush()
    except OSError as error:
        # A full disk, or a pipe without a reader: said on the other stream, if that still works.
        silence_output()
        try:
            print(
                f"error: standard output cannot be written: {error.strerror}",
                file=sys.stderr,
                flush=True,
            )
        except OSError:
            pass
        return 130 if error.errno == errno.EPIPE else 9
    gc.freeze()  # the interpreter would search all of it for cycles before it ends
    return status


def _answer(words: list[str], code: str | None) -> int:
    if words == ["--version"]:
        print(f"tallow {__version__}", file=results())
        return 0
    if not words or words[0] in ("--help", "-h", "help"):
        return _help(words)
    from tallow_core.cli.entry.run import run

    return run(words, code)


def _open_standard_streams() -> None:
    """Make descriptors 0 to 2 and their streams what the rest takes for granted.

    Closed ones become /dev/null: otherwise the next file opened would be standard output. What the
    terminal's encoding lacks is escaped.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    # They live as long as the process.
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace", line_buffering=True)
    claim_output()


def _take_code() -> str | None:
    """Take the code out of the environment: children and crash reports see it, and
    /proc/PID/environ shows what it was at the start."""
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
    from tallow_core.cli.entry.command_table import help_text
    from tallow_core.cli.entry.plugin_commands import summaries

    print(help_text(summaries()), end="", file=results() if words else sys.stderr)
    return 0 if words else 2
