"""Copies two streams into each other, byte for byte, with the back-pressure of the slower side."""

from __future__ import annotations

import asyncio
import mmap
import time

from tallow_core.spi.transport import ByteStream

BUFFER_BYTES = 256 * 1024
IDLE_SECONDS = 3600.0
"""A splice without a byte in either direction for this time is closed. A session pings, so only a
dead one is silent for an hour."""


class Splice:
    """One spliced connection: `copy` runs each of its two directions, `watch` returns when both are
    silent."""

    def __init__(self) -> None:
        self._moved_at = time.monotonic()

    async def copy(self, source: ByteStream, sink: ByteStream) -> int:
        """Copy until `source` ends, then end `sink`'s direction. Returns the number of bytes.
        Raises `BrokenOffError`."""
        buffer = memoryview(
            mmap.mmap(-1, BUFFER_BYTES)
        )  # page-aligned: see tallow_core.files.record_buffer
        total = 0
        while count := await source.receive_into(buffer):
            await sink.send(buffer[:count])
            total += count
            self._moved_at = time.monotonic()
        await sink.send_eof()
        return total

    async def watch(self) -> None:
        """Return once neither direction has had a byte for `IDLE_SECONDS`.

        One direction alone may be silent for longer, because a data lane carries almost nothing
        against its flow.
        """
        while (left := self._moved_at + IDLE_SECONDS - time.monotonic()) > 0:
            await asyncio.sleep(left)
