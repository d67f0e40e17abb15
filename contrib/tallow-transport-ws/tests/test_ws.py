"""WebSocket: Tallow's conformance kit, and what is particular to it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tallow_core.directories import Directories
from tallow_core.errors import BrokenOffError, ConfigError, UnreachableError, UsageError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.kinds import TRANSPORT
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.spi.transport import ByteStream, Listener
from tallow_core.testing.suite import run_checks
from tallow_core.types import Endpoint, Trust
from tallow_transport_ws import Options, WebSocket

PATIENCE = 20.0


@pytest.fixture
def settings(tmp_path: Path) -> DriverSettings:
    return DriverSettings(Directories(*(tmp_path / part for part in "csdr")), Options())


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            await work

    asyncio.run(bounded())


async def dial(transport: WebSocket, endpoint: Endpoint) -> ByteStream:
    deadline = asyncio.get_running_loop().time() + PATIENCE
    return await transport.dial(endpoint, deadline, trust=Trust.SESSION, network=DirectConnector())


async def greet(listener: Listener) -> ByteStream:
    stream = await listener.accept()
    try:
        await stream.send(b"hello")
    except BaseException:
        await stream.aclose()
        raise
    return stream


def test_it_passes_the_kit(settings: DriverSettings) -> None:
    assert len(run_checks(TRANSPORT, WebSocket, settings)) > 15


def test_addresses_have_a_path_and_parameters(settings: DriverSettings) -> None:
    endpoint = WebSocket(settings).parse("ws", "h.example/a%20b?x=1&y=%26")
    assert endpoint == Endpoint(
        "ws", "h.example", 80, path="/a b", parameters=(("x", "1"), ("y", "&"))
    )
    assert str(endpoint) == "ws://h.example:80/a%20b?x=1&y=%26"
    for bad in ("h:1/a b", "h:1?x", "h:1/#sha256=" + "0" * 64):
        with pytest.raises(UsageError, match="is no address for ws"):
            WebSocket(settings).parse("ws", bad)


def test_a_listener_answers_at_its_path_alone(settings: DriverSettings) -> None:
    async def work() -> None:
        transport = WebSocket(settings._replace(options=Options(path="/files")))
        listener = await transport.listen(transport.local(), lasting=False)
        assert listener.endpoint.path == "/files"
        accepting = asyncio.create_task(greet(listener))
        near = await dial(transport, listener.endpoint)
        far = await accepting
        for stream in (near, far):
            await stream.aclose()
        accepting = asyncio.create_task(greet(listener))
        wrong = Endpoint("ws", "127.0.0.1", listener.endpoint.port, path="/other")
        with pytest.raises(UnreachableError, match="check host, port and path"):
            await dial(transport, wrong)
        with pytest.raises(BrokenOffError, match="the handshake failed"):
            await accepting
        await listener.aclose()

    run(work())


def test_other_programs_speak_with_it(settings: DriverSettings) -> None:
    """The client of the library, with pings and messages of its own size."""

    async def work() -> None:
        transport = WebSocket(settings)
        listener = await transport.listen(transport.local(), lasting=False)
        accepting = asyncio.create_task(greet(listener))
        async with connect(f"{listener.endpoint.url}?x=1", proxy=None) as client:
            stream = await accepting
            assert await client.recv() == b"hello"
            pong = await client.ping()
            await client.send(bytes(100_000))
            received, buffer = 0, bytearray(1 << 16)
            while received < 100_000:
                received += await stream.receive_into(buffer)
            await pong
            await client.send("text")
            with pytest.raises(BrokenOffError, match="sends text"):
                await stream.receive_into(buffer)
            await stream.aclose()
        await listener.aclose()

    run(work())


def test_the_header_is_sent(settings: DriverSettings) -> None:
    async def work() -> None:
        seen: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.set_result(await reader.readuntil(b"\r\n\r\n"))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            endpoint = Endpoint("ws", *server.sockets[0].getsockname())
            chosen = settings._replace(options=Options(path="/p", header="X-Route: files"))
            with pytest.raises(UnreachableError):
                await dial(WebSocket(chosen), endpoint)
            request = await seen
        assert request.startswith(b"GET /p HTTP/1.1\r\n")
        assert b"\r\nX-Route: files\r\n" in request

    run(work())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Options(path="files"), "does not begin with '/'"),
        (Options(header="X-Route"), "is not NAME: VALUE"),
        (Options(header="X: a\r\nY: b"), "is not NAME: VALUE"),
    ],
)
def test_options_that_cannot_work(options: Options, told: str, settings: DriverSettings) -> None:
    with pytest.raises(ConfigError, match=told):
        WebSocket(settings._replace(options=options))
