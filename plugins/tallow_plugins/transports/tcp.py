"""TCP (RFC 9293): the plainest path. Everything on it is sealed by the session."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.transport import ByteStream, Listener, Transport
from tallow_core.types import Endpoint, ReadBuffer, Trust, WriteBuffer
from tallow_plugins.transports._authority import parse_authority
from tallow_plugins.transports._readiness import Readiness
from tallow_plugins.transports._sockets import (
    SocketListener,
    bind,
    broken_off,
    close_gently,
    connect,
    facts_of,
)

_JOIN = 1 << 16
"""Bytes up to which several buffers are copied into one, so that they leave in one packet."""


class TcpStream(ByteStream):
    """A connected, non-blocking TCP socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.facts = facts_of(sock, encrypted=False)
        self._sock = sock
        self._ready = Readiness(sock)

    async def receive_into(self, buffer: WriteBuffer) -> int:
        sock = self._sock
        try:
            return await self._ready.reading(lambda: sock.recv_into(buffer))
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    async def send(self, *buffers: ReadBuffer) -> None:
        if len(buffers) > 1 and sum(memoryview(buffer).nbytes for buffer in buffers) <= _JOIN:
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
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    async def aclose(self) -> None:
        if not self._ready.closed:
            self._ready.close()
            await close_gently(self._sock)


class Tcp(Transport):
    """TCP, not encrypted by itself: whoever watches the network sees addresses, sizes and times,
    and sealed records."""

    name = "tcp"
    preference = 10
    encrypted: ClassVar[bool] = False

    def __init__(self, settings: DriverSettings) -> None:
        """Nothing of the settings is needed."""

    def parse(self, authority: str) -> Endpoint:
        return parse_authority(self.name, authority, pins=False)

    async def dial(self, endpoint: Endpoint, deadline: float, *, trust: Trust) -> ByteStream:
        sock = await connect(endpoint, deadline)
        try:
            return TcpStream(sock)
        except OSError as error:  # reset as soon as it was accepted
            sock.close()
            raise broken_off(endpoint.url, error) from error

    async def listen(self, endpoint: Endpoint, *, lasting: bool) -> Listener:
        return SocketListener(endpoint, await bind(endpoint), TcpStream)


@hookimpl
def tallow_offer_transport() -> Iterable[type[Transport]]:
    """Hand over the driver."""
    return [Tcp]
