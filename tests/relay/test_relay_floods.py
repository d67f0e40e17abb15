"""The relay as the target: T-11, T-12, T-16, T-18."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tallow_core.protocol.codec.frame import Frame, FrameType
from tallow_core.protocol.codec.wire import u32
from tallow_core.protocol.handshake.join import Join
from tallow_core.protocol.relay.relay_frames import (
    LEAVE,
    PONG,
    OpenRoom,
    ResumeRoom,
    RoomOpened,
    TakeGuest,
    read_opened,
)
from tests.kit.durations import ends_within
from tests.kit.hostile_peers import (
    CODE,
    Gone,
    Home,
    Line,
    Program,
    assert_harmless,
    attack,
    dial,
    relay_server,
    tallow,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "relay")


async def ask(port: int, *data: bytes) -> Line:
    """Connect and say something."""
    line = await dial(port)
    await line.put(b"".join(data))
    return line


async def opened(port: int, wanted: str | None = "4821") -> tuple[Line, RoomOpened]:
    """Open a room as a host."""
    line = await ask(port, OpenRoom(wanted).frame().encoded)
    return line, read_opened(await line.frame())


async def refusal(line: Line) -> int:
    """The number of the refusal that comes next, past Waiting; 0 if the relay just hung up."""
    try:
        while (frame := await line.frame()).type == FrameType.RELAY_WAITING:
            pass
    except Gone:
        return 0
    assert frame.type == FrameType.RELAY_REFUSED, frame
    return frame.body[0]


async def joined(port: int, nameplate: str = "4821", wait: int = 5) -> Line:
    """Join as a guest; Waiting has come."""
    line = await ask(port, Join(nameplate, wait).frame().encoded)
    frame = await line.frame()
    if frame.type == FrameType.RELAY_REFUSED:
        raise Gone(frame.body[0])
    assert frame.type == FrameType.RELAY_WAITING
    return line


@asynccontextmanager
async def many_descriptors(count: int) -> AsyncIterator[None]:
    """Allow this process as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def transfer(port: int, tmp_path: Path) -> None:
    """A whole transfer through the relay: it is usable."""
    ours, theirs = Home(tmp_path / "ours"), Home(tmp_path / "theirs")
    ours.environment()
    (ours.root / "file").write_bytes(b"content")
    way = ("--json", "--relay", f"tcp://127.0.0.1:{port}", "--transport", "tcp")
    env = {"TALLOW_CODE": CODE.replace("4821", "7654")}
    async with tallow(ours, "send", "file", *way, env=env) as source:
        await source.event("code")
        async with tallow(theirs, "receive", "--yes", "-o", "out", *way, env=env) as target:
            assert await target.wait(60) == 0, target.said()
        assert await source.wait() == 0, source.said()
    assert (theirs.root / "out" / "file").read_bytes() == b"content"


async def ended(program: Program) -> None:
    """SIGTERM: a clean end, at once."""
    program.signal(signal.SIGTERM)
    assert await program.wait(20) == 0, program.said()
    assert_harmless(program)


@pytest.mark.parametrize("limit", [4096, 300])
def test_t18_two_thousand_half_open_connections_leave_the_relay_usable(
    limit: int, home: Home, tmp_path: Path
) -> None:
    """With fewer connections allowed than attackers, too: those that say nothing have to make
    room."""
    home.configure(f"[relay_server]\nconnections = {limit}\n")

    async def scenario() -> None:
        async with many_descriptors(4000), relay_server(home) as (program, port):
            half = [b"", b"\x01", Join("4821").frame().encoded[:-1]]
            for start in range(0, 2000, 100):
                await asyncio.gather(
                    *(_half(port, half[at % 3]) for at in range(start, start + 100))
                )
            await transfer(port, tmp_path)
            await ended(program)

    attack(scenario())


async def _half(port: int, said: bytes) -> None:
    with contextlib.suppress(Gone):
        await ask(port, said)


def test_t16_frames_out_of_bounds_and_out_of_place(home: Home, tmp_path: Path) -> None:
    token = bytes(32)
    opening = b"tallow\x01"

    async def scenario() -> None:
        async with relay_server(home) as (program, port):
            await joined(port, "5555")  # what warms it up
            before = program.peak_kib()
            for data in [
                b"\x01" + u32(16385) + bytes(1 << 20),
                b"\x20" + b"\xff" * 4 + bytes(1 << 20),
                b"\x20" + u32(0),
                os.urandom(100),
                b"GET / HTTP/1.1\r\n\r\n",
                Frame(FrameType.RELAY_OPEN, opening + b"\x03123").encoded,
                Frame(FrameType.RELAY_OPEN, opening + b"\xff" + b"1" * 255).encoded,
                Frame(FrameType.RELAY_OPEN, b"wallow\x01\x00").encoded,
                Frame(FrameType.RELAY_OPEN, b"tallow\x02\x00").encoded,
                Frame(FrameType.RELAY_OPEN, opening + b"\x00\x00").encoded,
                Frame(FrameType.RELAY_TAKE, opening + b"\x044821" + token).encoded,
                Frame(FrameType.RELAY_RESUME, opening + b"\x044821" + token[:-1]).encoded,
                Frame(FrameType.RELAY_OPENED, b"\x044821" + token).encoded,
                Frame(FrameType.RELAY_PONG, b"").encoded,
                Frame(0xFF, b"").encoded,
                Frame(FrameType.JOIN, opening + b"\x02" + bytes(4) + b"\x044821").encoded,
                Frame(FrameType.JOIN, opening + b"\x00" + u32(86_401) + b"\x044821").encoded,
                Frame(
                    FrameType.JOIN, opening + b"\x00" + bytes(4) + b"\x04\xff\xff\xff\xff"
                ).encoded,
            ]:
                try:
                    line = await ask(port, data)
                    assert await refusal(line) in (0, 7), data[:20]
                except Gone:
                    pass
            host, _ = await opened(port, "6000")
            await host.put(Frame(FrameType.RELAY_PONG, b"x").encoded)
            assert await refusal(host) in (0, 7)
            assert program.peak_kib() - before < 4 << 10
            await transfer(port, tmp_path)
            await ended(program)

    attack(scenario())


def test_t12_wrong_tokens_open_take_and_evict_nothing(home: Home) -> None:
    async def scenario() -> None:
        async with relay_server(home) as (_, port):
            host, mine = await opened(port)
            guest = await joined(port)
            announced = await host.frame()
            assert announced.type == FrameType.RELAY_GUEST
            number = int.from_bytes(announced.body[:4], "big")
            for token in (bytes(32), bytes([mine.token[0] ^ 1]) + mine.token[1:], mine.token[::-1]):
                assert (
                    await refusal(await ask(port, TakeGuest("4821", token, number).frame().encoded))
                    == 5
                )
                assert (
                    await refusal(await ask(port, ResumeRoom("4821", token).frame().encoded)) == 5
                )
            assert await refusal(await ask(port, OpenRoom("4821").frame().encoded)) == 2
            assert (
                await refusal(await ask(port, ResumeRoom("4822", mine.token).frame().encoded)) == 1
            )
            # Another host, with a right token of its own, takes a guest that is not its own.
            other, theirs = await opened(port, "4822")
            assert (
                await refusal(
                    await ask(port, TakeGuest("4822", theirs.token, number).frame().encoded)
                )
                == 9
            )
            assert (
                await refusal(
                    await ask(port, TakeGuest("4821", theirs.token, number).frame().encoded)
                )
                == 5
            )
            # A number that never was, the greatest number, and a guest that was taken already.
            for nobody in (0, number + 99, (1 << 32) - 1):
                assert (
                    await refusal(
                        await ask(port, TakeGuest("4821", mine.token, nobody).frame().encoded)
                    )
                    == 9
                )
            taken = await ask(port, TakeGuest("4821", mine.token, number).frame().encoded, b"hello")
            while (data := await guest.take(1)) != b"h":
                assert data == bytes([FrameType.RELAY_WAITING])
                await guest.take(4)
            assert await guest.take(4) == b"ello"
            assert (
                await refusal(
                    await ask(port, TakeGuest("4821", mine.token, number).frame().encoded)
                )
                == 9
            )
            await guest.put(b"back")
            assert await taken.take(4) == b"back"
            await other.put(LEAVE.encoded)
            await host.put(PONG.encoded)

    attack(scenario())


def test_t12_a_lost_host_keeps_its_room_and_only_its_token_brings_it_back(home: Home) -> None:
    async def scenario() -> None:
        async with relay_server(home) as (_, port):
            host, mine = await opened(port)
            host.abort()
            for _ in range(3):
                assert await refusal(await ask(port, OpenRoom("4821").frame().encoded)) == 2
            assert (
                await refusal(await ask(port, ResumeRoom("4821", bytes(32)).frame().encoded)) == 5
            )
            back = await ask(port, ResumeRoom("4821", mine.token).frame().encoded)
            assert read_opened(await back.frame()) == mine
            again = await ask(port, ResumeRoom("4821", mine.token).frame().encoded)
            assert read_opened(await again.frame()) == mine
            assert await refusal(back) == 10

    attack(scenario())


def test_open_floods_stop_at_the_limit_and_numbers_differ(home: Home) -> None:
    home.configure("[relay_server]\nrooms = 50\n")

    async def scenario() -> None:
        async with relay_server(home) as (program, port):
            rooms = [await opened(port, None) for _ in range(50)]
            assert len({room.nameplate for _, room in rooms}) == 50
            assert len({room.token for _, room in rooms}) == 50
            for _ in range(20):
                assert await refusal(await ask(port, OpenRoom(None).frame().encoded)) == 3
            await rooms[0][0].put(LEAVE.encoded)
            await rooms[0][0].closed()
            await opened(port, None)
            await ended(program)

    attack(scenario())


@pytest.mark.parametrize("open_room", [True, False])
def test_join_floods_are_bounded_for_an_address_and_a_room(open_room: bool, home: Home) -> None:
    async def scenario() -> None:
        async with relay_server(home) as (program, port):
            if open_room:
                await opened(port)
            waiting = [await joined(port), await joined(port)]
            for _ in range(5):
                assert await refusal(await ask(port, Join("4821", 5).frame().encoded)) == 4
            for line in waiting:
                line.abort()
            got_in = 0
            for _ in range(30):
                try:
                    line = await joined(port)
                except Gone:
                    continue
                got_in += 1
                line.abort()
                await asyncio.sleep(0.05)
            assert got_in <= 8
            assert got_in >= 4
            if not open_room:
                assert await refusal(await ask(port, Join("4999", 0).frame().encoded)) == 1
            await ended(program)

    attack(scenario())


def test_one_address_cannot_fill_the_relay_with_waiting_guests(home: Home, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with relay_server(home) as (program, port):
            refused = 0
            for at in range(200):
                try:
                    await joined(port, str(100_000 + at), 86_400)
                except Gone:
                    refused += 1
            assert refused >= 100
            await ended(program)

    attack(scenario())


def test_a_slow_loris_is_dropped_after_ten_seconds(home: Home) -> None:
    async def scenario() -> None:
        async with relay_server(home) as (_, port):
            line = await dial(port)

            async def drip() -> None:
                with contextlib.suppress(Gone):
                    while True:
                        await line.put(
                            b"\x01" if line.writer.transport.get_write_buffer_size() == 0 else b""
                        )
                        await asyncio.sleep(3)

            dripping = asyncio.create_task(drip())
            async with ends_within(25, after=8):
                await line.closed()
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)

    attack(scenario())


def test_sigterm_under_load_says_goodbye_and_leaves_nothing(home: Home) -> None:
    async def scenario() -> None:
        async with relay_server(home) as (program, port):
            host, mine = await opened(port)
            guest = await joined(port)
            number = int.from_bytes((await host.frame()).body[:4], "big")
            taken = await ask(port, TakeGuest("4821", mine.token, number).frame().encoded)

            async def pour() -> None:
                with contextlib.suppress(Gone):
                    while True:
                        await taken.put(bytes(1 << 16))

            pouring = [asyncio.create_task(pour())]
            lines = [await dial(port) for _ in range(50)]
            waiting = [await joined(port, str(2000 + at)) for at in range(20)]
            await guest.take(1 << 20)
            await ended(program)
            assert await refusal(host) in (0, 8)
            await asyncio.gather(*pouring)
            assert len(lines) + len(waiting) == 70

    attack(scenario())


def test_t11_the_relay_logs_neither_nameplates_nor_addresses(home: Home, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with tallow(
            home, "relay", "serve", "--bind", "tcp://127.0.0.1:0", "--json", "-vvv"
        ) as program:
            port = int((await program.event("relay"))["url"].rpartition(":")[2])
            await transfer(port, tmp_path)
            await ended(program)
            text = bytes(program.err + program.out.partition(b"\n")[2])
            assert b"7654" not in text
            assert b"127.0.0.1" not in text

    attack(scenario())
    for path in home.root.rglob("*"):
        assert "7654" not in path.name
        assert not path.is_file() or b"7654" not in path.read_bytes()
