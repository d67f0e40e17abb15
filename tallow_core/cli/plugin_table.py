"""What `tallow plugins` prints: tables out of metadata, and one driver in full."""

from __future__ import annotations

from json import dumps
from typing import Any, get_type_hints

from tallow_core.catalog import Catalog, Entry
from tallow_core.cli.output import put
from tallow_core.errors import EXIT_DONE, PluginError, UsageError
from tallow_core.kinds import KINDS, Kind, kind_named
from tallow_core.settings import Settings, nearest
from tallow_core.text import printable

_COLUMNS = ("kind", "name", "distribution", "version", "state")


def list_plugins(*, kind: str | None, settings: Settings, json: bool) -> int:
    """List the installed plugins and whether they may be used, from metadata alone: none is imported."""
    catalog = Catalog.scan(settings.plugins)
    rows = [_row(entry) for each in _kinds(kind) for entry in catalog.entries(each)]
    for line in map(_event, rows) if json else _table(rows):
        put(line)
    return EXIT_DONE


def show_plugin(*, name: str, kind: str | None, settings: Settings, json: bool) -> int:
    """Show one driver, `NAME` or `KIND:NAME`. An allowed one is imported; of any other the metadata is shown, and why it is not used."""
    typed, colon, wanted = name.rpartition(":")
    if colon and kind not in (None, typed):
        raise UsageError(f"{printable(name)} is no {printable(str(kind))}: leave out --kind")
    catalog = Catalog.scan(settings.plugins)
    found = _found(catalog, _kinds(typed if colon else kind), wanted)
    for entry in found:
        facts = _facts(catalog, entry, settings)
        for line in [_event(facts)] if json else _block(facts):
            put(line)
    return EXIT_DONE


def _kinds(name: str | None) -> tuple[Kind[Any], ...]:
    if name is None:
        return KINDS
    kind = kind_named(name)
    if kind is None:
        raise UsageError(f'there is no kind "{printable(name)}" of plugin{nearest(name, [each.name for each in KINDS])}')
    return (kind,)


def _found(catalog: Catalog, kinds: tuple[Kind[Any], ...], name: str) -> list[Entry]:
    entries = [entry for kind in kinds for entry in catalog.entries(kind)]
    found = [entry for entry in entries if entry.name == name]
    if not found:
        raise PluginError(f'there is no plugin "{printable(name)}"{nearest(name, [entry.name for entry in entries])}')
    return found


def _row(entry: Entry) -> dict[str, Any]:
    return {column: printable(getattr(entry, column)) for column in _COLUMNS}


def _facts(catalog: Catalog, entry: Entry, settings: Settings) -> dict[str, Any]:
    facts = _row(entry) | {"module": printable(entry.value), "summary": entry.summary()}
    return facts | (_descriptor(catalog, entry, settings) if entry.state == "allowed" else {"reason": catalog.reason(entry)})


def _descriptor(catalog: Catalog, entry: Entry, settings: Settings) -> dict[str, Any]:
    """The class variables that the contract of the driver's kind declares."""
    # Imported here: `list` must not pay for the machinery that loads plugins.
    from tallow_core.host import PluginHost

    kind = next(each for each in KINDS if each.name == entry.kind)
    driver = PluginHost(catalog, settings).load(kind, entry.name)
    values = {name: getattr(driver, name) for name in get_type_hints(kind.contract) if name != "name"}
    return {"class": driver.__qualname__} | {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(printable(str(item)) for item in value)
    return printable(value) if isinstance(value, str) else value


def _event(facts: dict[str, Any]) -> str:
    return dumps({"event": "plugin", "v": 1, **facts})


def _table(rows: list[dict[str, Any]]) -> list[str]:
    cells = [_COLUMNS, *(tuple(row.values()) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _block(facts: dict[str, Any]) -> list[str]:
    width = max(map(len, facts))
    return [f"{name.ljust(width)}  {' '.join(value) if isinstance(value, list) else value}" for name, value in facts.items()]
