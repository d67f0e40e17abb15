"""The sending pump: read -> hash -> compress where it pays -> number -> seal -> send, one record at
a time, in place.

A record is filled with items (`tallow_core.protocol.transfer.content_items`): a large file's chunk
begins at the aligned place of an empty record, small files share one. Reading, hashing and sealing
release the GIL, but a hop to a thread costs more than it gains while both cores are busy, so all of
it runs inline; only a source that may block for long (standard input) is read on a thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tallow_core.aio import Yielder
from tallow_core.files.os_faults import ChangedError
from tallow_core.files.record_buffer import PAYLOAD_BYTES, RecordBuffer
from tallow_core.files.source.compression import Compression
from tallow_core.files.source.opened_source import OpenedSource
from tallow_core.protocol.lanes.record import FINAL, RecordType
from tallow_core.protocol.transfer.content_items import (
    CHUNK,
    FAILED,
    HOLE,
    PACKED,
    TRAILER,
    ItemType,
    Reason,
)
from tallow_core.protocol.transfer.file_hash import FileHash, hash_whole
from tallow_core.spi.hash import Hash

FULL = 1 + CHUNK.size + PAYLOAD_BYTES
LARGE = 64 * 1024
"""A file from this size on begins a record of its own, so that its content stays aligned."""


class RecordPacker:
    """Puts items into records and sends them. `sent` counts bytes of files, holes included.

    `max_content`: bytes of content in a record; `compression` compresses chunks, None leaves them
    as they are.
    """

    def __init__(
        self,
        transmit: Callable[[RecordBuffer, int], Awaitable[None]],
        driver: type[Hash],
        segment_size: int,
        max_content: int = PAYLOAD_BYTES,
        compression: Compression | None = None,
    ) -> None:
        self._transmit = transmit
        self._driver = driver
        self._segment_size = segment_size
        self._full = 1 + CHUNK.size + min(max_content, PAYLOAD_BYTES)
        self._buffer = RecordBuffer.for_data()
        self._compression = compression
        self._yielder = Yielder()
        self._used = 1
        self.sent = 0

    async def file(self, number: int, source: OpenedSource, start: int = 0) -> bytes:
        """Send one file's content, at most `source.size` bytes of it, and its trailer; returns its
        hash.

        What is before `start`, a multiple of the segment size, is read and hashed, but not sent:
        the other side has it. What is between the source's extents is sent as holes. The source is
        checked before and after.

        Raises `FileSystemError`, a `ChangedError` if the source has become shorter or its check
        says so; then nothing was sent of that yet: call `failed`.
        """
        source.check()
        size = source.size
        if self._used > 1 and (size is None or size >= LARGE):
            await self.flush()
        if self._compression:
            self._compression.file(size)
        running = FileHash(self._driver, self._segment_size)
        if size is None:
            while await self._chunk(number, source, running, None):
                pass
        else:
            await self._parts(number, source, running, size, start)
        source.check()
        digest = running.digest()
        await self._item(TRAILER.pack(ItemType.TRAILER, number, running.size, digest))
        return digest

    async def _parts(
        self, number: int, source: OpenedSource, running: FileHash, size: int, start: int
    ) -> None:
        """Send data and holes of a file of known size."""
        extents = source.extents()
        for begin, end in ((0, size),) if extents is None else extents:
            await self._known(source, running, begin, begin, start)
            await self._hole(number, running, begin)
            await self._known(source, running, begin, end, start)
            while running.size < end:
                if not await self._chunk(number, source, running, end):
                    raise ChangedError("it became shorter while it was sent")
        await self._known(source, running, size, size, start)
        await self._hole(number, running, size)

    def small_file(self, number: int, source: OpenedSource) -> bytes | None:
        """As `file`, for a small one, without waiting. None if it does not fit into what is left of
        the record, or cannot be read at once: then nothing was read, and `file` takes it.

        What the source raises leaves nothing in the record.
        """
        size, begin = source.size, self._used + CHUNK.size
        if size is None or size >= LARGE or begin + size + TRAILER.size > self._full:
            return None
        data = self._buffer.plain[begin : begin + size]
        if source.extents() is not None or not source.read_now(data):
            return None
        digest = hash_whole(self._driver, self._segment_size, data)
        if size:
            if self._compression:
                self._compression.file(size)
            self._put(number, data, 0)
            self.sent += size
        TRAILER.pack_into(self._buffer.plain, self._used, ItemType.TRAILER, number, size, digest)
        self._used += TRAILER.size
        return digest

    async def failed(self, number: int, reason: Reason) -> None:
        """Send that a file cannot be sent."""
        await self._item(FAILED.pack(ItemType.FAILED, number, reason))

    async def finish(self) -> None:
        """Send what is left, in the final record of this direction."""
        await self.flush(final=True)

    async def flush(self, *, final: bool = False) -> None:
        """Send the record as far as it is filled."""
        self._buffer.plain[0] = RecordType.DATA | (FINAL if final else 0)
        if self._compression:
            self._compression.sending()
        await self._transmit(self._buffer, self._used)
        if self._compression:
            self._compression.sent()
        self._used = 1
        await self._yielder.pause()

    async def _known(
        self, source: OpenedSource, running: FileHash, begin: int, end: int, start: int
    ) -> None:
        """Read and hash what the other side has, which is what lies before `start`: zeros up to
        `begin`, then data up to `end`."""
        while running.size < min(begin, start):
            running.zeros(min(running.room, begin - running.size, start - running.size))
        space = self._buffer.aligned[:PAYLOAD_BYTES]
        while begin <= running.size < min(end, start):
            if self._used > 1:  # the buffer is read into
                await self.flush()
            count = await source.read_into(
                space[: min(PAYLOAD_BYTES, running.room, end - running.size, start - running.size)]
            )
            if not count:
                raise ChangedError("it became shorter while it was sent")
            running.update(space[:count])
            await self._yielder.pause()

    async def _hole(self, number: int, running: FileHash, end: int) -> None:
        while running.size < end:
            length = min(running.room, end - running.size)
            await self._item(HOLE.pack(ItemType.HOLE, number, running.size, length))
            running.zeros(length)
            self.sent += length

    async def _chunk(
        self, number: int, source: OpenedSource, running: FileHash, size: int | None
    ) -> int:
        """Read on, up to `size` at most, or to the end."""
        begin = self._used + CHUNK.size
        room = min(
            self._full - begin, running.room, PAYLOAD_BYTES if size is None else size - running.size
        )
        if room <= 0 or (self._used > 1 and size is not None and size - running.size > room):
            await self.flush()
            return await self._chunk(number, source, running, size)
        space = self._buffer.plain[begin : begin + room]
        count = await source.read_into(space)
        if count:
            offset = running.size
            running.update(space[:count])
            self._put(number, space[:count], offset)
            self.sent += count
            if self._used >= self._full or size is None:  # a stream may pause: send what it gave
                await self.flush()
        return count

    def _put(self, number: int, data: memoryview, offset: int) -> None:
        """Make an item of the chunk that was read to its place: with a header in front of it, or
        compressed instead of it."""
        plain = self._buffer.plain
        frame = self._compression.pack(data) if self._compression else None
        if frame is None:
            CHUNK.pack_into(plain, self._used, ItemType.CHUNK, number, offset, len(data))
            self._used += CHUNK.size + len(data)
            return
        PACKED.pack_into(plain, self._used, ItemType.PACKED, number, offset, len(data), len(frame))
        begin = self._used + PACKED.size
        self._used = begin + len(frame)
        plain[begin : self._used] = frame

    async def _item(self, item: bytes) -> None:
        if self._used + len(item) > self._full:
            await self.flush()
        self._buffer.plain[self._used : self._used + len(item)] = item
        self._used += len(item)
