"""The content of files, as items packed into DATA records: chunks, holes, packed chunks, trailers
and failures.

    CHUNK   = 0x01 || file[4] || offset[8] || length[4] || bytes
    TRAILER = 0x02 || file[4] || size[8] || hash[32]
    FAILED  = 0x03 || file[4] || reason[1]
    HOLE    = 0x04 || file[4] || offset[8] || length[4]
    PACKED  = 0x05 || file[4] || offset[8] || length[4] || size[4] || frame

`file` is the entry's number in the manifest. Small files share records, so no file costs a round
trip; neither a chunk nor a hole crosses a segment boundary, so every segment is hashed by itself
while it streams. A hole is a run of zeros in a sparse file. A packed chunk is `length` bytes of
content as a frame of `size` bytes, by the compressor of the suite; each stands for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from functools import cache
from struct import Struct
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from tallow_core.errors import IntegrityError
from tallow_core.protocol.codec.wire import Reader, malformed
from tallow_core.protocol.handshake.key_schedule import FILE_CONTEXT, SEGMENT_CONTEXT
from tallow_core.protocol.transfer.manifest import FILES, Entry, EntryKind
from tallow_core.secrets import equal
from tallow_core.spi.compressor import Compressor
from tallow_core.spi.hash import Hash, Hasher
from tallow_core.text import printable
from tallow_core.types import ReadBuffer

CHUNK = Struct(">BIQI")
TRAILER = Struct(">BIQ32s")
FAILED = Struct(">BIB")
HOLE = Struct(">BIQI")
PACKED = Struct(">BIQII")
MOST_PACKED = 1 << 20
"""Bytes of content in a packed chunk at most: what a full record holds of a plain one."""
_TREE = Struct(">QI")
_ITEM, _CHUNK_REST, _TRAILER_REST = Struct(">BI"), Struct(">QI"), Struct(">Q32s")


class Item(IntEnum):
    """Numbers of items; never reused."""

    CHUNK = 0x01
    TRAILER = 0x02
    FAILED = 0x03
    HOLE = 0x04
    PACKED = 0x05


_CHUNK, _TRAILER, _PACKED = int(Item.CHUNK), int(Item.TRAILER), int(Item.PACKED)


class Reason(IntEnum):
    """Why the sender could not send a file it had offered."""

    UNREADABLE = 1
    CHANGED = 2


_NOTHING = memoryview(b"")
_ZEROS = memoryview(bytes(1 << 20))


class FileHash:
    """A file's hash = H("tallow/1 file", size[8] || segment size[4] || H("tallow/1 segment",
    segment) in order)."""

    def __init__(self, driver: type[Hash], segment_size: int, segments: bytes = b"") -> None:
        """`segments`: the hashes of those, all whole, that came before."""
        self._driver = driver
        self.segment_size = segment_size
        self._tree = bytearray(segments)
        self._segment: Hasher | None = None
        self.size = len(segments) // driver.digest_size * segment_size

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

    def zeros(self, count: int) -> None:
        """Take `count` zeros, at most `room` of them. A whole segment of them is hashed once."""
        if self._segment is None and count == self.segment_size:
            self._tree += _zero_segment(self._driver, count)
            self.size += count
            return
        while count:
            part = _ZEROS[: min(count, len(_ZEROS))]
            self.update(part)
            count -= len(part)

    def closed(self) -> tuple[int, bytes] | None:
        """(Number, hash) of the segment that ends here; None within one."""
        number, rest = divmod(self.size, self.segment_size)
        return (
            None
            if rest or not number
            else (number - 1, bytes(self._tree[-self._driver.digest_size :]))
        )

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._tree += self._segment.digest()
            self._segment = None

    def digest(self) -> bytes:
        """The hash of the whole file."""
        self._close_segment()
        return _file_hash(self._driver, self.size, self.segment_size, self._tree)


def hash_whole(driver: type[Hash], segment_size: int, data: ReadBuffer) -> bytes:
    """The hash of a file that is no longer than a segment, in one step: what `FileHash` makes of
    it."""
    tree = b""
    if len(data):
        segment = driver.hasher(SEGMENT_CONTEXT)
        segment.update(data)
        tree = segment.digest()
    return _file_hash(driver, len(data), segment_size, tree)


def _file_hash(driver: type[Hash], size: int, segment_size: int, tree: bytes | bytearray) -> bytes:
    hasher = driver.hasher(FILE_CONTEXT)
    hasher.update(_TREE.pack(size, segment_size) + tree)
    return hasher.digest()


@cache
def _zero_segment(driver: type[Hash], size: int) -> bytes:
    hasher = driver.hasher(SEGMENT_CONTEXT)
    for start in range(0, size, len(_ZEROS)):
        hasher.update(_ZEROS[: size - start])
    return hasher.digest()


class Passed(NamedTuple):
    """An entry without content, a folder or a link, at its place in the order."""

    number: int
    entry: Entry


class FileBegin(NamedTuple):
    """The next entry is a file; its content follows."""

    number: int
    entry: Entry


class FileChunk(NamedTuple):
    """Bytes of the current file. `data` is valid until the next event is taken; `packed` says how
    they came."""

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
    """A small file that came in one piece: it is whole and its hash is right. No other event tells
    of it. `data` is valid until the next event is taken, if it came packed, else as long as the
    record."""

    number: int
    entry: Entry
    data: memoryview
    tree_hash: bytes


class FileFailed(NamedTuple):
    """The sender could not send the current file."""

    number: int
    entry: Entry
    reason: int


Event: TypeAlias = Passed | FileBegin | FileChunk | FileHole | FileVerified | FileWhole | FileFailed


def _all(_number: int) -> bool:
    return True


def _untold(_number: int, _segment: int, _digest: bytes) -> None:
    """Nobody keeps account of segments."""


class ContentReader:
    """Checks what arrives against the manifest, in its order; never holds more than the state of
    one file.

    `entries` are those of the manifest, in order; `chosen` tells by its number whether a file's
    content was asked for; `most` bounds a file whose size is not known; `compressor` is that of the
    suite, None where packed chunks are refused. `begun`: the hashes of the segments that are here
    already, by file; such a file goes on behind them. `segment` (file, segment, hash) is told of
    each whole segment once what its last event said was done. `wholes`: small files may come as
    `FileWhole`.
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
        segment: Callable[[int, int, bytes], None] = _untold,
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

    def record(self, body: memoryview) -> Iterator[Event]:
        """The events of one DATA record; raises `RemoteProtocolError` or `IntegrityError`."""
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
            if kind == Item.CHUNK:
                yield self._chunk(reader, entry, running)
                self._tell(number, running)
            elif kind == Item.TRAILER:
                yield self._trailer(reader, entry, running)
            elif kind == Item.HOLE:
                yield self._hole(reader, entry, running)
                self._tell(number, running)
            elif kind == Item.PACKED:
                yield self._packed(reader, entry, running)
                self._tell(number, running)
            elif kind == Item.FAILED:
                self._current = None
                yield FileFailed(number, entry, reader.u8())
            else:
                raise malformed(f"an item of kind {kind}")

    def end(self) -> Iterator[Event]:
        """After the final record: the folders that are left. Raises `RemoteProtocolError` if a file
        is."""
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
        """The awaited file, if its one chunk and its trailer are the next items and all is right
        with them; else nothing is taken."""
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
        """The content, if the next item is a chunk or packed chunk with all of it, and how long
        that item is."""
        head = reader.peek(CHUNK)
        if head == (_CHUNK, number, 0, size):
            return reader.view_at(CHUNK.size, size), CHUNK.size + size
        if head != (_PACKED, number, 0, size) or (packed := reader.peek(PACKED)) is None:
            return None, 0
        frame = reader.view_at(PACKED.size, packed[4])
        return (None if frame is None else self._unpack(frame, size)), PACKED.size + packed[4]

    def _tell(self, number: int, running: FileHash) -> None:
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
        if self._unpacker is None or not 0 < len(frame) < length <= MOST_PACKED:
            raise malformed(f"a packed chunk of {len(frame)} bytes for {length}")
        if not self._unpacked:
            self._unpacked = memoryview(bytearray(MOST_PACKED))
        data = self._unpacked[:length]
        self._unpacker.unpack_into(frame, data)
        return data

    def _extent(self, reader: Reader, entry: Entry, running: FileHash) -> tuple[int, int]:
        """Where a chunk lies and how long it is, within what the file may have."""
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
