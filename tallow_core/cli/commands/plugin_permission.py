"""`tallow plugins allow`: enters a distribution into `[plugins] allow` of the config file, and
leaves all the rest of it as it is."""

from __future__ import annotations

import os
import stat
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallow_core.cli.views.output import put, tell
from tallow_core.cli.views.plugin_table import event, row, table
from tallow_core.config.schema import Settings
from tallow_core.config.toml_file import read_file, settings_in
from tallow_core.errors import EXIT_DONE, ConfigError, PluginError
from tallow_core.private_files import PRIVATE_FILE, ensure_private, replace_file
from tallow_core.registry.catalog import Catalog
from tallow_core.registry.permissions import FIRST_PARTY, canonical
from tallow_core.text import nearest, printable

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

LABELS = (
    "What they say of themselves, labels such as post-quantum included, is their author's word:"
    " `tallow plugins show` prints it."
)


def allow_plugins(wanted: str, settings: Settings, *, json: bool, quiet: bool) -> int:
    """Allow the drivers of the installed distribution `wanted`, and say which these are. One that
    is allowed already changes nothing."""
    found = _installed(Catalog.scan(settings.plugins), wanted)
    file = settings.file_to_write
    if canonical(found) == FIRST_PARTY:
        told = "tallow's own drivers are always allowed"
    elif canonical(found) in map(canonical, settings.plugins.allow):
        told = f"{printable(found)} is allowed already, in {printable(str(file))}"
    else:
        _enter(file, found)
        told = f"{printable(found)} is allowed now, in {printable(str(file))}"
    plugins = settings.plugins._replace(allow=(*settings.plugins.allow, found))
    rows = [
        row(entry)
        for entry in Catalog.scan(plugins).all_entries
        if canonical(entry.distribution) == canonical(found)
    ]
    for line in map(event, rows) if json else table(rows):
        put(line)
    if not json and not quiet:
        tell(f"{told}.\n{LABELS}" if canonical(found) != FIRST_PARTY else f"{told}.")
    return EXIT_DONE


def _installed(catalog: Catalog, wanted: str) -> str:
    """The name of the installed distribution, as it writes it itself; a `PluginError` if it is not
    there or has no drivers."""
    names = {canonical(entry.distribution): entry.distribution for entry in catalog.all_entries}
    if found := names.get(canonical(wanted)):
        return found
    near = nearest(canonical(wanted), names)
    try:
        distribution(wanted)
    except (PackageNotFoundError, ValueError):
        raise PluginError(
            f'the distribution "{printable(wanted)}" is not'
            f" installed{near or '; install it first, with pip'}"
        ) from None
    raise PluginError(f'the distribution "{printable(wanted)}" has no drivers for tallow{near}')


def _enter(file: Path, name: str) -> None:
    """Write `file` with `name` in `[plugins] allow`; raises `ConfigError` and leaves it as it was
    if that cannot be done."""
    target = Path(os.path.realpath(file))  # a link, to somebody's dotfiles say, stays one
    before = read_file(target) if os.path.lexists(target) else b""
    where = printable(str(file))
    after = _with_entry(before, name, where)
    _check(before, after, name, where)
    if not target.parent.exists():
        ensure_private(target.parent)
    try:
        _replace(target, after)
    except OSError as error:
        raise ConfigError(
            f"the config file {where} cannot be written: {error.strerror}; make its folder writable"
        ) from error


def _with_entry(content: bytes, name: str, where: str) -> bytes:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(content)
        _append(document, name)
        return tomlkit.dumps(document).encode()
    except (TOMLKitError, ValueError, AttributeError, TypeError) as error:
        raise _unchanged(where, name) from error


def _append(document: TOMLDocument, name: str) -> None:
    import tomlkit

    section: Any = document.get("plugins")
    if section is None:
        section = document["plugins"] = tomlkit.table()
    if (listed := section.get("allow")) is None:
        section["allow"] = [name]
    else:
        listed.append(name)


def _check(before: bytes, after: bytes, name: str, where: str) -> None:
    """Nothing may mean anything else than before, whatever the library that edits makes of the
    file."""
    expected, found = settings_in(before, where), settings_in(after, where)
    allowed = expected.setdefault("plugins.allow", ())
    assert isinstance(allowed, tuple)
    expected["plugins.allow"] = (*allowed, name)
    if found != expected:
        raise _unchanged(where, name)


def _unchanged(where: str, name: str) -> ConfigError:
    return ConfigError(
        f'{where} is written in a way that cannot be edited for you: add "{printable(name)}" to'
        " `[plugins] allow` by hand"
    )


def _replace(target: Path, content: bytes) -> None:
    """Replace the file as a whole. Its mode is kept."""
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else PRIVATE_FILE
    replace_file(target, [content], mode=mode)
