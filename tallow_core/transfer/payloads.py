"""What is sent: files and folders, a text, or standard input."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from tallow_core.aio import detached
from tallow_core.errors import FileSystemError, UsageError
from tallow_core.files.extents import data_extents
from tallow_core.files.os_faults import ChangedError
from tallow_core.files.skipped import Skipped
from tallow_core.files.source.record_packer import FileSource, Source
from tallow_core.files.source.source_tree import Choice, SourceEntry, Sources, check_unchanged
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.offer_pages import OfferKind
from tallow_core.protocol.transfer.offer_reader import MAX_TEXT_BYTES

PAUSE_SECONDS = 0.05
"""How long a pipe may pause before what it has given is sent on."""


class Opened(Source, Protocol):
    """One file, open."""

    def extents(self) -> Iterable[tuple[int, int]] | None:
        """The parts that hold data, None if all of it does."""

    def check(self) -> None:
        """Raise `ChangedError` if what was read may not be one state of the file."""

    def close(self) -> None:
        """Close it again."""


class Payload(Protocol):
    """What is sent. `entries` may be walked once a session; `skipped` is what a walk left out,
    `renamed` what it gave another name.

    `key` names the same sources in a later run; None if they cannot be sent twice.
    """

    kind: OfferKind
    skipped: list[Skipped]
    renamed: list[tuple[str, str]]

    @property
    def key(self) -> str | None: ...

    def entries(self) -> Iterator[SourceEntry]: ...

    def open(self, source: SourceEntry) -> Opened: ...


class FilesPayload:
    """Files and folders."""

    kind = OfferKind.FILES

    def __init__(self, paths: list[str], choice: Choice | None = None) -> None:
        self.key: str | None = "\0".join([*map(os.path.realpath, paths), repr(choice or Choice())])
        self._sources = Sources(paths, choice)
        self.skipped = self._sources.skipped
        self.renamed = self._sources.renamed

    def entries(self) -> Iterator[SourceEntry]:
        """Walk the trees."""
        return self._sources.walk()

    def open(self, source: SourceEntry) -> Opened:
        """Open one file; raises `FileSystemError`."""
        return _OpenFile(self._sources.open(source), source)

    def read(self, source: SourceEntry, buffer: memoryview) -> None:
        """Read all of a small file into a buffer of its size; raises `FileSystemError`."""
        self._sources.read(source, buffer)


class _OpenFile(FileSource):
    def __init__(self, descriptor: int, source: SourceEntry) -> None:
        super().__init__(descriptor)
        self._fd = descriptor
        self._offered = source

    def extents(self) -> Iterator[tuple[int, int]] | None:
        return (
            self._extents(self._offered.entry)
            if self._offered.entry.kind == EntryKind.SPARSE
            else None
        )

    def _extents(self, entry: Entry) -> Iterator[tuple[int, int]]:
        left = entry.data
        try:
            for start, end in data_extents(self._fd, entry.size or 0):
                left -= end - start
                if left < 0:
                    raise ChangedError("it has fewer holes than it had")
                yield start, end
        except OSError as error:
            raise FileSystemError(f"it cannot be read: {error.strerror}") from error

    def check(self) -> None:
        check_unchanged(self._fd, self._offered)

    def close(self) -> None:
        os.close(self._fd)


class _Whole:
    """What has no holes, does not change, and needs no closing."""

    def extents(self) -> None:
        """All of it is data."""

    def check(self) -> None:
        """It is as it is."""

    def close(self) -> None:
        """It stays open."""


class TextPayload:
    """One text message."""

    kind = OfferKind.TEXT
    key = None

    def __init__(self, text: str) -> None:
        try:
            self._data = text.encode()
        except UnicodeEncodeError:
            raise UsageError(
                "that text is not valid in this terminal's encoding; send it as a file"
            ) from None
        if len(self._data) > MAX_TEXT_BYTES:
            raise FileSystemError(f"a text has at most {MAX_TEXT_BYTES} bytes; send it as a file")
        self.skipped: list[Skipped] = []
        self.renamed: list[tuple[str, str]] = []

    def entries(self) -> Iterator[SourceEntry]:
        """The one entry."""
        yield _single("text.txt", len(self._data))

    def open(self, source: SourceEntry) -> Opened:
        """The bytes of the text."""
        return _Memory(self._data)


class _Memory(_Whole):
    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)

    async def read_into(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class StreamPayload:
    """Standard input: its size is known at its end."""

    kind = OfferKind.STREAM
    key = None

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.skipped: list[Skipped] = []
        self.renamed: list[tuple[str, str]] = []

    def entries(self) -> Iterator[SourceEntry]:
        """The one entry."""
        yield _single("stdin", None)

    def open(self, source: SourceEntry) -> Opened:
        """A regular file is read inline, a pipe or terminal on a thread."""
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            return _Redirected(self._descriptor)
        return _Pipe(self._descriptor)


def _single(name: str, size: int | None) -> SourceEntry:
    return SourceEntry(Entry(EntryKind.FILE, (name,), 0o600, time.time_ns(), size), (0, 0))


class _Redirected(_Whole, FileSource):
    """Standard input from a regular file."""


class _Pipe(_Whole):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def read_into(self, buffer: memoryview) -> int:
        def fill() -> int:
            got = os.readv(self._descriptor, [buffer])
            while (
                0 < got < len(buffer)
                and select.select([self._descriptor], [], [], PAUSE_SECONDS)[0]
            ):
                count = os.readv(self._descriptor, [buffer[got:]])
                if not count:
                    break
                got += count
            return got

        try:
            return await detached(fill)
        except OSError as error:
            raise FileSystemError(f"standard input cannot be read: {error.strerror}") from error
