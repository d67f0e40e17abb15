"""Copies two streams into each other, byte for byte, with the back-pressure of the slower side."""

from __future__ import annotations

import asyncio
import mmap
import time

from tallow_core.spi.transport import ByteStream

BUFFER = 256 * 1024
IDLE_SECONDS = 3600.0
"""Without a byte in either direction for so long, a splice is over: sessions ping, and no source
should pause for an hour."""


class Splice:
    """The two directions of one spliced connection: `copy` runs each of them, `watch` ends them
    when both are silent."""

    def __init__(self) -> None:
        self._moved_at = time.monotonic()

    async def copy(self, source: ByteStream, sink: ByteStream) -> int:
        """Copy until `source` ends, then tell `sink`; returns how many bytes went through. Raises
        `BrokenOffError`."""
        buffer = memoryview(
            mmap.mmap(-1, BUFFER)
        )  # page-aligned: see tallow_core.files.record_buffer
        total = 0
        while count := await source.receive_into(buffer):
            await sink.send(buffer[:count])
            total += count
            self._moved_at = time.monotonic()
        await sink.send_eof()
        return total

    async def watch(self) -> None:
        """Return once nothing has come in either direction for `IDLE_SECONDS`.

        One direction alone may be silent for longer: against the flow of a data lane, next to
        nothing is sent.
        """
        while (left := self._moved_at + IDLE_SECONDS - time.monotonic()) > 0:
            await asyncio.sleep(left)
