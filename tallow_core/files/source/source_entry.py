"""A file, folder or link of the sender's disk, as it was found when the tree was walked."""

from __future__ import annotations

import os
from typing import NamedTuple, TypeAlias

from tallow_core.files.os_faults import ChangedError
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.text import printable

_MAX_TIME_NS = (1 << 63) - 1
"""The greatest time that 64 bits hold. They hold the years 1677 to 2262; a time beyond them is sent
as the nearest that fits."""

Inode: TypeAlias = tuple[int, int]
"""The identity of a file: the number of its device, and its inode number."""


class SourceEntry(NamedTuple):
    """An entry as it is sent, and the inode of its source."""

    entry: Entry
    inode: Inode

    @property
    def components(self) -> tuple[str, ...]:
        """The path of the entry."""
        return self.entry.components

    @property
    def directory(self) -> bool:
        """Whether the entry is a folder."""
        return self.entry.kind == EntryKind.DIRECTORY


def inode_of(status: os.stat_result) -> Inode:
    """The inode of a status."""
    return status.st_dev, status.st_ino


def mtime_ns_of(status: os.stat_result) -> int:
    """The time of last change that is sent, in ns since 1970."""
    return min(max(status.st_mtime_ns, -_MAX_TIME_NS), _MAX_TIME_NS)


def changed_error(path: str) -> ChangedError:
    """The error for a source (raw path) that is not as it was offered."""
    return ChangedError(
        f"{printable(path)!r} was changed while it was being sent: send it again when it is left"
        " alone"
    )
