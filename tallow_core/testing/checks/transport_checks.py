"""What every transport has to do, shown on this machine.

Each check takes the driver class and settings whose directories may be written to; it returns None
or raises `ConformanceError`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tallow_core.errors import BrokenOffError
from tallow_core.spi.transport import ByteStream, Transport
from tallow_core.testing.checks import dial_checks as dialling
from tallow_core.testing.checks import dial_only_checks as dial_only
from tallow_core.testing.checks import listener_checks as listening
from tallow_core.testing.checks import pin_checks as pins
from tallow_core.testing.checks.bounded import complete
from tallow_core.testing.checks.driver_checks import (
    NAME,
    descriptor_is_complete,
    network_facts_are_stated,
)
from tallow_core.testing.checks.stream_checks import SOON, expect, pair, receive_all
from tallow_core.testing.expect import require

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

_WHILE = 0.05
"""Seconds for which a call is left waiting before it is cancelled."""
_SIZES = (0, 1, 16_383, 16_384, 65_537, 3 * (1 << 20) + 1)


def descriptor_fits(driver: type[Transport], settings: DriverSettings) -> None:
    """Roles, schemes, what is touched and what is revealed are stated, and the methods that the
    roles need are there."""
    descriptor_is_complete(driver)
    network_facts_are_stated(driver)
    require(bool(driver.roles) and driver.roles <= {"dial", "listen"}, "`roles` is not stated")
    for role in ("dial", "listen"):
        has_method = getattr(driver, role) is not getattr(Transport, role)
        require(
            has_method or role not in driver.roles,
            f"`roles` names {role}, and the driver has no method {role}",
        )
        require(
            role in driver.roles or not has_method,
            f"the driver has a method {role}, and `roles` does not name it",
        )
    require(
        bool(driver.schemes) and all(NAME.fullmatch(scheme) for scheme in driver.schemes),
        "`schemes` are not of the form [a-z0-9][a-z0-9-]{0,31}",
    )
    require(driver.max_streams >= 1, "`max_streams` is not 1 or more")
    require(
        not (driver.on_this_machine and driver.addressing == "ip"),
        "addresses of the Internet are not on this machine alone",
    )


def facts_agree(driver: type[Transport], settings: DriverSettings) -> None:
    """The facts of a stream and of its listener agree with the descriptor."""

    async def facts() -> None:
        async with pair(driver, settings) as (listener, client, server):
            for stream in (client, server):
                require(
                    stream.facts.encrypted is driver.encrypted,
                    "facts.encrypted differs from the driver's",
                )
                expected = listener.endpoint.host
                require(
                    stream.facts.peer == expected,
                    f"facts.peer is {stream.facts.peer!r}, not {expected!r}",
                )
                require(stream.facts.loopback, "facts.loopback is False for this machine")
                require(
                    stream.facts.path == "local",
                    f"facts.path is {stream.facts.path!r} for this machine, not 'local'",
                )
            require(
                (listener.bound.host, listener.bound.port)
                == (listener.endpoint.host, listener.endpoint.port),
                "listener.bound is not where it listens",
            )

    complete(facts())


def bytes_arrive_whole(driver: type[Transport], settings: DriverSettings) -> None:
    """Messages of many sizes, in odd pieces, both ways at once, arrive whole and in order."""

    async def both_ways() -> None:
        async with pair(driver, settings) as (_, client, server):
            up, down = secrets.token_bytes(sum(_SIZES)), secrets.token_bytes(sum(_SIZES))
            received = await asyncio.gather(
                receive_all(server, 7_001),
                receive_all(client, 1 << 20),
                _send_in_pieces(client, up),
                _send_in_pieces(server, down),
            )
            require(received[0] == up and received[1] == down, "what arrived is not what was sent")

    complete(both_ways())


async def _send_in_pieces(stream: ByteStream, content: bytes) -> None:
    start = 0
    for size in _SIZES:
        message = memoryview(content)[start : start + size]
        start += size
        await stream.send(message[:3], message[3:1000], bytearray(message[1000:]))
    await stream.send_eof()


def tail_survives_close(driver: type[Transport], settings: DriverSettings) -> None:
    """What was sent right before `aclose` arrives, even where the closing end has bytes that it
    never read."""

    async def close_at_once() -> None:
        async with pair(driver, settings) as (_, client, server):
            await server.send(b"never read")
            tail = secrets.token_bytes(100_000)
            closing = asyncio.create_task(_send_and_close(client, tail))
            require(
                await receive_all(server, 4096) == tail, "bytes sent right before aclose were lost"
            )
            await server.aclose()
            await closing

    complete(close_at_once())


async def _send_and_close(stream: ByteStream, content: bytes) -> None:
    await stream.send(content)
    await stream.aclose()


def end_is_seen(driver: type[Transport], settings: DriverSettings) -> None:
    """After `send_eof` and after `aclose` the other end's `receive_into` returns 0, again and
    again."""

    async def end() -> None:
        for ending in ("send_eof", "aclose"):
            async with pair(driver, settings) as (_, client, server):
                await getattr(client, ending)()
                for _ in range(3):
                    require(
                        await server.receive_into(bytearray(9)) == 0,
                        "the end of the stream is not 0",
                    )

    complete(end())


def calls_can_be_cancelled(driver: type[Transport], settings: DriverSettings) -> None:
    """`receive_into`, `accept` and a `send` that is not taken end when they are cancelled; the
    stream can then be closed, which is seen."""

    async def cancel() -> None:
        async with pair(driver, settings) as (listener, client, server):
            await _cancel(client.receive_into(bytearray(1)), "receive_into")
            await _cancel(listener.accept(), "accept")
            await client.aclose()
            await client.aclose()
            require(
                await server.receive_into(bytearray(1)) == 0,
                "closing after a cancelled receive is not seen",
            )
        async with pair(driver, settings) as (_, client, _server):
            await _cancel(_send_forever(client), "send")

    complete(cancel())


async def _cancel(call: Coroutine[Any, Any, object], what: str) -> None:
    task = asyncio.create_task(call)
    await asyncio.wait({task}, timeout=_WHILE)
    require(not task.done(), f"{what} returned although there was nothing to wait for")
    task.cancel()
    await asyncio.wait({task}, timeout=SOON)
    require(task.done() and task.cancelled(), f"{what} swallows cancellation")


def close_ends_calls(driver: type[Transport], settings: DriverSettings) -> None:
    """`aclose` ends a `receive_into` that another task is in, with a `BrokenOffError`; later calls
    fail in the same way."""

    async def close() -> None:
        async with pair(driver, settings) as (_, client, _server):
            receiving = asyncio.create_task(client.receive_into(bytearray(1)))
            await asyncio.sleep(0)  # one turn: the task is inside the call now
            await client.aclose()
            await expect(BrokenOffError, receiving, "receive_into under way at aclose")
            await expect(
                BrokenOffError, client.receive_into(bytearray(1)), "receive_into after aclose"
            )
            await expect(BrokenOffError, client.send(b"x"), "send after aclose")

    complete(close())


def broken_connection_is_reported(driver: type[Transport], settings: DriverSettings) -> None:
    """Sending to an end that has closed becomes a `BrokenOffError`, and `aclose` is silent about
    it."""

    async def broken() -> None:
        async with pair(driver, settings) as (_, client, server):
            await server.aclose()
            await expect(BrokenOffError, _send_forever(client), "sending to a closed end")
            await client.aclose()

    complete(broken())


async def _send_forever(stream: ByteStream) -> None:
    while True:
        await stream.send(bytes(1 << 16))
        await asyncio.sleep(0)


STATED: tuple[Callable[[type[Transport], DriverSettings], None], ...] = (
    descriptor_fits,
    listening.endpoints_are_parsed,
)
"""What is checked of any transport."""

CHECKS: tuple[Callable[[type[Transport], DriverSettings], None], ...] = (
    *STATED,
    facts_agree,
    bytes_arrive_whole,
    tail_survives_close,
    end_is_seen,
    calls_can_be_cancelled,
    close_ends_calls,
    broken_connection_is_reported,
    dialling.refusal_is_immediate,
    dialling.dial_keeps_its_deadline,
    dialling.tcp_is_left_to_the_connector,
    dialling.any_stream_carries_it,
    dialling.further_streams_go_by_one_connection,
    dialling.shared_port_is_shared,
    listening.listener_binds_exactly,
    listening.listener_closes,
    listening.closed_endpoint_is_free,
    listening.half_open_connections_block_none,
    pins.wrong_pin_is_refused,
    pins.unknown_certificate_is_refused,
    pins.lasting_identity_lasts,
)
"""What is checked of a transport with both roles."""


def checks_for(
    driver: type[Transport],
) -> tuple[Callable[[type[Transport], DriverSettings], None], ...]:
    """The checks that the roles of `driver` allow: one end alone moves no byte."""
    if driver.roles == {"dial", "listen"}:
        return CHECKS
    dials_tcp = "dial" in driver.roles and "tcp" in driver.touches and driver.addressing == "ip"
    return (*STATED, *dial_only.CHECKS) if dials_tcp else STATED
