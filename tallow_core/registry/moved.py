"""The new places of modules that plugins import. The error of an old plugin names them."""

from __future__ import annotations

from collections.abc import Mapping

MOVED: Mapping[str, str] = {
    "tallow_core.hookspecs": "tallow_core.registry.hookspecs",
    "tallow_core.kinds": "tallow_core.registry.kinds",
    "tallow_core.catalog": "tallow_core.registry.catalog",
    "tallow_core.host": "tallow_core.registry.loader",
    "tallow_core.settings": "tallow_core.plugin_settings (DriverSettings)",
    "tallow_core.testing.checks.driver": "tallow_core.testing.checks.driver_checks",
    "tallow_core.testing.memory": "tallow_core.testing.memory_transport",
    "tallow_core.testing.selection": "tallow_core.testing.subjects",
}
"""Old module -> its present place. An entry stays as long as plugins for the old place may exist
(docs/reference/versioning.md)."""


def moved_to(error: BaseException) -> str:
    """The new place of the module that an import did not find, as the end of a sentence. It is ""
    if unknown."""
    name = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    return f"; it is {MOVED[name]} now: update the plugin" if name in MOVED else ""
