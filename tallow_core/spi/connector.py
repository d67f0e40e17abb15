"""The contract of a connector: how a transport opens a TCP connection without knowing of names or
proxies."""

from __future__ import annotations

from abc import ABC, abstractmethod

from tallow_core.spi.byte_stream import ByteStream
from tallow_core.types import SocketAddress


class Connector(ABC):
    """Handed to `Transport.dial`. The core composes it of the resolver and the proxy that the
    user's settings and policy choose for the path."""

    @abstractmethod
    async def connect(
        self, host: str, port: int, deadline: float, *, local: SocketAddress | None = None
    ) -> ByteStream:
        """Open a TCP connection to `host`, a name or a numeric address, before `deadline` (on the
        clock of the running loop), from the address and port `local` if there is one.

        The stream gives up its socket (`ByteStream.detach`) where it has one. Nothing that answers,
        a refusal, or a name that does not resolve is an `UnreachableError`; a proxy that refuses
        our credentials is a `ConfigError`; what policy forbids is a `PolicyError`.
        Cancelling it leaves no connection open.
        """

    @abstractmethod
    async def resolve(self, host: str, deadline: float) -> tuple[str, ...]:
        """The numeric addresses of `host`, for a transport that does not dial TCP; a numeric one is
        returned as it is. An `UnreachableError` if there is none before `deadline`. Cancelling it
        drops the answer."""
