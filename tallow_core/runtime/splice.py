"""Copies one stream into another, byte for byte, with the back-pressure of the slower side."""

from __future__ import annotations

import mmap

from tallow_core.spi.transport import ByteStream

BUFFER = 256 * 1024


async def copy(source: ByteStream, sink: ByteStream) -> int:
    """Copy until `source` ends, then tell `sink`; returns how many bytes went through."""
    buffer = memoryview(mmap.mmap(-1, BUFFER))  # page-aligned: see tallow_core.dataplane.buffers
    total = 0
    while count := await source.receive_into(buffer):
        await sink.send(buffer[:count])
        total += count
    await sink.send_eof()
    return total
