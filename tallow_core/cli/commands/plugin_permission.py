"""`tallow plugins allow`, `disallow` and `block`: they edit `[plugins]` of the config file, and
leave all the rest of it as it is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution

from tallow_core.cli.views.output import put, say
from tallow_core.cli.views.plugin_table import event, rows_of, table
from tallow_core.config.list_edit import ListEdit
from tallow_core.config.schema import Settings
from tallow_core.errors import EXIT_DONE, PluginError, RefusedError, UsageError
from tallow_core.registry.catalog import Catalog
from tallow_core.registry.permissions import FIRST_PARTY, Permissions, canonical
from tallow_core.text import nearest, printable

LABELS = (
    "What they say of themselves, labels such as post-quantum included, is their author's word:"
    " `tallow plugins show` prints it."
)


def allow_plugins(
    wanted: str,
    settings: Settings,
    *,
    json: bool,
    quiet: bool,
    check: Callable[[str], None] | None = None,
) -> int:
    """Allow the drivers of the installed distribution `wanted`, and say which these are. One that
    is allowed already changes nothing.

    `check` runs the conformance kit over a distribution; a `PluginError` of it refuses.
    """
    found = _installed(Catalog.scan(settings.plugins), wanted)
    name, file = printable(found), settings.file_to_write
    if canonical(found) == FIRST_PARTY:
        result = "tallow's own drivers are always allowed"
    elif canonical(found) in map(canonical, settings.plugins.allow):
        result = f"{name} is allowed already, in {printable(str(file))}"
    else:
        if check is not None:
            check(found)
        ListEdit(file, "plugins", "allow", add=found).write()
        result = f"{name} is allowed now, in {printable(str(file))}"
    note = "" if canonical(found) == FIRST_PARTY else f"\n{LABELS}"
    allowed = settings.plugins._replace(allow=(*settings.plugins.allow, found))
    _print(found, allowed, settings, json=json)
    if not json and not quiet:
        say(f"{result}.{note}")
    return EXIT_DONE


def disallow_plugins(wanted: str, settings: Settings, *, json: bool, quiet: bool) -> int:
    """Take the distribution out of `[plugins] allow`."""
    written = [each for each in settings.plugins.allow if canonical(each) == canonical(wanted)]
    if not written:
        near = nearest(canonical(wanted), map(canonical, settings.plugins.allow))
        raise PluginError(f'the distribution "{printable(wanted)}" is not allowed anyway{near}')
    ListEdit(settings.file_to_write, "plugins", "allow", remove=written).write()
    kept = tuple(each for each in settings.plugins.allow if each not in written)
    _print(wanted, settings.plugins._replace(allow=kept), settings, json=json)
    if not json and not quiet:
        file = printable(str(settings.file_to_write))
        say(f"{printable(written[0])} is not allowed any more, in {file}.")
    return EXIT_DONE


def block_plugin(wanted: str, settings: Settings, *, json: bool, quiet: bool) -> int:
    """Enter a driver (`KIND:NAME`, or NAME if one kind has it) or a whole distribution into
    `[plugins] block`."""
    found = _blockable(Catalog.scan(settings.plugins), wanted)
    file = printable(str(settings.file_to_write))
    if found in settings.plugins.block:
        result = f"{printable(found)} is blocked already, in {file}"
    else:
        ListEdit(settings.file_to_write, "plugins", "block", add=found).write()
        result = f"{printable(found)} is blocked now, in {file}"
    blocked = settings.plugins._replace(block=(*settings.plugins.block, found))
    _print(found, blocked, settings, json=json)
    if not json and not quiet:
        say(f"{result}.")
    return EXIT_DONE


def kit_run(settings: Settings, *, yes: bool, json: bool, quiet: bool) -> Callable[[str], None]:
    """What `allow` does first: ask, and run the conformance kit over a distribution. It raises
    `PluginError` if a check fails, `RefusedError` if the person declines, `UsageError` without a
    terminal."""

    def check(found: str) -> None:
        from tallow_core.cli.views.check_report import check_distribution, report_for

        if not yes:
            _ask(found)
        check_distribution(found, settings, report_for(settings, json=json, quiet=quiet))

    return check


def _ask(found: str) -> None:
    from tallow_core.cli.prompts.question import ask

    name = printable(found)
    if not sys.stdin.isatty():
        raise UsageError(
            f"the conformance kit would run the code of {name}, and there is no terminal to ask at:"
            " repeat with --yes, or with --no-check to allow it unchecked"
        )
    say(f"To check {name}, the conformance kit runs its code with your rights.")
    answer = asyncio.run(ask(f"Run it, and allow {name} if it passes? [y/N] "))
    if (answer or "").lower() not in ("y", "yes"):
        raise RefusedError(f"{name} is not allowed: you declined to run its code")


def _print(name: str, permissions: Permissions, settings: Settings, *, json: bool) -> None:
    """The entries that are meant, in the state that they have now."""
    entries = [
        entry
        for entry in Catalog.scan(permissions).all_entries
        if entry.id == name or canonical(entry.distribution) == canonical(name)
    ]
    rows = rows_of(entries, settings)
    for line in map(event, rows) if json else table(rows):
        put(line)


def _blockable(catalog: Catalog, wanted: str) -> str:
    """What is to be entered for `wanted`; a `PluginError` or `UsageError` if it is unclear."""
    ids = {entry.id for entry in catalog.all_entries}
    makers = {canonical(entry.distribution): entry.distribution for entry in catalog.all_entries}
    named = sorted({entry.id for entry in catalog.all_entries if entry.name == wanted})
    if wanted in ids:
        return wanted
    if canonical(wanted) in makers and canonical(wanted) != FIRST_PARTY:
        return makers[canonical(wanted)]
    if len(named) == 1:
        return named[0]
    if named:
        raise UsageError(f"{printable(wanted)} is {' and '.join(named)}: write which of them")
    near = nearest(wanted, {*ids, *makers})
    raise PluginError(f'there is no plugin and no distribution "{printable(wanted)}" here{near}')


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
