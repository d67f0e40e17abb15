"""Unix-domain sockets: Tallow's conformance kit, and what is particular to socket files."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tallow_core.directories import Directories
from tallow_core.errors import UnreachableError, UsageError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.kinds import TRANSPORT
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.spi.transport import ByteStream
from tallow_core.testing.suite import run_checks
from tallow_core.types import Endpoint, Trust
from tallow_transport_unix import Unix
from tallow_transport_unix.places import MAX_PATH_BYTES

PATIENCE = 20.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short: a socket's path has little room."""
    with tempfile.TemporaryDirectory(prefix="tu") as name:
        yield Path(name)


@pytest.fixture
def settings(folder: Path) -> DriverSettings:
    return DriverSettings(directories=Directories(*(folder / name for name in "csdr")))


@pytest.fixture
def transport(settings: DriverSettings) -> Unix:
    return Unix(settings)


@pytest.fixture
def endpoint(folder: Path) -> Endpoint:
    return Endpoint("unix", str(folder / "x.sock"))


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            await work

    asyncio.run(bounded())


async def dial(transport: Unix, endpoint: Endpoint, patience: float = PATIENCE) -> ByteStream:
    deadline = asyncio.get_running_loop().time() + patience
    return await transport.dial(endpoint, deadline, trust=Trust.SESSION, network=DirectConnector())


def test_it_passes_the_kit(settings: DriverSettings) -> None:
    assert len(run_checks(TRANSPORT, Unix, settings)) > 10


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x.sock",
        "./x.sock",
        "/run/",
        "/",
        "127.0.0.1:80",
        "/run/\0x",
        "/run/x.sock#sha256=" + "0" * 64,
    ],
)
def test_what_is_no_path_is_refused(transport: Unix, text: str) -> None:
    with pytest.raises(UsageError, match="is no address for unix"):
        transport.parse("unix", text)


def test_a_path_that_is_too_long_is_refused_with_the_numbers(transport: Unix) -> None:
    longest = "/" + "x" * (MAX_PATH_BYTES - 1)
    assert transport.parse("unix", longest) == Endpoint("unix", longest)
    for text in (longest + "x", "/" + "\u00fc" * (MAX_PATH_BYTES // 2 + 1)):
        with pytest.raises(
            UsageError, match=rf"bytes, and a socket's path at most {MAX_PATH_BYTES}"
        ):
            transport.parse("unix", text)


def test_the_longest_path_works_and_a_longer_one_is_unreachable(
    transport: Unix, folder: Path
) -> None:
    longest = str(folder / ("x" * (MAX_PATH_BYTES - len(os.fsencode(folder)) - 1)))

    async def work() -> None:
        listener = await transport.listen(Endpoint("unix", longest), lasting=False)
        await (await dial(transport, listener.endpoint)).aclose()
        await listener.aclose()
        for attempt in (
            transport.listen(Endpoint("unix", longest + "x"), lasting=False),
            dial(transport, Endpoint("unix", longest + "x")),
        ):
            with pytest.raises(UnreachableError, match="too long"):
                await attempt

    run(work())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o177])
def test_the_file_is_for_this_user_only(transport: Unix, endpoint: Endpoint, umask: int) -> None:
    async def work() -> None:
        listener = await transport.listen(endpoint, lasting=False)
        assert stat.S_IMODE(os.lstat(endpoint.host).st_mode) == 0o600
        await listener.aclose()
        assert not os.path.lexists(endpoint.host)

    before = os.umask(umask)
    try:
        run(work())
    finally:
        os.umask(before)


def test_a_socket_that_nobody_listens_at_is_replaced(transport: Unix, endpoint: Endpoint) -> None:
    """What a killed process leaves behind."""
    program = (
        f"import socket, os; s = socket.socket(socket.AF_UNIX); s.bind({endpoint.host!r});"
        " s.listen(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=PATIENCE).returncode == 9
    assert stat.S_ISSOCK(os.lstat(endpoint.host).st_mode)

    async def work() -> None:
        listener = await transport.listen(endpoint, lasting=False)
        await (await dial(transport, endpoint)).aclose()
        await listener.aclose()

    run(work())


@pytest.mark.parametrize("what", ["file", "folder", "link", "dangling link"])
def test_what_is_no_socket_is_left_alone(
    transport: Unix, endpoint: Endpoint, folder: Path, what: str
) -> None:
    path = Path(endpoint.host)
    if what == "file":
        path.write_text("mine")
    elif what == "folder":
        path.mkdir()
    else:
        if what == "link":
            (folder / "target").write_text("mine")
        path.symlink_to(folder / "target")
    before = path.lstat()

    async def work() -> None:
        with pytest.raises(UnreachableError, match="something that is no socket is there"):
            await transport.listen(endpoint, lasting=False)

    run(work())
    assert os.path.samestat(path.lstat(), before)


def test_a_live_listener_is_left_alone(transport: Unix, endpoint: Endpoint) -> None:
    async def work() -> None:
        first = await transport.listen(endpoint, lasting=False)
        with pytest.raises(UnreachableError, match="in use"):
            await transport.listen(endpoint, lasting=False)
        await (await dial(transport, endpoint)).aclose()
        await first.aclose()

    run(work())


def test_a_closing_listener_leaves_the_file_of_another(transport: Unix, endpoint: Endpoint) -> None:
    async def work() -> None:
        first = await transport.listen(endpoint, lasting=False)
        os.unlink(endpoint.host)
        second = await transport.listen(endpoint, lasting=False)
        await first.aclose()
        await (await dial(transport, endpoint)).aclose()
        await second.aclose()
        assert not os.path.lexists(endpoint.host)

    run(work())


def test_a_folder_that_is_not_there(transport: Unix) -> None:
    async def work() -> None:
        for attempt in (
            transport.listen(Endpoint("unix", "/nowhere/x.sock"), lasting=False),
            dial(transport, Endpoint("unix", "/nowhere/x.sock")),
        ):
            with pytest.raises(UnreachableError, match="no such file or directory"):
                await attempt

    run(work())


def test_a_full_queue_is_waited_for_until_the_deadline(transport: Unix, endpoint: Endpoint) -> None:
    """The kernel answers EAGAIN; a place that becomes free is taken."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as full:
            full.bind(endpoint.host)
            full.listen(0)
            callers = [await dial(transport, endpoint)]
            start = loop.time()
            with pytest.raises(UnreachableError, match="in time"):
                await dial(transport, endpoint, 0.3)
            assert 0.3 <= loop.time() - start < PATIENCE
            waiting = asyncio.create_task(dial(transport, endpoint))
            await asyncio.sleep(0.05)
            accepted = full.accept()[0]
            callers.append(await waiting)
            accepted.close()
            for caller in callers:
                await caller.aclose()

    run(work())


def test_many_streams_can_be_closed_while_they_wait(transport: Unix, endpoint: Endpoint) -> None:
    """A descriptor's number is used again at once: what waited for the old one must not disturb the
    new one."""

    async def work() -> None:
        listener = await transport.listen(endpoint, lasting=False)
        for _ in range(50):
            near, far = await dial(transport, endpoint), await listener.accept()
            waiting = asyncio.create_task(near.receive_into(bytearray(1)))
            await asyncio.sleep(0)
            await near.aclose()
            again = await dial(transport, endpoint)
            other = await listener.accept()
            await other.send(b"x")
            buffer = bytearray(1)
            assert await again.receive_into(buffer) == 1
            (error,) = await asyncio.gather(waiting, return_exceptions=True)
            assert "closed on this side" in str(error)
            for stream in (far, again, other):
                await stream.aclose()
        await listener.aclose()

    run(work())
