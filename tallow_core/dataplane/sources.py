"""Reading what is sent: a tree walked in canonical order, and files opened again later without being led astray.

A link named on the command line is followed, because the user named it. Inside a tree no link is: folders and files are opened one
component at a time, relative to the folder above, with O_NOFOLLOW, both when the tree is walked and when a file is read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from tallow_core.dataplane.faults import explain
from tallow_core.errors import ConfigError, FileSystemError, UsageError
from tallow_core.protocol.names import check_path, fold
from tallow_core.text import printable

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
_EFFECTIVE = os.access in os.supports_effective_ids

_LAST_NS = (1 << 63) - 1
"""What 64 bits hold: the years 1677 to 2262. Times beyond are sent as the nearest of these."""

Reason = Literal["link", "special", "unreadable", "name", "exists"]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that was left out. `path` is raw text, joined by `/`: make it printable before it is shown."""

    path: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A folder or a regular file to send. `mode` has permission bits only; `size` is in bytes, 0 for a folder; `inode` is
    (device, number)."""

    directory: bool
    components: tuple[str, ...]
    mode: int
    mtime_ns: int
    size: int
    inode: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Top:
    path: str
    directory: bool
    inode: tuple[int, int]


@dataclass(slots=True)
class _Level:
    """A folder being walked: the names still to come, and the key of the last one that was sent."""

    fd: int
    components: tuple[str, ...]
    names: Iterator[str]
    last: str = ""


class Sources:
    """The files and folders that were named to be sent; each becomes a top-level name.

    A path that is not there, or is neither file nor folder, is a `FileSystemError`; two paths with one name, the root of the file
    system, or a name that may not be sent is a `UsageError`. Not for several threads at once.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        if os.open not in os.supports_dir_fd:
            raise ConfigError("Sending files needs a system that opens them relative to a folder (Linux, macOS, BSD): send through '-'.")
        self.skipped: list[Skipped] = []
        self._tops = _tops(paths)
        self._held: list[tuple[str, int]] = []

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the folders that `open` keeps. Idempotent."""
        self._release(0)

    def walk(self) -> Iterator[SourceEntry]:
        """Yield all entries in the canonical order of `TreeOrder`, holding one list of names for each folder on the way down.

        What is left out is in `skipped`, which each walk starts anew: links, special files, what cannot be read, and names that
        may not be sent or that collide with the one before on some file system.
        """
        self.skipped.clear()
        for name, top in self._tops.items():
            try:
                status = os.stat(top.path)
            except OSError as error:
                raise explain(error, "read", top.path) from error
            if _inode(status) != top.inode:
                raise _changed(top.path)
            if not os.access(top.path, os.R_OK, effective_ids=_EFFECTIVE):
                self._skip((name,), "unreadable")
            elif top.directory:
                yield from self._walk_folder(name, status)
            else:
                yield _entry((name,), status)

    def open(self, entry: SourceEntry) -> int:
        """Open a file that `walk` yielded, for reading, and return the descriptor, which is the caller's.

        A file that is not the same one any more, or lies behind a link by now, is a `FileSystemError`. Fast when files are opened in
        the order of the walk.
        """
        path = "/".join(entry.components)
        try:
            fd = self._open(entry.components)
        except OSError as error:
            raise _changed(path) if error.errno in _GONE else explain(error, "read", path) from error
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or _inode(status) != entry.inode:
            os.close(fd)
            raise _changed(path)
        return fd

    def _walk_folder(self, name: str, status: os.stat_result) -> Iterator[SourceEntry]:
        levels: list[_Level] = []
        try:
            if self._descend(levels, (name,)):
                yield _entry((name,), status)
            while levels:
                if (child := next(levels[-1].names, None)) is None:
                    os.close(levels.pop().fd)
                elif (entry := self._visit(levels, child)) is not None:
                    yield entry
        finally:
            for level in levels:
                os.close(level.fd)

    def _descend(self, levels: list[_Level], components: tuple[str, ...]) -> bool:
        fd = -1
        try:
            fd = os.open(components[-1], _FOLDER | _NOFOLLOW, dir_fd=levels[-1].fd) if levels else self._open_top(components[0])
            names = sorted(os.listdir(fd), key=lambda name: (fold(name), name))
        except OSError:
            if fd >= 0:
                os.close(fd)
            return False
        levels.append(_Level(fd, components, iter(names)))
        return True

    def _visit(self, levels: list[_Level], name: str) -> SourceEntry | None:
        level = levels[-1]
        components = (*level.components, name)
        try:
            status = os.stat(name, dir_fd=level.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError:
            self._skip(components, "unreadable")
            return None
        if (reason := _unfit(components, status, level.last) or self._unreadable(levels, components, status)) is not None:
            self._skip(components, reason)
            return None
        level.last = fold(name)
        return _entry(components, status)

    def _unreadable(self, levels: list[_Level], components: tuple[str, ...], status: os.stat_result) -> Reason | None:
        if stat.S_ISDIR(status.st_mode):
            readable = self._descend(levels, components)
        else:
            readable = os.access(components[-1], os.R_OK, dir_fd=levels[-1].fd, effective_ids=_EFFECTIVE)
        return None if readable else "unreadable"

    def _skip(self, components: tuple[str, ...], reason: Reason) -> None:
        self.skipped.append(Skipped("/".join(components), reason))

    def _open(self, components: tuple[str, ...]) -> int:
        if len(components) == 1:
            return os.open(self._tops[components[0]].path, _FILE)
        return os.open(components[-1], _FILE | _NOFOLLOW, dir_fd=self._reach(components[:-1]))

    def _reach(self, folders: tuple[str, ...]) -> int:
        """Return the descriptor of a folder, opening only what is not held from the file before."""
        same = 0
        while same < min(len(folders), len(self._held)) and self._held[same][0] == folders[same]:
            same += 1
        self._release(same)
        for name in folders[same:]:
            fd = os.open(name, _FOLDER | _NOFOLLOW, dir_fd=self._held[-1][1]) if self._held else self._open_top(name)
            self._held.append((name, fd))
        return self._held[-1][1]

    def _open_top(self, name: str) -> int:
        top = self._tops[name]
        fd = os.open(top.path, _FOLDER)
        if _inode(os.fstat(fd)) != top.inode:
            os.close(fd)
            raise _changed(top.path)
        return fd

    def _release(self, keep: int) -> None:
        while len(self._held) > keep:
            os.close(self._held.pop()[1])


def _tops(paths: Sequence[str]) -> dict[str, _Top]:
    """Look at each path that was named, and return them by name in canonical order."""
    found: dict[str, tuple[str, _Top]] = {}
    for path in paths:
        top = _look(path)
        name = _top_name(path)
        if reason := check_path((name,)):
            raise UsageError(f"{printable(path)!r} {reason}: rename it, then send it.")
        if (other := found.get(fold(name))) is not None:
            raise UsageError(f"{printable(other[1].path)!r} and {printable(path)!r} would arrive under one name: send them one by one.")
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
        raise FileSystemError(f"Cannot send {printable(path)!r}: it is neither a file nor a folder; send what it yields through '-'.")
    return _Top(path, stat.S_ISDIR(status.st_mode), _inode(status))


def _unfit(components: tuple[str, ...], status: os.stat_result, last: str) -> Reason | None:
    if stat.S_ISLNK(status.st_mode):
        return "link"
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        return "special"
    return "name" if check_path(components) is not None or fold(components[-1]) == last else None


def _entry(components: tuple[str, ...], status: os.stat_result) -> SourceEntry:
    directory = stat.S_ISDIR(status.st_mode)
    size = 0 if directory else status.st_size
    mtime_ns = min(max(status.st_mtime_ns, -_LAST_NS), _LAST_NS)
    return SourceEntry(directory, components, status.st_mode & 0o777, mtime_ns, size, _inode(status))


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _changed(path: str) -> FileSystemError:
    return FileSystemError(f"{printable(path)!r} was changed while it was being sent: send it again when it is left alone.")
