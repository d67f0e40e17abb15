"""SOCKS 5 (RFC 1928): a proxy that resolves names at its own end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from tallow_core.errors import ConfigError, PolicyError, TallowError, UnreachableError, UsageError
from tallow_core.plugin_settings import DriverSettings, Secret
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.authority import parse_authority
from tallow_core.spi.byte_stream import ByteStream, StreamFacts
from tallow_core.spi.connector import Connector
from tallow_core.spi.proxy import Proxy
from tallow_core.spi.socket_streams import SocketStream
from tallow_core.spi.sockets import reason
from tallow_core.text import printable
from tallow_core.types import Endpoint, SocketAddress, Touch

_SCHEME = "socks5"
_MAX_CREDENTIAL_BYTES = 255
"""The most bytes of a user name or a password (RFC 1929 section 2)."""
_NOT_ALLOWED = 2
"""The reply "connection not allowed by ruleset" (RFC 1928 section 6)."""
_REFUSED_CREDENTIALS = (
    "Username and password authentication failure",
    "No acceptable authentication methods were offered",
)
"""The messages of python-socks for failures for which RFC 1929 and RFC 1928 section 3 have no
number."""


@dataclass(frozen=True, slots=True)
class Options:
    """`url` is where the server listens, as socks5://HOST:PORT. `user` and `password` are what it
    asks for; without them every destination has a user name of its own, so that a server that
    isolates by it (Tor) keeps them apart."""

    url: str = "socks5://127.0.0.1:1080"
    user: str = ""
    password: Annotated[str, Secret()] = field(default="", repr=False)


class Socks5(Proxy):
    """TCP by a SOCKS 5 server, over python-socks. What it returns is the plain socket."""

    name = "socks5"
    preference = 50
    options: ClassVar[type | None] = Options
    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    reveals: ClassVar[str] = (
        "The proxy's server sees which hosts and ports are connected to, sizes and times; those"
        " hosts see the server's address; the network sees that the server is used."
    )
    carries: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    remote_names: ClassVar[bool] = True

    def __init__(self, settings: DriverSettings) -> None:
        chosen: Options = settings.options or Options()
        self._server = _read(chosen.url)
        if bool(chosen.user) != bool(chosen.password):
            raise ConfigError(
                "the proxy socks5 has a user name or a password only; give both, or neither"
            )
        for text in (chosen.user, chosen.password):
            if not text.isascii() or len(text) > _MAX_CREDENTIAL_BYTES:
                raise ConfigError(
                    "the user name or password of the proxy socks5 is not ASCII of at most"
                    f" {_MAX_CREDENTIAL_BYTES} characters"
                )
        self._credentials = (chosen.user, chosen.password) if chosen.user else None

    async def connect(
        self,
        direct: Connector,
        host: str,
        port: int,
        deadline: float,
        *,
        isolation: str,
        local: SocketAddress | None = None,
    ) -> ByteStream:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            async with asyncio.timeout_at(deadline):
                sock = await self._socket(direct, host, port, deadline, isolation, local)
        except TimeoutError as error:
            raise UnreachableError(
                f"{printable(place)} did not answer in time by the proxy {self._server.url}; check"
                " the address and the proxy"
            ) from error
        except OSError as error:
            raise self._broken(reason(error)) from error
        return SocketStream(sock, StreamFacts(host, loopback=False, encrypted=False, path="proxy"))

    async def _socket(
        self,
        direct: Connector,
        host: str,
        port: int,
        deadline: float,
        isolation: str,
        local: SocketAddress | None,
    ) -> socket.socket:
        from python_socks import ProxyError, ProxyType
        from python_socks.async_.asyncio import Proxy as Client

        user, password = self._credentials or (isolation, isolation)
        server = self._server
        forward: Any = _Direct(direct, server, deadline, local)
        client = Client(
            ProxyType.SOCKS5, server.host, server.port or 0, user, password, True, forward
        )
        try:
            # Its own time limit lies beyond ours, which holds for the connection to the server too.
            left = deadline - asyncio.get_running_loop().time()
            return await client.connect(host, port, timeout=max(left, 0) + 60)
        except ProxyError as error:
            raise self._refusal(error, f"{host}:{port}") from error
        except (ValueError, IndexError, AssertionError) as error:  # UnicodeError is a ValueError
            raise self._broken("its answer is malformed") from error

    def _refusal(self, error: Any, place: str) -> TallowError:
        words = printable(str(error))
        if str(error) in _REFUSED_CREDENTIALS:
            return ConfigError(
                f"the proxy {self._server.url} refuses the user name and password; set them in"
                ' [plugin."proxy:socks5"]'
            )
        if error.error_code == _NOT_ALLOWED:
            return PolicyError(
                f"the rules of the proxy {self._server.url} do not allow {printable(place)}; use"
                " another proxy or another address"
            )
        if error.error_code is None:
            return self._broken(words.lower())
        return UnreachableError(
            f"{printable(place)} cannot be reached by the proxy {self._server.url}"
            f" ({words.lower()}); check the address and that the other side is running"
        )

    def _broken(self, why: str) -> UnreachableError:
        return UnreachableError(
            f"the proxy {self._server.url} does not work ({why}); check its address and that it is"
            " a SOCKS 5 server"
        )


class _Direct:
    """The first link of a chain, for python-socks: the connection to the server itself."""

    def __init__(
        self, direct: Connector, server: Endpoint, deadline: float, local: SocketAddress | None
    ) -> None:
        self._direct = direct
        self._server = server
        self._deadline = deadline
        self._local = local

    async def connect(self, dest_host: str, dest_port: int, **_: object) -> socket.socket:
        try:
            stream = await self._direct.connect(
                dest_host, dest_port, self._deadline, local=self._local
            )
        except UnreachableError as error:
            raise UnreachableError(f"the proxy does not answer: {error}") from error
        if (sock := stream.detach()) is None:
            await stream.aclose()
            raise UnreachableError(
                f"the proxy {self._server.url} needs a plain TCP connection, and this one is none;"
                " use it without another proxy before it"
            )
        return sock


def _read(url: str) -> Endpoint:
    scheme, mark, rest = url.partition("://")
    if mark and scheme not in (_SCHEME, "socks5h"):
        raise ConfigError(f"'{printable(url)}' is no SOCKS 5 proxy: write socks5://HOST:PORT")
    try:
        endpoint = parse_authority(_SCHEME, rest if mark else url, pins=False, default_port=1080)
    except UsageError as error:
        raise ConfigError(str(error)) from error
    return endpoint


@hookimpl
def tallow_offer_proxy() -> Iterable[type[Proxy]]:
    """Hand over the driver."""
    return [Socks5]
