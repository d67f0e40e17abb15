"""The carriers under TLS: a socket, many records at a time, or any other stream of bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from tallow_core.errors import BrokenOffError
from tallow_core.spi.byte_stream import ByteStream, StreamFacts
from tallow_core.spi.readiness import Readiness
from tallow_core.spi.sockets import close_gently

T = TypeVar("T")

ROOM_BYTES = 1 << 17
"""The most bytes that are read at once."""
_LAST_WORDS_SECONDS = 0.2
"""The time that the closing messages of TLS may take on a stream that is no socket."""


class Carrier(ABC):
    """Carries the bytes of TLS. `facts` are of the connection below."""

    facts: StreamFacts
    stopped: bool

    @abstractmethod
    def fetch(self, arrived: ssl.MemoryBIO) -> None:
        """Move what has come to `arrived`, or its end; `BlockingIOError` if nothing has."""

    @abstractmethod
    async def reading(self, call: Callable[[], T]) -> T:
        """Return the result of `call` once its `fetch` does not block."""

    @abstractmethod
    async def send(self, data: bytes) -> None:
        """Send all of `data`."""

    @abstractmethod
    async def send_what_fits(self, data: bytes) -> None:
        """Send `data` as far as that works at once; never raises."""

    @abstractmethod
    async def send_eof(self) -> None:
        """End this direction."""

    @abstractmethod
    def stop(self) -> None:
        """End the calls under way, where that can be done before the last words are sent."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close, without losing what was sent."""


class SocketCarrier(Carrier):
    """A TCP socket. `room` may be shared by all of a loop: nothing stays in it."""

    def __init__(self, sock: socket.socket, facts: StreamFacts, room: memoryview) -> None:
        self.facts = facts
        self._sock = sock
        self._room = room
        self._ready = Readiness(sock)

    @property
    def stopped(self) -> bool:  # type: ignore[override]
        """Whether `stop` was called."""
        return self._ready.closed

    def fetch(self, arrived: ssl.MemoryBIO) -> None:
        if count := self._sock.recv_into(self._room):
            arrived.write(self._room[:count])
        else:
            arrived.write_eof()

    async def reading(self, call: Callable[[], T]) -> T:
        return await self._ready.reading(call)

    async def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[await self._ready.writing(partial(self._sock.send, rest)) :]

    async def send_what_fits(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._sock.send(data)

    async def send_eof(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def stop(self) -> None:
        self._ready.close()

    async def aclose(self) -> None:
        await close_gently(self._sock)


class StreamCarrier(Carrier):
    """Any other stream. Its own errors pass."""

    def __init__(self, stream: ByteStream) -> None:
        self.facts = stream.facts
        self.stopped = False
        self._stream = stream
        self._room = bytearray(ROOM_BYTES)
        self._count: int | None = None
        """The number of bytes of `_room` that were received and not fetched. 0 is the end."""

    def fetch(self, arrived: ssl.MemoryBIO) -> None:
        count, self._count = self._count, None
        if count is None:
            raise BlockingIOError
        if count:
            arrived.write(memoryview(self._room)[:count])
        else:
            arrived.write_eof()

    async def reading(self, call: Callable[[], T]) -> T:
        while True:
            try:
                return call()
            except BlockingIOError:
                self._count = await self._stream.receive_into(self._room)

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    async def send_what_fits(self, data: bytes) -> None:
        with contextlib.suppress(BrokenOffError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._stream.send(data)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    def stop(self) -> None:
        self.stopped = True

    async def aclose(self) -> None:
        await self._stream.aclose()
