"""The entry of the program. What can be answered without importing anything heavy is answered here."""

from __future__ import annotations

import os
import sys

from tallow_core import __version__


def main() -> int:
    """Run the command line; returns the exit status."""
    # Children and crash reports see the environment: the code must not stay in it.
    code = os.environ.pop("TALLOW_CODE", None)
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"tallow {__version__}")
        return 0
    if not words or words[0] in ("--help", "-h", "help"):
        return _help(words)
    from tallow_core.cli.run import run

    return run(words, code)


def _help(words: list[str]) -> int:
    from tallow_core.cli.plugin_commands import summaries
    from tallow_core.cli.table import help_text

    print(help_text(summaries()), end="", file=sys.stdout if words else sys.stderr)
    return 0 if words else 2
