"""Whole parts of a transport over sockets: a stream, a listener, and a connector without a
proxy."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from tallow_core.spi.byte_stream import ByteStream, StreamFacts
from tallow_core.spi.connector import Connector
from tallow_core.spi.readiness import Readiness
from tallow_core.spi.sockets import (
    CALLER_GONE,
    EXHAUSTED,
    EXHAUSTED_SECONDS,
    broken_off,
    close_gently,
    connect,
    facts_of,
    is_numeric,
    look_up,
    tune,
    unreachable,
)
from tallow_core.spi.transport import Listener
from tallow_core.types import Endpoint, ReadBuffer, SocketAddress, WriteBuffer

_JOIN_BYTES = 1 << 16
"""Up to this size several buffers are copied into one, so that they leave in one packet."""
_INTERNET = (socket.AF_INET, socket.AF_INET6)


class SocketStream(ByteStream):
    """A connected, non-blocking stream socket. `facts` are those of its peer, without encryption,
    if none are given; an OSError if the peer is already gone."""

    def __init__(self, sock: socket.socket, facts: StreamFacts | None = None) -> None:
        self.facts = facts or facts_of(sock, encrypted=False)
        self._sock = sock
        self._ready = Readiness(sock)

    async def receive_into(self, buffer: WriteBuffer) -> int:
        """See `ByteStream.receive_into`."""
        sock = self._sock
        try:
            return await self._ready.reading(lambda: sock.recv_into(buffer))
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    async def send(self, *buffers: ReadBuffer) -> None:
        """See `ByteStream.send`."""
        if len(buffers) > 1 and sum(memoryview(buffer).nbytes for buffer in buffers) <= _JOIN_BYTES:
            buffers = (b"".join(buffers),)
        try:
            for buffer in buffers:
                await self._send_one(memoryview(buffer).cast("B"))
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    async def _send_one(self, view: memoryview) -> None:
        sock, sent = self._sock, 0
        while sent < len(view):
            sent += await self._ready.writing(partial(sock.send, view[sent:]))

    async def send_eof(self) -> None:
        """See `ByteStream.send_eof`."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    async def aclose(self) -> None:
        """See `ByteStream.aclose`."""
        if not self._ready.closed:
            self._ready.close()
            await close_gently(self._sock)

    def detach(self) -> socket.socket | None:
        """See `ByteStream.detach`."""
        self._ready.close()
        return self._sock


class SocketListener(Listener):
    """Accepts connections and makes each a stream with `stream_of`, which must not wait for the
    other end.

    `endpoint` is what was asked for; where it has a port, the real one takes its place.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        sock: socket.socket,
        stream_of: Callable[[socket.socket], ByteStream],
    ) -> None:
        if sock.family in _INTERNET:
            endpoint = replace(endpoint, port=int(sock.getsockname()[1]))
        self.bound = self.endpoint = endpoint
        self._sock = sock
        self._stream_of = stream_of
        self._ready = Readiness(sock)

    async def accept(self) -> ByteStream:
        """See `Listener.accept`."""
        while True:
            sock = await self._next()
            try:
                sock.setblocking(False)
                if sock.family in _INTERNET:
                    tune(sock, str(sock.getpeername()[0]))
                return self._stream_of(sock)
            except OSError:  # reset before we looked at it
                sock.close()

    async def _next(self) -> socket.socket:
        while True:
            try:
                return (await self._ready.reading(self._sock.accept))[0]
            except OSError as error:
                if error.errno in EXHAUSTED:
                    await asyncio.sleep(EXHAUSTED_SECONDS)
                elif error.errno not in CALLER_GONE:
                    raise broken_off(self.endpoint.url, error) from error

    async def aclose(self) -> None:
        """See `Listener.aclose`."""
        self._ready.close()
        self._sock.close()


class DirectConnector(Connector):
    """TCP without a proxy. `resolve` gives the numeric addresses of a name before a deadline; by
    default the system does."""

    def __init__(self, resolve: Callable[[str, float], Awaitable[Sequence[str]]] = look_up) -> None:
        self._resolve = resolve

    async def connect(
        self, host: str, port: int, deadline: float, *, local: SocketAddress | None = None
    ) -> ByteStream:
        """See `Connector.connect`."""
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            addresses = await self._addresses(host, deadline)
            sock = await connect(addresses, port, deadline, local=local)
        except OSError as error:
            raise unreachable(place, error) from error
        try:
            return SocketStream(sock)
        except OSError as error:  # reset as soon as it was accepted
            sock.close()
            raise unreachable(place, error) from error

    async def resolve(self, host: str, deadline: float) -> tuple[str, ...]:
        """See `Connector.resolve`."""
        try:
            return tuple(await self._addresses(host, deadline))
        except OSError as error:
            raise unreachable(host, error) from error

    async def _addresses(self, host: str, deadline: float) -> Sequence[str]:
        return (host,) if is_numeric(host) else await self._resolve(host, deadline)
