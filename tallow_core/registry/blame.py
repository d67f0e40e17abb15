"""Errors of plugins, as sentences that name the plugin and how to go on without it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tallow_core.errors import PluginError
from tallow_core.registry.entry import PluginEntry
from tallow_core.text import printable

SLOW_SECONDS = 1.0
"""The time after which a warning names a plugin whose import or hook has not returned sooner."""

log = logging.getLogger("tallow.plugins")


class PluginFault(PluginError):
    """A plugin failed; the sentence names it already."""


@contextmanager
def blamed(entry: PluginEntry, problem: str = "cannot be used") -> Iterator[None]:
    """Turn every error inside the block into a `PluginFault` that names the plugin. That includes
    `SystemExit`: a plugin does not end the process."""
    try:
        yield
    except PluginFault:
        raise
    except (Exception, SystemExit) as error:
        raise fault(entry, f"{problem}: {described(error)}") from error


def fault(entry: PluginEntry, problem: str) -> PluginFault:
    """Make the error that says what is wrong with the plugin."""
    return PluginFault(
        f"the plugin {printable(entry.id)} of {entry.maker} {problem}; to go on without it, write"
        f' `[plugins] block = ["{printable(entry.id)}"]` in the config file'
    )


def described(error: BaseException) -> str:
    """Describe an error of a plugin in one safe line."""
    text = " ".join(str(error).split())
    if isinstance(error, PluginError):
        return printable(text)
    from tallow_core.registry.moved import moved_to  # only failures need it

    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return printable(named + moved_to(error))


def breach(message: str) -> NoReturn:
    """Raise the error of a broken contract. `blamed` adds the name of the plugin."""
    raise PluginError(message)


@contextmanager
def timed(entry: PluginEntry, action: str) -> Iterator[None]:
    """Warn if the block takes longer than `SLOW_SECONDS`."""
    began = time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - began
        if seconds > SLOW_SECONDS:
            name = printable(entry.id)
            log.warning("the plugin %s of %s took %.1f s %s", name, entry.maker, seconds, action)
