"""The sending pump: read -> hash -> number -> seal -> send, one record at a time, in place.

A record is filled with items (`tallow_core.protocol.content`): a large file's chunk begins at the aligned place of an empty record, small
files share one. Reading, hashing and sealing release the GIL, but a hop to a thread costs more than it gains while both cores are
busy, so all of it runs inline; only a source that may block for long (standard input) is read on a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Protocol

from tallow_core.dataplane.buffers import PAYLOAD, RecordBuffer
from tallow_core.errors import FileSystemError
from tallow_core.protocol.content import CHUNK, FAILED, TRAILER, FileHash, Item, Reason
from tallow_core.protocol.records import FINAL, RecordType
from tallow_core.spi.hash import Hash

FULL = 1 + CHUNK.size + PAYLOAD
LARGE = 64 * 1024
"""A file from this size on begins a record of its own, so that its content stays aligned."""


class Source(Protocol):
    """One opened file: fills a buffer, 0 at its end."""

    async def read_into(self, buffer: memoryview) -> int: ...


class Outgoing:
    """Packs items into records and sends them. `sent` counts content bytes."""

    def __init__(self, send: Callable[[RecordBuffer, int], Awaitable[None]], driver: type[Hash], segment_size: int) -> None:
        self._send = send
        self._driver = driver
        self._segment_size = segment_size
        self._buffer = RecordBuffer.for_data()
        self._used = 1
        self.sent = 0

    async def file(self, number: int, source: Source, size: int | None) -> bytes:
        """Send one file's content, at most `size` bytes of it, and its trailer; returns its hash.

        Raises `FileSystemError` if it has become shorter; then nothing says yet that the file failed: call `failed`.
        """
        if self._used > 1 and (size is None or size >= LARGE):
            await self.flush()
        running = FileHash(self._driver, self._segment_size)
        while size is None or running.size < size:
            if not await self._chunk(number, source, running, size):
                break
        if size is not None and running.size < size:
            raise FileSystemError("it became shorter while it was sent")
        digest = running.digest()
        await self._item(TRAILER.pack(Item.TRAILER, number, running.size, digest))
        return digest

    async def failed(self, number: int, reason: Reason) -> None:
        """Say that a file cannot be sent."""
        await self._item(FAILED.pack(Item.FAILED, number, reason))

    async def finish(self) -> None:
        """Send what is left, in the final record of this direction."""
        await self.flush(final=True)

    async def flush(self, *, final: bool = False) -> None:
        """Send the record as far as it is filled."""
        self._buffer.plain[0] = RecordType.DATA | (FINAL if final else 0)
        await self._send(self._buffer, self._used)
        self._used = 1
        # sock_sendall may finish without ever yielding: let pings and the progress display have their turn.
        await asyncio.sleep(0)

    async def _chunk(self, number: int, source: Source, running: FileHash, size: int | None) -> int:
        begin = self._used + CHUNK.size
        room = min(FULL - begin, running.room, PAYLOAD if size is None else size - running.size)
        if room <= 0 or (self._used > 1 and size is not None and size - running.size > room):
            await self.flush()
            return await self._chunk(number, source, running, size)
        space = self._buffer.plain[begin : begin + room]
        count = await source.read_into(space)
        if count:
            CHUNK.pack_into(self._buffer.plain, self._used, Item.CHUNK, number, running.size, count)
            running.update(space[:count])
            self._used = begin + count
            self.sent += count
            if self._used >= FULL or size is None:  # a stream may pause: what it has given goes on
                await self.flush()
        return count

    async def _item(self, item: bytes) -> None:
        if self._used + len(item) > FULL:
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
