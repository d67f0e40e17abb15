"""The catalogue: which drivers are installed, by whom, and which of them may be loaded. Reads
metadata only, imports no plugin.

An entry point belongs to the group `tallow.<kind>`; its name is the driver's, its value a module,
behind which may stand the extra that brings the library it needs: `module [extra]`. The group
`tallow.plugin` is for modules that have hooks and no driver.

Drivers of the distribution `tallow` are allowed, and win over others of the same name; those of
other distributions are allowed only if the settings name their distribution.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from tallow_core.errors import PluginError
from tallow_core.registry.distributions import Installed, installed
from tallow_core.registry.entry import STATES, PluginEntry
from tallow_core.registry.kinds import LISTED_KINDS, Kind
from tallow_core.registry.permissions import Permissions, canonical
from tallow_core.registry.requirements import WORD, missing_libraries, unmet_version
from tallow_core.text import nearest, printable

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# Not EntryPoint.extras: it takes `slh-dsa` for two extras.
_VALUE = re.compile(
    rf"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\s*\[\s*({WORD}(?:\s*,\s*{WORD})*)\s*\])?", re.ASCII
)


class Catalog(NamedTuple):
    """All entry points of all kinds."""

    all_entries: tuple[PluginEntry, ...]
    permissions: Permissions

    @classmethod
    def scan(cls, permissions: Permissions) -> Catalog:
        """Read the metadata of what is installed on `sys.path`. Metadata that cannot be read is
        passed over with a warning."""
        found = [_judged(entry, permissions) for entry in _entries()]
        own = {entry.id for entry in found if entry.first_party}
        count = Counter(
            entry.id
            for entry in found
            if entry.state == "allowed" and (entry.first_party or entry.id not in own)
        )
        settled = (_settled(entry, own, count[entry.id]) for entry in found)
        return cls(
            tuple(sorted(settled, key=lambda entry: (entry.name, entry.distribution))), permissions
        )

    def entries(self, kind: Kind[Any]) -> tuple[PluginEntry, ...]:
        """The entries of `kind` in every state, by name."""
        return tuple(entry for entry in self.all_entries if entry.kind == kind.name)

    def mistyped(self) -> list[str]:
        """Sentences on names in `[plugins] block` that are near an installed one: a mistyped name
        blocks nothing. A name that is near none may be meant for another machine."""
        names = {entry.id for entry in self.all_entries}
        makers = {canonical(entry.distribution) for entry in self.all_entries}
        wrong = [
            (name, self._meant(name, names, makers))
            for name in self.permissions.block
            if name not in names and canonical(name) not in makers
        ]
        return [
            f"`[plugins] block` names {printable(name)}, which is not installed{near}"
            for name, near in wrong
            if near
        ]

    def _meant(self, name: str, names: set[str], makers: set[str]) -> str:
        if ":" in name:
            return nearest(name, names)
        drivers = sorted(entry.id for entry in self.all_entries if entry.name == name)
        return f', did you mean "{drivers[0]}"?' if drivers else nearest(name, makers)

    def find(self, kind: Kind[Any], name: str) -> PluginEntry:
        """The entry of that name that may be loaded; a `PluginError` says why there is none."""
        named = [entry for entry in self.entries(kind) if entry.name == name]
        if not named:
            known = [entry.name for entry in self.entries(kind) if entry.state == "allowed"]
            raise PluginError(
                f'there is no {kind.noun} "{printable(name)}" here{nearest(name, known)}'
            )
        # A blocked driver of the same name does not stand in the way of an allowed one, nor does it
        # explain a collision.
        entry = min(named, key=lambda each: STATES.index(each.state))
        if entry.state != "allowed":
            raise PluginError(f"{kind.name} {printable(name)} cannot be used: {self.reason(entry)}")
        return entry

    def reason(self, entry: PluginEntry) -> str:
        """Why `entry` is not allowed, and what would change that; "" if it is allowed."""
        match entry.state:
            case "allowed":
                return ""
            case "duplicate":
                return self._collision(entry)
            case "blocked":
                return self._block(entry)
            case "shadowed":
                return (
                    f"Tallow has a {entry.kind} of this name itself, which is used instead: ask the"
                    f" author of {entry.maker} to rename it"
                )
            case "needs tallow":
                return (
                    f"{entry.maker} needs another version of Tallow: to use it, run"
                    f' `pip install "{printable(entry.needs)}"`'
                )
            case "library missing":
                needed = f"{printable(entry.distribution)}[{','.join(entry.extras)}]"
                return (
                    f"{' and '.join(entry.missing)}, which it needs, is not installed: to use it,"
                    f' run `pip install "{needed}"`'
                )
            case "invalid":
                return (
                    f"its entry point `{printable(entry.name)} = {printable(entry.value)}` in"
                    f" {entry.maker} is malformed"
                )

    def _collision(self, entry: PluginEntry) -> str:
        same = (each for each in self.all_entries if each.id == entry.id)
        makers = " and ".join(each.maker for each in same if each.state == "duplicate")
        return (
            f"{makers} both provide it, so neither is used: uninstall one or take it out of"
            " `[plugins] allow`"
        )

    def _block(self, entry: PluginEntry) -> str:
        if entry.id in self.permissions.block:
            return (
                f"`[plugins] block` names this driver of {entry.maker} (or TALLOW_BLOCK_PLUGINS"
                " does): take it out to use it"
            )
        if self.permissions.blocks_distribution(entry.distribution):
            return (
                f"`[plugins] block` names the distribution {entry.maker} (or TALLOW_BLOCK_PLUGINS"
                " does): take it out to use it"
            )
        return (
            f"the distribution {entry.maker} is not allowed: to allow it, run"
            f" `{allow_command(entry.distribution)}`"
        )


def allow_command(distribution: str) -> str:
    """The command line that allows the drivers of `distribution`."""
    return f"tallow plugins allow {printable(distribution)}"


def _entries() -> Iterable[PluginEntry]:
    groups = {kind.group: kind.name for kind in LISTED_KINDS}
    for found in installed(groups):
        for point in found.points:
            yield _entry(groups[point.group], point.name, point.value, found)


def _entry(kind: str, name: str, value: str, found: Installed) -> PluginEntry:
    return PluginEntry(
        kind, name, value, found.name, found.version, "allowed", found.metadata, found.requires
    )


def _judged(entry: PluginEntry, permissions: Permissions) -> PluginEntry:
    value = _VALUE.fullmatch(entry.value)
    if not _NAME.fullmatch(entry.name) or value is None:
        return entry._replace(state="invalid")
    extras = tuple(re.split(r"\s*,\s*", value[2])) if value[2] else ()
    entry = entry._replace(value=value[1], extras=extras)
    if not permissions.allows(entry.distribution) or _blocked(entry, permissions):
        return entry._replace(state="blocked")
    if not entry.first_party and (needs := unmet_version(entry.requires)):
        return entry._replace(state="needs tallow", needs=needs)
    missing = missing_libraries(entry.requires, extras) if extras else ()
    return entry._replace(state="library missing", missing=missing) if missing else entry


def _blocked(entry: PluginEntry, permissions: Permissions) -> bool:
    return entry.id in permissions.block or permissions.blocks_distribution(entry.distribution)


def _settled(entry: PluginEntry, own: set[str], claims: int) -> PluginEntry:
    if entry.id in own and not entry.first_party and entry.state not in ("blocked", "invalid"):
        return entry._replace(state="shadowed")
    return entry._replace(state="duplicate") if entry.state == "allowed" and claims > 1 else entry
