"""What `tallow plugins` prints: tables out of metadata, and one driver in full."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, get_type_hints

from tallow_core.cli.views.output import put, say
from tallow_core.cli.views.reporters import json_line
from tallow_core.config.schema import Settings
from tallow_core.errors import EXIT_DONE, PluginError, UsageError
from tallow_core.events import PluginListed
from tallow_core.registry.catalog import Catalog, allow_command
from tallow_core.registry.check_record import CheckRecord
from tallow_core.registry.entry import PluginEntry
from tallow_core.registry.kinds import KINDS, LISTED_KINDS, PLUGIN, Kind, listed_kind
from tallow_core.registry.permissions import FIRST_PARTY, canonical
from tallow_core.text import nearest, printable

if TYPE_CHECKING:
    from tallow_core.config.plugin_options import ShownOption
    from tallow_core.registry.loader import PluginLoader

_COLUMNS = ("kind", "name", "distribution", "version", "state", "checked")


def list_plugins(*, kind: str | None, settings: Settings, json: bool, quiet: bool = False) -> int:
    """List the installed plugins and whether they may be used, from metadata alone: none is
    imported."""
    catalog = Catalog.scan(settings.plugins)
    entries = [entry for each in _kinds(kind) for entry in catalog.entries(each)]
    rows = rows_of(entries, settings)
    for line in map(event, rows) if json else table(rows):
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
        say(f"to use what {printable(distribution)} provides:  {allow_command(distribution)}")
    for entry in entries:
        if entry.state == "library missing":
            say(f"{entry.kind} {entry.name}: {catalog.reason(entry)}")


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


def rows_of(entries: Iterable[PluginEntry], settings: Settings) -> list[dict[str, Any]]:
    """What a list says of each entry."""
    record = CheckRecord(settings.directories)
    values = (
        entry._asdict() | {"state": entry.status, "checked": record.checked(entry)}
        for entry in entries
    )
    return [{column: printable(each[column]) for column in _COLUMNS} for each in values]


def _facts(catalog: Catalog, entry: PluginEntry, settings: Settings) -> dict[str, Any]:
    (facts,) = rows_of([entry], settings)
    facts |= {"module": printable(entry.value), "summary": entry.summary()}
    return facts | (
        _descriptor(catalog, entry, settings)
        if entry.state == "allowed"
        else {"reason": catalog.reason(entry)}
    )


def _descriptor(catalog: Catalog, entry: PluginEntry, settings: Settings) -> dict[str, Any]:
    """The class variables that the contract of the driver's kind declares, and the hooks that its
    distribution implements."""
    # Imported here: `list` must not pay for the machinery that loads plugins.
    from tallow_core.config.plugins import loader_of
    from tallow_core.registry.contract_check import contract_of

    loader = loader_of(settings, watch=False)
    hooks = {"hooks": tuple(_hooks(loader, entry))}
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
    options = settings.driver_options.shown(kind.name, driver) if driver.options else []
    return (
        {"class": driver.__qualname__}
        | described
        | hooks
        | ({"options": tuple(_option(each) for each in options)} if options else {})
    )


def _option(option: ShownOption) -> dict[str, Any]:
    value = option.value if isinstance(option.value, bool | int | float) else str(option.value)
    return {"name": option.name, "value": _plain(value), "origin": option.origin}


def _hooks(loader: PluginLoader, entry: PluginEntry) -> list[str]:
    """The hooks that the modules of the entry's distribution implement; of Tallow's own, its module
    alone."""
    same = (
        each
        for each in loader.catalog.all_entries
        if each.distribution == entry.distribution and each.state == "allowed"
    )
    modules = {each.value: each for each in same} if not entry.first_party else {"": entry}
    found: set[str] = set()
    for each in modules.values():
        with suppress(PluginError):  # another module of the distribution may be broken
            found |= {*loader.load_hooks(each)}
    return sorted(found)


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(printable(str(item)) for item in value)
    plain = isinstance(value, bool | int | float | tuple | None)
    return value if plain else printable(str(value))


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
    options = facts.pop("options", [])
    facts["hooks"] = facts.get("hooks") or "none"
    facts |= {f"  {each['name']}": f"{each['value']}  ({each['origin']})" for each in options}
    width = max(map(len, facts))
    return [
        f"{name.ljust(width)}  {' '.join(value) if isinstance(value, list | tuple) else value}"
        for name, value in facts.items()
    ]
