"""What every transport of shape "stream" has to do, shown over 127.0.0.1.

Each check takes the driver class and settings whose directories may be written to; it returns None or raises `ConformanceError`.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tallow_core.errors import AuthenticationError, BrokenOffError, TallowError, UnreachableError, UsageError
from tallow_core.spi.transport import ByteStream, Listener, Transport
from tallow_core.testing.checks.driver import descriptor_is_complete
from tallow_core.testing.expect import ConformanceError, refuses, require
from tallow_core.types import Endpoint, Trust

if TYPE_CHECKING:
    from tallow_core.settings import Settings

_PATIENCE = 30.0
"""Seconds for a whole check; reached only by a driver that hangs."""
_SOON = 5.0
"""Seconds within which a dial and what follows from it at once has to happen on one machine."""
_SIZES = (0, 1, 16_383, 16_384, 65_537, 3 * (1 << 20) + 1)
_HALF_OPEN = 100


def facts_agree(driver: type[Transport], settings: Settings) -> None:
    """The descriptor is complete, the shape is known, and the facts of a stream agree with it."""
    descriptor_is_complete(driver)
    require(driver.shape == "stream", "these checks are for the shape 'stream'")

    async def facts() -> None:
        async with _pair(driver, settings) as (listener, client, server):
            for stream in (client, server):
                require(stream.facts.encrypted is driver.encrypted, "facts.encrypted differs from the driver's")
                expected = listener.endpoint.host
                require(stream.facts.peer == expected, f"facts.peer is {stream.facts.peer!r}, not {expected!r}")
                require(stream.facts.loopback, "facts.loopback is False for this machine")

    _run(facts())


def endpoints_are_parsed(driver: type[Transport], settings: Settings) -> None:
    """`HOST:PORT` and `[V6]:PORT` are read, what they print is read back, and anything else is a `UsageError`."""
    transport = driver(settings)
    for text, host, port in (("127.0.0.1:4321", "127.0.0.1", 4321), ("[::1]:0", "::1", 0), ("relay.example:65535", "relay.example", 65535)):
        endpoint = transport.parse(text)
        require(endpoint == Endpoint(driver.name, host, port), f"parse({text!r}) is {endpoint!r}")
        require(transport.parse(endpoint.authority) == endpoint, f"parse() does not read back {endpoint.authority!r}")
    pin = "#sha256=" + "0" * 63
    for text in ("", ":1", "host", "host:", "host:x", "host:-1", "host:65536", "::1:80", "[::1]", "[::g]:1", "a b:1", "h:1#", "h:1" + pin):
        refuses(UsageError, partial(transport.parse, text), f"the address {text!r}")


def bytes_arrive_whole(driver: type[Transport], settings: Settings) -> None:
    """Messages of many sizes, in odd pieces, both ways at once, arrive whole and in order."""

    async def both_ways() -> None:
        async with _pair(driver, settings) as (_, client, server):
            up, down = secrets.token_bytes(sum(_SIZES)), secrets.token_bytes(sum(_SIZES))
            received = await asyncio.gather(
                _receive_all(server, 7_001), _receive_all(client, 1 << 20), _send_in_pieces(client, up), _send_in_pieces(server, down)
            )
            require(received[0] == up and received[1] == down, "what arrived is not what was sent")

    _run(both_ways())


async def _send_in_pieces(stream: ByteStream, content: bytes) -> None:
    start = 0
    for size in _SIZES:
        message = memoryview(content)[start : start + size]
        start += size
        await stream.send(message[:3], message[3:1000], bytearray(message[1000:]))
    await stream.send_eof()


def tail_survives_close(driver: type[Transport], settings: Settings) -> None:
    """What was sent right before `aclose` arrives, even where the closing end has bytes that it never read."""

    async def close_at_once() -> None:
        async with _pair(driver, settings) as (_, client, server):
            await server.send(b"never read")
            tail = secrets.token_bytes(100_000)
            await client.send(tail)
            closing = asyncio.create_task(client.aclose())
            require(await _receive_all(server, 4096) == tail, "bytes sent right before aclose were lost")
            await server.aclose()
            await closing

    _run(close_at_once())


def end_is_seen(driver: type[Transport], settings: Settings) -> None:
    """After `send_eof` and after `aclose` the other end's `receive_into` returns 0, again and again."""

    async def end() -> None:
        for ending in ("send_eof", "aclose"):
            async with _pair(driver, settings) as (_, client, server):
                await getattr(client, ending)()
                for _ in range(3):
                    require(await server.receive_into(bytearray(9)) == 0, "the end of the stream is not 0")

    _run(end())


def receive_can_be_cancelled(driver: type[Transport], settings: Settings) -> None:
    """A deadline on `receive_into` holds; the stream can then be closed, and the other end sees it."""

    async def cancel() -> None:
        async with _pair(driver, settings) as (_, client, server):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await client.receive_into(bytearray(1))
                    raise ConformanceError("receive_into returned although nothing was sent")
            await client.aclose()
            await client.aclose()
            require(await server.receive_into(bytearray(1)) == 0, "closing after a cancelled receive is not seen")

    _run(cancel())


def close_ends_calls(driver: type[Transport], settings: Settings) -> None:
    """`aclose` ends a `receive_into` that another task is in, with a `BrokenOffError`; later calls fail in the same way."""

    async def close() -> None:
        async with _pair(driver, settings) as (_, client, _server):
            receiving = asyncio.create_task(client.receive_into(bytearray(1)))
            await asyncio.sleep(0)  # one turn: the task is inside the call now
            await client.aclose()
            await _expect_async(BrokenOffError, receiving, "receive_into under way at aclose")
            await _expect_async(BrokenOffError, client.receive_into(bytearray(1)), "receive_into after aclose")
            await _expect_async(BrokenOffError, client.send(b"x"), "send after aclose")

    _run(close())


def broken_connection_is_reported(driver: type[Transport], settings: Settings) -> None:
    """Sending to an end that has closed becomes a `BrokenOffError`, and `aclose` is silent about it."""

    async def broken() -> None:
        async with _pair(driver, settings) as (_, client, server):
            await server.aclose()
            await _expect_async(BrokenOffError, _send_forever(client), "sending to a closed end")
            await client.aclose()

    _run(broken())


async def _send_forever(stream: ByteStream) -> None:
    while True:
        await stream.send(bytes(1 << 16))
        await asyncio.sleep(0)


def refusal_is_immediate(driver: type[Transport], settings: Settings) -> None:
    """Dialling a port where nobody listens is an `UnreachableError` at once, not at the deadline."""

    async def refused() -> None:
        transport = driver(settings)
        listener = await _listen(transport)
        await listener.aclose()
        async with asyncio.timeout(_SOON):
            dialling = _dial(transport, listener.endpoint, patience=_PATIENCE)
            await _expect_async(UnreachableError, dialling, "dialling a closed port")

    _run(refused())


def dial_keeps_its_deadline(driver: type[Transport], settings: Settings) -> None:
    """A listener that accepts and never says a word does not hold `dial` beyond its deadline (where a dial includes a handshake)."""
    if not driver.encrypted:
        return

    async def silent() -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            endpoint = Endpoint(driver.name, "127.0.0.1", mute.getsockname()[1])
            async with asyncio.timeout(_SOON):
                await _expect_async(UnreachableError, _dial(driver(settings), endpoint, patience=0.2), "dialling a silent listener")

    _run(silent())


def listener_binds_exactly(driver: type[Transport], settings: Settings) -> None:
    """T-18: what listens at 127.0.0.1 is not to be had at 127.0.0.2, and an address in use is an `UnreachableError`."""

    async def exact() -> None:
        transport = driver(settings)
        async with _listening(transport) as listener:
            port = listener.endpoint.port or 0
            require(bool(port), "the listener's endpoint does not have the real port")
            require(await _connects("127.0.0.1", port), "nobody answers at the listener's own endpoint")
            require(not await _connects("127.0.0.2", port), "the listener answers at an address that was not asked for")
            again = transport.listen(Endpoint(driver.name, "127.0.0.1", port), lasting=False)
            await _expect_async(UnreachableError, again, "listening at an address in use")

    _run(exact())


async def _connects(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_SOON):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def listener_closes(driver: type[Transport], settings: Settings) -> None:
    """Closing a listener ends its `accept` with a `BrokenOffError` and refuses new dials; accepted streams go on."""

    async def close() -> None:
        async with _pair(driver, settings) as (listener, client, server):
            accepting = asyncio.create_task(listener.accept())
            await asyncio.sleep(0)
            await listener.aclose()
            await listener.aclose()
            await _expect_async(BrokenOffError, accepting, "accept under way at aclose")
            await _expect_async(UnreachableError, _dial(driver(settings), listener.endpoint), "dialling a closed listener")
            await client.send(b"still here")
            await client.send_eof()
            require(await _receive_all(server, 64) == b"still here", "a stream ended with its listener")

    _run(close())


def half_open_connections_block_nobody(driver: type[Transport], settings: Settings) -> None:
    """T-18: connections that never say a word neither hold up `accept` nor the connection that comes after them."""

    async def crowd() -> None:
        transport = driver(settings)
        async with _listening(transport) as listener:
            address = ("127.0.0.1", listener.endpoint.port)
            mute = [socket.create_connection(address, timeout=_SOON) for _ in range(_HALF_OPEN)]
            serving = asyncio.create_task(_greet_all(listener))
            try:
                async with asyncio.timeout(_SOON):
                    client = await _dial(transport, listener.endpoint)
                    require(await client.receive_into(bytearray(5)) > 0, "silent connections block the next one")
                    await client.aclose()
            except (TimeoutError, TallowError) as error:
                raise ConformanceError("silent connections block the next one") from error
            finally:
                await _cancel(serving)
                for sock in mute:
                    sock.close()

    _run(crowd())


async def _greet_all(listener: Listener) -> None:
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(_greet(await listener.accept()))


async def _greet(stream: ByteStream) -> None:
    try:
        with suppress(BrokenOffError):
            await stream.send(b"hello")
            await stream.receive_into(bytearray(1))
    finally:
        await stream.aclose()


def wrong_pin_is_refused(driver: type[Transport], settings: Settings) -> None:
    """Where the transport has pins: a wrong one is an `AuthenticationError`, and the listener gets no byte of ours."""

    async def wrong(listener: Listener) -> None:
        pinned = replace(listener.endpoint, pin="0" * 64)
        for trust in Trust:
            accepting = asyncio.create_task(_first_bytes(listener))
            await _expect_async(AuthenticationError, _dial(driver(settings), pinned, trust=trust), f"a wrong pin with {trust}")
            require(await accepting == b"", "bytes were sent to a listener with the wrong pin")

    _run(_where_pinned(driver, settings, wrong))


def unknown_certificate_is_refused(driver: type[Transport], settings: Settings) -> None:
    """Where the transport has pins: a listener that nobody vouches for is refused with `Trust.PEER` and no pin."""

    async def unknown(listener: Listener) -> None:
        accepting = asyncio.create_task(_first_bytes(listener))
        unpinned = replace(listener.endpoint, pin=None)
        await _expect_async(AuthenticationError, _dial(driver(settings), unpinned, trust=Trust.PEER), "an unknown certificate")
        require(await accepting == b"", "bytes were sent to a listener that nobody vouches for")

    _run(_where_pinned(driver, settings, unknown))


def lasting_identity_lasts(driver: type[Transport], settings: Settings) -> None:
    """Where the transport has pins: a lasting listener keeps its pin, any other has a fresh one, and the right one is accepted."""

    async def lasting(listener: Listener) -> None:
        pins = []
        for _ in range(2):
            async with _listening(driver(settings), lasting=True) as kept:
                pins.append(kept.endpoint.pin)
        require(pins[0] == pins[1], "the lasting identity changed between two starts")
        require(listener.endpoint.pin not in pins, "a listener that should not last shows the lasting identity")
        accepting = asyncio.create_task(_first_bytes(listener))
        client = await _dial(driver(settings), listener.endpoint, trust=Trust.PEER)
        await client.send(b"hello")
        await client.aclose()
        require(await accepting == b"hello", "the right pin does not lead to a working stream")

    _run(_where_pinned(driver, settings, lasting))


async def _where_pinned(driver: type[Transport], settings: Settings, check: Callable[[Listener], Coroutine[Any, Any, None]]) -> None:
    async with _listening(driver(settings)) as listener:
        if listener.endpoint.pin is not None:
            await check(listener)


async def _first_bytes(listener: Listener) -> bytes:
    stream = await listener.accept()
    try:
        return await _receive_all(stream, 4096)
    except BrokenOffError:
        return b""
    finally:
        await stream.aclose()


CHECKS: tuple[Callable[[type[Transport], Settings], None], ...] = (
    facts_agree,
    endpoints_are_parsed,
    bytes_arrive_whole,
    tail_survives_close,
    end_is_seen,
    receive_can_be_cancelled,
    close_ends_calls,
    broken_connection_is_reported,
    refusal_is_immediate,
    dial_keeps_its_deadline,
    listener_binds_exactly,
    listener_closes,
    half_open_connections_block_nobody,
    wrong_pin_is_refused,
    unknown_certificate_is_refused,
    lasting_identity_lasts,
)


def _run(check: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(_PATIENCE):
            await check

    try:
        asyncio.run(bounded())
    except TimeoutError as error:
        raise ConformanceError(f"the driver hangs: no result within {_PATIENCE:.0f} s") from error
    except TallowError as error:
        raise ConformanceError(f"an error that was not called for: {error}") from error


@asynccontextmanager
async def _listening(transport: Transport, *, lasting: bool = False) -> AsyncIterator[Listener]:
    listener = await _listen(transport, lasting=lasting)
    try:
        yield listener
    finally:
        await listener.aclose()


async def _listen(transport: Transport, *, lasting: bool = False) -> Listener:
    return await transport.listen(transport.local(), lasting=lasting)


async def _dial(transport: Transport, endpoint: Endpoint, *, patience: float = _SOON, trust: Trust = Trust.SESSION) -> ByteStream:
    return await transport.dial(endpoint, asyncio.get_running_loop().time() + patience, trust=trust)


@asynccontextmanager
async def _pair(driver: type[Transport], settings: Settings) -> AsyncIterator[tuple[Listener, ByteStream, ByteStream]]:
    """A listener and the two ends of one connection to it. Each end has sent a byte: a listener's handshake may wait for its first use."""
    transport = driver(settings)
    async with _listening(transport) as listener:
        accepting = asyncio.create_task(_accept(listener))
        client = await _dial(transport, listener.endpoint)
        server = await accepting
        try:
            await client.receive_into(bytearray(1))
            yield listener, client, server
        finally:
            await asyncio.gather(client.aclose(), server.aclose())


async def _accept(listener: Listener) -> ByteStream:
    stream = await listener.accept()
    await stream.send(b"\0")
    return stream


async def _receive_all(stream: ByteStream, chunk: int) -> bytes:
    buffer, received = bytearray(chunk), bytearray()
    while got := await stream.receive_into(buffer):
        received += buffer[:got]
    return bytes(received)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _expect_async(error: type[TallowError], call: Coroutine[Any, Any, object] | asyncio.Task[Any], what: str) -> None:
    try:
        result = await call
    except error:
        return
    except Exception as other:
        raise ConformanceError(f"{what} raised {type(other).__name__}, not {error.__name__}") from other
    if isinstance(result, ByteStream | Listener):
        await result.aclose()
    raise ConformanceError(f"{what} raised nothing, not {error.__name__}")
