"""The sending pump: read -> hash -> pack, where it pays -> number -> seal -> send, one record at a
time, in place.

A record is filled with items (`tallow_core.protocol.transfer.content_items`): a large file's chunk
begins at the aligned place of an empty record, small files share one. Reading, hashing and sealing
release the GIL, but a hop to a thread costs more than it gains while both cores are busy, so all of
it runs inline; only a source that may block for long (standard input) is read on a thread.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from tallow_core.aio import Yielder
from tallow_core.errors import FileSystemError
from tallow_core.files.os_faults import ChangedError
from tallow_core.files.record_buffer import PAYLOAD, RecordBuffer
from tallow_core.files.source.compression import Packing
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

FULL = 1 + CHUNK.size + PAYLOAD
LARGE = 64 * 1024
"""A file from this size on begins a record of its own, so that its content stays aligned."""


class Source(Protocol):
    """One opened file: fills a buffer, 0 at its end."""

    async def read_into(self, buffer: memoryview) -> int: ...


def _no_check() -> None:
    """Nothing is known of what was read."""


class Outgoing:
    """Puts items into records and sends them. `sent` counts bytes of files, holes included; `most`
    bounds a record's content; `packing` packs chunks, None leaves them as they are."""

    def __init__(
        self,
        send: Callable[[RecordBuffer, int], Awaitable[None]],
        driver: type[Hash],
        segment_size: int,
        most: int = PAYLOAD,
        packing: Packing | None = None,
    ) -> None:
        self._send = send
        self._driver = driver
        self._segment_size = segment_size
        self._full = 1 + CHUNK.size + min(most, PAYLOAD)
        self._buffer = RecordBuffer.for_data()
        self._packing = packing
        self._yielder = Yielder()
        self._used = 1
        self.sent = 0

    async def file(
        self,
        number: int,
        source: Source,
        size: int | None,
        extents: Iterable[tuple[int, int]] | None = None,
        check: Callable[[], None] = _no_check,
        start: int = 0,
    ) -> bytes:
        """Send one file's content, at most `size` bytes of it, and its trailer; returns its hash.

        What is before `start`, a multiple of the segment size, is read and hashed, but not sent:
        the other side has it.

        `extents` are the parts (start, end) that hold data, in order; what is between them is sent
        as holes. The source stands at the start of each when it comes. `check` raises if what was
        read is not to be trusted.

        Raises `ChangedError` if it has become shorter, and what `check` raises; then nothing says
        yet that it failed: call `failed`.
        """
        if self._used > 1 and (size is None or size >= LARGE):
            await self.flush()
        if self._packing:
            self._packing.file(size)
        running = FileHash(self._driver, self._segment_size)
        if size is None:
            while await self._chunk(number, source, running, None):
                pass
        else:
            for begin, end in ((0, size),) if extents is None else extents:
                await self._known(source, running, begin, begin, start)
                await self._hole(number, running, begin)
                await self._known(source, running, begin, end, start)
                while running.size < end:
                    if not await self._chunk(number, source, running, end):
                        raise ChangedError("it became shorter while it was sent")
            await self._known(source, running, size, size, start)
            await self._hole(number, running, size)
        check()
        digest = running.digest()
        await self._item(TRAILER.pack(ItemType.TRAILER, number, running.size, digest))
        return digest

    def whole(self, number: int, size: int, read: Callable[[memoryview], None]) -> bytes | None:
        """As `file`, for a small one, without waiting: `read` puts all of it where it goes. None if
        it does not fit into what is left of the record: `flush`, and try again, or take `file`.

        What `read` raises leaves nothing behind.
        """
        begin = self._used + CHUNK.size
        if size >= LARGE or begin + size + TRAILER.size > self._full:
            return None
        data = self._buffer.plain[begin : begin + size]
        read(data)
        digest = hash_whole(self._driver, self._segment_size, data)
        if size:
            if self._packing:
                self._packing.file(size)
            self._put(number, data, 0)
            self.sent += size
        TRAILER.pack_into(self._buffer.plain, self._used, ItemType.TRAILER, number, size, digest)
        self._used += TRAILER.size
        return digest

    async def failed(self, number: int, reason: Reason) -> None:
        """Say that a file cannot be sent."""
        await self._item(FAILED.pack(ItemType.FAILED, number, reason))

    async def finish(self) -> None:
        """Send what is left, in the final record of this direction."""
        await self.flush(final=True)

    async def flush(self, *, final: bool = False) -> None:
        """Send the record as far as it is filled."""
        self._buffer.plain[0] = RecordType.DATA | (FINAL if final else 0)
        if self._packing:
            self._packing.sending()
        await self._send(self._buffer, self._used)
        if self._packing:
            self._packing.sent()
        self._used = 1
        await self._yielder.pause()

    async def _known(
        self, source: Source, running: FileHash, begin: int, end: int, start: int
    ) -> None:
        """Hash what lies before `start`: zeros up to `begin`, then what is read up to `end`."""
        while running.size < min(begin, start):
            running.zeros(min(running.room, begin - running.size, start - running.size))
        space = self._buffer.aligned[:PAYLOAD]
        while begin <= running.size < min(end, start):
            if self._used > 1:  # the buffer is read into
                await self.flush()
            count = await source.read_into(
                space[: min(PAYLOAD, running.room, end - running.size, start - running.size)]
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

    async def _chunk(self, number: int, source: Source, running: FileHash, size: int | None) -> int:
        """Read on, up to `size` at most, or to the end."""
        begin = self._used + CHUNK.size
        room = min(
            self._full - begin, running.room, PAYLOAD if size is None else size - running.size
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
            if (
                self._used >= self._full or size is None
            ):  # a stream may pause: what it has given goes on
                await self.flush()
        return count

    def _put(self, number: int, data: memoryview, offset: int) -> None:
        """Make an item of the chunk that was read to its place: a header in front of it, or a
        packed chunk instead of it."""
        plain, frame = self._buffer.plain, self._packing.pack(data) if self._packing else None
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


class FileSource:
    """A regular file, read inline."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def read_into(self, buffer: memoryview) -> int:
        """Read what there is; raises `FileSystemError`."""
        try:
            return os.readv(self._descriptor, [buffer])
        except OSError as error:
            raise FileSystemError(f"it cannot be read: {error.strerror}") from error
