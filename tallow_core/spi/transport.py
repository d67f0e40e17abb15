"""The contract of a transport: how a stream of bytes reaches another host."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.driver import Driver
from tallow_core.types import Endpoint, ReadBuffer, Trust, WriteBuffer

Addressing: TypeAlias = Literal["ip", "path", "name"]
"""What an endpoint of a transport is: HOST:PORT, a path in the file system, or a name that this
process alone knows."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What is known of a connection.

    `peer` is the other end's address for limits, without port: a numeric one for `ip`, else that of
    the listener. `loopback` says whether the other end is on this machine, as it always is where
    `addressing` is not `ip`.
    """

    peer: str
    loopback: bool
    encrypted: bool


class ByteStream(ABC):
    """A reliable, ordered stream of bytes in both directions.

    Every failure of the connection is a `BrokenOffError`. Cancelling a call leaves the stream
    usable only for `aclose`. One task may receive while another sends.
    """

    facts: StreamFacts

    @abstractmethod
    async def receive_into(self, buffer: WriteBuffer) -> int:
        """Wait for at least one byte, put what has come into `buffer`, return how many; 0 once the
        other end has sent all."""

    @abstractmethod
    async def send(self, *buffers: ReadBuffer) -> None:
        """Return when every byte of `buffers`, in order, was handed to the operating system; the
        buffers may then be reused."""

    @abstractmethod
    async def send_eof(self) -> None:
        """Tell the other end that no more bytes will come. Receiving goes on where the transport
        has half-close."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close both directions, without losing bytes already sent. Idempotent; never raises for a
        broken connection."""


class Listener(ABC):
    """A bound address. `endpoint` is what others dial: the real port, and the pin where the
    transport has one."""

    endpoint: Endpoint

    @abstractmethod
    async def accept(self) -> ByteStream:
        """Wait for the next connection. A slow or hostile handshake of one connection never delays
        the next: where the transport has one, it runs within the stream's first `receive_into` or
        `send`."""

    @abstractmethod
    async def aclose(self) -> None:
        """Stop listening; streams already accepted go on. Idempotent."""


class Transport(Driver):
    """Dials and listens. The name is also the scheme of its endpoints."""

    shape: ClassVar[Literal["stream", "datagram"]] = "stream"
    addressing: ClassVar[Addressing] = "ip"
    encrypted: ClassVar[bool]

    @abstractmethod
    def __init__(self, settings: DriverSettings) -> None:
        """Take what the driver needs of the settings (its directories); touch neither network nor
        files."""

    @abstractmethod
    def parse(self, authority: str) -> Endpoint:
        """Read an authority: `HOST:PORT` or `[V6]:PORT` where `addressing` is `ip`, an absolute
        path where it is `path`; with an optional `#sha256=PIN` where the transport has pins. What
        an endpoint prints as its `authority` is read back. Bad text is a `UsageError`."""

    def local(self) -> Endpoint:
        """An endpoint of this machine alone where `listen` finds a free place: loopback and port 0,
        or a path that is fresh each time."""
        return Endpoint(self.name, "127.0.0.1", 0)

    @abstractmethod
    async def dial(self, endpoint: Endpoint, deadline: float, *, trust: Trust) -> ByteStream:
        """Connect, handshake included, before `deadline` (on the clock of the running loop).

        No answer, a refusal or a name that does not resolve is an `UnreachableError`; a pin or
        certificate that does not match is an `AuthenticationError`, raised before one byte of ours
        is sent.
        """

    @abstractmethod
    async def listen(self, endpoint: Endpoint, *, lasting: bool) -> Listener:
        """Bind exactly `endpoint` (port 0: a free port). An address that cannot be bound, or is in
        use, is an `UnreachableError`.

        `lasting` asks for the identity kept in the state directory (a relay's); otherwise one that
        dies with the listener.
        """
