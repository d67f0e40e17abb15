"""The payloads that can be sent: files and folders, a text, or standard input."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Iterator
from typing import Protocol

from tallow_core.aio import detached
from tallow_core.errors import FileSystemError, UsageError
from tallow_core.files.skipped import Skipped
from tallow_core.files.source.opened_source import OpenedSource, read_inline
from tallow_core.files.source.source_entry import SourceEntry
from tallow_core.files.source.source_tree import SourceTree
from tallow_core.files.source.tree_filter import TreeOptions
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.offer_pages import OfferKind
from tallow_core.protocol.transfer.offer_reader import MAX_TEXT_BYTES

PAUSE_SECONDS = 0.05
"""The time that a pipe may pause before the data it has given is sent on."""


class Payload(Protocol):
    """The content of a transfer. `skipped` and `renamed` (raw path, name that is sent) are of the
    last walk."""

    kind: OfferKind
    skipped: list[Skipped]
    renamed: list[tuple[str, str]]

    @property
    def key(self) -> str | None:
        """Names the same sources in a later run; None if they cannot be sent twice."""

    def entries(self) -> Iterator[SourceEntry]:
        """Walk the sources, in the canonical order; once a session. Raises `FileSystemError`."""

    def open(self, source: SourceEntry) -> OpenedSource:
        """Open a file of the last walk; raises `FileSystemError`. The sender closes it."""

    def close(self) -> None:
        """Close what is kept open between files. It can be walked again after that."""


class FilesPayload:
    """A payload of files and folders."""

    kind = OfferKind.FILES

    def __init__(self, paths: list[str], options: TreeOptions | None = None) -> None:
        self.key: str | None = "\0".join(
            [*map(os.path.realpath, paths), repr(options or TreeOptions())]
        )
        self._tree = SourceTree(paths, options)
        self.skipped = self._tree.skipped
        self.renamed = self._tree.renamed

    def entries(self) -> Iterator[SourceEntry]:
        """Walk the trees."""
        return self._tree.walk()

    def open(self, source: SourceEntry) -> OpenedSource:
        """Open one file; raises `FileSystemError`."""
        return self._tree.open(source)

    def close(self) -> None:
        """Close the folders that are held."""
        self._tree.close()


class TextPayload:
    """A payload of one text message."""

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

    def open(self, source: SourceEntry) -> OpenedSource:
        """The bytes of the text."""
        return _OpenedText(self._data)

    def close(self) -> None:
        """Close nothing."""


class _FixedSource(OpenedSource):
    """A source that does not change and stays open."""

    def check(self) -> None:
        """Check nothing."""

    def close(self) -> None:
        """Close nothing."""


class _OpenedText(_FixedSource):
    def __init__(self, data: bytes) -> None:
        self.size: int | None = len(data)
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

    def open(self, source: SourceEntry) -> OpenedSource:
        """A regular file is read inline, a pipe or terminal on a thread."""
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            return _OpenedInput(self._descriptor)
        return _OpenedPipe(self._descriptor)

    def close(self) -> None:
        """Leave the descriptor open: it is the caller's."""


def _single(name: str, size: int | None) -> SourceEntry:
    return SourceEntry(Entry(EntryKind.FILE, (name,), 0o600, time.time_ns(), size), (0, 0))


class _OpenedInput(_FixedSource):
    """Standard input from a regular file."""

    def __init__(self, descriptor: int) -> None:
        self.size: int | None = None
        self._descriptor = descriptor

    async def read_into(self, buffer: memoryview) -> int:
        return read_inline(self._descriptor, buffer)


class _OpenedPipe(_FixedSource):
    """Standard input from a pipe or terminal, read on a thread."""

    def __init__(self, descriptor: int) -> None:
        self.size: int | None = None
        self._descriptor = descriptor

    async def read_into(self, buffer: memoryview) -> int:
        try:
            return await detached(lambda: self._fill(buffer))
        except OSError as error:
            raise FileSystemError(f"standard input cannot be read: {error.strerror}") from error

    def _fill(self, buffer: memoryview) -> int:
        """Read until the buffer is full, the input ends, or it pauses."""
        got = os.readv(self._descriptor, [buffer])
        while 0 < got < len(buffer) and select.select([self._descriptor], [], [], PAUSE_SECONDS)[0]:
            count = os.readv(self._descriptor, [buffer[got:]])
            if not count:
                break
            got += count
        return got
