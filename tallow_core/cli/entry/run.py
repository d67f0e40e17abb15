"""Runs one command: finds it in the table, checks its words, calls it, and turns what it raises
into a sentence and an exit status."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from importlib import import_module
from typing import Any

from tallow_core.cli.args.command_line import CommandLine
from tallow_core.cli.args.plain_parser import read
from tallow_core.cli.entry import invocation
from tallow_core.cli.entry.command_table import COMMANDS, Row
from tallow_core.cli.views.output import OutputError, put, results
from tallow_core.cli.views.sentences import sentence
from tallow_core.errors import EXIT_BUG, EXIT_INTERRUPTED, PluginError, TallowError, UsageError
from tallow_core.text import nearest, printable


def run(words: list[str], code: str | None) -> int:
    """Run `tallow WORDS`; `code` is what TALLOW_CODE held. Returns the exit status.

    Raises `OutputError` alone, where nothing more can be said on standard output.
    """
    invocation.start(words, code)
    try:
        return _run(words)
    except TallowError as error:
        if isinstance(error, PluginError) and invocation.current().verbose >= 3:
            traceback.print_exception(error)
        invocation.report_error(error.code, sentence(error), error.exit_status)
        return error.exit_status
    except KeyboardInterrupt:
        invocation.report_error("interrupted", "interrupted", EXIT_INTERRUPTED)
        return EXIT_INTERRUPTED
    except OutputError:
        raise
    except Exception as error:
        return _bug(error)


def _bug(error: Exception) -> int:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    # The error's own text stays out: it might hold what a peer sent, or the code.
    place = f"{type(error).__name__} in {os.path.basename(frame.filename)}:{frame.lineno}"
    if invocation.current().verbose >= 3:
        traceback.print_exc()
    invocation.report_error(
        "bug",
        f"this is a bug in Tallow ({place}); please report it, with the output of -vvv",
        EXIT_BUG,
    )
    return EXIT_BUG


def _run(words: list[str]) -> int:
    command = _find(words)
    call = read(command.function, command.words) if command.own else None
    if call is not None:
        result = call()
    else:
        # cyclopts: for the help, for mistakes, and for commands of plugins.
        from tallow_core.cli.args.cyclopts_parser import parse_and_call

        with _printing(command):
            result = parse_and_call(command)
    return result if isinstance(result, int) else 0


def _printing(command: CommandLine) -> AbstractContextManager[object]:
    """What cyclopts prints as help, and what the command of a plugin prints, are results."""
    helps = "--help" in command.words or "-h" in command.words
    return redirect_stdout(results()) if helps or not command.own else nullcontext()


def _find(words: list[str]) -> CommandLine:
    """The command that `words` begin with."""
    for row in COMMANDS:
        if tuple(words[: len(row.words)]) == row.words:
            name = f"tallow {' '.join(row.words)}"
            return CommandLine(
                name,
                f"Usage: {name} [OPTIONS] {row.usage}",
                _load(row),
                words[len(row.words) :],
                own=True,
            )
    if words[0].startswith("-"):
        raise UsageError(
            f"{printable(words[0])} stands before the command: write it behind, as in tallow send"
            f" {printable(words[0])} FILE"
        )
    group = [row for row in COMMANDS if row.words[0] == words[0]]
    if group:
        return _group(group, words)
    plugin = invocation.plugin_command(words)
    if plugin is None:
        raise UsageError(
            f'there is no command "{printable(words[0])}"{nearest(words[0], _names(), ";")}; see'
            " tallow --help"
        )
    return CommandLine(
        f"tallow {words[0]}",
        f"Usage: tallow {words[0]} [OPTIONS] [ARGUMENTS]",
        plugin,
        words[1:],
        own=False,
    )


def _group(rows: Sequence[Row], words: list[str]) -> CommandLine:
    verbs = [row.words[1] for row in rows]
    typed = words[1] if len(words) > 1 else ""
    if typed in ("--help", "-h"):
        listed = "\n".join(
            f"tallow {' '.join(row.words)} {row.usage}: {row.summary}" for row in rows
        )
        return CommandLine(
            f"tallow {words[0]}",
            f"Usage: tallow {words[0]} COMMAND",
            lambda: put(listed),
            [],
            own=True,
        )
    if not typed or typed.startswith("-"):
        raise UsageError(f"tallow {words[0]} needs one of: {', '.join(verbs)}")
    raise UsageError(
        f'there is no command "{words[0]} {printable(typed)}"{nearest(typed, verbs, ";")}; see'
        " tallow --help"
    )


def _load(row: Row) -> Callable[..., Any]:
    module, _, name = row.target.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def _names() -> list[str]:
    return [row.words[0] for row in COMMANDS] + invocation.plugin_names()
