"""The read seam: the sender reads all content, of large files and small ones, from an
`OpenedSource`."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from tallow_core.errors import FileSystemError
from tallow_core.files.extents import data_extents
from tallow_core.files.os_faults import ChangedError, explain
from tallow_core.files.source.source_entry import SourceEntry, changed_error, inode_of, mtime_ns_of
from tallow_core.protocol.transfer.manifest_entry import EntryKind


class OpenedSource(ABC):
    """A source that is open for reading, at its start. Failures are `FileSystemError`s. `size` is
    its size in bytes as it was offered; it is None if only its end shows it."""

    size: int | None

    def extents(self) -> Iterable[tuple[int, int]] | None:
        """The parts (start, end) that hold data, in order; what is between them is zeros. None if
        all of it is data.

        The source is positioned at the start of each part when that is taken.
        """
        return None

    @abstractmethod
    async def read_into(self, buffer: memoryview) -> int:
        """Read on into `buffer`; returns how many bytes were read, 0 at the end."""

    def read_now(self, buffer: memoryview) -> bool:
        """Read all of a small source into `buffer`, which has its size, without waiting; False if
        that is not possible: then nothing was read. What is read is checked as by `check`."""
        return False

    @abstractmethod
    def check(self) -> None:
        """Raise `ChangedError` if what was read may not be one state of the source."""

    @abstractmethod
    def close(self) -> None:
        """Close the source. Idempotent."""


class OpenedFile(OpenedSource):
    """A regular file that `SourceTree` found, read inline. Owns `fd`."""

    __slots__ = ("_source", "fd", "size")

    def __init__(self, fd: int, source: SourceEntry) -> None:
        self.fd = fd
        self.size: int | None = source.entry.size
        self._source = source

    def extents(self) -> Iterator[tuple[int, int]] | None:
        """The data extents of a file that was offered with holes, else None."""
        return self._extents() if self._source.entry.kind == EntryKind.SPARSE else None

    def _extents(self) -> Iterator[tuple[int, int]]:
        left = self._source.entry.data
        try:
            for start, end in data_extents(self.fd, self.size or 0):
                left -= end - start
                if left < 0:
                    raise ChangedError("it has fewer holes than it had")
                yield start, end
        except OSError as error:
            raise explain(error, "read", self._path) from error

    async def read_into(self, buffer: memoryview) -> int:
        """Read inline: a hop to a thread costs more than it gains."""
        return read_inline(self.fd, buffer)

    def read_now(self, buffer: memoryview) -> bool:
        """Read all of it in one call."""
        count = _read(self.fd, buffer)
        self.check()  # first: a file that was changed explains every failure to read
        if isinstance(count, OSError):
            raise explain(count, "read", self._path) from count
        if count != len(buffer):
            raise changed_error(self._path)
        return True

    def check(self) -> None:
        """Raise `ChangedError` unless it is the file that was offered, of the same size and
        time."""
        try:
            status = os.fstat(self.fd)
        except OSError as error:
            raise explain(error, "read", self._path) from error
        entry, inode = self._source
        same = (
            inode_of(status) == inode
            and status.st_size == entry.size
            and mtime_ns_of(status) == entry.mtime_ns
        )
        if not same or not stat.S_ISREG(status.st_mode):
            raise changed_error(self._path)

    def close(self) -> None:
        """Close the descriptor."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    @property
    def _path(self) -> str:
        return "/".join(self._source.components)


def read_inline(fd: int, buffer: memoryview) -> int:
    """Read from a regular file; raises `FileSystemError`."""
    count = _read(fd, buffer)
    if isinstance(count, OSError):
        raise FileSystemError(f"it cannot be read: {count.strerror}") from count
    return count


def _read(fd: int, buffer: memoryview) -> int | OSError:
    try:
        return os.readv(fd, [buffer])
    except OSError as error:
        return error
