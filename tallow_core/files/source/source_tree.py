"""Reading what is sent: a tree walked in canonical order, and files opened again later without
being led astray.

A link named on the command line is followed, because the user named it. Inside a tree no link is,
unless the user asked for it: folders and files are opened one component at a time, relative to the
folder above, with O_NOFOLLOW, both when the tree is walked and when a file is read. A link that is
followed must still lead to the same file or folder then.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple

from tallow_core.errors import ConfigError, FileSystemError, UsageError
from tallow_core.files.extents import may_be_sparse, measure
from tallow_core.files.os_faults import ChangedError, explain
from tallow_core.files.skipped import Reason, Skipped
from tallow_core.files.source.ignore_patterns import Level, Patterns, outer_level
from tallow_core.files.source.wire_names import kept_target, wire_name
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.path_names import check_name, check_path, fold, takes_any
from tallow_core.text import printable

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
_EFFECTIVE = os.access in os.supports_effective_ids

_LAST_NS = (1 << 63) - 1
"""What 64 bits hold: the years 1677 to 2262. Times beyond are sent as the nearest of these."""

_Inode = tuple[int, int]
_Name = tuple[str, bool, str, str]
"""A name's key (`fold`), whether it is sent otherwise than it is on the disk, how it is there, and
how it is sent."""


class Choice(NamedTuple):
    """What of a tree is sent: what no pattern of `exclude` names, with `git` what git does not
    ignore; `follow`: links are followed."""

    follow: bool = False
    git: bool = False
    exclude: tuple[str, ...] = ()


class SourceEntry(NamedTuple):
    """A folder, file or link to send; `inode` is (device, number)."""

    entry: Entry
    inode: _Inode

    @property
    def components(self) -> tuple[str, ...]:
        """Its path."""
        return self.entry.components

    @property
    def directory(self) -> bool:
        """Whether it is a folder."""
        return self.entry.kind == EntryKind.DIRECTORY


class _Top(NamedTuple):
    path: str
    directory: bool
    inode: _Inode


@dataclass(slots=True, eq=False, repr=False)
class _Level:
    """A folder being walked: the names still to come (`_Name`), and the key of the last one that
    was sent."""

    fd: int
    components: tuple[str, ...]
    short: bool
    """Whether the path of what lies in it is as good as its name."""
    names: Iterator[_Name]
    inode: _Inode
    ignored: Level | None
    last: str = ""


@dataclass(slots=True, eq=False, repr=False)
class _Found:
    """What one walk has come across that is needed later: memory for what is out of the ordinary
    only."""

    count: int = 0
    linked: dict[_Inode, tuple[int, int]] = field(default_factory=dict)
    """Files with several names: the number of the first one that is sent, and how many names are
    still to come."""
    disk: dict[tuple[str, ...], str] = field(default_factory=dict)
    """What is called otherwise on the disk than it is sent."""
    followed: dict[tuple[str, ...], _Inode] = field(default_factory=dict)
    """Links that are sent as what they lead to."""


class Sources:
    """The files and folders that were named to be sent; each becomes a top-level name.

    A path that is not there, or is neither file nor folder, is a `FileSystemError`; two paths with
    one name, the root of the file system, or a name that may not be sent is a `UsageError`. Not for
    several threads at once.
    """

    def __init__(self, paths: Sequence[str], choice: Choice | None = None) -> None:
        if os.open not in os.supports_dir_fd:
            raise ConfigError(
                "Sending files needs a system that opens them relative to a folder (Linux, macOS,"
                " BSD): send through '-'."
            )
        self._choice = choice or Choice()
        self.skipped: list[Skipped] = []
        self.renamed: list[tuple[str, str]] = []
        """Paths (raw) with a name that is not UTF-8, and the names they are sent under."""
        self._exclude = Patterns(self._choice.exclude) if self._choice.exclude else None
        self._tops = _tops(paths)
        self._held: list[tuple[str, int]] = []
        self._held_path: tuple[str, ...] = ()
        self._found = _Found()

    def __enter__(self) -> Sources:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the folders that `open` keeps. Idempotent."""
        self._release(0)

    def walk(self) -> Iterator[SourceEntry]:
        """Yield all entries in the canonical order of `TreeOrder`, holding one list of names for
        each folder on the way down.

        What is left out is in `skipped`, which each walk starts anew: links that lead out of their
        tree, special files, what cannot be read, what is excluded, and names that may not be sent
        or that collide with the one before on some file system.
        """
        self.skipped.clear()
        self.renamed.clear()
        self._found = _Found()
        for name, top in self._tops.items():
            for entry in self._walk_top(name, top):
                yield entry
                self._found.count += 1

    def open(self, source: SourceEntry) -> int:
        """Open a file that `walk` yielded, for reading, and return the descriptor, which is the
        caller's.

        A file that is not as it was, is another one, or lies behind a link by now, is a
        `ChangedError`; one that cannot be opened another `FileSystemError`. Fast when files are
        opened in the order of the walk.
        """
        path = "/".join(source.components)
        try:
            fd = self._open(source.components)
        except OSError as error:
            raise (
                _changed(path) if error.errno in _GONE else explain(error, "read", path)
            ) from error
        try:
            check_unchanged(fd, source)
        except FileSystemError:
            os.close(fd)
            raise
        return fd

    def read(self, source: SourceEntry, buffer: memoryview) -> None:
        """Read a whole file that `walk` yielded into `buffer`, which is of its size; raises what
        `open` raises. Nothing is to be made of what is in `buffer` then."""
        try:
            fd = self._open(source.components)
            try:
                count = _read(fd, buffer)
                check_unchanged(
                    fd, source
                )  # what else it may be is told by that, whatever reading it came to
            finally:
                os.close(fd)
        except OSError as error:
            path = "/".join(source.components)
            raise (
                _changed(path) if error.errno in _GONE else explain(error, "read", path)
            ) from error
        if isinstance(count, OSError):
            raise explain(count, "read", "/".join(source.components)) from count
        if count != len(buffer):
            raise _changed("/".join(source.components))

    def _walk_top(self, name: str, top: _Top) -> Iterator[SourceEntry]:
        try:
            status = os.stat(top.path)
        except FileNotFoundError:
            self._skip((name,), "changed")
            return
        except OSError as error:
            raise explain(error, "read", top.path) from error
        if _inode(status) != top.inode:
            raise _changed(top.path)
        if self._excluded((name,), directory=top.directory):
            self._skip((name,), "excluded")
            return
        self._tell_renamed((name,), os.path.basename(top.path.rstrip(os.sep)))
        if not os.access(top.path, os.R_OK, effective_ids=_EFFECTIVE):
            self._skip((name,), "unreadable")
        elif top.directory:
            yield from self._walk_folder(name, status)
        else:
            yield self._entry((name,), status, lambda: os.open(top.path, _FILE))

    def _walk_folder(self, name: str, status: os.stat_result) -> Iterator[SourceEntry]:
        levels: list[_Level] = []
        try:
            if self._descend(levels, (name,), name, _inode(status)):
                yield self._entry((name,), status)
            while levels:
                if (child := next(levels[-1].names, None)) is None:
                    os.close(levels.pop().fd)
                elif (entry := self._visit(levels, child)) is not None:
                    yield entry
        finally:
            for level in levels:
                os.close(level.fd)

    def _descend(
        self, levels: list[_Level], components: tuple[str, ...], name: str, inode: _Inode
    ) -> bool:
        fd = -1
        try:
            fd = (
                self._open_folder(components, name, levels[-1].fd)
                if levels
                else self._open_top(components[0])
            )
            names = sorted([_named(name) for name in os.listdir(fd)])
        except (OSError, ChangedError) as error:
            if fd >= 0:
                os.close(fd)
            if not levels and isinstance(error, ChangedError):
                raise
            return False
        ignored = None
        if self._choice.git:
            above = levels[-1].ignored if levels else outer_level(self._tops[components[0]].path)
            ignored = (above or Level()).below(name, fd)
        levels.append(_Level(fd, components, takes_any(components), iter(names), inode, ignored))
        return True

    def _visit(self, levels: list[_Level], child: _Name) -> SourceEntry | None:
        level = levels[-1]
        key, renamed, disk, name = child
        components = (*level.components, name)
        try:
            status = os.stat(disk, dir_fd=level.fd, follow_symlinks=False)
            link = os.readlink(disk, dir_fd=level.fd) if stat.S_ISLNK(status.st_mode) else None
            if (
                link is not None
                and self._choice.follow
                and not self._left_out(level, components, disk, directory=False)
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
            self._found.disk[components] = disk
            self._tell_renamed(components, disk)
        return self._entry(
            components,
            status,
            lambda: os.open(disk, _FILE | self._nofollow(components), dir_fd=level.fd),
            link,
        )

    def _follow(
        self, levels: list[_Level], components: tuple[str, ...], disk: str
    ) -> os.stat_result:
        """What a link leads to; the link itself if that is nothing, or a folder that it lies in."""
        level = levels[-1]
        try:
            status = os.stat(disk, dir_fd=level.fd)
        except OSError:
            return os.stat(disk, dir_fd=level.fd, follow_symlinks=False)
        if any(_inode(status) == above.inode for above in levels):
            return os.stat(disk, dir_fd=level.fd, follow_symlinks=False)
        self._found.followed[components] = _inode(status)
        return status

    def _reason(
        self,
        levels: list[_Level],
        components: tuple[str, ...],
        child: _Name,
        status: os.stat_result,
        link: str | None,
    ) -> Reason | None:
        """Why an entry is left out, if it is; a folder that is not has been entered."""
        level = levels[-1]
        key, _, disk, name = child
        directory = stat.S_ISDIR(status.st_mode)
        if self._left_out(level, components, disk, directory=directory):
            return "excluded"
        if stat.S_ISLNK(status.st_mode):
            if link is None or kept_target(components, link) is None:
                return "link"
        elif not (directory or stat.S_ISREG(status.st_mode)):
            return "special"
        if (
            check_name(name) if level.short else check_path(components)
        ) is not None or key == level.last:
            return "name"
        if directory:
            readable = self._descend(levels, components, disk, _inode(status))
        else:
            readable = link is not None or os.access(
                disk, os.R_OK, dir_fd=level.fd, effective_ids=_EFFECTIVE
            )
        return None if readable else "unreadable"

    def _left_out(
        self, level: _Level, components: tuple[str, ...], disk: str, *, directory: bool
    ) -> bool:
        ignored = level.ignored is not None and level.ignored.ignores(disk, directory=directory)
        return ignored or self._excluded(components, directory=directory)

    def _excluded(self, components: tuple[str, ...], *, directory: bool) -> bool:
        return self._exclude is not None and self._exclude.match(
            "/".join(components), directory=directory
        )

    def _entry(
        self,
        components: tuple[str, ...],
        status: os.stat_result,
        opened: Callable[[], int] | None = None,
        link: str | None = None,
    ) -> SourceEntry:
        mtime_ns, inode = _mtime(status), _inode(status)
        if opened is None or stat.S_ISDIR(status.st_mode):
            return SourceEntry(
                Entry(EntryKind.DIRECTORY, components, status.st_mode & 0o777, mtime_ns, 0), inode
            )
        if link is not None:
            return SourceEntry(
                Entry(
                    EntryKind.SYMLINK,
                    components,
                    0,
                    mtime_ns,
                    0,
                    target=kept_target(components, link) or "",
                ),
                inode,
            )
        if (
            status.st_nlink > 1
            and components not in self._found.followed
            and (first := self._first(inode, status)) is not None
        ):
            return SourceEntry(Entry(EntryKind.HARD_LINK, components, 0, 0, 0, first=first), inode)
        entry = Entry(EntryKind.FILE, components, status.st_mode & 0o777, mtime_ns, status.st_size)
        if may_be_sparse(status) and (data := _measured(opened, status)) < status.st_size:
            entry = entry._replace(kind=EntryKind.SPARSE, data=data)
        return SourceEntry(entry, inode)

    def _first(self, inode: _Inode, status: os.stat_result) -> int | None:
        """The number of the entry that a file was first sent under, None if this is it."""
        first, left = self._found.linked.pop(inode, (self._found.count, status.st_nlink))
        if left > 1:
            self._found.linked[inode] = (first, left - 1)
        return None if first == self._found.count else first

    def _skip(self, components: tuple[str, ...], reason: Reason) -> None:
        self.skipped.append(Skipped("/".join(components), reason))

    def _tell_renamed(self, components: tuple[str, ...], disk: str) -> None:
        if wire_name(disk) != disk:
            self.renamed.append(("/".join((*components[:-1], disk)), components[-1]))

    # -- opening again ---------------------------------------------------------------------------

    def _open(self, components: tuple[str, ...]) -> int:
        if len(components) == 1:
            return os.open(self._tops[components[0]].path, _FILE)
        folder = self._reach(components[:-1])
        return os.open(self._on_disk(components), _FILE | self._nofollow(components), dir_fd=folder)

    def _reach(self, folders: tuple[str, ...]) -> int:
        """Return the descriptor of a folder, opening only what is not held from the file before."""
        if folders == self._held_path:
            return self._held[-1][1]
        same = 0
        while same < min(len(folders), len(self._held)) and self._held[same][0] == folders[same]:
            same += 1
        self._release(same)
        for depth in range(same, len(folders)):
            path = folders[: depth + 1]
            fd = (
                self._open_folder(path, self._on_disk(path), self._held[-1][1])
                if self._held
                else self._open_top(path[0])
            )
            self._held.append((path[-1], fd))
        self._held_path = folders
        return self._held[-1][1]

    def _on_disk(self, components: tuple[str, ...]) -> str:
        return (
            self._found.disk.get(components, components[-1]) if self._found.disk else components[-1]
        )

    def _nofollow(self, components: tuple[str, ...]) -> int:
        return 0 if components in self._found.followed else _NOFOLLOW

    def _open_folder(self, components: tuple[str, ...], name: str, parent: int) -> int:
        fd = os.open(name, _FOLDER | self._nofollow(components), dir_fd=parent)
        inode = self._found.followed.get(components)
        if inode is not None and _inode(os.fstat(fd)) != inode:
            os.close(fd)
            raise _changed("/".join(components))
        return fd

    def _open_top(self, name: str) -> int:
        top = self._tops[name]
        fd = os.open(top.path, _FOLDER)
        if _inode(os.fstat(fd)) != top.inode:
            os.close(fd)
            raise _changed(top.path)
        return fd

    def _release(self, keep: int) -> None:
        self._held_path = ()
        while len(self._held) > keep:
            os.close(self._held.pop()[1])


def check_unchanged(fd: int, source: SourceEntry) -> None:
    """Raise `ChangedError` unless the open file is the one that was offered, of the same size and
    time."""
    status, entry = os.fstat(fd), source.entry
    same = (
        (status.st_dev, status.st_ino) == source.inode
        and status.st_size == entry.size
        and _mtime(status) == entry.mtime_ns
    )
    if not same or not stat.S_ISREG(status.st_mode):
        raise _changed("/".join(entry.components))


def _read(fd: int, buffer: memoryview) -> int | OSError:
    try:
        return os.readv(fd, [buffer])
    except OSError as error:
        return error


def _named(disk: str) -> _Name:
    """Sorted, these are in canonical order; of names with one key, those that are sent as they are
    come first."""
    sent = wire_name(disk)
    return fold(sent), sent != disk, disk, sent


def _measured(opened: Callable[[], int], status: os.stat_result) -> int:
    """How much of a file is data: all of it if that cannot be told."""
    try:
        fd = opened()
        try:
            return (
                measure(fd, status.st_size)
                if _inode(os.fstat(fd)) == _inode(status)
                else status.st_size
            )
        finally:
            os.close(fd)
    except OSError:
        return status.st_size


def _mtime(status: os.stat_result) -> int:
    return min(max(status.st_mtime_ns, -_LAST_NS), _LAST_NS)


def _tops(paths: Sequence[str]) -> dict[str, _Top]:
    """Look at each path that was named, and return them by name in canonical order."""
    found: dict[str, tuple[str, _Top]] = {}
    for path in paths:
        top = _look(path)
        name = wire_name(_top_name(path))
        if reason := check_path((name,)):
            raise UsageError(f"{printable(path)!r} {reason}: rename it, then send it.")
        if (other := found.get(fold(name))) is not None:
            raise UsageError(
                f"{printable(other[1].path)!r} and {printable(path)!r} would arrive under one"
                " name: send them one by one."
            )
        found[fold(name)] = (name, top)
    return dict(found[key] for key in sorted(found))


def _top_name(path: str) -> str:
    name = os.path.basename(path.rstrip(os.sep))
    if name in {"", os.curdir, os.pardir}:
        name = os.path.basename(os.path.realpath(path))
    if not name:
        raise UsageError("The root of the file system cannot be sent: name the folders in it.")
    return name


def _look(path: str) -> _Top:
    try:
        status = os.stat(path)
    except OSError as error:
        raise explain(error, "send", path) from error
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        raise FileSystemError(
            f"Cannot send {printable(path)!r}: it is neither a file nor a folder; send what it"
            " yields through '-'."
        )
    return _Top(path, stat.S_ISDIR(status.st_mode), _inode(status))


def _inode(status: os.stat_result) -> _Inode:
    return status.st_dev, status.st_ino


def _changed(path: str) -> ChangedError:
    return ChangedError(
        f"{printable(path)!r} was changed while it was being sent: send it again when it is left"
        " alone."
    )
