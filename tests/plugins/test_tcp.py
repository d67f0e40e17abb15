"""The tcp transport: the kit's checks, and what is particular to it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tallow_core.directories import Directories
from tallow_core.errors import BrokenOffError, UnreachableError, UsageError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.socket_streams import DirectConnector, SocketListener
from tallow_core.spi.sockets import is_loopback
from tallow_core.spi.transport import Transport
from tallow_core.testing.checks import transport_checks as checks
from tallow_core.types import Endpoint, Trust
from tallow_plugins.transports.tcp import Tcp
from tests.kit.durations import ends_within

pytestmark = pytest.mark.sockets

PATIENCE = 20.0


@pytest.fixture
def settings(tmp_path: Path) -> DriverSettings:
    return DriverSettings(
        directories=Directories(tmp_path / "c", tmp_path / "s", tmp_path / "d", tmp_path / "r")
    )


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_conformance(
    check: Callable[[type[Transport], DriverSettings], None], settings: DriverSettings
) -> None:
    check(Tcp, settings)


def test_a_pin_is_refused(settings: DriverSettings) -> None:
    with pytest.raises(UsageError, match="pin"):
        Tcp(settings).parse("tcp", "127.0.0.1:1#sha256=" + "0" * 64)


def test_dial_deadline_holds_where_nothing_answers(settings: DriverSettings) -> None:
    async def dial() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as full, contextlib.ExitStack() as stack:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(4):  # the queue is full, and the kernel answers no further caller
                caller = stack.enter_context(socket.socket())
                caller.setblocking(False)
                caller.connect_ex(full.getsockname())
            async with ends_within(5, after=0.25):
                with pytest.raises(UnreachableError, match="in time"):
                    await Tcp(settings).dial(
                        Endpoint("tcp", *full.getsockname()),
                        loop.time() + 0.3,
                        trust=Trust.PEER,
                        network=DirectConnector(),
                    )

    asyncio.run(asyncio.wait_for(dial(), PATIENCE))


def test_every_address_of_a_name_is_tried(
    settings: DriverSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dial() -> None:
        async with contextlib.AsyncExitStack() as stack:
            listener = await Tcp(settings).listen(Endpoint("tcp", "127.0.0.1", 0), lasting=False)
            stack.push_async_callback(listener.aclose)
            port = listener.endpoint.port
            assert port is not None
            monkeypatch.setattr(
                socket, "getaddrinfo", answering([("127.0.0.3", port), ("127.0.0.1", port)])
            )
            deadline = asyncio.get_running_loop().time() + PATIENCE
            stream = await Tcp(settings).dial(
                Endpoint("tcp", "name.example", port),
                deadline,
                trust=Trust.SESSION,
                network=DirectConnector(),
            )
            stack.push_async_callback(stream.aclose)
            assert stream.facts.peer == "127.0.0.1"

    asyncio.run(asyncio.wait_for(dial(), PATIENCE))


def answering(addresses: list[tuple[str, int]]) -> Callable[..., list[object]]:
    def getaddrinfo(host: str, port: int, *, type: int, flags: int = 0) -> list[object]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]

    return getaddrinfo


def test_a_resolver_that_hangs_holds_neither_dial_nor_the_end_of_the_program(
    settings: DriverSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    waited_for: list[str] = []

    def hang(host: str, port: int, *, type: int, flags: int = 0) -> list[object]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        if not release.wait(PATIENCE):
            waited_for.append(host)
        return []

    async def dial() -> None:
        async with ends_within(5):
            with pytest.raises(UnreachableError, match="in time"):
                await Tcp(settings).dial(
                    Endpoint("tcp", "name.example", 1),
                    asyncio.get_running_loop().time() + 0.2,
                    trust=Trust.PEER,
                    network=DirectConnector(),
                )

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        asyncio.run(dial())  # would wait for a thread of its executor
        assert waited_for == []
    finally:
        release.set()


def test_a_name_that_does_not_resolve_is_unreachable(
    settings: DriverSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(host: str, port: int, *, type: int, flags: int = 0) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def dial() -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        with pytest.raises(UnreachableError, match="name or service not known"):
            await Tcp(settings).dial(
                Endpoint("tcp", "name.invalid", 1),
                deadline,
                trust=Trust.PEER,
                network=DirectConnector(),
            )

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    asyncio.run(asyncio.wait_for(dial(), PATIENCE))


def test_ipv6_listens_at_ipv6_only(settings: DriverSettings) -> None:
    async def listen() -> None:
        try:
            listener = await Tcp(settings).listen(Endpoint("tcp", "::", 0), lasting=False)
        except UnreachableError:
            pytest.skip("no IPv6 here")
        try:
            deadline = asyncio.get_running_loop().time() + PATIENCE
            with pytest.raises(UnreachableError):
                await Tcp(settings).dial(
                    Endpoint("tcp", "127.0.0.1", listener.endpoint.port),
                    deadline,
                    trust=Trust.SESSION,
                    network=DirectConnector(),
                )
            stream = await Tcp(settings).dial(
                Endpoint("tcp", "::1", listener.endpoint.port),
                deadline,
                trust=Trust.SESSION,
                network=DirectConnector(),
            )
            assert stream.facts.loopback
            await stream.aclose()
        finally:
            await listener.aclose()

    asyncio.run(asyncio.wait_for(listen(), PATIENCE))


def test_accept_survives_a_process_without_descriptors(
    settings: DriverSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def accept() -> None:
        listener = await Tcp(settings).listen(Endpoint("tcp", "127.0.0.1", 0), lasting=False)
        assert isinstance(listener, SocketListener)
        failures = [
            OSError(errno.EMFILE, "too many open files"),
            OSError(errno.ECONNABORTED, "aborted"),
        ]
        original = socket.socket.accept

        def failing(sock: socket.socket) -> object:
            if failures:
                raise failures.pop(0)
            return original(sock)

        monkeypatch.setattr(socket.socket, "accept", failing)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        client = await Tcp(settings).dial(
            listener.endpoint, deadline, trust=Trust.SESSION, network=DirectConnector()
        )
        server = await listener.accept()
        assert not failures
        for end in (client, server, listener):
            await end.aclose()

    asyncio.run(asyncio.wait_for(accept(), PATIENCE))


def test_loopback_sockets_are_tuned(settings: DriverSettings) -> None:
    async def look() -> None:
        listener = await Tcp(settings).listen(Endpoint("tcp", "127.0.0.1", 0), lasting=False)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        client = await Tcp(settings).dial(
            listener.endpoint, deadline, trust=Trust.SESSION, network=DirectConnector()
        )
        server = await listener.accept()
        with socket.socket() as plain:
            default = plain.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        for stream in (client, server):
            sock: socket.socket = stream._sock  # type: ignore[attr-defined]
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) > default
        for end in (client, server, listener):
            await end.aclose()

    asyncio.run(asyncio.wait_for(look(), PATIENCE))


def test_a_reset_is_broken_off(settings: DriverSettings) -> None:
    async def reset() -> None:
        listener = await Tcp(settings).listen(Endpoint("tcp", "127.0.0.1", 0), lasting=False)
        with socket.create_connection(("127.0.0.1", listener.endpoint.port)) as caller:
            stream = await listener.accept()
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with pytest.raises(BrokenOffError, match="reset"):
            await stream.receive_into(bytearray(1))
        await stream.aclose()
        await listener.aclose()

    asyncio.run(asyncio.wait_for(reset(), PATIENCE))


def test_a_steady_stream_leaves_other_tasks_their_turn(settings: DriverSettings) -> None:
    """A peer whose bytes are always there already must not keep the event loop from its timers."""

    async def flood() -> int:
        listener = await Tcp(settings).listen(Endpoint("tcp", "127.0.0.1", 0), lasting=False)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        client = await Tcp(settings).dial(
            listener.endpoint, deadline, trust=Trust.SESSION, network=DirectConnector()
        )
        server = await listener.accept()
        await client.send(bytes(1000))
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        for _ in range(1000):
            await server.receive_into(bytearray(1))
        counting.cancel()
        for end in (client, server, listener):
            await end.aclose()
        return turns

    assert asyncio.run(asyncio.wait_for(flood(), PATIENCE)) >= 10


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("x", False),
    ],
)
def test_is_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected
