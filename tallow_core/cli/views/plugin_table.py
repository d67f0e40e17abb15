"""What `tallow plugins` prints: tables out of metadata, and one driver in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_type_hints

from tallow_core.cli.views.output import put, tell
from tallow_core.cli.views.reporters import json_line
from tallow_core.config.schema import Settings
from tallow_core.errors import EXIT_DONE, PluginError, UsageError
from tallow_core.events import PluginListed
from tallow_core.registry.catalog import Catalog, allow_command
from tallow_core.registry.entry import PluginEntry
from tallow_core.registry.kinds import KINDS, LISTED_KINDS, PLUGIN, Kind, listed_kind
from tallow_core.registry.permissions import FIRST_PARTY, canonical
from tallow_core.text import nearest, printable

if TYPE_CHECKING:
    from tallow_core.registry.loader import PluginLoader

_COLUMNS = ("kind", "name", "distribution", "version", "state")


def list_plugins(*, kind: str | None, settings: Settings, json: bool, quiet: bool = False) -> int:
    """List the installed plugins and whether they may be used, from metadata alone: none is
    imported."""
    catalog = Catalog.scan(settings.plugins)
    entries = [entry for each in _kinds(kind) for entry in catalog.entries(each)]
    for line in map(event, map(row, entries)) if json else table([*map(row, entries)]):
        put(line)
    if not json and not quiet:
        _hint(catalog, entries)
    return EXIT_DONE


def _hint(catalog: Catalog, entries: list[PluginEntry]) -> None:
    """Say how to use what is listed and cannot be used as it is."""
    allowed = {FIRST_PARTY, *map(canonical, catalog.permissions.allow)}
    strange = (
        entry.distribution
        for entry in entries
        if entry.state == "blocked" and canonical(entry.distribution) not in allowed
    )
    for distribution in dict.fromkeys(strange):
        tell(f"to use what {printable(distribution)} provides:  {allow_command(distribution)}")
    for entry in entries:
        if entry.state == "library missing":
            tell(f"{entry.kind} {entry.name}: {catalog.reason(entry)}")


def show_plugin(*, name: str, kind: str | None, settings: Settings, json: bool) -> int:
    """Show one driver, `NAME` or `KIND:NAME`. An allowed one is imported; of any other the metadata
    is shown, and why it is not used."""
    typed, colon, wanted = name.rpartition(":")
    if colon and kind not in (None, typed):
        raise UsageError(f"{printable(name)} is no {printable(str(kind))}: leave out --kind")
    catalog = Catalog.scan(settings.plugins)
    found = _found(catalog, _kinds(typed if colon else kind), wanted)
    for entry in found:
        facts = _facts(catalog, entry, settings)
        for line in [event(facts)] if json else _block(facts):
            put(line)
    return EXIT_DONE


def _kinds(name: str | None) -> tuple[Kind[Any], ...]:
    if name is None:
        return LISTED_KINDS
    kind = listed_kind(name)
    if kind is None:
        raise UsageError(
            f'there is no kind "{printable(name)}" of'
            f" plugin{nearest(name, [each.name for each in LISTED_KINDS])}"
        )
    return (kind,)


def _found(catalog: Catalog, kinds: tuple[Kind[Any], ...], name: str) -> list[PluginEntry]:
    entries = [entry for kind in kinds for entry in catalog.entries(kind)]
    found = [entry for entry in entries if entry.name == name]
    if not found:
        raise PluginError(
            "there is no plugin"
            f' "{printable(name)}"{nearest(name, [entry.name for entry in entries])}'
        )
    return found


def row(entry: PluginEntry) -> dict[str, Any]:
    """What a list says of one entry."""
    values = entry._asdict() | {"state": entry.status}
    return {column: printable(values[column]) for column in _COLUMNS}


def _facts(catalog: Catalog, entry: PluginEntry, settings: Settings) -> dict[str, Any]:
    facts = row(entry) | {"module": printable(entry.value), "summary": entry.summary()}
    return facts | (
        _descriptor(catalog, entry, settings)
        if entry.state == "allowed"
        else {"reason": catalog.reason(entry)}
    )


def _descriptor(catalog: Catalog, entry: PluginEntry, settings: Settings) -> dict[str, Any]:
    """The class variables that the contract of the driver's kind declares, and the hooks that its
    distribution implements."""
    # Imported here: `list` must not pay for the machinery that loads plugins.
    from tallow_core.registry.contract_check import contract_of
    from tallow_core.registry.loader import PluginLoader

    loader = PluginLoader(catalog, settings.directories)
    hooks = {"hooks": _hooks(loader, entry)}
    if entry.kind == PLUGIN.name:
        return hooks
    kind = next(each for each in KINDS if each.name == entry.kind)
    driver = loader.load(kind, entry.name)
    values = {
        name: getattr(driver, name)
        for name in get_type_hints(contract_of(kind, driver))
        if name not in ("name", "options")
    }
    described = {name: _plain(value) for name, value in values.items()}
    return {"class": driver.__qualname__} | described | hooks


def _hooks(loader: PluginLoader, entry: PluginEntry) -> list[str]:
    """The hooks that the modules of the entry's distribution implement; of Tallow's own, its module
    alone."""
    same = (
        each
        for each in loader.catalog.all_entries
        if each.distribution == entry.distribution and each.state == "allowed"
    )
    modules = {each.value: each for each in same} if not entry.first_party else {"": entry}
    return sorted({hook for each in modules.values() for hook in loader.load_hooks(each)})


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(printable(str(item)) for item in value)
    return printable(value) if isinstance(value, str) else value


def event(facts: dict[str, Any]) -> str:
    """The JSON line for one entry."""
    named = {key: value for key, value in facts.items() if key in PluginListed._fields}
    variables = {key: value for key, value in facts.items() if key not in (*named, "class")}
    return json_line(PluginListed(**named, class_name=facts.get("class"), variables=variables))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The lines of a table of entries, its head first."""
    cells = [_COLUMNS, *(tuple(row.values()) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _block(facts: dict[str, Any]) -> list[str]:
    width = max(map(len, facts))
    return [
        f"{name.ljust(width)}  {' '.join(value) if isinstance(value, list) else value}"
        for name, value in facts.items()
    ]
