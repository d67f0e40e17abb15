"""TCP sockets as both transports use them: tuned, dialled, bound, accepted, closed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tallow_core.errors import BrokenOffError, UnreachableError
from tallow_core.spi.transport import ByteStream, Listener, StreamFacts
from tallow_core.text import printable
from tallow_core.types import Endpoint
from tallow_plugins.transports._readiness import Readiness

BACKLOG = 1024
_LOOPBACK_BUFFER = 4 << 20
"""Bytes. Elsewhere the kernel's autotuning is left alone: a fixed size would cap a long path."""
_LINGER = 1.0
"""Seconds for which closing reads on when the other end was still sending."""
_PAUSE = 0.1
"""Seconds before accepting again when the process is out of descriptors or memory."""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CALLER_GONE = frozenset(
    {
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPROTO,
    }
)
"""What accept(2) reports for a connection that died in the queue: the next one may be fine."""

_Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


def reason(error: OSError) -> str:
    """The cause in a few words, fit to stand in brackets."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return printable(error.verify_message)
    if isinstance(error, ssl.SSLError):
        return printable((error.reason or str(error)).replace("_", " ").lower())
    # asyncio puts the address into strerror; the number says it in words of its own. getaddrinfo's
    # numbers are no errno.
    known = error.errno is not None and not isinstance(error, socket.gaierror)
    return printable(
        (
            os.strerror(error.errno or 0)
            if known
            else error.strerror or str(error) or type(error).__name__
        ).lower()
    )


def broken_off(peer: str, error: OSError) -> BrokenOffError:
    """What to tell when a connection that stood ends in the middle."""
    return BrokenOffError(
        f"The connection to {peer} broke off ({reason(error)}): run the command again."
    )


def is_loopback(address: str) -> bool:
    """Whether a numeric address is this machine's own: 127/8 or ::1, also when mapped into IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def facts_of(sock: socket.socket, *, encrypted: bool) -> StreamFacts:
    """What the socket knows of its peer; an OSError if that is already gone."""
    peer = str(sock.getpeername()[0])
    return StreamFacts(peer, is_loopback(peer), encrypted)


def _tune(sock: socket.socket, address: str) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not is_loopback(address):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LOOPBACK_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LOOPBACK_BUFFER)
    # Controls that pace by delay (bbr) cost a third of the rate where there is no delay; a kernel
    # without cubic keeps its own.
    if (congestion := getattr(socket, "TCP_CONGESTION", None)) is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, congestion, b"cubic")


async def _resolve(host: str, port: int | None, flags: int = 0) -> Sequence[_Address]:
    # As bytes, since of a str Python loads the IDNA codec, also for an address.
    numeric = host.encode() if host.isascii() else host
    try:
        return socket.getaddrinfo(
            numeric, port, type=socket.SOCK_STREAM, flags=flags | socket.AI_NUMERICHOST
        )
    except socket.gaierror:
        return await _look_up(host, port, flags)


async def _look_up(host: str, port: int | None, flags: int) -> Sequence[_Address]:
    """Resolve on a daemon thread: one of the loop's executor would keep the program from ending
    until the resolver gave up."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[_Address]] = loop.create_future()

    def settle(found: Sequence[_Address], error: OSError | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: Sequence[_Address] = ()
        error: OSError | None = None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        except (OSError, UnicodeError) as raised:
            error = raised if isinstance(raised, OSError) else OSError("not a host name")
        with contextlib.suppress(RuntimeError):  # the loop is gone, and nobody waits
            loop.call_soon_threadsafe(settle, found, error)

    threading.Thread(target=ask, name="tallow-resolve", daemon=True).start()
    return await answer


async def connect(endpoint: Endpoint, deadline: float) -> socket.socket:
    """Connect to the first address of `endpoint` that answers before `deadline` (on the loop's
    clock), or `UnreachableError`."""
    try:
        async with asyncio.timeout_at(deadline):
            return await _connect_any(await _resolve(endpoint.host, endpoint.port), deadline)
    except OSError as error:
        raise unreachable(endpoint, error) from error


def unreachable(endpoint: Endpoint, error: OSError) -> UnreachableError:
    """What to tell when dialling failed."""
    if isinstance(error, TimeoutError):
        return UnreachableError(
            f"{endpoint.url} did not answer in time: check the address and that the other side is"
            " running."
        )
    return UnreachableError(
        f"{endpoint.url} cannot be reached ({reason(error)}): check the address and that the other"
        " side is running."
    )


async def _connect_any(addresses: Sequence[_Address], deadline: float) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError("the name has no address")
    for position, address in enumerate(addresses):
        share = (deadline - loop.time()) / (len(addresses) - position)
        try:
            async with asyncio.timeout(share):
                return await _connect_one(address)
        except OSError as error:
            failure = error
    raise failure


async def _connect_one(address: _Address) -> socket.socket:
    family, kind, proto, _, target = address
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        _tune(sock, str(target[0]))
        await asyncio.get_running_loop().sock_connect(sock, target)
        if (
            sock.getsockname() == sock.getpeername()
        ):  # a free local port can be given to us as source and then meets itself
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    except BaseException:
        sock.close()
        raise
    return sock


async def bind(endpoint: Endpoint) -> socket.socket:
    """Listen at exactly `endpoint` (of a name: at its first address), or `UnreachableError`."""
    try:
        addresses = await _resolve(endpoint.host, endpoint.port, socket.AI_PASSIVE)
        return _bind_one(addresses[0])
    except OSError as error:
        raise UnreachableError(
            f"Cannot listen at {endpoint.url} ({reason(error)}): choose another address or port."
        ) from error


def _bind_one(address: _Address) -> socket.socket:
    family, kind, proto, _, target = address
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        if os.name == "posix":  # elsewhere the option lets two programs share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _tune(sock, str(target[0]))
        sock.bind(target)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


class SocketListener(Listener):
    """Accepts connections and makes each a stream with `stream_of`, which must not wait for the
    peer."""

    def __init__(
        self,
        endpoint: Endpoint,
        sock: socket.socket,
        stream_of: Callable[[socket.socket], ByteStream],
    ) -> None:
        self.endpoint = Endpoint(
            endpoint.scheme, endpoint.host, int(sock.getsockname()[1]), endpoint.pin
        )
        self._sock = sock
        self._stream_of = stream_of
        self._ready = Readiness(sock)

    async def accept(self) -> ByteStream:
        while True:
            sock = await self._next()
            try:
                sock.setblocking(False)
                _tune(sock, str(sock.getpeername()[0]))
                return self._stream_of(sock)
            except OSError:  # reset before we looked at it
                sock.close()

    async def _next(self) -> socket.socket:
        while True:
            try:
                return (await self._ready.reading(self._sock.accept))[0]
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    await asyncio.sleep(_PAUSE)
                elif error.errno not in _CALLER_GONE:
                    raise broken_off(self.endpoint.url, error) from error

    async def aclose(self) -> None:
        self._ready.close()
        self._sock.close()


async def close_gently(sock: socket.socket) -> None:
    """Close, so that what was sent still arrives.

    Closing with unread bytes resets the connection, and the reset can overtake data on its way. So
    the end is announced, and when the other end was still sending, what it sends is read and
    dropped until it ends too, for at most a second.
    """
    try:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
            if _drain(sock):
                async with asyncio.timeout(_LINGER):
                    await _read_to_end(sock)
    finally:
        sock.close()


def _drain(sock: socket.socket) -> bool:
    """Drop what has come; whether something had, and no end yet."""
    try:
        return len(sock.recv(1 << 16)) > 0
    except (BlockingIOError, InterruptedError):
        return False


async def _read_to_end(sock: socket.socket) -> None:
    ready = Readiness(sock)
    sink = bytearray(1 << 16)
    try:
        while await ready.reading(lambda: sock.recv_into(sink)):
            pass
    finally:
        ready.close()
