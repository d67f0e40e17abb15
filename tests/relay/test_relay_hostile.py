"""Clients against a relay that lies, stalls and floods: nothing hangs beyond its deadline, and the
exit status is right."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tallow_core.protocol.codec.frame import Frame, FrameType
from tallow_core.protocol.codec.wire import u32
from tests.kit.hostile_peers import (
    CODE,
    Home,
    HostileHost,
    Line,
    Peer,
    Program,
    assert_harmless,
    attack,
    eventually,
    listening,
    receiver,
    sender,
    tallow,
    tree,
)

OPENED = Frame(FrameType.RELAY_OPENED, b"\x044821" + bytes(32)).encoded
Lie = Callable[[Line], Awaitable[None]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.environment()
    (home.root / "file").write_bytes(b"content")
    return home


def says(*data: bytes, stay: bool = False) -> Lie:
    """A relay that says this whatever it is asked, and hangs up, or stays."""

    async def lie(line: Line) -> None:
        await line.frame()
        for each in data:
            await line.put(each)
        if stay:
            await line.closed()

    return lie


async def _floods_waiting(line: Line) -> None:
    await line.frame()
    while True:
        await line.put(Frame(FrameType.RELAY_WAITING, b"").encoded * 100)


ANSWERS: dict[str, Lie] = {
    "garbage": says(os.urandom(200)),
    "HTTP": says(b"HTTP/1.1 200 OK\r\n\r\n"),
    "a huge frame": says(b"\x25" + b"\xff" * 4 + bytes(1 << 16)),
    "one above the cap": says(b"\x25" + u32(16385) + bytes(16385)),
    "nothing": says(stay=True),
    "hangs up": says(),
    "Refused 0": says(Frame(FrameType.RELAY_REFUSED, b"\x00").encoded),
    "Refused 255": says(Frame(FrameType.RELAY_REFUSED, b"\xff").encoded),
    "Refused, empty": says(Frame(FrameType.RELAY_REFUSED, b"").encoded),
    "Refused, too long": says(Frame(FrameType.RELAY_REFUSED, b"\x01\x1b[31m").encoded),
    "every refusal": says(
        *(Frame(FrameType.RELAY_REFUSED, bytes([number])).encoded for number in range(1, 12))
    ),
    "an alert": says(Frame(FrameType.ALERT, b"\x01").encoded),
    "an unknown frame": says(Frame(0x7E, b"\x1b]0;x\x07").encoded),
    "half a frame": says(b"\x21\x00"),
}


@pytest.mark.parametrize("some", range(4))
def test_t21_a_receiver_survives_every_answer_of_a_relay(some: int, home: Home) -> None:
    async def scenario() -> None:
        for name in [*list(ANSWERS)[some::4], *(["waiting"] if some == 0 else [])]:
            lie = ANSWERS.get(name, _floods_waiting)
            async with listening(lie) as port:
                words = (
                    "receive",
                    "--yes",
                    "--json",
                    "-vvv",
                    "-o",
                    "out",
                    "--wait",
                    "2",
                    "--relay",
                    f"tcp://127.0.0.1:{port}",
                )
                async with tallow(home, *words, env={"TALLOW_CODE": CODE}) as program:
                    status = await program.wait(20)
                    assert_harmless(program)
                    expected = (4,) if name == "an alert" else (5, 8)
                    assert status in expected, (name, program.said())
        assert not (home.root / "out").exists()

    attack(scenario())


@pytest.mark.parametrize("some", range(4))
def test_t21_a_sender_survives_every_answer_of_a_relay(some: int, home: Home) -> None:
    async def scenario() -> None:
        for name in list(ANSWERS)[some::4]:
            async with listening(ANSWERS[name]) as port:
                words = ("send", "file", "--json", "-vvv", "--relay", f"tcp://127.0.0.1:{port}")
                async with tallow(home, *words, env={"TALLOW_CODE": CODE}) as program:
                    assert await program.wait(25) == 5, (name, program.said())
                    assert_harmless(program)

    attack(scenario())


@pytest.mark.parametrize(
    "nameplate",
    [
        b"9999",
        b"123",
        b"0123",
        b"12345678901",
        b"abcd",
        "\u0661\u0662\u0663\u0664".encode(),
        b"\x1b[1m",
        b"../x",
    ],
)
def test_a_relay_that_opens_another_room_than_asked(nameplate: bytes, home: Home) -> None:
    frame = Frame(FrameType.RELAY_OPENED, bytes([len(nameplate)]) + nameplate + bytes(32)).encoded

    async def scenario() -> None:
        async with listening(says(frame, stay=True)) as port:
            words = ("send", "file", "--json", "-vvv", "--relay", f"tcp://127.0.0.1:{port}")
            async with tallow(home, *words, env={"TALLOW_CODE": CODE}) as program:
                assert await program.wait(25) == 5, program.said()
                assert_harmless(program)

    attack(scenario())


AFTER: dict[str, bytes] = {
    "garbage": os.urandom(100),
    "a huge frame": b"\x22" + b"\xff" * 4,
    "Guest of no size": Frame(FrameType.RELAY_GUEST, b"").encoded,
    "Guest too long": Frame(FrameType.RELAY_GUEST, bytes(6)).encoded,
    "Guest out of bounds": Frame(FrameType.RELAY_GUEST, bytes(4) + b"\x02").encoded,
    "an unknown frame": Frame(0x7E, b"?").encoded,
    "closing": Frame(FrameType.RELAY_REFUSED, b"\x08").encoded,
    "replaced": Frame(FrameType.RELAY_REFUSED, b"\x0a").encoded,
    "an unknown refusal": Frame(FrameType.RELAY_REFUSED, b"\xee").encoded,
    "hangs up": b"",
}


@pytest.mark.parametrize("name", list(AFTER))
def test_t21_a_sender_goes_on_by_other_paths_when_its_relay_goes_mad(
    name: str, home: Home, tmp_path: Path
) -> None:
    calls = 0

    async def relay(line: Line) -> None:
        nonlocal calls
        calls += 1
        await line.frame()
        await line.put(OPENED + AFTER[name])

    async def scenario() -> None:
        async with (
            listening(relay) as port,
            sender(home, "file", "-vvv", "--relay", f"tcp://127.0.0.1:{port}") as program,
        ):
            direct = await program.port()
            await eventually(lambda: calls > 1 or b"left out" in program.err, "the sender noticed")
            await _receives(program, direct, tmp_path)

    attack(scenario())


async def _receives(program: Program, port: int, tmp_path: Path) -> None:
    friend = Home(tmp_path / "friend")
    async with receiver(friend, port, "--wait", "40") as target:
        assert await target.wait(60) == 0, target.said()
    assert await program.wait() == 0, program.said()
    assert tree(friend.root / "out") == ["file"]
    assert_harmless(program)


def test_a_flood_of_guests_opens_a_bounded_number_of_connections(home: Home) -> None:
    """The relay announces guests without end, and leaves the connections that should take them in
    the queue of its kernel."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as queue:
            queue.setblocking(False)
            queue.bind(("127.0.0.1", 0))
            queue.listen(0)
            async with sender(
                home, "file", "--relay", f"tcp://127.0.0.1:{queue.getsockname()[1]}"
            ) as program:
                control = Line(
                    *await asyncio.open_connection(sock=(await loop.sock_accept(queue))[0])
                )
                assert (await control.frame()).type == FrameType.RELAY_OPEN
                await control.put(OPENED)
                await program.event("code")
                before = program.peak_kib()
                for start in range(0, 10_000, 100):
                    guests = (
                        Frame(FrameType.RELAY_GUEST, u32(start + at) + b"\0") for at in range(100)
                    )
                    await control.put(b"".join(guest.encoded for guest in guests))
                for _ in range(40):
                    assert len(os.listdir(f"/proc/{program.process.pid}/fd")) < 60
                    assert program.peak_kib() - before < 8 << 10
                    await asyncio.sleep(0.05)
                await control.aclose()

    attack(scenario())


def test_a_relay_that_swaps_the_guest_for_itself_gets_nothing(home: Home) -> None:
    """It plays the host towards the guest: without the code it is one wrong proof."""

    async def never(peer: Peer) -> None:
        raise AssertionError("a session with the relay itself")

    async def relay(line: Line) -> None:
        with contextlib.suppress(Exception):
            await HostileHost(never, code="4821-abacus-abdomen-ablaze").serve(line)

    async def scenario() -> None:
        async with listening(relay) as port:
            words = (
                "receive",
                "--yes",
                "--json",
                "-o",
                "out",
                "--wait",
                "3",
                "--relay",
                f"tcp://127.0.0.1:{port}",
            )
            async with tallow(home, *words, env={"TALLOW_CODE": CODE}) as program:
                assert await program.wait() in (4, 5), program.said()

    attack(scenario())
    assert not (home.root / "out").exists()
    assert (home.state / "guesses" / "guest-4821").read_text() == "1"


def test_a_relay_that_replays_a_recorded_handshake_gets_nothing(home: Home, tmp_path: Path) -> None:
    """What a true host said to one guest, said again to another."""
    recorded: list[bytes] = []

    async def note(peer: Peer) -> None:
        recorded.append(bytes(peer.line.got))

    async def scenario() -> None:
        said: list[bytes] = []

        class Recording(Line):
            async def put(self, data: bytes) -> None:
                said.append(data)
                await super().put(data)

        async def true_host(line: Line) -> None:
            await HostileHost(note).serve(Recording(line.reader, line.writer))

        async with listening(true_host) as port, receiver(Home(tmp_path / "first"), port) as first:
            await first.wait()
        frames = [
            data for data in said if data[0] in (FrameType.HELLO, FrameType.SHARE, FrameType.DONE)
        ]
        assert len(frames) == 3

        async def replay(line: Line) -> None:
            for data in frames:
                await line.frame()
                await line.put(data)
            await line.closed()

        async with listening(replay) as port, receiver(home, port) as second:
            assert await second.wait() == 4, second.said()
            assert not any(event["event"] == "suite" for event in second.events())

    attack(scenario())


def test_t04_a_relay_url_and_pin_are_checked_before_anything_is_said(home: Home) -> None:
    heard = []

    async def relay(line: Line) -> None:
        heard.append(await line.take(1))

    async def scenario() -> None:
        async with listening(relay) as port:
            for url, expected in [
                ("tcp://192.0.2.1:1", 3),
                (f"tls://127.0.0.1:{port}#sha256=00", 2),
                ("gopher://127.0.0.1:1", 3),
                ("tcp://", 2),
            ]:
                async with tallow(home, "send", "file", "--json", "--relay", url) as program:
                    assert await program.wait() == expected, program.said()

    attack(scenario())
    assert heard == []
