"""The contract of a stream of bytes, and of a connection that carries several."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass

from tallow_core.types import PathKind, ReadBuffer, WriteBuffer


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What is known of a connection.

    `peer` is the other end's address for limits, without port: a numeric one for `ip`, else that of
    the listener. `loopback` says whether the other end is on this machine. `encrypted` says whether
    the transport itself encrypts. `path` says what lies between: `local` on one machine, `lan` for
    addresses of private use, `internet` for others, `proxy` or `tor` where one carries it.
    """

    peer: str
    loopback: bool
    encrypted: bool
    path: PathKind


class ByteStream(ABC):
    """A reliable, ordered stream of bytes in both directions.

    Every failure of the connection is a `BrokenOffError`. Cancelling a call leaves the stream
    usable only for `aclose`. One task may receive while another sends.
    """

    facts: StreamFacts

    @abstractmethod
    async def receive_into(self, buffer: WriteBuffer) -> int:
        """Wait for at least one byte, put what has come into `buffer`, return how many; 0 once the
        other end has sent all. Raises `BrokenOffError`. Cancelled, it may have taken bytes that are
        lost: close the stream."""

    @abstractmethod
    async def send(self, *buffers: ReadBuffer) -> None:
        """Return when every byte of `buffers`, in order, was handed to the operating system; the
        buffers may then be reused. Raises `BrokenOffError`. Cancelled, it may have sent a part:
        close the stream. It does not use the buffers any more."""

    @abstractmethod
    async def send_eof(self) -> None:
        """Announce that no more bytes will come. Receiving goes on where the transport has
        half-close. Raises `BrokenOffError`. Cancelled, the other end may see the end or not: close
        the stream."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close both directions, without losing bytes already sent. Idempotent; never raises for a
        broken connection. Cancelled, it closes at once, and bytes on their way may be lost."""

    def detach(self) -> socket.socket | None:
        """Give up the socket, where the stream is one and nothing else: connected, non-blocking,
        with all bytes that were not received yet still in it.

        The caller owns it from then on and the stream must not be used any more. None (the
        default) where there is no such socket; the stream then stays usable. Only the end that
        opened the stream calls it, before the first byte is sent or received.
        """
        return None


class Multiplexed(ABC):
    """An optional power of a `ByteStream`: its connection carries further streams, `max_streams` of
    the transport in all.

    Both ends can have it. Each further stream is a `ByteStream` without this power, and goes on
    when the first one is closed; the connection ends with the last of them. A stream that nothing
    accepts does not hold up the others.
    """

    @abstractmethod
    async def open_stream(self) -> ByteStream:
        """Open a further stream to the other end. A `BrokenOffError` where the connection has ended
        or carries as many as it may: the caller then dials again. Cancelling it leaves no stream of
        this call open, and the others go on."""

    @abstractmethod
    async def accept_stream(self) -> ByteStream:
        """Wait for the next stream that the other end opens; a `BrokenOffError` once the connection
        has ended. Cancelling it loses no stream."""
