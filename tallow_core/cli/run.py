"""Runs one command: finds it in the table, checks its words, calls it, and turns what it raises into a sentence and an exit status."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallow_core.cli import invocation
from tallow_core.cli.output import OutputError, put
from tallow_core.cli.table import COMMANDS, Row
from tallow_core.errors import EXIT_BUG, EXIT_INTERRUPTED, TallowError, UsageError
from tallow_core.text import printable

if TYPE_CHECKING:
    from cyclopts import App


def run(words: list[str], code: str | None) -> int:
    """Run `tallow WORDS`; `code` is what TALLOW_CODE held. Returns the exit status.

    Raises `OutputError` alone, where nothing more can be said on standard output.
    """
    invocation.start(words, code)
    try:
        return _run(words)
    except TallowError as error:
        invocation.report_error(error.code, _undotted(str(error)), error.exit_status)
        return error.exit_status
    except KeyboardInterrupt:
        invocation.report_error("interrupted", "interrupted", EXIT_INTERRUPTED)
        return EXIT_INTERRUPTED
    except OutputError:
        raise
    except Exception as error:
        return _bug(error)


def _undotted(sentence: str) -> str:
    return sentence if sentence.endswith("...") else sentence.rstrip(".")


def _bug(error: Exception) -> int:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    # The error's own text stays out: it might hold what a peer sent, or the code.
    place = f"{type(error).__name__} in {os.path.basename(frame.filename)}:{frame.lineno}"
    if invocation.current().verbose >= 3:
        traceback.print_exc()
    invocation.report_error("bug", f"this is a bug in Tallow ({place}); please report it, with the output of -vvv", EXIT_BUG)
    return EXIT_BUG


def _run(words: list[str]) -> int:
    name, usage, function, rest = _find(words)
    app = _app(name, usage, function)
    if "--help" not in rest and "-h" not in rest:
        _check_options(app, rest)
    from cyclopts import CycloptsError, UnusedCliTokensError

    try:
        result = app(rest, exit_on_error=False, print_error=False, result_action="return_value")
    except UnusedCliTokensError:  # its own sentence repeats the words, and one of them might be a code's
        raise UsageError(f"that is more than this command takes; see {name} --help") from None
    except CycloptsError as error:
        raise UsageError(f"{_sentence(error)}; see {name} --help") from None
    return result if isinstance(result, int) else 0


def _find(words: list[str]) -> tuple[str, str, Callable[..., Any], list[str]]:
    """The command that `words` begins with, its usage, its function, and the words after it."""
    for row in COMMANDS:
        if tuple(words[: len(row.words)]) == row.words:
            name = f"tallow {' '.join(row.words)}"
            return name, f"Usage: {name} [OPTIONS] {row.usage}", _load(row), words[len(row.words) :]
    if words[0].startswith("-"):
        raise UsageError(f"{printable(words[0])} stands before the command: write it behind, as in tallow send {printable(words[0])} FILE")
    group = [row for row in COMMANDS if row.words[0] == words[0]]
    if group:
        return _group(group, words)
    plugin = invocation.plugin_command(words)
    if plugin is None:
        raise UsageError(f'there is no command "{printable(words[0])}"{_nearest(words[0], _names())}; see tallow --help')
    return f"tallow {words[0]}", f"Usage: tallow {words[0]} [OPTIONS] [ARGUMENTS]", plugin, words[1:]


def _group(rows: Sequence[Row], words: list[str]) -> tuple[str, str, Callable[..., Any], list[str]]:
    verbs = [row.words[1] for row in rows]
    typed = words[1] if len(words) > 1 else ""
    if typed in ("--help", "-h"):
        return (
            f"tallow {words[0]}",
            f"Usage: tallow {words[0]} COMMAND",
            lambda: put("\n".join(f"tallow {' '.join(row.words)} {row.usage}: {row.summary}" for row in rows)),
            [],
        )
    if not typed or typed.startswith("-"):
        raise UsageError(f"tallow {words[0]} needs one of: {', '.join(verbs)}")
    raise UsageError(f'there is no command "{words[0]} {printable(typed)}"{_nearest(typed, verbs)}; see tallow --help')


def _load(row: Row) -> Callable[..., Any]:
    module, _, name = row.target.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def _names() -> list[str]:
    return [row.words[0] for row in COMMANDS] + invocation.plugin_names()


def _nearest(typed: str, known: Sequence[str]) -> str:
    import difflib  # only mistakes need it

    near = difflib.get_close_matches(typed, known, 1, 0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def _app(name: str, usage: str, function: Callable[..., Any]) -> App:
    from cyclopts import App, Parameter

    plain = Parameter(show_default=False, show_env_var=False)
    app = App(
        name=name,
        usage=usage,
        help_flags=("--help", "-h"),
        version_flags=(),
        help_format="plaintext",
        default_parameter=plain,
        suppress_keyboard_interrupt=False,  # `run` reports it; cyclopts would exit without a word
    )
    app.default(function)
    for flag in ("--help", "-h"):
        app[flag].show = False
    return app


def _check_options(app: App, words: list[str]) -> None:
    """Refuse a mistyped option by name: any word that begins with `-` before `--`, other than `-` itself, is an option.

    cyclopts cannot be left to tell: where a command takes `-` as a path, it would take a mistyped option for one too.
    """
    known = {name for argument in app.assemble_argument_collection() for name in argument.names if name.startswith("-")}
    for word in words:
        if word == "--":
            return
        option = word.partition("=")[0]
        if len(word) < 2 or not word.startswith("-") or option in known or set(word[1:]) == {"v"}:
            continue
        raise UsageError(f'there is no option "{printable(option)}"{_nearest(option, sorted(known))}; see {app.name[0]} --help')


def _sentence(error: Exception) -> str:
    text = printable(" ".join(str(error).split())).rstrip(".")
    return text[:1].lower() + text[1:] if text else "the command line cannot be read"
