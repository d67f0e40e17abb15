"""What this run of the program is about: its words, the code from the environment, and where errors
are reported.

One process runs one command, so this is the one place with state of the process; the core below
gets everything as arguments.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tallow_core.cli.views.output import results
from tallow_core.cli.views.reporters import JsonReporter, PlainReporter
from tallow_core.cli.views.sentences import option_name
from tallow_core.events import CommandFailed

if TYPE_CHECKING:
    from tallow_core.cli.args.options import CommonOptions
    from tallow_core.config.schema import Settings
    from tallow_core.events import Reporter
    from tallow_core.session.context import Context


@dataclass(eq=False, repr=False)
class Invocation:
    """The run. `environment_code` is what TALLOW_CODE held before it was removed."""

    environment_code: str | None = None
    verbose: int = 0
    reporter: JsonReporter | PlainReporter | None = None


_current = Invocation()


def start(words: list[str], code: str | None) -> None:
    """Begin: until the options were parsed, errors follow what the words seem to ask for."""
    _current.environment_code = code
    _current.verbose = sum(
        len(word) - 1 for word in words if word.startswith("-v") and set(word[1:]) == {"v"}
    )
    if "--json" in words:
        _current.reporter = JsonReporter(
            sys.stderr if "--stdout" in words else results(), _current.verbose
        )
    else:
        _current.reporter = PlainReporter(quiet=False, verbose=_current.verbose)


def current() -> Invocation:
    """This run."""
    return _current


def report_error(name: str, message: str, status: int) -> None:
    """The error that ends the command."""
    if _current.reporter is not None:
        _current.reporter.emit(CommandFailed(name, message, status))


def load(common: CommonOptions, flags: dict[str, object]) -> Settings:
    """Read the settings and make the directories that belong to Tallow."""
    from tallow_core.app.user_settings import make_directories, user_settings
    from tallow_core.config.layers import SET

    _current.verbose = common.verbose
    settings = user_settings(common.config, {**flags, SET: common.set}, option=option_name)
    make_directories(settings)
    return settings


def report_to(common: CommonOptions, *, stdout_is_data: bool = False) -> Reporter:
    """Make the reporter that the options ask for that of this run."""
    if common.json:
        _current.reporter = JsonReporter(
            sys.stderr if stdout_is_data else results(), common.verbose, quiet=common.quiet
        )
    else:
        _current.reporter = PlainReporter(quiet=common.quiet, verbose=common.verbose)
    return _current.reporter


def context(common: CommonOptions, flags: dict[str, object]) -> Context:
    """Settings, plugins and policy for a command, and the reporter that its options ask for."""
    from tallow_core.app.compose import compose, report_plugin_warnings

    reporter = report_to(common)
    settings = load(common, flags)
    report_plugin_warnings(reporter.warn)
    return compose(settings, reporter)


def plugin_names() -> list[str]:
    """The commands that plugins add."""
    from tallow_core.cli.entry import plugin_commands

    return plugin_commands.names()


def plugin_command(words: list[str]) -> Callable[..., Any] | None:
    """The function of the command `words` begin with, if a plugin adds it, else None; raises
    `PluginError`."""
    from tallow_core.cli.entry import plugin_commands
    from tallow_core.config.layers import load_settings

    return plugin_commands.function(load_settings(_config_option(words), {}, os.environ), words[0])


def _config_option(words: list[str]) -> str | None:
    """The value of --config, before anything has parsed the words: it may be what allows the plugin
    that will."""
    for word, following in zip(words, [*words[1:], None], strict=True):
        option, separator, value = word.partition("=")
        if option == "--config":
            return value if separator else following
    return None
