"""Every entry point resolves to a driver that keeps its contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallow_core.config.schema import Settings
from tallow_core.directories import Directories
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.catalog import Catalog
from tallow_core.registry.entry import PluginEntry
from tallow_core.registry.kinds import COMMAND, KINDS, kind_named
from tallow_core.registry.loader import PluginLoader
from tallow_core.registry.permissions import FIRST_PARTY, Permissions
from tallow_core.testing.suite import CHECKS, run_checks

ENTRIES = [
    entry for entry in Catalog.scan(Permissions()).all_entries if entry.distribution == FIRST_PARTY
]

ON_THE_NETWORK = ("transport", "discovery", "proxy", "resolver", "nat")
"""The checks of these kinds open sockets."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        directories=Directories(
            tmp_path / "config", tmp_path / "state", tmp_path / "data", tmp_path / "runtime"
        )
    )


def test_there_is_a_driver_of_every_kind() -> None:
    assert {entry.kind for entry in ENTRIES} == {kind.name for kind in KINDS} == CHECKS.keys()


def marks_of(entry: PluginEntry) -> tuple[pytest.MarkDecorator, ...]:
    """What keeps the checks of a driver out of the fast lane."""
    if entry.kind in ON_THE_NETWORK:
        return (pytest.mark.sockets,)
    return (pytest.mark.slow,) if entry.name == "opaque" else ()


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(
            entry,
            id=f"{entry.kind}:{entry.name}",
            marks=marks_of(entry),
        )
        for entry in ENTRIES
    ],
)
def test_it_keeps_its_contract(entry: PluginEntry, settings: Settings) -> None:
    """It loads as the program loads it, and passes the conformance kit."""
    kind = kind_named(entry.kind)
    assert kind is not None
    assert entry.state == "allowed"
    host = PluginLoader(Catalog.scan(settings.plugins), settings.directories)
    driver = host.load(kind, entry.name)
    assert driver.name == entry.name
    assert host.failures == []
    passed = run_checks(kind, driver, DriverSettings(settings.directories))
    assert passed or kind is COMMAND


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.kind}:{entry.name}")
def test_names_follow_the_rules(entry: PluginEntry) -> None:
    """The module is the driver's name with underscores, in the folder of its kind; its first line
    says what it is."""
    kind = kind_named(entry.kind)
    assert kind is not None
    assert entry.value == f"tallow_plugins.{kind.plural}.{entry.name.replace('-', '_')}"
    assert entry.source() is not None
    assert not entry.summary().startswith("added by"), "its module has no docstring"


def test_commands_are_functions_with_a_docstring(settings: Settings) -> None:
    """The kit has no checks for commands: their function is what the command line makes of it."""
    host = PluginLoader(Catalog.scan(settings.plugins), settings.directories)
    for entry in (each for each in ENTRIES if each.kind == COMMAND.name):
        function = host.load(COMMAND, entry.name).function()
        assert callable(function)
        assert function.__doc__
