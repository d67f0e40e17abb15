"""TLS 1.3 (RFC 8446) over TCP: hides what a relay reads, and looks like the web."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from tallow_core.errors import AuthenticationError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.secrets import equal
from tallow_core.spi.authority import parse_authority
from tallow_core.spi.connector import Connector
from tallow_core.spi.socket_streams import SocketListener
from tallow_core.spi.sockets import bind, facts_of, reason, unreachable
from tallow_core.spi.transport import ByteStream, Listener, Transport
from tallow_core.types import Endpoint, SocketAddress, Touch, Trust
from tallow_plugins.transports._carriers import ROOM_BYTES, Carrier, SocketCarrier, StreamCarrier
from tallow_plugins.transports._certificate import (
    IDENTITY_FILE,
    fresh_identity,
    lasting_identity,
    only_tls_1_3,
    pin_of_der,
    pin_of_identity,
    server_context,
)
from tallow_plugins.transports._tls_stream import TlsStream


class Tls(Transport):
    """TLS 1.3 only. On direct paths it is cover; to a relay the pin, or the system's roots and the
    name, say who answers."""

    name = "tls"
    preference = 20
    encrypted: ClassVar[bool] = True
    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    reveals: ClassVar[str] = (
        "The network sees both addresses, sizes and times, and where no pin is used the host's"
        " name;"
        " the other end sees this end's address."
    )

    def __init__(self, settings: DriverSettings) -> None:
        """Remember where a relay's identity is kept."""
        self._state = settings.directories.state

    @cached_property
    def _room(self) -> memoryview:
        return memoryview(bytearray(ROOM_BYTES))

    def parse(self, scheme: str, text: str) -> Endpoint:
        return parse_authority(scheme, text, pins=True)

    async def dial(
        self,
        endpoint: Endpoint,
        deadline: float,
        *,
        trust: Trust,
        network: Connector,
        local: SocketAddress | None = None,
    ) -> ByteStream:
        by_name = trust is Trust.PEER and endpoint.pin is None
        below = await network.connect(endpoint.host, endpoint.port or 0, deadline, local=local)
        stream = TlsStream(
            self._carrier(below),
            _client_context(by_name=by_name),
            name=endpoint.host if by_name else None,
        )
        try:
            async with asyncio.timeout_at(deadline):
                await stream.secure()
            if endpoint.pin is not None:
                _check_pin(endpoint, stream.certificate())
        except ssl.SSLCertVerificationError as error:
            await stream.aclose()
            raise AuthenticationError(
                f"the certificate of {endpoint.url} is not one that this system trusts"
                f" ({reason(error)}); use the relay's whole address with its '#sha256=' pin, as its"
                " operator gives it"
            ) from error
        except OSError as error:
            await stream.aclose()
            raise unreachable(endpoint.url, error) from error
        except BaseException:
            await stream.aclose()
            raise
        return stream

    def _carrier(self, below: ByteStream) -> Carrier:
        sock = below.detach()
        return (
            StreamCarrier(below) if sock is None else SocketCarrier(sock, below.facts, self._room)
        )

    async def listen(self, endpoint: Endpoint, *, lasting: bool, shared: bool = False) -> Listener:
        pem = lasting_identity(self._state) if lasting else fresh_identity()
        origin = str(self._state / IDENTITY_FILE) if lasting else "made for this run"
        pinned = replace(endpoint, pin=pin_of_identity(pem, origin))
        context = server_context(pem, origin)

        def stream_of(sock: socket.socket) -> ByteStream:
            facts = facts_of(sock, encrypted=False)
            return TlsStream(SocketCarrier(sock, facts, self._room), context, server=True)

        return SocketListener(pinned, await bind(endpoint, shared=shared), stream_of)


def _client_context(*, by_name: bool) -> ssl.SSLContext:
    """Roots and name of the system, or none of both: then a pin is compared, and no name is sent
    either.

    Without a pin nothing is compared: only for direct paths (`Trust.SESSION`), where TLS is cover.
    The session authenticates the other end and seals every record itself, so what stands between
    sees no more than on `tcp`.
    """
    if by_name:
        return only_tls_1_3(ssl.create_default_context())
    context = only_tls_1_3(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _check_pin(endpoint: Endpoint, certificate: bytes) -> None:
    assert endpoint.pin is not None
    shown = pin_of_der(certificate)
    if shown is None or not equal(shown.encode(), endpoint.pin.encode()):
        raise AuthenticationError(
            f"{endpoint.url} shows the key {(shown or 'unreadable')[:16]}..., not the pinned"
            f" {endpoint.pin[:16]}...; ask the relay's operator for its present address, and do not"
            " connect without one"
        )


@hookimpl
def tallow_offer_transport() -> Iterable[type[Transport]]:
    """Hand over the driver."""
    return [Tls]
