"""The splice of a relay: both directions, and the silence that ends it."""

from __future__ import annotations

import asyncio

import pytest

from tallow_core.relay import splice as module
from tallow_core.relay.splice import Splice
from tallow_core.spi.transport import ByteStream, StreamFacts
from tallow_core.types import ReadBuffer, WriteBuffer


class Pipe(ByteStream):
    """What is fed is received; what is sent is kept."""

    facts = StreamFacts("test", loopback=True, encrypted=False, path="local")

    def __init__(self) -> None:
        self.fed: asyncio.Queue[bytes] = asyncio.Queue()
        self.sent = bytearray()
        self.ended = False

    async def receive_into(self, buffer: WriteBuffer) -> int:
        data = await self.fed.get()
        buffer[: len(data)] = data
        return len(data)

    async def send(self, *buffers: ReadBuffer) -> None:
        for buffer in buffers:
            self.sent += buffer

    async def send_eof(self) -> None:
        self.ended = True

    async def aclose(self) -> None: ...


def test_copies_to_the_end() -> None:
    async def scenario() -> None:
        source, sink = Pipe(), Pipe()
        for piece in (b"one", b"two", b""):
            source.fed.put_nowait(piece)
        assert await Splice().copy(source, sink) == 6
        assert (bytes(sink.sent), sink.ended) == (b"onetwo", True)

    asyncio.run(scenario())


def test_one_silent_direction_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the flow of a data lane next to nothing is sent, for hours."""
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.3)

    async def scenario() -> None:
        splice, source, sink = Splice(), Pipe(), Pipe()
        copying = asyncio.create_task(splice.copy(source, sink))
        silence = asyncio.create_task(splice.watch())
        for _ in range(12):
            source.fed.put_nowait(b"x")
            await asyncio.sleep(0.1)
            assert not silence.done()
        await asyncio.wait_for(silence, 5)
        copying.cancel()
        assert bytes(sink.sent) == b"x" * 12

    asyncio.run(scenario())
