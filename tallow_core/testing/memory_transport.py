"""A transport within one process and one event loop: names instead of addresses, bounded buffers
instead of sockets.

For tests of what lies above transports, and of the conformance kit itself. It is no installed
driver, so it cannot be chosen.
"""

from __future__ import annotations

import asyncio
import re
from itertools import count
from typing import ClassVar

from tallow_core.errors import BrokenOffError, UnreachableError, UsageError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.connector import Connector
from tallow_core.spi.transport import (
    Addressing,
    ByteStream,
    Listener,
    Multiplexed,
    StreamFacts,
    Transport,
)
from tallow_core.text import printable
from tallow_core.types import Endpoint, ReadBuffer, SocketAddress, Touch, Trust, WriteBuffer

ROOM_BYTES = 1 << 16
"""How much one direction of a stream holds before `send` waits."""
BACKLOG = 16
"""How many connections wait to be accepted before `dial` waits."""

_NAME = re.compile(r"[a-z0-9-]{1,64}")
_numbers = count(1)
_listeners: dict[str, MemoryListener] = {}


class _MemoryPipe:
    """One direction: bytes that were sent and not received."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.ended = False
        """The sender has sent all."""
        self.deserted = False
        """The receiver has closed."""
        self._changed = asyncio.Event()

    def change(self) -> None:
        """Wake the tasks that wait here."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait for the next `change`."""
        await self._changed.wait()


class MemoryStream(ByteStream):
    """One end: a pipe to receive from and one to send to."""

    def __init__(self, name: str, incoming: _MemoryPipe, outgoing: _MemoryPipe) -> None:
        self.facts = StreamFacts(name, loopback=True, encrypted=False, path="local")
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
            piece = view[sent : sent + ROOM_BYTES - len(pipe.held)]
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


class _Connection:
    """What the streams of one connection have in common, at one end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.peer = self
        """The other end."""
        self.opened: asyncio.Queue[MemoryStream | None] = asyncio.Queue()
        """Streams of the other end's, to be accepted; None once there will be no more."""
        self.streams = 1
        """How many are open at this end."""

    def leave(self) -> None:
        """One stream of this end was closed; with the last one the connection ends."""
        self.streams -= 1
        if self.streams == 0:
            self.opened.put_nowait(None)
            self.peer.opened.put_nowait(None)


class MultiplexedMemoryStream(MemoryStream, Multiplexed):
    """The first stream of a connection that carries several."""

    connection: _Connection

    async def open_stream(self) -> ByteStream:
        """See `Multiplexed.open_stream`."""
        mine, theirs = self.connection, self.connection.peer
        if not mine.streams or not theirs.streams:
            raise _broken("the connection has ended")
        if mine.streams >= MultiplexedMemoryTransport.max_streams:
            raise _broken("it carries as many streams as it may")
        there, back = _MemoryPipe(), _MemoryPipe()
        theirs.opened.put_nowait(_FurtherStream(theirs, there, back))
        return _FurtherStream(mine, back, there)

    async def accept_stream(self) -> ByteStream:
        """See `Multiplexed.accept_stream`."""
        stream = await self.connection.opened.get()
        if stream is None:
            self.connection.opened.put_nowait(None)  # for the next call
            raise _broken("the connection has ended")
        return stream

    async def aclose(self) -> None:
        if not self._closed:
            self.connection.leave()
        await super().aclose()


class _FurtherStream(MemoryStream):
    """A stream that came after the first."""

    def __init__(
        self, connection: _Connection, incoming: _MemoryPipe, outgoing: _MemoryPipe
    ) -> None:
        super().__init__(connection.name, incoming, outgoing)
        connection.streams += 1
        self._connection = connection

    async def aclose(self) -> None:
        if not self._closed:
            self._connection.leave()
        await super().aclose()


class MemoryListener(Listener):
    """A name that can be dialled; `stream_class` is what connections are."""

    def __init__(self, endpoint: Endpoint, stream_class: type[MemoryStream]) -> None:
        self.bound = self.endpoint = endpoint
        self._stream_class = stream_class
        self._waiting: asyncio.Queue[MemoryStream | None] = asyncio.Queue(BACKLOG)
        self.closed = False

    async def accept(self) -> ByteStream:
        stream = await self._waiting.get()
        if stream is None:
            self._waiting.put_nowait(None)  # for the next call
            raise _broken("the listener was closed")
        return stream

    async def meet(self) -> MemoryStream:
        """Make a pair of ends: one to be accepted, and the one that is returned. Waits while the
        backlog is full."""
        there, back = _MemoryPipe(), _MemoryPipe()
        near = self._stream_class(self.endpoint.host, back, there)
        far = self._stream_class(self.endpoint.host, there, back)
        if isinstance(near, MultiplexedMemoryStream) and isinstance(far, MultiplexedMemoryStream):
            near.connection, far.connection = (_Connection(self.endpoint.host) for _ in range(2))
            near.connection.peer, far.connection.peer = far.connection, near.connection
        await self._waiting.put(far)
        if self.closed:
            raise UnreachableError(
                f"{self.endpoint.url} was closed; check that the other side is running"
            )
        return near

    async def aclose(self) -> None:
        if self.closed:
            return
        self.closed = True
        del _listeners[self.endpoint.host]
        while not self._waiting.empty():
            if (stream := self._waiting.get_nowait()) is not None:
                await stream.aclose()
        self._waiting.put_nowait(None)


class MemoryTransport(Transport):
    """Streams between two tasks of one process."""

    name = "memory"
    addressing: ClassVar[Addressing] = "name"
    on_this_machine: ClassVar[bool] = True
    encrypted: ClassVar[bool] = False
    touches: ClassVar[frozenset[Touch]] = frozenset({"local"})
    reveals: ClassVar[str] = "Nothing: no byte leaves the process."
    stream_class: ClassVar[type[MemoryStream]] = MemoryStream

    def __init__(self, settings: DriverSettings) -> None:
        """Nothing of the settings is needed."""

    def parse(self, scheme: str, text: str) -> Endpoint:
        if not _NAME.fullmatch(text):
            raise UsageError(
                f"'{printable(text)}' is no name for {self.name}: write at most 64 small letters,"
                " digits and hyphens"
            )
        return Endpoint(scheme, text)

    def local(self) -> Endpoint:
        return Endpoint(self.schemes[0], f"here-{next(_numbers)}")

    async def dial(
        self,
        endpoint: Endpoint,
        deadline: float,
        *,
        trust: Trust,
        network: Connector,
        local: SocketAddress | None = None,
    ) -> ByteStream:
        if (listener := _listeners.get(endpoint.host)) is None:
            raise UnreachableError(f"nothing listens at {endpoint.url}; check the name")
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(0)
                return await listener.meet()
        except TimeoutError:
            raise UnreachableError(
                f"{endpoint.url} did not answer in time; accept more connections there"
            ) from None

    async def listen(self, endpoint: Endpoint, *, lasting: bool, shared: bool = False) -> Listener:
        if endpoint.host in _listeners:
            raise UnreachableError(f"{endpoint.url} is in use; choose another name")
        listener = _listeners[endpoint.host] = MemoryListener(endpoint, self.stream_class)
        return listener


class MultiplexedMemoryTransport(MemoryTransport):
    """The same, with connections that carry several streams."""

    name = "memory-multiplexed"
    max_streams: ClassVar[int] = 8
    stream_class: ClassVar[type[MemoryStream]] = MultiplexedMemoryStream


def _broken(why: str) -> BrokenOffError:
    return BrokenOffError(f"the connection broke off ({why}); run the command again")
