"""Walks a tree in canonical order. It holds one list of names for each folder on the way down."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tallow_core.files.extents import may_be_sparse, measure
from tallow_core.files.os_faults import ChangedError, explain
from tallow_core.files.skipped import Reason, Skipped
from tallow_core.files.source.ignore_patterns import IgnoreRules
from tallow_core.files.source.source_entry import (
    Inode,
    SourceEntry,
    changed_error,
    inode_of,
    mtime_ns_of,
)
from tallow_core.files.source.top_level import TopLevel
from tallow_core.files.source.tree_filter import TreeFilter
from tallow_core.files.source.tree_reader import TreeReader
from tallow_core.files.source.wire_names import kept_target, wire_name
from tallow_core.private_files import READ_NAMED
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.path_names import check_name, check_path, fold, takes_any

_EFFECTIVE = os.access in os.supports_effective_ids

_Name: TypeAlias = tuple[str, bool, str, str]
"""One name in a folder: its key (`fold`), whether it is sent differently from the disk, its
spelling on the disk, and its spelling as sent."""


@dataclass(slots=True, eq=False, repr=False)
class _WalkedFolder:
    """A folder during the walk: the names still to come, and the key of the last name that was
    sent."""

    fd: int
    components: tuple[str, ...]
    short: bool
    """Whether this path is so short that every acceptable name in the folder makes an acceptable
    path."""
    names: Iterator[_Name]
    inode: Inode
    ignored: IgnoreRules | None
    last: str = ""


class TreeWalk:
    """One walk of the trees `tops`. It adds the entries that are left out to `skipped`, and those
    that are sent under another name to `renamed`. It gives `reader` what that needs to open the
    entries later."""

    def __init__(
        self,
        tops: Mapping[str, TopLevel],
        reader: TreeReader,
        tree_filter: TreeFilter,
        skipped: list[Skipped],
        renamed: list[tuple[str, str]],
        *,
        follow: bool,
    ) -> None:
        self._tops = tops
        self._reader = reader
        self._filter = tree_filter
        self._skipped = skipped
        self._renamed = renamed
        self._follow_links = follow
        self._count = 0
        self._linked: dict[Inode, tuple[int, int]] = {}
        """Files with several names: the number of the first one that is sent, and how many names
        are still to come."""

    def entries(self) -> Iterator[SourceEntry]:
        """Yield all entries; raises `FileSystemError` where a top-level path is not as it was."""
        for name, top in self._tops.items():
            for entry in self._walk_top(name, top):
                yield entry
                self._count += 1

    # -- top level -------------------------------------------------------------------------------

    def _walk_top(self, name: str, top: TopLevel) -> Iterator[SourceEntry]:
        try:
            status = os.stat(top.path)
        except FileNotFoundError:
            self._skip((name,), "changed")
            return
        except OSError as error:
            raise explain(error, "read", top.path) from error
        if inode_of(status) != top.inode:
            raise changed_error(top.path)
        if self._filter.excludes((name,), directory=top.directory):
            self._skip((name,), "excluded")
            return
        self._note_renamed((name,), os.path.basename(top.path.rstrip(os.sep)))
        if not os.access(top.path, os.R_OK, effective_ids=_EFFECTIVE):
            self._skip((name,), "unreadable")
        elif top.directory:
            yield from self._walk_folder(name, status)
        else:
            yield self._file((name,), status, lambda: os.open(top.path, READ_NAMED))

    def _walk_folder(self, name: str, status: os.stat_result) -> Iterator[SourceEntry]:
        levels: list[_WalkedFolder] = []
        try:
            if self._descend(levels, (name,), name, inode_of(status)):
                yield _folder((name,), status)
            while levels:
                if (child := next(levels[-1].names, None)) is None:
                    os.close(levels.pop().fd)
                elif (entry := self._visit(levels, child)) is not None:
                    yield entry
        finally:
            for level in levels:
                os.close(level.fd)

    def _descend(
        self, levels: list[_WalkedFolder], components: tuple[str, ...], name: str, inode: Inode
    ) -> bool:
        """Enter a folder; returns whether it can be read."""
        fd = -1
        try:
            fd = (
                self._reader.open_folder(components, name, levels[-1].fd)
                if levels
                else self._reader.open_top(components[0])
            )
            names = sorted([_named(name) for name in os.listdir(fd)])
        except (OSError, ChangedError) as error:
            if fd >= 0:
                os.close(fd)
            if not levels and isinstance(error, ChangedError):
                raise
            return False
        if not levels:
            ignored = self._filter.top_rules(self._tops[components[0]].path, name, fd)
        else:
            above = levels[-1].ignored
            ignored = None if above is None else above.below(name, fd)
        short = takes_any(components)
        levels.append(_WalkedFolder(fd, components, short, iter(names), inode, ignored))
        return True

    # -- entries of a folder ---------------------------------------------------------------------

    def _visit(self, levels: list[_WalkedFolder], child: _Name) -> SourceEntry | None:
        level = levels[-1]
        key, renamed, disk, name = child
        components = (*level.components, name)
        try:
            status = os.stat(disk, dir_fd=level.fd, follow_symlinks=False)
            link = os.readlink(disk, dir_fd=level.fd) if stat.S_ISLNK(status.st_mode) else None
            if (
                link is not None
                and self._follow_links
                and not self._is_left_out(level, components, disk, directory=False)
            ):
                status = self._follow(levels, components, disk)
                link = None
        except FileNotFoundError:
            self._skip(components, "changed")
            return None
        except OSError:
            self._skip(components, "unreadable")
            return None
        reason = self._reason(levels, components, child, status, link)
        if reason is not None:
            self._skip(components, reason)
            return None
        level.last = key
        if renamed:
            self._reader.renamed(components, disk)
            self._note_renamed(components, disk)
        if stat.S_ISDIR(status.st_mode):
            return _folder(components, status)
        if link is not None:
            return _symlink(components, status, link)
        return self._file(
            components, status, lambda: self._reader.open_child(components, disk, level.fd)
        )

    def _follow(
        self, levels: list[_WalkedFolder], components: tuple[str, ...], disk: str
    ) -> os.stat_result:
        """The status of the target of a link. It is the status of the link itself if the link leads
        nowhere, or to a folder that contains it."""
        level = levels[-1]
        try:
            status = os.stat(disk, dir_fd=level.fd)
        except OSError:
            return os.stat(disk, dir_fd=level.fd, follow_symlinks=False)
        if any(inode_of(status) == above.inode for above in levels):
            return os.stat(disk, dir_fd=level.fd, follow_symlinks=False)
        self._reader.follow(components, inode_of(status))
        return status

    def _reason(
        self,
        levels: list[_WalkedFolder],
        components: tuple[str, ...],
        child: _Name,
        status: os.stat_result,
        link: str | None,
    ) -> Reason | None:
        """The reason to leave an entry out, or None if it is sent. A folder that is sent is entered
        here."""
        level = levels[-1]
        key, _, disk, name = child
        directory = stat.S_ISDIR(status.st_mode)
        if self._is_left_out(level, components, disk, directory=directory):
            return "excluded"
        if stat.S_ISLNK(status.st_mode):
            if link is None or kept_target(components, link) is None:
                return "link"
        elif not (directory or stat.S_ISREG(status.st_mode)):
            return "special"
        problem = check_name(name) if level.short else check_path(components)
        if problem is not None or key == level.last:
            return "name"
        if directory:
            readable = self._descend(levels, components, disk, inode_of(status))
        else:
            readable = link is not None or os.access(
                disk, os.R_OK, dir_fd=level.fd, effective_ids=_EFFECTIVE
            )
        return None if readable else "unreadable"

    def _is_left_out(
        self, level: _WalkedFolder, components: tuple[str, ...], disk: str, *, directory: bool
    ) -> bool:
        ignored = level.ignored is not None and level.ignored.ignores(disk, directory=directory)
        return ignored or self._filter.excludes(components, directory=directory)

    def _file(
        self, components: tuple[str, ...], status: os.stat_result, opened: Callable[[], int]
    ) -> SourceEntry:
        inode = inode_of(status)
        if (
            status.st_nlink > 1
            and not self._reader.is_followed(components)
            and (first := self._first(inode, status)) is not None
        ):
            return SourceEntry(Entry(EntryKind.HARD_LINK, components, 0, 0, 0, first=first), inode)
        mode, mtime_ns = status.st_mode & 0o777, mtime_ns_of(status)
        entry = Entry(EntryKind.FILE, components, mode, mtime_ns, status.st_size)
        if may_be_sparse(status) and (data := _measured(opened, status)) < status.st_size:
            entry = entry._replace(kind=EntryKind.SPARSE, data=data)
        return SourceEntry(entry, inode)

    def _first(self, inode: Inode, status: os.stat_result) -> int | None:
        """The number of the entry under which this file was sent first. None if the present entry
        is the first one."""
        first, left = self._linked.pop(inode, (self._count, status.st_nlink))
        if left > 1:
            self._linked[inode] = (first, left - 1)
        return None if first == self._count else first

    def _skip(self, components: tuple[str, ...], reason: Reason) -> None:
        self._skipped.append(Skipped("/".join(components), reason))

    def _note_renamed(self, components: tuple[str, ...], disk: str) -> None:
        if wire_name(disk) != disk:
            self._renamed.append(("/".join((*components[:-1], disk)), components[-1]))


def _folder(components: tuple[str, ...], status: os.stat_result) -> SourceEntry:
    mode = status.st_mode & 0o777
    entry = Entry(EntryKind.DIRECTORY, components, mode, mtime_ns_of(status), 0)
    return SourceEntry(entry, inode_of(status))


def _symlink(components: tuple[str, ...], status: os.stat_result, link: str) -> SourceEntry:
    target = kept_target(components, link) or ""
    entry = Entry(EntryKind.SYMLINK, components, 0, mtime_ns_of(status), 0, target=target)
    return SourceEntry(entry, inode_of(status))


def _named(disk: str) -> _Name:
    """The tuple for one name on the disk. Sorted tuples are in canonical order. Of names with the
    same key, one that is sent unchanged comes first."""
    sent = wire_name(disk)
    return fold(sent), sent != disk, disk, sent


def _measured(opened: Callable[[], int], status: os.stat_result) -> int:
    """The number of bytes of a file that are data, without holes. All of them if the system reports
    no holes."""
    try:
        fd = opened()
        try:
            same = inode_of(os.fstat(fd)) == inode_of(status)
            return measure(fd, status.st_size) if same else status.st_size
        finally:
            os.close(fd)
    except OSError:
        return status.st_size
