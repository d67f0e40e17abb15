"""Sessions that go on with an earlier transfer, between a program and a peer that was part of it
and lies, or that changes what passes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tallow_core.protocol.codec.wire import Writer, u32
from tallow_core.protocol.handshake.key_schedule import RESUME
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.transfer.content_items import TRAILER, ItemType
from tallow_core.protocol.transfer.file_hash import FileHash
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.offer_pages import Offer
from tallow_core.protocol.transfer.offer_reader import OfferReader
from tallow_core.protocol.transfer.resumption import (
    Earlier,
    Proof,
    prove,
    read_resume,
    write_resume,
    write_resumed,
)
from tests.kit.cut_wire import CONTENT, MEGABYTE, SEGMENT, running
from tests.kit.hostile_peers import (
    PATIENCE,
    Gone,
    Home,
    HostileHost,
    Line,
    Peer,
    Program,
    as_guest,
    assert_harmless,
    attack,
    chunk,
    content,
    listening,
    offer,
    receipt,
    receiver,
    sender,
    tree,
)

REDIALS = "[session]\nreconnect = 30\n"
LARGE = CONTENT[: 2 * SEGMENT + 5]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.configure(REDIALS)
    home.environment()
    (home.root / "t").mkdir()
    (home.root / "t" / "a").write_bytes(b"first")
    (home.root / "t" / "large").write_bytes(LARGE)
    return home


# -- a receiver that was part of it, and lies ----------------------------------------------------
# Entries: 0 the folder, 1 "a", 2 "large".


async def _offered(peer: Peer) -> Offer:
    reader = OfferReader(peer.established.hash)
    while reader.offer is None:
        kind, body = await peer.line.open()
        assert kind == RecordType.OFFER_PAGE
        list(reader.page(body))
    return reader.offer


async def _was_part(port: int) -> Earlier:
    """A first session, accepted and left."""
    peer = await as_guest(port)
    secret = bytes(peer.established.schedule.key(RESUME))
    taken = await _offered(peer)
    await peer.line.seal(RecordType.ACCEPT)
    await (await peer.dial_lane(port)).aclose()
    peer.line.abort()
    return Earlier(taken.transfer_id, secret)


async def _back(program: Program, port: int, earlier: Earlier) -> Peer:
    """The same receiver again, proved; the offer has come."""
    await program.event("reconnect")
    peer = await as_guest(port)
    kind, body = await peer.line.open()
    assert kind == RecordType.RESUME
    assert [proof.transfer_id for proof in read_resume(body)] == [earlier.transfer_id]
    schedule = peer.established.schedule
    await peer.line.seal(
        RecordType.RESUMED,
        write_resumed(prove(earlier, "receiver", schedule.kdf, schedule.transcript)),
    )
    await _offered(peer)
    return peer


def have(*parts: tuple[int, int], whole: bytes = b"\0", count: int | None = None) -> list[bytes]:
    """The bodies of a HAVE of which every number is the attacker's choice."""
    writer = Writer().u8(len(parts) if count is None else count)
    for number, size in parts:
        writer.u32(number).u64(size)
    return [writer.done(), u32(0) + b"\1" + whole]


LIES: dict[str, list[bytes]] = {
    "more than the size": have((2, 3 * SEGMENT)),
    "more than any file": have((2, 1 << 63)),
    "no whole segment": have((2, SEGMENT - 1)),
    "nothing of a file": have((2, 0)),
    "a part of a folder": have((0, SEGMENT)),
    "a part of what is smaller": have((1, SEGMENT)),
    "a whole folder": have(whole=b"\1"),
    "whole and a part": have((2, SEGMENT), whole=b"\4"),
    "what was not offered": have((3, SEGMENT)),
    "twice": have((2, SEGMENT), (2, SEGMENT)),
    "not in order": have((2, SEGMENT), (1, SEGMENT)),
    "too many": have(*((2, SEGMENT),) * 17),
    "more than it says": have((2, SEGMENT), count=0),
    "fewer than it says": have(count=1),
    "bits beyond": have(whole=b"\x08"),
    "bytes beyond": have(whole=b"\0\0"),
    "no bits": [*have()[:1], b""],
    "a page out of order": [*have()[:1], u32(1) + b"\1\0"],
    "none": [],
}


@pytest.mark.parametrize("some", range(2))
def test_t16_t23_a_have_that_cannot_be_ends_the_session(some: int, tmp_path: Path) -> None:
    async def one(name: str, home: Home) -> None:
        async with sender(home, "t") as program:
            port = await program.port()
            peer = await _back(program, port, await _was_part(port))
            with contextlib.suppress(Gone):
                for body in LIES[name]:
                    await peer.line.seal(RecordType.HAVE, body)
                await peer.line.seal(RecordType.ACCEPT)
                await peer.line.last_words()
            assert await program.wait() == 8, f"{name}: {program.said()}"
            assert_harmless(program)
            assert not [
                event for event in program.events() if event["event"] in ("resume", "done")
            ], name

    for number, name in enumerate(list(LIES)[some::2]):
        home = Home(tmp_path / f"{number}")
        home.configure(REDIALS)
        home.environment()
        (home.root / "t").mkdir()
        (home.root / "t" / "a").write_bytes(b"first")
        (home.root / "t" / "large").write_bytes(LARGE)
        attack(one(name, home))


def test_t23_a_have_of_what_never_came_is_the_receivers_own_loss(home: Home) -> None:
    """It says that it has a file and a segment that were never sent: the sender sends the rest, and
    its receipt must be of just that."""

    async def scenario() -> None:
        async with sender(home, "t") as program:
            port = await program.port()
            peer = await _back(program, port, await _was_part(port))
            for body in have((2, SEGMENT), whole=b"\2"):
                await peer.line.seal(RecordType.HAVE, body)
            await peer.line.seal(RecordType.ACCEPT)
            lane = await peer.dial_lane(port)
            assert lane.opener is not None
            got = bytearray()
            while not lane.opener.finished:
                got += (await lane.open())[1]
            assert SEGMENT < len(got) < SEGMENT + 4096
            await lane.seal(RecordType.CLOSE, final=True)
            running = FileHash(peer.established.hash, SEGMENT)
            for at in range(0, len(LARGE), SEGMENT):
                running.update(LARGE[at : at + SEGMENT])
            digest = running.digest()
            await peer.line.seal(
                RecordType.RECEIVED, receipt(peer.established, digest, size=len(LARGE)), final=True
            )
            assert await program.wait() == 8, program.said()
            assert "does not fit" in program.said()

    attack(scenario())


# -- a sender that was part of it, and lies ------------------------------------------------------

ENTRIES = [
    Entry(EntryKind.DIRECTORY, ("t",), 0o755, 0, 0),
    Entry(EntryKind.FILE, ("t", "a"), 0o644, 0, 5),
    Entry(EntryKind.FILE, ("t", "large"), 0o644, 0, len(LARGE)),
]


def pieces(number: int, data: bytes, start: int) -> list[bytes]:
    """Chunks of a file from `start` on."""
    step = MEGABYTE // 2
    return [
        chunk(number, at, data[at : min(at + step, len(data))])
        for at in range(start, len(data), step)
    ]


def trailer(peer: Peer, number: int, data: bytes) -> bytes:
    running = FileHash(peer.established.hash, SEGMENT)
    for at in range(0, len(data), SEGMENT):
        running.update(data[at : at + SEGMENT])
    return TRAILER.pack(ItemType.TRAILER, number, len(data), running.digest())


async def _accepted(peer: Peer) -> list[int]:
    kinds: list[int] = []
    while not kinds or kinds[-1] != RecordType.ACCEPT:
        kinds.append((await peer.line.open())[0])
    return kinds


Lie = Callable[[Peer, "Host"], Awaitable[None]]


class Host:
    """An evil sender: sends the small file and one segment of the large one, is lost, and comes
    back with a lie."""

    def __init__(self, lie: Lie) -> None:
        self._lie = lie
        self.host = HostileHost(self._session)
        self.earlier: Earlier | None = None
        self.reached = False

    async def _session(self, peer: Peer) -> None:
        with contextlib.suppress(Gone):
            if self.earlier is None:
                await self._first(peer)
            else:
                await self._lie(peer, self)
                self.reached = True
                await peer.line.closed()

    async def _first(self, peer: Peer) -> None:
        secret = bytes(peer.established.schedule.key(RESUME))
        for body in offer(peer.established, ENTRIES):
            await peer.line.seal(RecordType.OFFER_PAGE, body)
        await _accepted(peer)
        self.earlier = Earlier(bytes(16), secret)
        lane = await self.host.lane()
        await lane.seal(RecordType.DATA, content(peer.established, 1, b"first"))
        for piece in pieces(2, LARGE[: SEGMENT + MEGABYTE], 0):
            await lane.seal(RecordType.DATA, piece)
        await asyncio.sleep(0.3)
        lane.abort()
        peer.line.abort()

    async def prove(self, peer: Peer) -> None:
        """Show that it is the sender of before."""
        assert self.earlier is not None
        schedule = peer.established.schedule
        await peer.line.seal(
            RecordType.RESUME,
            write_resume([prove(self.earlier, "sender", schedule.kdf, schedule.transcript)]),
        )
        kind, body = await peer.line.open()
        assert kind == RecordType.RESUMED
        assert body

    async def again(self, peer: Peer, entries: list[Entry] = ENTRIES) -> Line:
        """Up to the data lane."""
        await self.prove(peer)
        for body in offer(peer.established, entries):
            await peer.line.seal(RecordType.OFFER_PAGE, body)
        assert RecordType.HAVE in await _accepted(peer)
        return await self.host.lane()


async def _rightly(peer: Peer, host: Host) -> None:
    lane = await host.again(peer)
    for piece in pieces(2, LARGE, SEGMENT):
        await lane.seal(RecordType.DATA, piece)
    await lane.seal(RecordType.DATA, trailer(peer, 2, LARGE), final=True)
    assert (await peer.line.open())[0] == RecordType.RECEIVED
    await peer.line.seal(RecordType.CLOSE, final=True)


def _sends(make: Callable[[Peer], list[bytes]]) -> Lie:
    async def lie(peer: Peer, host: Host) -> None:
        lane = await host.again(peer)
        for item in make(peer):
            await lane.seal(RecordType.DATA, item)
        await lane.seal(RecordType.DATA, b"", final=True)

    return lie


def _offers(entries: list[Entry]) -> Lie:
    async def lie(peer: Peer, host: Host) -> None:
        await host.prove(peer)
        for body in offer(peer.established, entries):
            await peer.line.seal(RecordType.OFFER_PAGE, body)
        kind, _ = await peer.line.open()
        assert kind == RecordType.REFUSE

    return lie


def _names(body: Callable[[Peer, Earlier], bytes]) -> Lie:
    async def lie(peer: Peer, host: Host) -> None:
        assert host.earlier is not None
        await peer.line.seal(RecordType.RESUME, body(peer, host.earlier))

    return lie


async def _twice(peer: Peer, host: Host) -> None:
    await host.prove(peer)
    await peer.line.seal(RecordType.RESUME, write_resume([Proof(bytes(16), bytes(32))]))


OTHER = b"#" * SEGMENT + LARGE[SEGMENT:]
SENDERS: dict[str, tuple[Lie, int, bool]] = {
    "none": (_rightly, 0, True),
    "a file that is there": (
        _sends(lambda peer: [content(peer.established, 1, b"FIRST")]),
        8,
        False,
    ),
    "from the beginning": (
        _sends(lambda peer: [*pieces(2, LARGE, 0), trailer(peer, 2, LARGE)]),
        8,
        False,
    ),
    "with a gap": (
        _sends(lambda peer: [*pieces(2, LARGE, 2 * SEGMENT), trailer(peer, 2, LARGE)]),
        8,
        False,
    ),
    "nothing more": (_sends(lambda peer: [trailer(peer, 2, LARGE[:SEGMENT])]), 8, False),
    "another beginning": (
        _sends(lambda peer: [*pieces(2, OTHER, SEGMENT), trailer(peer, 2, OTHER)]),
        8,
        False,
    ),
    "more than the size": (
        _sends(lambda peer: pieces(2, CONTENT[: 2 * SEGMENT + 6], SEGMENT)),
        8,
        False,
    ),
    "another list": (
        _offers([*ENTRIES[:2], Entry(EntryKind.FILE, ("t", "other"), 0o644, 0, 5)]),
        6,
        False,
    ),
    "another mode": (
        _offers([*ENTRIES[:2], Entry(EntryKind.FILE, ("t", "large"), 0o777, 0, len(LARGE))]),
        6,
        False,
    ),
    "names none": (_names(lambda peer, earlier: b"\0"), 8, False),
    "names five": (
        _names(
            lambda peer, earlier: write_resume(
                [Proof(bytes([at]) * 16, bytes(32)) for at in range(5)]
            )
        ),
        8,
        False,
    ),
    "names one twice": (
        _names(lambda peer, earlier: write_resume([Proof(bytes(16), bytes(32))] * 2)),
        8,
        False,
    ),
    "a proof cut short": (
        _names(lambda peer, earlier: write_resume([Proof(bytes(16), bytes(32))])[:-1]),
        8,
        False,
    ),
    "proves twice": (_twice, 8, False),
}


@pytest.mark.parametrize("some", range(2))
def test_t23_t34_a_sender_that_comes_back_with_a_lie(some: int, tmp_path: Path) -> None:
    """Whatever it says or sends, nothing has the large file's name but its own content; the small
    one stays as it was verified."""

    async def one(name: str, home: Home) -> None:
        lie, status, whole = SENDERS[name]
        evil = Host(lie)
        async with listening(evil.host.serve) as port, receiver(home, port) as program:
            assert await program.wait() == status, f"{name}: {program.said()}"
            assert_harmless(program)
            assert "reconnect" in {event["event"] for event in program.events()}, (
                f"{name}: {program.said()}"
            )
        out = home.root / "out"
        assert (out / "t" / "a").read_bytes() == b"first", name
        assert (out / "t" / "large").exists() == whole, name
        if whole:
            assert (out / "t" / "large").read_bytes() == LARGE
            assert tree(out) == ["t", "t/a", "t/large"]
        assert evil.reached or status, name

    for number, name in enumerate(list(SENDERS)[some::2]):
        home = Home(tmp_path / f"{number}")
        home.configure(REDIALS)
        attack(one(name, home))


# -- somebody between ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["a bit", "a length"])
def test_t23_who_changes_a_record_does_not_take_away_what_was_verified(
    how: str, tmp_path: Path
) -> None:
    """It ends the session (exit 8), but what came before stays, and the next run goes on with
    it."""

    async def scenario() -> None:
        async with running(tmp_path, 30) as both:
            both.wire.spoil = how
            status = await both.guest.wait(PATIENCE)
            assert status == 8, both.guest.said()
            assert "to go on" in both.guest.said()
            assert await both.host.wait(PATIENCE) in (7, 8), both.host.said()
            assert [
                name for name in tree(both.bob.root / "out") if not name.startswith(".tallow-")
            ] == []
        async with (
            sender(both.ann, "file", anew=False) as host,
            receiver(both.bob, await host.port()) as guest,
        ):
            assert await guest.wait() == 0, guest.said()
            assert await host.wait() == 0, host.said()
            assert (
                next(event for event in guest.events() if event["event"] == "resume")["bytes"]
                >= SEGMENT
            )
        assert (both.bob.root / "out" / "file").read_bytes() == CONTENT
        assert tree(both.bob.root / "out") == ["file"]

    attack(scenario())
