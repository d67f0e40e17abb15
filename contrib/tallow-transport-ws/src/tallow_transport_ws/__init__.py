"""WebSocket (RFC 6455): one binary message after the other carries the bytes of a stream."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import quote, urlencode

from websockets.client import ClientProtocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from tallow_core.errors import BrokenOffError, ConfigError, UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.authority import parse_authority
from tallow_core.spi.connector import Connector
from tallow_core.spi.socket_streams import SocketListener, SocketStream
from tallow_core.spi.sockets import bind, unreachable
from tallow_core.spi.transport import ByteStream, Listener, Transport
from tallow_core.types import Endpoint, SocketAddress, Touch, Trust
from tallow_transport_ws.streams import MAX_MESSAGE_BYTES, WebSocketStream

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([ -~]*)")


@dataclass(frozen=True, slots=True)
class Options:
    """`path` is where an address without a path leads; `header` is sent with every connection that
    is opened, as `NAME: VALUE`."""

    path: str = "/tallow"
    header: str = ""


class WebSocket(Transport):
    """Dials and listens at `ws://HOST:PORT/PATH`, not encrypted."""

    name: ClassVar[str] = "ws"
    preference: ClassVar[int] = 70
    options: ClassVar[type | None] = Options
    encrypted: ClassVar[bool] = False
    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    reveals: ClassVar[str] = (
        "The network sees a WebSocket with both addresses, path, sizes and times, and sealed"
        " records; the other end sees this end's address."
    )

    def __init__(self, settings: DriverSettings) -> None:
        chosen: Options = settings.options
        if not chosen.path.startswith("/"):
            raise ConfigError("the option path of the transport ws does not begin with '/'")
        self._path = chosen.path
        self._header: tuple[str, str] | None = None
        if chosen.header:
            if (found := _HEADER.fullmatch(chosen.header)) is None:
                raise ConfigError("the option header of the transport ws is not NAME: VALUE")
            self._header = found[1], found[2]

    def parse(self, scheme: str, text: str) -> Endpoint:
        """See `Transport.parse`."""
        return parse_authority(scheme, text, pins=False, paths=True, default_port=80)

    async def dial(
        self,
        endpoint: Endpoint,
        deadline: float,
        *,
        trust: Trust,
        network: Connector,
        local: SocketAddress | None = None,
    ) -> ByteStream:
        """See `Transport.dial`."""
        below = await network.connect(endpoint.host, endpoint.port or 0, deadline, local=local)
        protocol = ClientProtocol(parse_uri(self._uri(endpoint)), max_size=MAX_MESSAGE_BYTES)
        stream = WebSocketStream(below, protocol, self._header)
        try:
            async with asyncio.timeout_at(deadline):
                await stream.open()
        except TimeoutError as error:
            await stream.aclose()
            raise unreachable(endpoint.url, error) from error
        except BrokenOffError as error:
            await stream.aclose()
            raise UnreachableError(
                f"{endpoint.url} is no WebSocket of Tallow ({error}); check host, port and path"
            ) from error
        except BaseException:
            await stream.aclose()
            raise
        return stream

    def _uri(self, endpoint: Endpoint) -> str:
        query = f"?{urlencode(endpoint.parameters)}" if endpoint.parameters else ""
        return f"ws://{endpoint.authority}{quote(endpoint.path or self._path)}{query}"

    async def listen(self, endpoint: Endpoint, *, lasting: bool, shared: bool = False) -> Listener:
        """See `Transport.listen`."""
        path = endpoint.path or self._path

        def stream_of(sock: socket.socket) -> ByteStream:
            protocol = ServerProtocol(max_size=MAX_MESSAGE_BYTES)
            return WebSocketStream(SocketStream(sock), protocol, path=quote(path))

        return SocketListener(
            replace(endpoint, path=path), await bind(endpoint, shared=shared), stream_of
        )


@hookimpl
def tallow_offer_transport() -> Iterable[type[Transport]]:
    """Hand over the driver."""
    return [WebSocket]
