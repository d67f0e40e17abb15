"""Frames over a stream: never a byte more is read than the frame has, so what follows stays in the
stream."""

from __future__ import annotations

import asyncio
import contextlib

from tallow_core.errors import BrokenOffError, TallowError, UnreachableError
from tallow_core.protocol.codec.frame import MAX_BODY_BYTES, Frame, FrameParser
from tallow_core.spi.transport import ByteStream

WRITE_SECONDS = 20.0


async def read_frame(
    stream: ByteStream, seconds: float | None, *, cap: int = MAX_BODY_BYTES
) -> Frame:
    """The next frame. Raises `UnreachableError` after `seconds`, `BrokenOffError` if the stream
    ends, `RemoteProtocolError`."""
    parser = FrameParser(cap)
    try:
        async with asyncio.timeout(seconds):
            while (frame := parser.next_frame()) is None:
                parser.feed(await read_some(stream, parser.wants))
            return frame
    except TimeoutError:
        raise UnreachableError(
            f"the other side did not answer within {seconds:g} s; try again"
        ) from None


async def read_some(stream: ByteStream, most: int) -> memoryview:
    """Between 1 and `most` bytes (at most 16 KiB at once); raises `BrokenOffError` at the end of
    the stream."""
    buffer = memoryview(bytearray(min(most, MAX_BODY_BYTES)))
    count = await stream.receive_into(buffer)
    if count == 0:
        raise BrokenOffError("the other side closed the connection; try again")
    return buffer[:count]


async def write_frame(stream: ByteStream, frame: Frame) -> None:
    """Send one frame; raises `BrokenOffError`, also if the other side takes nothing for
    `WRITE_SECONDS`."""
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await stream.send(frame.encoded)
    except TimeoutError:
        raise BrokenOffError("the other side takes no more data; try again") from None


async def best_effort(stream: ByteStream, data: bytes) -> None:
    """Send a last word that is a courtesy: within a second, or not at all."""
    with contextlib.suppress(TallowError, TimeoutError):
        async with asyncio.timeout(1):
            await stream.send(data)
