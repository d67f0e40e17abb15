"""The content of files, as items packed into DATA records: chunks, trailers and failures.

    CHUNK   = 0x01 || file[4] || offset[8] || length[4] || bytes
    TRAILER = 0x02 || file[4] || size[8] || hash[32]
    FAILED  = 0x03 || file[4] || reason[1]

`file` is the entry's number in the manifest. Small files share records, so no file costs a round trip; a chunk never crosses a segment
boundary, so every segment is hashed by itself while it streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TypeAlias

from tallow_core.errors import IntegrityError
from tallow_core.protocol.manifest import Entry, EntryKind
from tallow_core.protocol.schedule import FILE_CONTEXT, SEGMENT_CONTEXT
from tallow_core.protocol.wire import Reader, malformed
from tallow_core.secrets import equal
from tallow_core.spi.hash import Hash, Hasher
from tallow_core.text import printable
from tallow_core.types import ReadBuffer

CHUNK = Struct(">BIQI")
TRAILER = Struct(">BIQ32s")
FAILED = Struct(">BIB")
_TREE = Struct(">QI")
_ITEM, _CHUNK_REST, _TRAILER_REST = Struct(">BI"), Struct(">QI"), Struct(">Q32s")


class Item(IntEnum):
    """Numbers of items; never reused."""

    CHUNK = 0x01
    TRAILER = 0x02
    FAILED = 0x03


class Reason(IntEnum):
    """Why the sender could not send a file it had offered."""

    UNREADABLE = 1
    CHANGED = 2


class FileHash:
    """A file's hash = H("tallow/1 file", size[8] || segment size[4] || H("tallow/1 segment", segment) in order)."""

    def __init__(self, driver: type[Hash], segment_size: int) -> None:
        self._driver = driver
        self.segment_size = segment_size
        self._tree = bytearray()
        self._segment: Hasher | None = None
        self.size = 0

    @property
    def room(self) -> int:
        """Bytes up to the next segment boundary."""
        return self.segment_size - self.size % self.segment_size

    def update(self, data: ReadBuffer) -> None:
        """Take the next bytes, at most `room` of them."""
        if self._segment is None:
            self._segment = self._driver.hasher(SEGMENT_CONTEXT)
        self._segment.update(data)
        self.size += len(data)
        if self.size % self.segment_size == 0:
            self._close_segment()

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._tree += self._segment.digest()
            self._segment = None

    def digest(self) -> bytes:
        """The hash of the whole file."""
        self._close_segment()
        hasher = self._driver.hasher(FILE_CONTEXT)
        hasher.update(_TREE.pack(self.size, self.segment_size))
        hasher.update(self._tree)
        return hasher.digest()


@dataclass(frozen=True, slots=True)
class Directory:
    """The next entry is a folder."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class FileBegin:
    """The next entry is a file; its chunks follow."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class FileChunk:
    """Bytes of the current file. `data` is valid until the next record is received."""

    offset: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class FileVerified:
    """The current file is whole and its hash is right."""

    entry: Entry
    size: int
    tree_hash: bytes


@dataclass(frozen=True, slots=True)
class FileFailed:
    """The sender could not send the current file."""

    entry: Entry
    reason: int


Event: TypeAlias = Directory | FileBegin | FileChunk | FileVerified | FileFailed


class ContentReader:
    """Checks what arrives against the manifest, in its order; never holds more than the state of one file.

    `entries` are those of the manifest, in order; `most` bounds a file whose size is not known.
    """

    def __init__(self, entries: Iterable[Entry], segment_size: int, driver: type[Hash], most: int) -> None:
        self._entries = enumerate(entries)
        self._segment_size = segment_size
        self._driver = driver
        self._most = most
        self._current: tuple[int, Entry, FileHash] | None = None

    def record(self, body: memoryview) -> Iterator[Event]:
        """The events of one DATA record; raises `RemoteProtocolError` or `IntegrityError`."""
        reader = Reader(body, "Data")
        while reader.left:
            kind, number = reader.fields(_ITEM)
            if self._current is None:
                yield from self._advance(number)
            if self._current is None or self._current[0] != number:
                raise malformed(f"data of entry {number} out of order")
            _, entry, running = self._current
            if kind == Item.CHUNK:
                yield self._chunk(reader, entry, running)
            elif kind == Item.TRAILER:
                yield self._trailer(reader, entry, running)
            elif kind == Item.FAILED:
                self._current = None
                yield FileFailed(entry, reader.u8())
            else:
                raise malformed(f"an item of kind {kind}")

    def end(self) -> Iterator[Event]:
        """After the final record: the folders that are left. Raises `RemoteProtocolError` if a file is."""
        if self._current is not None:
            raise malformed("the data ended within a file")
        for _, entry in self._entries:
            if entry.kind != EntryKind.DIRECTORY:
                raise malformed("the data ended before the last file")
            yield Directory(entry)

    def _advance(self, number: int) -> Iterator[Event]:
        for at, entry in self._entries:
            if entry.kind == EntryKind.DIRECTORY:
                yield Directory(entry)
                continue
            if at == number:
                self._current = (at, entry, FileHash(self._driver, self._segment_size))
                yield FileBegin(entry)
            return

    def _chunk(self, reader: Reader, entry: Entry, running: FileHash) -> FileChunk:
        offset, length = reader.fields(_CHUNK_REST)
        most = self._most if entry.size is None else entry.size
        if offset != running.size or not 0 < length <= running.room:
            raise malformed("a chunk out of place")
        if offset + length > most:
            raise malformed(f"more bytes of {printable(entry.components[-1])} than the {most} that are allowed")
        data = reader.view(length)
        running.update(data)
        return FileChunk(offset, data)

    def _trailer(self, reader: Reader, entry: Entry, running: FileHash) -> FileVerified:
        size, digest = reader.fields(_TRAILER_REST)
        self._current = None
        if size != running.size or (entry.size is not None and size != entry.size) or not equal(digest, running.digest()):
            raise IntegrityError(f"{printable('/'.join(entry.components))} did not arrive as it was sent; ask for it again")
        return FileVerified(entry, size, digest)
