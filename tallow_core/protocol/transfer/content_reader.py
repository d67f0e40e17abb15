"""Reading the content of files at the receiver, in the order of the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from struct import Struct
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from tallow_core.errors import IntegrityError
from tallow_core.protocol.codec.wire import Reader, malformed
from tallow_core.protocol.transfer.content_items import (
    CHUNK,
    MAX_PACKED_BYTES,
    PACKED,
    TRAILER,
    ItemType,
)
from tallow_core.protocol.transfer.file_hash import FileHash, hash_whole
from tallow_core.protocol.transfer.manifest_entry import FILES, Entry, EntryKind
from tallow_core.secrets import equal
from tallow_core.spi.compressor import Compressor
from tallow_core.spi.hash import Hash
from tallow_core.text import printable

_ITEM, _CHUNK_REST, _TRAILER_REST = Struct(">BI"), Struct(">QI"), Struct(">Q32s")
_CHUNK, _TRAILER, _PACKED = int(ItemType.CHUNK), int(ItemType.TRAILER), int(ItemType.PACKED)
_NOTHING = memoryview(b"")


class Passed(NamedTuple):
    """An entry without content (a folder or a link), at its place in the order."""

    number: int
    entry: Entry


class FileBegin(NamedTuple):
    """The next entry is a file; its content follows."""

    number: int
    entry: Entry


class FileChunk(NamedTuple):
    """Bytes of the current file. `data` is valid until the next event is taken; `packed` if they
    came compressed."""

    offset: int
    data: memoryview
    packed: bool = False


class FileHole(NamedTuple):
    """Zeros of the current file."""

    offset: int
    length: int


class FileVerified(NamedTuple):
    """The current file is whole and its hash is right."""

    entry: Entry
    size: int
    tree_hash: bytes


class FileWhole(NamedTuple):
    """A small file that came in one piece, whole and with the right hash. It is the file's only
    event.

    `data` is valid until the next event is taken if it came packed, else as long as the record.
    """

    number: int
    entry: Entry
    data: memoryview
    tree_hash: bytes


class FileFailed(NamedTuple):
    """The sender could not send the current file."""

    number: int
    entry: Entry
    reason: int


ContentEvent: TypeAlias = (
    Passed | FileBegin | FileChunk | FileHole | FileVerified | FileWhole | FileFailed
)


def _all(_number: int) -> bool:
    return True


def _ignore(_number: int, _segment: int, _digest: bytes) -> None:
    """The default for `segment`."""


class ContentReader:
    """Checks the items that arrive against the manifest, in its order. Holds the state of one file.

    `entries`: those of the manifest, in order.
    `chosen`: takes the number of a file, returns whether its content was asked for.
    `most`: the maximum in bytes of a file of unknown size.
    `compressor`: that of the suite; None refuses packed chunks.
    `begun`: file -> the joined hashes of its segments that are here already. Such a file continues
    behind them.
    `segment`: called with (file, segment, hash) for each whole segment, after the caller has
    handled the segment's last event.
    `wholes`: small files may come as `FileWhole`.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        segment_size: int,
        driver: type[Hash],
        most: int,
        chosen: Callable[[int], bool] = _all,
        compressor: type[Compressor] | None = None,
        begun: Mapping[int, bytes] = MappingProxyType({}),
        segment: Callable[[int, int, bytes], None] = _ignore,
        *,
        wholes: bool = False,
    ) -> None:
        self._entries = enumerate(entries)
        self._awaited: tuple[int, Entry] | None = None
        self._segment_size = segment_size
        self._driver = driver
        self._most = most
        self._chosen = chosen
        self._begun = begun
        self._segment = segment
        self._wholes = wholes
        self._current: tuple[int, Entry, FileHash] | None = None
        self._data = 0
        self._unpacker = compressor() if compressor else None
        self._unpacked = memoryview(b"")

    def record(self, body: memoryview) -> Iterator[ContentEvent]:
        """The events of one DATA record. Raises `RemoteProtocolError` or `IntegrityError`."""
        reader = Reader(body, "Data")
        while reader.left:
            if self._current is None:
                for at, entry in self._entries if self._awaited is None else ():
                    if entry.kind not in FILES:
                        yield Passed(at, entry)
                    elif self._chosen(at):
                        self._awaited = at, entry
                        break
                if (whole := self._whole(reader)) is not None:
                    yield whole
                    continue
            kind, number = reader.fields(_ITEM)
            if (begin := self._begin(number)) is not None:
                yield begin
            if self._current is None or self._current[0] != number:
                raise malformed(f"data of entry {number} out of order")
            _, entry, running = self._current
            if kind == ItemType.CHUNK:
                yield self._chunk(reader, entry, running)
                self._report_segment(number, running)
            elif kind == ItemType.TRAILER:
                yield self._trailer(reader, entry, running)
            elif kind == ItemType.HOLE:
                yield self._hole(reader, entry, running)
                self._report_segment(number, running)
            elif kind == ItemType.PACKED:
                yield self._packed(reader, entry, running)
                self._report_segment(number, running)
            elif kind == ItemType.FAILED:
                self._current = None
                yield FileFailed(number, entry, reader.u8())
            else:
                raise malformed(f"an item of kind {kind}")

    def end(self) -> Iterator[ContentEvent]:
        """The events after the final record: the remaining folders and links. Raises
        `RemoteProtocolError` if a file remains."""
        if self._current is not None:
            raise malformed("the data ended within a file")
        for number, entry in self._entries:
            if entry.kind not in FILES:
                yield Passed(number, entry)
            elif self._chosen(number):
                raise malformed("the data ended before the last file")

    def _begin(self, number: int) -> FileBegin | None:
        if self._current is not None or self._awaited is None or self._awaited[0] != number:
            return None
        entry, self._awaited = self._awaited[1], None
        self._current, self._data = (
            (
                number,
                entry,
                FileHash(self._driver, self._segment_size, self._begun.get(number, b"")),
            ),
            0,
        )
        return FileBegin(number, entry)

    def _whole(self, reader: Reader) -> FileWhole | None:
        """The awaited file, if one chunk and its trailer are the next items and both are right.
        Otherwise None, and nothing is taken."""
        if self._awaited is None or not self._wholes:
            return None
        number, entry = self._awaited
        size = entry.size
        if (
            size is None
            or size >= self._segment_size
            or entry.kind != EntryKind.FILE
            or number in self._begun
        ):
            return None
        data, length = self._one_chunk(reader, number, size) if size else (_NOTHING, 0)
        if (
            data is None
            or (trailer := reader.peek(TRAILER, length)) is None
            or trailer[:3] != (_TRAILER, number, size)
        ):
            return None
        digest: bytes = trailer[3]
        if not equal(digest, hash_whole(self._driver, self._segment_size, data)):
            return None
        reader.at += length + TRAILER.size
        self._awaited = None
        return FileWhole(number, entry, data, digest)

    def _one_chunk(self, reader: Reader, number: int, size: int) -> tuple[memoryview | None, int]:
        """(Content, length of the item) if the next item is a chunk or packed chunk with the whole
        file; else (None, ...)."""
        head = reader.peek(CHUNK)
        if head == (_CHUNK, number, 0, size):
            return reader.view_at(CHUNK.size, size), CHUNK.size + size
        if head != (_PACKED, number, 0, size) or (packed := reader.peek(PACKED)) is None:
            return None, 0
        frame = reader.view_at(PACKED.size, packed[4])
        return (None if frame is None else self._unpack(frame, size)), PACKED.size + packed[4]

    def _report_segment(self, number: int, running: FileHash) -> None:
        if (closed := running.closed()) is not None:
            self._segment(number, *closed)

    def _chunk(self, reader: Reader, entry: Entry, running: FileHash) -> FileChunk:
        offset, length = self._extent(reader, entry, running)
        data = reader.view(length)
        running.update(data)
        return FileChunk(offset, data)

    def _packed(self, reader: Reader, entry: Entry, running: FileHash) -> FileChunk:
        offset, length = self._extent(reader, entry, running)
        size = reader.u32()
        data = self._unpack(reader.view(size), length)
        running.update(data)
        return FileChunk(offset, data, packed=True)

    def _unpack(self, frame: memoryview, length: int) -> memoryview:
        if self._unpacker is None or not 0 < len(frame) < length <= MAX_PACKED_BYTES:
            raise malformed(f"a packed chunk of {len(frame)} bytes for {length}")
        if not self._unpacked:
            self._unpacked = memoryview(bytearray(MAX_PACKED_BYTES))
        data = self._unpacked[:length]
        self._unpacker.unpack_into(frame, data)
        return data

    def _extent(self, reader: Reader, entry: Entry, running: FileHash) -> tuple[int, int]:
        """(Offset, length) of a chunk. Raises `RemoteProtocolError` if it exceeds the file."""
        offset, length = self._place(reader, running)
        most = self._most if entry.size is None else entry.size
        self._data += length
        if offset + length > most or (entry.kind == EntryKind.SPARSE and self._data > entry.data):
            raise malformed(
                f"more bytes of {printable(entry.components[-1])} than the {most} that are allowed"
            )
        return offset, length

    def _hole(self, reader: Reader, entry: Entry, running: FileHash) -> FileHole:
        offset, length = self._place(reader, running)
        if entry.kind != EntryKind.SPARSE or entry.size is None or offset + length > entry.size:
            raise malformed(f"a hole in {printable(entry.components[-1])} where none may be")
        running.zeros(length)
        return FileHole(offset, length)

    def _place(self, reader: Reader, running: FileHash) -> tuple[int, int]:
        offset, length = reader.fields(_CHUNK_REST)
        if offset != running.size or not 0 < length <= running.room:
            raise malformed("a chunk or hole out of place")
        return offset, length

    def _trailer(self, reader: Reader, entry: Entry, running: FileHash) -> FileVerified:
        size, digest = reader.fields(_TRAILER_REST)
        self._current = None
        if (
            size != running.size
            or (entry.size is not None and size != entry.size)
            or not equal(digest, running.digest())
        ):
            raise IntegrityError(
                f"{printable('/'.join(entry.components))} did not arrive as it was sent; ask for"
                " it again"
            )
        return FileVerified(entry, size, digest)
