"""The one place where settings, plugins, policy and reporter become a context."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tallow_core.config.plugins import check_options, loader_of
from tallow_core.config.policy import Policy
from tallow_core.config.schema import Settings
from tallow_core.events import Reporter
from tallow_core.session.context import Context

LOGGER = "tallow.plugins"
"""The logger on which the registry warns of plugins that fail."""


def make_policy(settings: Settings) -> Policy:
    """The policy of `settings` over what is installed; no third-party plugin is loaded for it."""
    return Policy(loader_of(settings), settings)


def compose(settings: Settings, reporter: Reporter) -> Context:
    """The context of one command or transfer. Third-party plugins are loaded, so that their vetoes
    and observers take part; `reporter` gets a warning for a permission or an
    option that has no effect."""
    plugins = loader_of(settings)
    for text in (*plugins.catalog.mistyped(), *check_options(settings, plugins)):
        reporter.warn(text)
    plugins.load_third_party()
    return Context(settings, plugins, Policy(plugins, settings), reporter)


def report_plugin_warnings(warn: Callable[[str], object]) -> Callable[[], None]:
    """Have `warn` called with each warning of the registry, until what is returned is called."""
    logger, handler = logging.getLogger(LOGGER), _Warnings(warn)
    logger.addHandler(handler)
    return lambda: logger.removeHandler(handler)


class _Warnings(logging.Handler):
    def __init__(self, warn: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn

    def emit(self, record: logging.LogRecord) -> None:
        self._warn(record.getMessage())
