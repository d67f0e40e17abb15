"""Copies one stream into another, byte for byte, with the back-pressure of the slower side."""

from __future__ import annotations

import asyncio
import mmap

from tallow_core.errors import BrokenOffError
from tallow_core.spi.transport import ByteStream

BUFFER = 256 * 1024
IDLE_SECONDS = 3600.0
"""Without a byte for so long, a splice is over: live sessions ping every quarter of a minute, and no source should pause for an hour."""


async def copy(source: ByteStream, sink: ByteStream) -> int:
    """Copy until `source` ends, then tell `sink`; returns how many bytes went through. Raises `BrokenOffError`."""
    buffer = memoryview(mmap.mmap(-1, BUFFER))  # page-aligned: see tallow_core.dataplane.buffers
    total = 0
    while count := await _receive(source, buffer):
        await sink.send(buffer[:count])
        total += count
    await sink.send_eof()
    return total


async def _receive(source: ByteStream, buffer: memoryview) -> int:
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            return await source.receive_into(buffer)
    except TimeoutError:
        raise BrokenOffError("nothing came for an hour") from None
