"""The toolkit for transports over sockets: names looked up, sockets tuned, dialled, bound, closed.

Whole parts of a transport are in `tallow_core.spi.socket_streams`, waiting for a socket is in
`tallow_core.spi.readiness`, reading HOST:PORT in `tallow_core.spi.authority`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Sequence
from typing import Any, TypeAlias

from tallow_core.errors import BrokenOffError, UnreachableError
from tallow_core.spi.byte_stream import StreamFacts
from tallow_core.spi.readiness import Readiness
from tallow_core.text import printable
from tallow_core.types import Endpoint, PathKind, SocketAddress

BACKLOG = 1024
_LOOPBACK_BUFFER_BYTES = 4 << 20
"""Elsewhere the kernel's autotuning is left alone: a fixed size would cap a long path."""
_LINGER_SECONDS = 1.0
"""How long closing reads on when the other end was still sending."""
EXHAUSTED_SECONDS = 0.1
"""The pause before accepting again when the process is out of descriptors or memory."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What accept(2) reports when there is no room for one more connection."""
CALLER_GONE = frozenset(
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

_Target: TypeAlias = tuple[socket.AddressFamily, tuple[Any, ...]]

# -- sentences and facts ---------------------------------------------------------------------------


def reason(error: OSError) -> str:
    """The cause in a few words, fit to stand in brackets."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return printable(error.verify_message)
    if isinstance(error, ssl.SSLError):
        return printable((error.reason or str(error)).replace("_", " ").lower())
    # asyncio puts the address into strerror; the number has words of its own. getaddrinfo's numbers
    # are no errno.
    known = error.errno is not None and not isinstance(error, socket.gaierror)
    words = os.strerror(error.errno or 0) if known else error.strerror or str(error)
    return printable((words or type(error).__name__).lower())


def broken_off(peer: str, error: OSError) -> BrokenOffError:
    """The error for a connection that stood and ends in the middle."""
    return BrokenOffError(
        f"the connection to {printable(peer)} broke off ({reason(error)}); run the command again"
    )


def unreachable(place: str, error: OSError) -> UnreachableError:
    """The error for a dial to `place`, a URL or HOST:PORT, that failed."""
    if isinstance(error, TimeoutError):
        return UnreachableError(
            f"{printable(place)} did not answer in time; check the address and that the other side"
            " is running"
        )
    return UnreachableError(
        f"{printable(place)} cannot be reached ({reason(error)}); check the address and that the"
        " other side is running"
    )


def _parsed(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def is_numeric(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address (with or without a zone) and no name."""
    return _parsed(host) is not None


def is_loopback(address: str) -> bool:
    """Whether a numeric address is this machine's own: 127/8 or ::1, also when mapped into IPv6."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def path_kind(address: str) -> PathKind:
    """What lies between this machine and a numeric address, as far as the address says."""
    parsed = _parsed(address)
    if parsed is None or parsed.is_loopback:
        return "local"
    return "lan" if parsed.is_private or parsed.is_link_local else "internet"


def facts_of(sock: socket.socket, *, encrypted: bool, path: PathKind | None = None) -> StreamFacts:
    """What a TCP socket knows of its peer; an OSError if that is already gone."""
    peer = str(sock.getpeername()[0])
    return StreamFacts(peer, is_loopback(peer), encrypted, path or path_kind(peer))


# -- sockets ---------------------------------------------------------------------------------------


def tune(sock: socket.socket, address: str) -> None:
    """Set what a TCP socket to or at `address` needs: no delay, and large buffers on loopback."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not is_loopback(address):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LOOPBACK_BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LOOPBACK_BUFFER_BYTES)
    # Controls that pace by delay (bbr) cost a third of the rate where there is no delay; a kernel
    # without cubic keeps its own.
    if (congestion := getattr(socket, "TCP_CONGESTION", None)) is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, congestion, b"cubic")


async def look_up(host: str, deadline: float) -> tuple[str, ...]:
    """The numeric addresses of `host` as the system resolves it, before `deadline`; an OSError
    (`TimeoutError`, `socket.gaierror`) if there is none.

    It runs on a daemon thread: one of the loop's executor would keep the program from ending until
    the resolver gave up.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def settle(found: tuple[str, ...], error: OSError | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: tuple[str, ...] = ()
        error: OSError | None = None
        try:
            rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = tuple(dict.fromkeys(str(row[4][0]) for row in rows))
        except (OSError, UnicodeError) as raised:
            error = raised if isinstance(raised, OSError) else OSError("not a host name")
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, found, error)

    threading.Thread(target=ask, name="tallow-resolve", daemon=True).start()
    async with asyncio.timeout_at(deadline):
        return await answer


def _target(host: str, port: int) -> _Target:
    """Family and address of a numeric host; an OSError for a zone that there is not."""
    name, _, zone = host.partition("%")
    if ":" not in name:
        return socket.AF_INET, (name, port)
    scope = 0 if not zone else int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
    return socket.AF_INET6, (name, port, 0, scope)


async def connect(
    addresses: Sequence[str],
    port: int,
    deadline: float,
    *,
    local: SocketAddress | None = None,
) -> socket.socket:
    """Connect to the first of the numeric `addresses` that answers before `deadline` (on the loop's
    clock), each for its share of the time; raises the last OSError.

    `local` is bound first, with SO_REUSEPORT where the system has it.
    """
    loop = asyncio.get_running_loop()
    failure: OSError = OSError("the name has no address")
    async with asyncio.timeout_at(deadline):
        await asyncio.sleep(0)  # a deadline in the past is noticed before anything is done
        for position, address in enumerate(addresses):
            share = (deadline - loop.time()) / (len(addresses) - position)
            try:
                async with asyncio.timeout(share):
                    return await _connect_one(address, port, local)
            except OSError as error:
                failure = error
    raise failure


async def _connect_one(host: str, port: int, local: SocketAddress | None) -> socket.socket:
    family, target = _target(host, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        tune(sock, host)
        if local is not None:
            _share_port(sock)
            sock.bind(_target(*local)[1])
        await asyncio.get_running_loop().sock_connect(sock, target)
        if sock.getsockname() == sock.getpeername():
            # A free local port can be given to us as source and then meets itself.
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    except BaseException:
        sock.close()
        raise
    return sock


def _share_port(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if (reuse_port := getattr(socket, "SO_REUSEPORT", None)) is not None:
        sock.setsockopt(socket.SOL_SOCKET, reuse_port, 1)


async def bind(endpoint: Endpoint, *, shared: bool = False) -> socket.socket:
    """Listen at exactly `endpoint` (of a name: at its first address), or `UnreachableError`.

    `shared` lets others bind and dial from the same port: SO_REUSEPORT.
    """
    try:
        addresses: Sequence[str] = (endpoint.host,)
        if not is_numeric(endpoint.host):
            addresses = await look_up(endpoint.host, asyncio.get_running_loop().time() + 10)
        return _bind_one(addresses[0], endpoint.port or 0, shared=shared)
    except OSError as error:
        raise UnreachableError(
            f"cannot listen at {printable(endpoint.url)} ({reason(error)}); choose another address"
            " or port"
        ) from error


def _bind_one(host: str, port: int, *, shared: bool) -> socket.socket:
    family, target = _target(host, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if shared:
            _share_port(sock)
        elif os.name == "posix":  # elsewhere the option lets two programs share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tune(sock, host)
        sock.bind(target)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


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
                async with asyncio.timeout(_LINGER_SECONDS):
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
