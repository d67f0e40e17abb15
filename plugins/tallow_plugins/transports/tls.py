"""TLS 1.3 (RFC 8446) over TCP: hides from the network what a relay is told, and looks like the web.

TLS reads and writes memory, and we the socket, many records at a time: an SSL socket would do three
system calls for every 16 KiB, and `asyncio`'s streams copy more.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable
from functools import cached_property, partial
from typing import Any, ClassVar

from tallow_core.errors import AuthenticationError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.hookspecs import hookimpl
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

_JOIN = 1 << 14
"""Bytes up to which several buffers are copied into one: a TLS record holds no more."""
_PIECE = 1 << 18
"""Bytes sealed before they are sent."""
_ROOM = 1 << 17
"""Bytes read from a socket at once."""


class TlsStream(ByteStream):
    """A TLS 1.3 connection over a socket that does not block. The handshake runs in the first call
    that needs it.

    Each direction ends by itself: `send_eof` ends TCP's, since close_notify and reading on do not
    go together in Python's `ssl` (the call that sends it fails the connection if it meets data).
    """

    def __init__(
        self,
        sock: socket.socket,
        room: memoryview,
        context: ssl.SSLContext,
        *,
        server: bool = False,
        name: str | None = None,
    ) -> None:
        """`room` is for what comes from the socket, and may be shared by all streams of a loop:
        nothing stays in it."""
        self.facts = facts_of(sock, encrypted=True)
        self._sock = sock
        self._ready = Readiness(sock)
        self._room = room
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._arrived, self._leaving, server_side=server, server_hostname=name
        )
        self._shaking = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._secured = False
        self._ended = False
        self._failure: OSError | None = None

    async def secure(self) -> None:
        """Shake hands, if that was not done; raises the `OSError` of the socket or of TLS."""
        async with self._shaking:
            while not self._secured:
                try:
                    self._tls.do_handshake()
                    self._secured = True
                except ssl.SSLWantReadError:
                    await self._flush()
                    await self._ready.reading(self._fetch)
                except ssl.SSLError:
                    self._flush_what_fits()  # the alert
                    raise
            await self._flush()

    def certificate(self) -> bytes:
        """The other end's certificate (DER); empty if it showed none."""
        return self._tls.getpeercert(binary_form=True) or b""

    async def receive_into(self, buffer: WriteBuffer) -> int:
        try:
            if not self._secured:
                await self.secure()
            count = (
                0
                if self._ended
                else await self._ready.reading(partial(self._gather, memoryview(buffer).cast("B")))
            )
            if (
                self._leaving.pending and not self._sending.locked()
            ):  # the answer to a KeyUpdate; whoever sends takes it along
                async with self._sending:
                    await self._flush()
            return count
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    def _gather(self, view: memoryview) -> int:
        """Fill `view` from as many TLS records as are there. Failures after the first wait for the
        next call, so that bytes before them are not lost."""
        if self._failure is not None:
            raise self._failure
        filled = 0
        try:
            while filled < len(view) and not self._ended:
                try:
                    # With a buffer, `read` returns a count.
                    got: Any = self._tls.read(len(view) - filled, view[filled:])
                    filled += got
                    self._ended = not got  # with its close_notify or without: see `only_tls_1_3`
                except ssl.SSLWantReadError:
                    self._fetch()
                except ssl.SSLEOFError:
                    self._ended = True
        except (BlockingIOError, InterruptedError):
            if not filled:
                raise
        except OSError as error:
            if not filled:
                raise
            self._failure = error
        return filled

    def _fetch(self) -> None:
        """Hand TLS what the socket has."""
        if count := self._sock.recv_into(self._room):
            self._arrived.write(self._room[:count])
        else:
            self._arrived.write_eof()

    async def send(self, *buffers: ReadBuffer) -> None:
        if len(buffers) > 1 and sum(memoryview(buffer).nbytes for buffer in buffers) <= _JOIN:
            buffers = (b"".join(buffers),)
        try:
            if not self._secured:
                await self.secure()
            async with self._sending:
                for buffer in buffers:
                    view = memoryview(buffer).cast("B")
                    while view:
                        view = view[self._tls.write(view[:_PIECE]) :]
                        await self._flush()
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    async def _flush(self) -> None:
        """Send all that TLS has sealed."""
        while self._leaving.pending:
            rest = memoryview(self._leaving.read())
            while rest:
                rest = rest[await self._ready.writing(partial(self._sock.send, rest)) :]

    def _flush_what_fits(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.send(self._leaving.read())

    async def send_eof(self) -> None:
        try:
            if not self._secured:
                await self.secure()
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise broken_off(self.facts.peer, error) from error

    async def aclose(self) -> None:
        if self._ready.closed:
            return
        self._ready.close()
        if (
            self._secured and not self._sending.locked()
        ):  # else close_notify would come in the middle of a record
            with contextlib.suppress(OSError, ValueError):
                self._tls.unwrap()
            self._flush_what_fits()
        await close_gently(self._sock)


class Tls(Transport):
    """TLS 1.3 only. On direct paths it is cover; to a relay the pin, or the system's roots and the
    name, say whom we talk to."""

    name = "tls"
    preference = 20
    encrypted: ClassVar[bool] = True

    def __init__(self, settings: DriverSettings) -> None:
        """Remember where a relay's identity is kept."""
        self._state = settings.directories.state

    @cached_property
    def _room(self) -> memoryview:
        return memoryview(bytearray(_ROOM))

    def parse(self, authority: str) -> Endpoint:
        return parse_authority(self.name, authority, pins=True)

    async def dial(self, endpoint: Endpoint, deadline: float, *, trust: Trust) -> ByteStream:
        by_name = trust is Trust.PEER and endpoint.pin is None
        sock = await connect(endpoint, deadline)
        try:
            stream = TlsStream(
                sock,
                self._room,
                _client_context(by_name=by_name),
                name=endpoint.host if by_name else None,
            )
        except OSError as error:  # reset as soon as it stood
            sock.close()
            raise unreachable(endpoint, error) from error
        try:
            async with asyncio.timeout_at(deadline):
                await stream.secure()
            if endpoint.pin is not None:
                _check_pin(endpoint, stream.certificate())
        except ssl.SSLCertVerificationError as error:
            await stream.aclose()
            raise AuthenticationError(
                f"The certificate of {endpoint.url} is not one that this system trusts"
                f" ({reason(error)}): "
                "use the relay's whole address with its '#sha256=' pin, as its operator gives it."
            ) from error
        except OSError as error:
            await stream.aclose()
            raise unreachable(endpoint, error) from error
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def listen(self, endpoint: Endpoint, *, lasting: bool) -> Listener:
        pem = lasting_identity(self._state) if lasting else fresh_identity()
        origin = str(self._state / IDENTITY_FILE) if lasting else "made for this run"
        pinned = Endpoint(
            endpoint.scheme, endpoint.host, endpoint.port, pin_of_identity(pem, origin)
        )
        context = server_context(pem, origin)
        return SocketListener(
            pinned,
            await bind(endpoint),
            lambda sock: TlsStream(sock, self._room, context, server=True),
        )


def _client_context(*, by_name: bool) -> ssl.SSLContext:
    """Roots and name of the system, or none of both: then a pin is compared, and no name is sent
    either.

    Without a pin nothing is compared: only for direct paths (`Trust.SESSION`), where TLS is cover.
    The session authenticates the other end and seals every record itself, so whoever stands between
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
            f" {endpoint.pin[:16]}...: "
            "ask the relay's operator for its present address, and do not connect without one."
        )


@hookimpl
def tallow_offer_transport() -> Iterable[type[Transport]]:
    """Hand over the driver."""
    return [Tls]
