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

from tallow_core.cli.views.reporters import JsonReporter, PlainReporter
from tallow_core.events import CommandFailed

if TYPE_CHECKING:
    from tallow_core.cli.args.options import Common
    from tallow_core.config.schema import Settings
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
            sys.stderr if "--stdout" in words else sys.stdout, _current.verbose
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


def load(common: Common, flags: dict[str, object]) -> Settings:
    """Read the settings and make the directories that belong to Tallow."""
    from tallow_core.config.layers import load_settings
    from tallow_core.private_files import ensure_private

    _current.verbose = common.verbose
    settings = load_settings(common.config, flags, os.environ)
    directories = settings.directories
    if (
        not directories.config.exists()
    ):  # one that is there may be a link into somebody's dotfiles: that is theirs to arrange
        ensure_private(directories.config)
    ensure_private(directories.state)
    ensure_private(directories.data)
    return settings


def context(common: Common, flags: dict[str, object], *, stdout_is_data: bool = False) -> Context:
    """Settings, plugins and policy for a command, and the reporter that its options ask for."""
    import logging

    from tallow_core.config.policy import Policy
    from tallow_core.registry.catalog import Catalog
    from tallow_core.registry.loader import PluginLoader
    from tallow_core.session.context import Context

    if common.json:
        _current.reporter = JsonReporter(
            sys.stderr if stdout_is_data else sys.stdout, common.verbose, quiet=common.quiet
        )
    else:
        _current.reporter = PlainReporter(quiet=common.quiet, verbose=common.verbose)
    reporter = _current.reporter
    settings = load(common, flags)
    logging.getLogger("tallow.plugins").addHandler(_warnings_to(reporter.warn))
    plugins = PluginLoader(Catalog.scan(settings.plugins), settings.directories)
    for text in plugins.catalog.mistyped():
        reporter.warn(text)
    plugins.load_third_party()
    return Context(settings, plugins, Policy(plugins, settings), reporter)


def _warnings_to(warn: Callable[[str], None]) -> Any:
    """A logging handler for the framework's warnings."""
    import logging

    class Warnings(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warn(record.getMessage())

    return Warnings(logging.WARNING)


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
