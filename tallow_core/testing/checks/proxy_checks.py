"""What every proxy has to do, also with a bad server. Each check takes the driver class and
settings whose directories may be written to; the server is one that says nothing, nonsense, or is
not there."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tallow_core.errors import ConfigError, UnreachableError
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.proxy import OnionService, Proxy
from tallow_core.testing.checks.bad_servers import bad_server
from tallow_core.testing.checks.bare_sockets import DEADLINE_SECONDS
from tallow_core.testing.checks.bounded import complete
from tallow_core.testing.checks.driver_checks import (
    descriptor_is_complete,
    network_facts_are_stated,
)
from tallow_core.testing.checks.stream_checks import SOON, expect
from tallow_core.testing.expect import ConformanceError, require
from tallow_core.testing.fake_network import RecordingConnector
from tallow_core.types import Endpoint

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

_NAME = "destination.example"
_ADDRESS = "192.0.2.1"
_PORT = 7171
_NONSENSE_ROUNDS = 16


def facts_are_stated(driver: type[Proxy], settings: DriverSettings) -> None:
    """The driver says what it touches and carries and, in a sentence, what it reveals."""
    descriptor_is_complete(driver)
    network_facts_are_stated(driver)
    require("tcp" in driver.carries, "`carries` lacks tcp")
    require(isinstance(driver.remote_names, bool), "`remote_names` is not a bool")


def a_dead_server_is_unreachable(driver: type[Proxy], settings: DriverSettings) -> None:
    """Where the server cannot be reached, that is an `UnreachableError`, and `direct` was what
    tried it."""

    async def dead() -> None:
        direct = RecordingConnector(refusal=UnreachableError("nothing listens there"))
        await expect(
            UnreachableError,
            _connect(driver(settings), direct, SOON),
            "connecting by a server that is not there",
        )
        require(bool(direct.calls), "`direct` was not used")

    complete(dead())


def a_silent_server_is_left(driver: type[Proxy], settings: DriverSettings) -> None:
    """A server that says nothing is given up at the deadline with an `UnreachableError`, and when
    the call is cancelled; no connection stays open."""

    async def silent() -> None:
        async with bad_server(b"") as server:
            connecting = _connect(driver(settings), server.direct, DEADLINE_SECONDS)
            await _ends(connecting, "a silent server")
            await server.all_closed()
        async with bad_server(b"") as server:
            task = asyncio.ensure_future(_connect(driver(settings), server.direct, SOON))
            await asyncio.wait({task}, timeout=DEADLINE_SECONDS)
            task.cancel()
            await asyncio.wait({task}, timeout=SOON)
            require(task.done(), "connect swallows cancellation")
            if not task.cancelled() and task.exception() is None:
                await task.result().aclose()
            await server.all_closed()

    complete(silent())


def nonsense_is_unreachable(driver: type[Proxy], settings: DriverSettings) -> None:
    """A server that answers nonsense, or closes, is an `UnreachableError`; one that seems to refuse
    credentials or the destination may be a `ConfigError`. No connection stays open."""

    async def nonsense() -> None:
        answers = [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(64), b"\xff" * 64]
        answers += [secrets.token_bytes(64) for _ in range(_NONSENSE_ROUNDS)]
        for answer in answers:
            async with bad_server(answer, closes=True) as server:
                await _ends(_connect(driver(settings), server.direct, SOON), "nonsense")
                await server.all_closed()

    complete(nonsense())


def names_are_not_looked_up_here(driver: type[Proxy], settings: DriverSettings) -> None:
    """With `remote_names`, neither the destination's name nor its address is asked of `direct`,
    where the driver connects to a server of its own."""

    async def names() -> None:
        async with bad_server(b"", closes=True) as server:
            await _ends(_connect(driver(settings), server.direct, SOON, host=_NAME), "a server")
            require(
                all(call.host != _NAME for call in server.direct.calls)
                or {call.port for call in server.direct.calls} == {_PORT},
                "the destination's name was looked up here",
            )

    if driver.remote_names:
        complete(names())


def an_onion_service_has_an_endpoint(driver: type[Proxy], settings: DriverSettings) -> None:
    """Where the driver makes ports reachable: `serve` gives an endpoint with a port, or is an
    `UnreachableError` where its server is not there."""

    async def serve() -> None:
        proxy = driver(settings)
        if not isinstance(proxy, OnionService):
            return
        try:
            async with proxy.serve(1) as endpoint:
                require(
                    isinstance(endpoint, Endpoint) and bool(endpoint.port),
                    f"serve() gives {endpoint!r}, which has no port",
                )
        except UnreachableError:
            return

    complete(serve())


CHECKS: tuple[Callable[[type[Proxy], DriverSettings], None], ...] = (
    facts_are_stated,
    a_dead_server_is_unreachable,
    a_silent_server_is_left,
    nonsense_is_unreachable,
    names_are_not_looked_up_here,
    an_onion_service_has_an_endpoint,
)


async def _connect(
    proxy: Proxy, direct: RecordingConnector, patience: float, *, host: str = _ADDRESS
) -> ByteStream:
    deadline = asyncio.get_running_loop().time() + patience
    return await proxy.connect(direct, host, _PORT, deadline, isolation="kit")


async def _ends(connecting: Coroutine[Any, Any, ByteStream], what: str) -> None:
    """Wait for one call of `connect`. A proxy that says nothing to its server may take what answers
    for the destination: such a stream is closed again."""
    task = asyncio.ensure_future(connecting)
    await asyncio.wait({task}, timeout=SOON)
    require(task.done(), f"connecting by {what} did not end in time")
    try:
        await task.result().aclose()
    except (UnreachableError, ConfigError):
        return
    except Exception as other:
        raise ConformanceError(
            f"connecting by {what} raised {type(other).__name__}, not UnreachableError"
        ) from other
