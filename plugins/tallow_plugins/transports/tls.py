"""TLS 1.3 (RFC 8446) over TCP: hides from the network what a relay is told, and looks like the web.

An SSL socket that does not block, driven by readiness: it copies less than `asyncio`'s streams, which pass every byte through two
memory BIOs.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from tallow_core.errors import AuthenticationError
from tallow_core.hookspecs import hookimpl
from tallow_core.secrets import equal
from tallow_core.spi.transport import ByteStream, Listener, Transport
from tallow_core.types import Endpoint, ReadBuffer, Trust, WriteBuffer
from tallow_plugins.transports._authority import parse_authority
from tallow_plugins.transports._certificate import (
    IDENTITY_FILE,
    fresh_identity,
    lasting_identity,
    only_tls_1_3,
    pin_of_der,
    pin_of_identity,
    server_context,
)
from tallow_plugins.transports._readiness import Readiness
from tallow_plugins.transports._sockets import (
    SocketListener,
    bind,
    broken_off,
    close_gently,
    connect,
    facts_of,
    reason,
    unreachable,
)

if TYPE_CHECKING:
    from tallow_core.settings import Settings

_JOIN = 1 << 14
"""Bytes up to which several buffers are copied into one: a TLS record holds no more."""


class TlsStream(ByteStream):
    """A TLS 1.3 connection. Each direction ends by itself: `send_eof` ends TCP's, since close_notify and reading on do not go together
    in Python's `ssl` (the call that sends it fails the connection if it meets data)."""

    def __init__(self, sock: socket.socket, server: ssl.SSLContext | None = None) -> None:
        """Take a connection: a secured `ssl.SSLSocket`, or a plain one on which `server` shakes hands at first use."""
        self.facts = facts_of(sock, encrypted=True)
        self._sock = sock
        self._ready = Readiness(sock)
        self._server = server
        self._secured = asyncio.Lock()
        self._ended = False
        self._failure: OSError | None = None

    async def receive_into(self, buffer: WriteBuffer) -> int:
        try:
            tls = await self._tls()
            return 0 if self._ended else await self._ready.reading(partial(self._gather, tls, memoryview(buffer).cast("B")))
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    def _gather(self, tls: ssl.SSLSocket, view: memoryview) -> int:
        """Fill `view` from as many TLS records as are there; each read gives one at most. Failures after the first wait for the next
        call, so that bytes before them are not lost."""
        if self._failure is not None:
            raise self._failure
        filled = 0
        try:
            while filled < len(view):
                got = tls.recv_into(view[filled:])
                filled += got
                if not got:  # with its close_notify or without: see `only_tls_1_3`
                    self._ended = True
                    break
        except OSError as error:
            if not filled:
                raise
            if not isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError):
                self._failure = error
        return filled

    async def send(self, *buffers: ReadBuffer) -> None:
        if len(buffers) > 1 and sum(memoryview(buffer).nbytes for buffer in buffers) <= _JOIN:
            buffers = (b"".join(buffers),)
        try:
            tls = await self._tls()
            for buffer in buffers:
                await self._send_one(tls, memoryview(buffer).cast("B"))
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    async def _send_one(self, tls: ssl.SSLSocket, view: memoryview) -> None:
        sent = 0
        while sent < len(view):  # OpenSSL wants the same bytes again after it could not write all of them
            sent += await self._ready.writing(partial(tls.send, view[sent:]))

    async def _tls(self) -> ssl.SSLSocket:
        async with self._secured:
            if isinstance(self._sock, ssl.SSLSocket):
                return self._sock
            assert self._server is not None  # plain sockets come from a listener only
            tls = self._server.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
            self._sock = tls
            await self._ready.reading(tls.do_handshake)
            return tls

    async def send_eof(self) -> None:
        try:
            tls = await self._tls()
            socket.socket.shutdown(tls, socket.SHUT_WR)  # SSLSocket's own would drop the keys, and read on in clear
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    async def aclose(self) -> None:
        if self._ready.closed:
            return
        self._ready.close()
        await close_gently(_unwrapped(self._sock) if isinstance(self._sock, ssl.SSLSocket) else self._sock)


def _unwrapped(tls: ssl.SSLSocket) -> socket.socket:
    """Send close_notify if there is room for it, and return the bare socket."""
    with contextlib.suppress(OSError, ValueError):
        tls.unwrap()
    bare = socket.socket(tls.family, tls.type, tls.proto, fileno=tls.detach())
    bare.setblocking(False)
    return bare


async def _handshake(context: ssl.SSLContext, sock: socket.socket, name: str | None) -> ssl.SSLSocket:
    """Shake hands as the client. The socket is closed if that fails."""
    tls = context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
    ready = Readiness(tls)
    try:
        await ready.reading(tls.do_handshake)
    except BaseException:
        ready.close()
        tls.close()
        raise
    return tls


async def _by_name(sock: socket.socket, endpoint: Endpoint) -> ssl.SSLSocket:
    """Shake hands with whom the system's roots and the name vouch for."""
    context = only_tls_1_3(ssl.create_default_context())
    try:
        return await _handshake(context, sock, endpoint.host)
    except ssl.SSLCertVerificationError as error:
        raise AuthenticationError(
            f"The certificate of {endpoint.url} is not one that this system trusts ({reason(error)}): "
            "use the relay's whole address with its '#sha256=' pin, as its operator gives it."
        ) from error


async def _by_pin(sock: socket.socket, endpoint: Endpoint) -> ssl.SSLSocket:
    """Shake hands and compare the pin before anything is sent; roots and names are not consulted, and no name is sent either.

    Without a pin nothing is compared: only for direct paths (`Trust.SESSION`), where TLS is cover. The session authenticates the other
    end and seals every record itself, so whoever stands between sees no more than on `tcp`.
    """
    context = only_tls_1_3(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    tls = await _handshake(context, sock, None)
    if endpoint.pin is None:
        return tls
    shown = pin_of_der(tls.getpeercert(binary_form=True) or b"")
    if shown is None or not equal(shown.encode(), endpoint.pin.encode()):
        tls.close()
        raise AuthenticationError(
            f"{endpoint.url} shows the key {(shown or 'unreadable')[:16]}..., not the pinned {endpoint.pin[:16]}...: "
            "ask the relay's operator for its present address, and do not connect without one."
        )
    return tls


class Tls(Transport):
    """TLS 1.3 only. On direct paths it is cover; to a relay the pin, or the system's roots and the name, say whom we talk to."""

    name = "tls"
    preference = 20
    encrypted: ClassVar[bool] = True

    def __init__(self, settings: Settings) -> None:
        """Remember where a relay's identity is kept."""
        self._state = settings.directories.state

    def parse(self, authority: str) -> Endpoint:
        return parse_authority(self.name, authority, pins=True)

    async def dial(self, endpoint: Endpoint, deadline: float, *, trust: Trust) -> ByteStream:
        sock = await connect(endpoint, deadline)
        secure = _by_name if trust is Trust.PEER and endpoint.pin is None else _by_pin
        try:
            async with asyncio.timeout_at(deadline):
                tls = await secure(sock, endpoint)
        except OSError as error:
            raise unreachable(endpoint, error) from error
        finally:
            sock.close()  # empty by now if the handshake took it over
        try:
            return TlsStream(tls)
        except OSError as error:  # reset as soon as it stood
            tls.close()
            raise unreachable(endpoint, error) from error

    async def listen(self, endpoint: Endpoint, *, lasting: bool) -> Listener:
        pem = lasting_identity(self._state) if lasting else fresh_identity()
        origin = str(self._state / IDENTITY_FILE) if lasting else "made for this run"
        pinned = Endpoint(endpoint.scheme, endpoint.host, endpoint.port, pin_of_identity(pem, origin))
        context = server_context(pem, origin)
        return SocketListener(pinned, await bind(endpoint), partial(TlsStream, server=context))


@hookimpl
def tallow_offer_transport() -> Iterable[type[Transport]]:
    """Hand over the driver."""
    return [Tls]
