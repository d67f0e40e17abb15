"""The contract of a transport: how a stream of bytes reaches another host."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, TypeAlias

from tallow_core.errors import UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.byte_stream import ByteStream, Multiplexed, StreamFacts
from tallow_core.spi.connector import Connector
from tallow_core.spi.driver import Driver
from tallow_core.types import Endpoint, SocketAddress, Touch, Trust

__all__ = [
    "Addressing",
    "ByteStream",
    "Listener",
    "Multiplexed",
    "StreamFacts",
    "Transport",
    "TransportRole",
]

Addressing: TypeAlias = Literal["ip", "path", "name"]
"""What an endpoint of a transport is: HOST:PORT, a path in the file system, or a name that the
transport itself gives a meaning."""

TransportRole: TypeAlias = Literal["dial", "listen"]
"""What a transport can do: open connections, or accept them."""


class Listener(ABC):
    """A place where connections are accepted.

    `bound` is where it listens: the address and port of this machine. `endpoint` is what others
    dial: the same unless something lies between (a port mapping, an onion service), and with the
    pin where the transport has one.
    """

    bound: Endpoint
    endpoint: Endpoint

    @abstractmethod
    async def accept(self) -> ByteStream:
        """Wait for the next connection; a `BrokenOffError` once the listener is closed. A slow or
        hostile handshake of one connection never delays the next: where the transport has one, it
        runs within the stream's first `receive_into` or `send`. Cancelling it loses no connection:
        the next call gives it."""

    @abstractmethod
    async def aclose(self) -> None:
        """Stop listening; streams already accepted go on. Idempotent. Cancelled, it has stopped
        listening all the same."""


class Transport(Driver):
    """Dials and listens, or does one of the two.

    - `roles`: what it can do. One without "listen" is never asked to listen.
    - `schemes`: what its endpoints begin with, the first by default; without a statement, the name.
    - `addressing`: what an endpoint is; `on_this_machine` says that none leads to another machine.
    - `encrypted`: whether it encrypts by itself.
    - `hides_addresses`: an endpoint says nothing of where its machine is (an onion service). While
      such a one is in use, no address of this machine is given away or dialled beside it.
    - `max_streams`: how many streams one connection carries; above 1 its streams have the power
      `Multiplexed`.
    - `touches`: what it uses of the network. One that dials TCP uses the `Connector` for that, and
      says "tcp"; it is then admitted through a proxy. Sockets of its own are "udp" or "local".
    - `reveals`: one sentence on what the network and the other end learn.
    """

    roles: ClassVar[frozenset[TransportRole]] = frozenset({"dial", "listen"})
    schemes: ClassVar[tuple[str, ...]] = ()
    addressing: ClassVar[Addressing] = "ip"
    on_this_machine: ClassVar[bool] = False
    encrypted: ClassVar[bool]
    hides_addresses: ClassVar[bool] = False
    max_streams: ClassVar[int] = 1
    touches: ClassVar[frozenset[Touch]]
    reveals: ClassVar[str]

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if "name" in vars(cls) and "schemes" not in vars(cls):
            cls.schemes = (cls.name,)

    @abstractmethod
    def __init__(self, settings: DriverSettings) -> None:
        """Take what the driver needs of the settings (its directories, its options); touch neither
        network nor files."""

    @abstractmethod
    def parse(self, scheme: str, text: str) -> Endpoint:
        """Read what follows `SCHEME://`, which is one of `schemes`: `HOST:PORT` or `[V6]:PORT`
        where `addressing` is `ip`, an absolute path where it is `path`; then a path and parameters
        where the transport has them, and `#sha256=PIN` where it has pins.

        What an endpoint prints after its scheme is read back as that endpoint. Bad text is a
        `UsageError`.
        """

    def local(self) -> Endpoint:
        """An endpoint of this machine alone where `listen` finds a free place: loopback and port 0,
        or a path that is fresh each time."""
        return Endpoint(self.schemes[0], "127.0.0.1", 0)

    async def dial(
        self,
        endpoint: Endpoint,
        deadline: float,
        *,
        trust: Trust,
        network: Connector,
        local: SocketAddress | None = None,
    ) -> ByteStream:
        """Connect, handshake included, before `deadline` (on the clock of the running loop).

        TCP connections are opened by `network`, which knows of names and proxies; `local` is the
        address and port to dial from, handed on to it. No answer or a refusal is an
        `UnreachableError`; a pin or certificate that does not match is an `AuthenticationError`,
        raised before one byte of ours is sent; what `network` raises passes. Cancelling it leaves
        nothing open.
        """
        raise UnreachableError(f"{self.name} does not dial; use another transport")

    async def listen(self, endpoint: Endpoint, *, lasting: bool, shared: bool = False) -> Listener:
        """Bind exactly `endpoint` (port 0: a free port). An address that cannot be bound, or is in
        use, is an `UnreachableError`.

        `lasting` asks for the identity kept in the state directory (a relay's); otherwise one that
        dies with the listener. `shared` lets others bind the same port and dial from it
        (SO_REUSEPORT), as punching a hole needs it; a transport without ports ignores it. The core
        asks for it only where a nat driver has the power `Punches`, and none that comes with Tallow
        has it yet. Cancelling it leaves nothing bound.
        """
        raise UnreachableError(f"{self.name} does not listen; use another transport")
