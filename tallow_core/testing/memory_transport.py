"""A transport within one process and one event loop: names instead of addresses, bounded buffers
instead of sockets.

For tests of what lies above transports, and of the conformance kit itself. It is no installed
driver: nobody can choose it.
"""

from __future__ import annotations

import asyncio
import re
from itertools import count
from typing import ClassVar

from tallow_core.errors import BrokenOffError, UnreachableError, UsageError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.transport import Addressing, ByteStream, Listener, StreamFacts, Transport
from tallow_core.text import printable
from tallow_core.types import Endpoint, ReadBuffer, Trust, WriteBuffer

ROOM = 1 << 16
"""Bytes that one direction of a stream holds before `send` waits."""
BACKLOG = 16
"""Connections that wait to be accepted before `dial` waits."""

_NAME = re.compile(r"[a-z0-9-]{1,64}")
_numbers = count(1)
_listeners: dict[str, MemoryListener] = {}


class _Pipe:
    """One direction: bytes that were sent and not received."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.ended = False
        """The sender has sent all."""
        self.deserted = False
        """The receiver has closed."""
        self._changed = asyncio.Event()

    def change(self) -> None:
        """Wake who waits here."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait for the next `change`."""
        await self._changed.wait()


class MemoryStream(ByteStream):
    """One end: a pipe to receive from and one to send to."""

    def __init__(self, name: str, incoming: _Pipe, outgoing: _Pipe) -> None:
        self.facts = StreamFacts(name, loopback=True, encrypted=False)
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed = False

    async def receive_into(self, buffer: WriteBuffer) -> int:
        self._check_open()
        pipe, view = self._incoming, memoryview(buffer).cast("B")
        while not pipe.held and not pipe.ended:
            await pipe.changed()
            self._check_open()
        taken = min(len(view), len(pipe.held))
        view[:taken] = pipe.held[:taken]
        del pipe.held[:taken]
        pipe.change()
        return taken

    async def send(self, *buffers: ReadBuffer) -> None:
        self._check_open()
        for buffer in buffers:
            await self._send_one(memoryview(buffer).cast("B"))

    async def _send_one(self, view: memoryview) -> None:
        pipe, sent = self._outgoing, 0
        while sent < len(view):
            if pipe.deserted:
                raise _broken("the other end has closed")
            piece = view[sent : sent + ROOM - len(pipe.held)]
            pipe.held += piece
            sent += len(piece)
            pipe.change()
            if sent < len(view):
                await pipe.changed()
                self._check_open()

    async def send_eof(self) -> None:
        self._check_open()
        self._end()

    async def aclose(self) -> None:
        self._closed = True
        self._end()
        self._incoming.deserted = True
        self._incoming.change()

    def _end(self) -> None:
        self._outgoing.ended = True
        self._outgoing.change()

    def _check_open(self) -> None:
        if self._closed:
            raise _broken("it was closed on this side")


class MemoryListener(Listener):
    """A name that can be dialled."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._waiting: asyncio.Queue[MemoryStream | None] = asyncio.Queue(BACKLOG)
        self.closed = False

    async def accept(self) -> ByteStream:
        stream = await self._waiting.get()
        if stream is None:
            self._waiting.put_nowait(None)  # for the next one who waits
            raise _broken("the listener was closed")
        return stream

    async def meet(self) -> MemoryStream:
        """Make a pair of ends: one to be accepted, and the one that is returned. Waits while the
        backlog is full."""
        there, back = _Pipe(), _Pipe()
        await self._waiting.put(MemoryStream(self.endpoint.host, there, back))
        if self.closed:
            raise UnreachableError(
                f"{self.endpoint.url} was closed: check that the other side is running."
            )
        return MemoryStream(self.endpoint.host, back, there)

    async def aclose(self) -> None:
        if self.closed:
            return
        self.closed = True
        del _listeners[self.endpoint.host]
        while not self._waiting.empty():
            if (stream := self._waiting.get_nowait()) is not None:
                await stream.aclose()
        self._waiting.put_nowait(None)


class Memory(Transport):
    """Streams between two tasks of one process."""

    name = "memory"
    addressing: ClassVar[Addressing] = "name"
    encrypted: ClassVar[bool] = False

    def __init__(self, settings: DriverSettings) -> None:
        """Nothing of the settings is needed."""

    def parse(self, authority: str) -> Endpoint:
        if not _NAME.fullmatch(authority):
            raise UsageError(
                f"'{printable(authority)}' is no name for {self.name}: write at most 64 small"
                " letters, digits and hyphens."
            )
        return Endpoint(self.name, authority)

    def local(self) -> Endpoint:
        return Endpoint(self.name, f"here-{next(_numbers)}")

    async def dial(self, endpoint: Endpoint, deadline: float, *, trust: Trust) -> ByteStream:
        if (listener := _listeners.get(endpoint.host)) is None:
            raise UnreachableError(f"Nobody listens at {endpoint.url}: check the name.")
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(0)
                return await listener.meet()
        except TimeoutError:
            raise UnreachableError(
                f"{endpoint.url} did not answer in time: accept more connections there."
            ) from None

    async def listen(self, endpoint: Endpoint, *, lasting: bool) -> Listener:
        if endpoint.host in _listeners:
            raise UnreachableError(
                f"Somebody listens at {endpoint.url} already: choose another name."
            )
        listener = _listeners[endpoint.host] = MemoryListener(endpoint)
        return listener


def _broken(why: str) -> BrokenOffError:
    return BrokenOffError(f"The connection broke off ({why}): run the command again.")
