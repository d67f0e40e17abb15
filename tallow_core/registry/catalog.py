"""The catalogue: which drivers are installed, by whom, and which of them may be loaded. Reads
metadata only, imports no plugin.

An entry point belongs to the group `tallow.<kind>`; its name is the driver's, its value a module,
behind which may stand the extra that brings the library it needs: `module [extra]`. Drivers of the
distribution `tallow` are allowed; those of others only if the settings name their distribution.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import Distribution
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from tallow_core.errors import PluginError
from tallow_core.registry.kinds import KINDS, Kind
from tallow_core.text import nearest, printable

if TYPE_CHECKING:
    from tallow_core.config.schema import PluginSettings

FIRST_PARTY = "tallow"
"""The one distribution whose drivers need no permission."""

State: TypeAlias = Literal["allowed", "duplicate", "library missing", "blocked", "invalid"]
_STATES: tuple[State, ...] = ("allowed", "duplicate", "library missing", "blocked", "invalid")
LEFT_OUT: tuple[State, ...] = _STATES[2:]
"""The states of entries that are as good as not there: nothing loads them unless a setting or flag
names them, and then it is an error."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_WORD = r"[A-Za-z0-9](?:[\w.-]*\w)?"
"""The name of a distribution or an extra (PEP 508)."""
# Not EntryPoint.extras: it takes `slh-dsa` for two extras.
_VALUE = re.compile(
    rf"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\s*\[\s*({_WORD}(?:\s*,\s*{_WORD})*)\s*\])?", re.ASCII
)
_REQUIREMENT = re.compile(
    rf"""\s*({_WORD})[^;]*;\s*\(?\s*extra\s*==\s*["']({_WORD})["']\s*\)?\s*""", re.ASCII
)
"""A dependency (PEP 508) whose whole marker is `extra == "..."`; one with a further condition is
not decided here, but by importing."""
_DOCSTRING = r"""\ufeff?(?:[ \t]*(?:\#[^\n]*)?\r?\n)*[rRuU]?(\"{3}|'{3}|"|')\s*([^\r\n]+)"""


def canonical(distribution: str) -> str:
    """The name of a distribution as packaging tools compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


class Entry(NamedTuple):
    """One entry point; `state` says whether it may be loaded.

    `value` is the module (of an invalid one, the whole value), `extras` which of the distribution's
    extras it needs, `requires` the dependencies that the distribution states, `missing` those of
    the extras that are not installed.

    The texts are as their author wrote them: pass them through `printable` before showing them.
    """

    kind: str
    name: str
    value: str
    distribution: str
    version: str
    state: State
    metadata: Distribution
    requires: tuple[str, ...]
    extras: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def maker(self) -> str:
        """Distribution and version, safe to show."""
        return printable(f"{self.distribution} {self.version}")

    def source(self) -> str | None:
        """The file that importing the module would run, found without importing anything; None if
        there is none, or if it lies elsewhere than the distribution does (in the working directory,
        say)."""
        origin = _find_module(self.value)
        if origin is None or _below(origin, _home(self.metadata)):
            return origin
        source_tree = _editable_home(self.metadata)
        return origin if source_tree and _below(origin, source_tree) else None

    def summary(self) -> str:
        """One line on the driver: the first of its module's docstring, read as text."""
        try:
            with open(self.source() or "", encoding="utf-8") as file:
                found = re.match(_DOCSTRING, file.read(8192))
        except (OSError, ValueError):
            found = None
        line = found[2].partition(found[1])[0].strip() if found else ""
        return printable(line) or f"added by {self.maker}"


class Catalog(NamedTuple):
    """All entry points of all kinds."""

    all_entries: tuple[Entry, ...]
    plugins: PluginSettings

    @classmethod
    def scan(cls, settings_plugins: PluginSettings) -> Catalog:
        """Read the metadata of what is installed on `sys.path`. Metadata that cannot be read is
        passed over with a warning."""
        allowed = {FIRST_PARTY, *map(canonical, settings_plugins.allow)}
        found = [_judged(entry, allowed, settings_plugins.block) for entry in _installed()]
        count = Counter((entry.kind, entry.name) for entry in found if entry.state == "allowed")
        settled = (_settled(entry, count[entry.kind, entry.name]) for entry in found)
        return cls(
            tuple(sorted(settled, key=lambda entry: (entry.name, entry.distribution))),
            settings_plugins,
        )

    def entries(self, kind: Kind[Any]) -> tuple[Entry, ...]:
        """The entries of `kind` in every state, by name."""
        return tuple(entry for entry in self.all_entries if entry.kind == kind.name)

    def mistyped(self) -> list[str]:
        """What is wrong with `[plugins] block`: a mistyped name protects nobody. One that is near
        no other may be another machine's."""
        known = {f"{entry.kind}:{entry.name}" for entry in self.all_entries}
        wrong = [(name, nearest(name, known)) for name in self.plugins.block if name not in known]
        return [
            f"`[plugins] block` names {printable(name)}, which is not installed{near}"
            for name, near in wrong
            if near
        ]

    def find(self, kind: Kind[Any], name: str) -> Entry:
        """The entry of that name that may be loaded; a `PluginError` says why there is none."""
        named = [entry for entry in self.entries(kind) if entry.name == name]
        if not named:
            known = [entry.name for entry in self.entries(kind) if entry.state == "allowed"]
            raise PluginError(
                f'there is no {kind.name} "{printable(name)}" here{nearest(name, known)}'
            )
        # A blocked driver of the same name does not stand in the way of an allowed one, nor does it
        # explain a collision.
        entry = min(named, key=lambda each: _STATES.index(each.state))
        if entry.state != "allowed":
            raise PluginError(f"{kind.name} {printable(name)} cannot be used: {self.reason(entry)}")
        return entry

    def reason(self, entry: Entry) -> str:
        """Say why `entry` is not allowed and what would change that; "" if it is."""
        match entry.state:
            case "duplicate":
                same = (
                    each
                    for each in self.all_entries
                    if (each.kind, each.name) == (entry.kind, entry.name)
                )
                makers = " and ".join(each.maker for each in same if each.state == "duplicate")
                return (
                    f"{makers} both provide it, so neither is used: uninstall one or take it out"
                    " of `[plugins] allow`"
                )
            case "blocked" if f"{entry.kind}:{entry.name}" in self.plugins.block:
                return (
                    f"`[plugins] block` names this driver of {entry.maker} (or"
                    " TALLOW_BLOCK_PLUGINS does): take it out to use it"
                )
            case "blocked":
                return (
                    f"the distribution {entry.maker} is not allowed: to allow it, run"
                    f" `{allow_command(entry.distribution)}`"
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
            case "allowed":
                return ""


def allow_command(distribution: str) -> str:
    """What to type to allow the drivers of `distribution`."""
    return f"tallow plugins allow {printable(distribution)}"


def _judged(entry: Entry, allowed: set[str], block: Iterable[str]) -> Entry:
    value = _VALUE.fullmatch(entry.value)
    if not _NAME.fullmatch(entry.name) or value is None:
        return entry._replace(state="invalid")
    extras = tuple(re.split(r"\s*,\s*", value[2])) if value[2] else ()
    entry = entry._replace(value=value[1], extras=extras)
    if canonical(entry.distribution) not in allowed or f"{entry.kind}:{entry.name}" in block:
        return entry._replace(state="blocked")
    missing = _missing(entry) if extras else ()
    return entry._replace(state="library missing", missing=missing) if missing else entry


def _missing(entry: Entry) -> tuple[str, ...]:
    """The distributions that the entry's extras ask for and that are not installed, whatever their
    version."""
    wanted, path = set(map(canonical, entry.extras)), _search_path()
    required = (
        found for line in entry.requires if (found := _REQUIREMENT.fullmatch(line)) is not None
    )
    names = dict.fromkeys(found[1] for found in required if canonical(found[2]) in wanted)
    return tuple(
        name
        for name in names
        if next(iter(Distribution.discover(name=name, path=path)), None) is None
    )


def _settled(entry: Entry, claims: int) -> Entry:
    return entry._replace(state="duplicate") if entry.state == "allowed" and claims > 1 else entry


def _installed() -> Iterator[Entry]:
    """Every entry point of ours, each distribution once: the one that comes first on the path,
    which is the one Python imports."""
    path = _search_path()
    names = {
        name
        for metadata in Distribution.discover(path=path)
        if (name := _name_if_ours(metadata)) is not None
    }
    for name in sorted(names):
        # By name, so that metadata filed under another name than it claims is not found.
        first = next(iter(Distribution.discover(name=name, path=path)), None)
        if first is None or _name_if_ours(first) not in (name, None):
            _warn(
                f"the distribution {printable(name)} is passed over: its metadata does not agree"
                " on its name"
            )
        else:
            yield from _entries_of(first)


def _name_if_ours(metadata: Distribution) -> str | None:
    try:
        # Names are parsed out of long files: only where the short one mentions us.
        if f"[{FIRST_PARTY}." not in (metadata.read_text("entry_points.txt") or ""):
            return None
        return canonical(metadata.metadata["Name"])
    except Exception as error:
        _warn(f"a distribution in {printable(_home(metadata))} is passed over: {_told(error)}")
        return None


def _entries_of(metadata: Distribution) -> Iterator[Entry]:
    groups = {kind.group: kind.name for kind in KINDS}
    try:
        facts = metadata.metadata  # parsed anew each time
        name, version = str(facts["Name"]), str(facts["Version"])
        requires = tuple(map(str, facts.get_all("Requires-Dist") or ()))
        points = [point for point in metadata.entry_points if point.group in groups]
    except Exception as error:
        _warn(f"a distribution in {printable(_home(metadata))} is passed over: {_told(error)}")
        return
    for point in points:
        yield Entry(
            groups[point.group],
            point.name,
            point.value,
            name,
            version,
            "allowed",
            metadata,
            requires,
        )


def _told(error: Exception) -> str:
    return f"its metadata cannot be read ({printable(f'{type(error).__name__}: {error}')})"


def _search_path() -> list[str]:
    """`sys.path` without the working directory, which `python -m` puts there: who can write to it
    must not choose our plugins."""
    here = os.path.realpath("")
    # Where our own code lies, whoever can write rules already.
    ours = os.path.realpath(os.path.dirname(os.path.dirname(__file__)))
    return [
        entry for entry in sys.path if entry and (here == ours or os.path.realpath(entry) != here)
    ]


def _find_module(name: str) -> str | None:
    """The file of a module, through the finders that an import would ask, in their order; importing
    nothing, not even parents."""
    path: Any = None
    origin: str | None = None
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        full = ".".join(parts[:length])
        finders = (finder.find_spec for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((spec for find in finders if (spec := find(full, path)) is not None), None)
        if spec is None or (length < len(parts) and spec.submodule_search_locations is None):
            return None
        path, origin = spec.submodule_search_locations, spec.origin if spec.has_location else None
    return origin


def _home(metadata: Distribution) -> str:
    return str(metadata.locate_file(""))


@cache
def _editable_home(metadata: Distribution) -> str | None:
    """The source tree of a distribution that was installed with `pip install --editable` (PEP 610),
    else None."""
    import json
    from urllib.parse import unquote, urlsplit

    try:
        facts = json.loads(metadata.read_text("direct_url.json") or "{}")
        url = urlsplit(facts["url"]) if facts.get("dir_info", {}).get("editable") is True else None
    except (ValueError, KeyError, AttributeError):
        return None
    if url is None or url.scheme != "file":
        return None
    return unquote(url.path).lstrip("/") if os.name == "nt" else unquote(url.path)


def _below(path: str, folder: str) -> bool:
    return os.path.realpath(path).startswith(os.path.join(_real(folder), ""))


@cache
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _warn(message: str) -> None:
    # Imported here: `--help` reads the catalogue, and hardly ever has something to say.
    import logging

    logging.getLogger("tallow.plugins").warning("%s", message)
