"""What to check: installed drivers named as KIND:NAME, primitives as core:NAME, or all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tallow_core.config.layers import load_settings
from tallow_core.directories import Directories
from tallow_core.errors import PluginError, UsageError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.catalog import Catalog
from tallow_core.registry.entry import PluginEntry
from tallow_core.registry.kinds import LISTED_KINDS, PLUGIN, listed_kind
from tallow_core.registry.loader import PluginLoader, default_options
from tallow_core.registry.permissions import FIRST_PARTY, Permissions, canonical
from tallow_core.testing.expect import require
from tallow_core.testing.suite import CORE, Check, checks_of, core_checks
from tallow_core.text import nearest, printable

ALL = "all"
_CORE = "core"
NO_HOOKS = "the module implements no hook"


@dataclass(frozen=True, slots=True)
class Subject:
    """A driver, or a primitive of the core, that can be checked. `passed_over` says why it is not,
    or is empty."""

    kind: str
    name: str
    distribution: str
    version: str
    state: str
    plugins: Permissions
    passed_over: str = ""
    borrowed: bool = False
    """Whether its distribution is allowed for this check only."""
    entry: PluginEntry | None = None
    """None for a primitive of the core."""

    def __str__(self) -> str:
        return f"{self.kind}:{printable(self.name)}"

    def checks(self, settings: DriverSettings) -> list[Check]:
        """Import the driver and return its checks. `settings` are those of `scratch`; raises
        `PluginError`."""
        if self.kind == _CORE:
            return core_checks(self.name)
        loader = PluginLoader(Catalog.scan(self.plugins), settings.directories, watch=False)
        if self.kind == PLUGIN.name and self.entry is not None:
            hooks = loader.load_hooks(self.entry)
            return [Check("hooks_are_known", partial(require, bool(hooks), NO_HOOKS))]
        kind = listed_kind(self.kind)
        assert kind is not None  # made from an entry of the catalogue
        driver = loader.load(kind, self.name)
        options = default_options(kind.name, driver)
        return checks_of(kind, driver, settings._replace(options=options))


def named(text: str, plugins: Permissions) -> Subject:
    """The subject of that name, KIND:NAME. Raises `UsageError` or `PluginError`, which say why
    there is none.

    Who types the name of a driver allows its distribution for this check: that is how an author
    checks what he has just installed. What `[plugins] block` names stays blocked.
    """
    kind_name, _, name = text.partition(":")
    if kind_name == _CORE:
        return _primitive(name, plugins)
    kind = listed_kind(kind_name)
    if kind is None:
        raise UsageError(
            f'there is no kind "{printable(kind_name)}" of'
            f" driver{nearest(kind_name, [*(each.name for each in LISTED_KINDS), _CORE])}"
        )
    if not name:
        raise UsageError(
            f'"{printable(text)}" names no driver: write KIND:NAME, as `tallow plugins list` shows'
            " them"
        )
    catalog = Catalog.scan(plugins)
    mine = [entry for entry in catalog.entries(kind) if entry.name == name]
    borrowed = [entry.distribution for entry in mine if entry.state == "blocked"]
    if borrowed and not any(entry.state == "allowed" for entry in mine):
        catalog = Catalog.scan(plugins._replace(allow=(*plugins.allow, *borrowed)))
    entry = catalog.find(kind, name)
    return _subject(entry, catalog, borrowed=entry.distribution in borrowed)


def everything(plugins: Permissions) -> list[Subject]:
    """All installed drivers, modules with hooks only, and the primitives of the core. What may not
    be loaded is passed over."""
    catalog = Catalog.scan(plugins)
    found: dict[str, Subject] = {}
    for entry in (entry for kind in LISTED_KINDS for entry in catalog.entries(kind)):
        subject = _subject(entry, catalog)
        # A driver that is blocked does not stand for an allowed one of its name.
        if str(subject) not in found or not subject.passed_over:
            found[str(subject)] = subject
    return [*found.values(), *(_primitive(name, plugins) for name in CORE)]


def of_distribution(name: str, plugins: Permissions) -> list[Subject]:
    """All that a distribution provides, as if it were allowed."""
    catalog = Catalog.scan(plugins._replace(allow=(*plugins.allow, name)))
    return [
        _subject(entry, catalog)
        for entry in catalog.all_entries
        if canonical(entry.distribution) == canonical(name)
    ]


def _subject(entry: PluginEntry, catalog: Catalog, *, borrowed: bool = False) -> Subject:
    texts = (entry.kind, entry.name, entry.distribution, entry.version, entry.state)
    return Subject(*texts, catalog.permissions, catalog.reason(entry), borrowed, entry)


def _primitive(name: str, plugins: Permissions) -> Subject:
    if name not in CORE:
        raise PluginError(
            f'there is no primitive "{printable(name)}" in the core{nearest(name, CORE)}'
        )
    from tallow_core import __version__

    return Subject(_CORE, name, FIRST_PARTY, __version__, "allowed", plugins)


def user_plugins() -> Permissions:
    """`[plugins]` as the user's config file has it; raises `ConfigError`."""
    return load_settings(None, {}, os.environ).plugins


@contextmanager
def scratch() -> Iterator[DriverSettings]:
    """Default settings, with directories that are gone afterwards: a check neither sees nor touches
    what is the user's."""
    with TemporaryDirectory(prefix="tallow-", ignore_cleanup_errors=True) as folder:
        yield DriverSettings(
            directories=Directories(
                *(Path(folder, part) for part in ("config", "state", "data", "run"))
            )
        )
