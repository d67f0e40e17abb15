"""The record of the drivers that passed the conformance kit on this machine, with their versions.
It is a private file in the state directory."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tallow_core.directories import Directories
from tallow_core.private_files import ensure_private, replace_file
from tallow_core.registry.distributions import editable_home
from tallow_core.registry.entry import PluginEntry

Checked: TypeAlias = Literal["yes", "no", "stale", "built in"]
"""`stale`: it passed, and its distribution has changed since."""

_NAME = "checked-plugins.json"
MAX_RECORD_BYTES = 1 << 20


class CheckRecord:
    """The record, read once. A file that cannot be read is an empty record."""

    def __init__(self, directories: Directories) -> None:
        self._folder = directories.state
        self._passed: dict[str, str] = _read(self._folder / _NAME)

    def checked(self, entry: PluginEntry) -> Checked:
        """The state of the entry in the record."""
        if entry.first_party:
            return "built in"
        known = self._passed.get(_key(entry))
        if known is None:
            return "no"
        return "yes" if known == _state(entry) else "stale"

    def enter(self, entry: PluginEntry, *, passed: bool) -> None:
        """Note the outcome of a check. A record that cannot be written stays as it is."""
        if entry.first_party:
            return
        self._passed.pop(_key(entry), None)
        if passed:
            self._passed[_key(entry)] = _state(entry)
        text = json.dumps(self._passed, indent=0, sort_keys=True)
        with suppress(OSError):
            ensure_private(self._folder)
            replace_file(self._folder / _NAME, [text.encode()])


def _read(file: Path) -> dict[str, str]:
    try:
        with file.open("rb") as stream:
            found: Any = json.loads(stream.read(MAX_RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _key(entry: PluginEntry) -> str:
    return f"{entry.distribution} {entry.id}"


def _state(entry: PluginEntry) -> str:
    """Version and hash of the distribution as it is installed: of its list of files with their
    hashes, or, where that says nothing (an editable install), of the driver's source."""
    digest = hashlib.sha256()
    listed = None if editable_home(entry.metadata) else entry.metadata.read_text("RECORD")
    if listed is not None:
        digest.update(listed.encode())
    else:
        for file in _sources(entry):
            with suppress(OSError):
                digest.update(file.read_bytes())
    return f"{entry.version} {digest.hexdigest()}"


def _sources(entry: PluginEntry) -> list[Path]:
    source = entry.source()
    if source is None:
        return []
    file = Path(source)
    return sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
