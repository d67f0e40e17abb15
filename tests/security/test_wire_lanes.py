"""Data over several lanes, against a peer that knows the code and misbehaves: T-16, T-23, T-33."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import Further, write_lane, write_wanted
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tests.kit.evil_sender import Evil, Session, run
from tests.kit.hostile_peers import (
    CODE,
    Gone,
    Home,
    Line,
    Peer,
    as_guest,
    attack,
    content,
    eventually,
    tallow,
)

A, B = (Entry(EntryKind.FILE, (name,), 0o644, 0, 4) for name in "ab")
ONCE = "[session]\nreconnect = 0.0\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A place with a file."""
    home = Home(tmp_path / "home")
    home.root.mkdir()
    (home.root / "file").write_text("secret content")
    home.configure(ONCE)
    return home


# -- a receiver, and an evil sender --------------------------------------------------------------


async def _two(session: Session) -> tuple[Line, Line]:
    """Offer two files, and have them go by two lanes, of the ids 1 and 3."""
    first = await session.offered(A, B)
    await session.control.seal(RecordType.LANES, Further(0, 1).encoded())
    return first, await session.host.lane()


def _whole(session: Session, number: int) -> bytes:
    return content(session.established, number, b"evil")


async def _honest(session: Session) -> None:
    one, other = await _two(session)
    await one.seal(RecordType.SPREAD, write_lane(3))
    await other.seal(RecordType.DATA, _whole(session, 1), final=True)
    await one.seal(RecordType.DATA, _whole(session, 0))
    await asyncio.sleep(0.2)
    await one.seal(RecordType.CLOSE, final=True)


async def _swapped(session: Session) -> None:
    """The records on the wrong lanes."""
    one, other = await _two(session)
    await one.seal(RecordType.SPREAD, write_lane(3))
    await one.seal(RecordType.DATA, _whole(session, 1))
    await other.seal(RecordType.DATA, _whole(session, 0), final=True)
    await one.seal(RecordType.CLOSE, final=True)


async def _early(session: Session) -> None:
    """One lane ends in due form while the other has more."""
    one, other = await _two(session)
    await one.seal(RecordType.SPREAD, write_lane(3))
    await one.seal(RecordType.DATA, _whole(session, 0))
    await other.seal(RecordType.CLOSE, final=True)
    await one.seal(RecordType.DATA, _whole(session, 1), final=True)


async def _cut(session: Session) -> None:
    """All files are there, but one lane has no end."""
    one, other = await _two(session)
    await one.seal(RecordType.SPREAD, write_lane(3))
    await one.seal(RecordType.DATA, _whole(session, 0))
    await other.seal(RecordType.DATA, _whole(session, 1), final=True)
    await asyncio.sleep(0.2)
    one.abort()


async def _cut_early(session: Session) -> None:
    one, other = await _two(session)
    await one.seal(RecordType.SPREAD, write_lane(3))
    await one.seal(RecordType.DATA, _whole(session, 0))
    other.abort()


async def _after_the_end(session: Session) -> None:
    one, other = await _two(session)
    await one.seal(RecordType.SPREAD, write_lane(3))
    await one.seal(RecordType.DATA, _whole(session, 0))
    await other.seal(RecordType.DATA, _whole(session, 1), final=True)
    await one.seal(RecordType.DATA, b"")


def _spread(number: int) -> Evil:
    async def evil(session: Session) -> None:
        one, _ = await _two(session)
        await one.seal(RecordType.SPREAD, write_lane(number))

    return evil


async def _twice(session: Session) -> None:
    one, _ = await _two(session)
    for _ in range(2):
        await one.seal(RecordType.SPREAD, write_lane(3))


def _asks(lane: int, count: int) -> Evil:
    async def evil(session: Session) -> None:
        await session.offered(A, B)
        await session.control.seal(RecordType.LANES, Further(lane, count).encoded())

    return evil


async def _asks_on_and_on(session: Session) -> None:
    await session.offered(A, B)
    for _ in range(18):
        await session.control.seal(RecordType.LANES, Further(0, 1).encoded())


def test_two_lanes_by_hand(home: Home) -> None:
    """What the attacks below change works by itself."""

    async def scenario() -> None:
        async def evil(session: Session) -> None:
            await _honest(session)
            assert (await session.control.open())[0] == RecordType.RECEIVED
            await session.control.seal(RecordType.CLOSE, final=True)

        status, program = await run(home, evil)
        assert status == 0, program.said()
        assert (
            (home.root / "out" / "a").read_bytes()
            == (home.root / "out" / "b").read_bytes()
            == b"evil"
        )

    attack(scenario())


ATTACKS: dict[str, tuple[Evil, int]] = {
    "t23 swapped": (_swapped, 8),
    "t23 early end": (_early, 8),
    "t23 no end": (_cut, 7),
    "t23 cut": (_cut_early, 7),
    "t23 after the end": (_after_the_end, 8),
    "t33 spread to lane 0": (_spread(0), 8),
    "t33 spread to itself": (_spread(1), 8),
    "t33 spread to nowhere": (_spread(5), 8),
    "t33 spread twice": (_twice, 8),
    "t16 no lanes": (_asks(0, 0), 8),
    "t16 too many lanes": (_asks(0, 16), 8),
    "t16 255 lanes": (_asks(0, 255), 8),
    "t33 lanes to a lane of the host's": (_asks(2, 1), 8),
    "t33 lanes to a lane that never was": (_asks(99, 1), 8),
    "t16 lanes on and on": (_asks_on_and_on, 8),
}


@pytest.mark.parametrize("name", list(ATTACKS))
def test_a_sender_that_misuses_lanes(name: str, home: Home) -> None:
    """It ends, at once and with the right status; a transfer that is not whole is never told as
    done."""
    evil, expected = ATTACKS[name]

    async def scenario() -> None:
        status, program = await run(home, evil)
        assert status == expected, program.said()
        assert not [event for event in program.events() if event["event"] == "done"]

    attack(scenario())


# -- a sender, and an evil receiver --------------------------------------------------------------


async def _met(program: object, port: int) -> Peer:
    peer = await as_guest(port)
    assert (await peer.line.open())[0] == RecordType.OFFER_PAGE
    return peer


@pytest.mark.parametrize("wishes", [(0,), (17,), (255,), (2, 2)], ids=str)
def test_t16_a_wish_out_of_bounds(wishes: tuple[int, ...], home: Home) -> None:
    async def scenario() -> None:
        words = ("send", "file", "--json", "--listen", "tcp://127.0.0.1:0")
        async with tallow(home, *words, env={"TALLOW_CODE": CODE}) as program:
            peer = await _met(program, await program.port())
            for wish in wishes:
                await peer.line.seal(RecordType.LANES_WANTED, write_wanted(wish))
            assert await program.wait(20) == 8, program.said()
            await peer.line.aclose()

    attack(scenario())


def test_t33_lanes_that_were_not_asked_for(home: Home) -> None:
    """Only as many as the sender wants get in, whoever comes with a proof; the transfer goes by
    those."""
    (home.root / "file").write_bytes(b"secret content" + os.urandom(24 << 20))

    async def scenario() -> None:
        words = ("send", "file", "--json", "--listen", "tcp://127.0.0.1:0", "--lanes", "3")
        async with tallow(home, *words, env={"TALLOW_CODE": CODE}) as program:
            port = await program.port()
            peer = await _met(program, port)
            first = await peer.dial_lane(port, 1)
            with pytest.raises(Gone):
                await peer.dial_lane(port, 3)
            await peer.line.seal(RecordType.ACCEPT)
            assert await peer.line.open() == (RecordType.LANES, Further(0, 2).encoded())
            others = []
            for lane in (5, 7, 9, 11):
                try:
                    others.append(await peer.dial_lane(port, lane))
                except Gone:
                    break
            assert len(others) == 2
            with pytest.raises(Gone):
                await peer.dial_lane(port, 5)
            assert b"secret content" in (await first.open())[1]
            for line in (first, *others, peer.line):
                line.abort()
            await eventually(lambda: program.process.returncode is not None, "the sender ends")
            assert program.process.returncode == 7, program.said()

    attack(scenario())
