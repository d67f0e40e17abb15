"""Reads words with cyclopts: it has the help of every command, the sentences about mistakes, and
the commands of plugins."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from cyclopts import App, CycloptsError, Group, Parameter, UnusedCliTokensError

from tallow_core.cli.args.command_line import CommandLine
from tallow_core.cli.args.marks import Mark
from tallow_core.cli.args.options import CommonOptions, PeerOptions
from tallow_core.errors import UsageError
from tallow_core.text import nearest, printable

EVERY = Group("Options of every command", sort_key=100)
_PLAIN = Parameter(show_default=False, show_env_var=False)
_OWN = Parameter(negative=())
"""Our options say themselves what they negate."""


def parse_and_call(command: CommandLine) -> Any:
    """Call the function with what the words say, or print its help; returns what it returns. Raises
    `UsageError`."""
    app = application(command)
    if "--help" not in command.words and "-h" not in command.words:
        check_options(app, command.words)
    try:
        return app(
            command.words, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except (
        UnusedCliTokensError
    ):  # its own sentence repeats the words, and one of them might be a code's
        raise UsageError(
            f"that is more than this command takes; see {command.name} --help"
        ) from None
    except CycloptsError as error:
        raise UsageError(f"{_sentence(error)}; see {command.name} --help") from None


def application(command: CommandLine) -> App:
    """The command as cyclopts knows it."""
    _explain_groups()
    _explain(command.function)
    app = App(
        name=command.name,
        usage=command.usage,
        help_flags=("--help", "-h"),
        version_flags=(),
        help_format="plaintext",
        default_parameter=Parameter.combine(_PLAIN, _OWN) if command.own else _PLAIN,
        suppress_keyboard_interrupt=False,  # `run` reports it; cyclopts would exit without a word
    )
    app.default(command.function)
    for flag in ("--help", "-h"):
        app[flag].show = False
    return app


@cache
def _explain_groups() -> None:
    """Mark for cyclopts, once, the classes whose fields are options by themselves."""
    for group, parameter in ((CommonOptions, Parameter(group=EVERY)), (PeerOptions, Parameter())):
        Parameter.combine(_OWN, Parameter(name="*"), parameter)(group)
        _explain(group)


@cache
def _explain(marked: Callable[..., Any]) -> None:
    """Put what cyclopts reads beside each mark in the annotations of a function or class, once."""
    for name, hint in get_type_hints(marked, include_extras=True).items():
        for mark in get_args(hint) if get_origin(hint) is Annotated else ():
            if isinstance(mark, Mark):
                parameter = Parameter(
                    name=mark.names, count=mark.counted, allow_leading_hyphen=mark.hyphen
                )
                marked.__annotations__[name] = Annotated[hint, parameter]


def check_options(app: App, words: list[str]) -> None:
    """Refuse a mistyped option by name: any word that begins with `-` before `--`, other than `-`
    itself, is an option.

    cyclopts does not find it: where a command takes `-` as a path, it would take a mistyped
    option for one too.
    """
    known = {
        name
        for argument in app.assemble_argument_collection()
        for name in argument.names
        if name.startswith("-")
    }
    for word in words:
        if word == "--":
            return
        option = word.partition("=")[0]
        if len(word) < 2 or not word.startswith("-") or option in known or set(word[1:]) == {"v"}:
            continue
        raise UsageError(
            f'there is no option "{printable(option)}"{nearest(option, sorted(known), ";")}; see'
            f" {app.name[0]} --help"
        )


def _sentence(error: Exception) -> str:
    text = printable(" ".join(str(error).split())).rstrip(".")
    return text[:1].lower() + text[1:] if text else "the command line cannot be read"
