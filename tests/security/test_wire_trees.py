"""T-01, T-05, T-07, T-16, T-17 over the wire: links, holes and selections of a peer that knows the
code and misbehaves."""

from __future__ import annotations

import asyncio
import os
import stat
import tarfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from tallow_core.protocol.codec.wire import Writer
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.transfer.content_items import FAILED, HOLE, TRAILER, ItemType, Reason
from tallow_core.protocol.transfer.file_hash import FileHash
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tests.kit.hostile_peers import (
    SEGMENT,
    Gone,
    Home,
    HostileHost,
    Line,
    Peer,
    Program,
    as_guest,
    assert_harmless,
    at_receiver,
    attack,
    chunk,
    content,
    listening,
    offer,
    raw_entry,
    raw_offer,
    receipt,
    receiver,
    sender,
    tree,
)

D = Entry(EntryKind.DIRECTORY, ("d",), 0o755, 0, 0)


def file(*components: str, size: int = 4, mode: int = 0o644) -> Entry:
    return Entry(EntryKind.FILE, components, mode, 0, size)


def symlink(*components: str, target: str = "x") -> Entry:
    return Entry(EntryKind.SYMLINK, components, 0, 0, 0, target=target)


def hard_link(*components: str, first: int) -> Entry:
    return Entry(EntryKind.HARD_LINK, components, 0, 0, 0, first=first)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


class Session:
    """An evil sender's."""

    def __init__(self, peer: Peer, host: HostileHost) -> None:
        self.peer, self.host, self.control, self.established = (
            peer,
            host,
            peer.line,
            peer.established,
        )

    async def accepted(self, entries: Sequence[Entry]) -> tuple[list[bytes], Line]:
        """Offer; the bodies of Accept, and the lane."""
        for body in offer(self.established, entries):
            await self.control.seal(RecordType.OFFER_PAGE, body)
        bodies = []
        while True:
            kind, body = await self.control.open()
            assert kind == RecordType.ACCEPT
            bodies.append(body)
            if not body or body[4]:
                return bodies, await self.host.lane()

    async def send(self, entries: Sequence[Entry], *items: bytes) -> None:
        """Offer, and send all of it honestly but for its content."""
        _, lane = await self.accepted(entries)
        await lane.seal(RecordType.DATA, b"".join(items), final=True)
        assert (await self.control.open())[0] == RecordType.RECEIVED
        await self.control.seal(RecordType.CLOSE, final=True)


Evil = Callable[[Session], Awaitable[None]]


async def run(home: Home, evil: Evil, *words: str) -> tuple[int, Program]:
    return await at_receiver(home, lambda peer, host: evil(Session(peer, host)), *words)


def test_the_attacker_can_also_do_it_right(home: Home) -> None:
    entries = [D, file("d", "a"), hard_link("d", "b", first=1), symlink("d", "c", target="a")]

    async def evil(session: Session) -> None:
        await session.send(entries, content(session.established, 1, b"data"))

    status, program = attack(run(home, evil))
    assert status == 0, program.said()
    assert tree(home.root / "out") == ["d", "d/a", "d/b", "d/c"]


# -- T-01 ----------------------------------------------------------------------------------------


def test_t01_nothing_is_extracted_executed_or_deleted(home: Home, tmp_path: Path) -> None:
    """An archive stays an archive; names that others would run are files like any others; what is
    there stays."""
    home.environment()
    proof = tmp_path / "executed"
    script = f"#!/bin/sh\ntouch {proof}\n".encode()
    (tmp_path / "planted").write_text("planted")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "planted", "planted")
        archive.add(tmp_path / "planted", "../escaped")
    packed = (tmp_path / "a.tar.gz").read_bytes()
    names = {
        ".bashrc": 0o644,
        ".gitconfig": 0o644,
        "a.desktop": 0o777,
        "a.sh": 0o4777,
        "a.tar.gz": 0o644,
        "a.zip": 0o644,
        "conftest.py": 0o644,
    }
    contents = {name: packed if name.endswith(("gz", "zip")) else script for name in names}
    out = home.root / "out"
    (out / "kept").mkdir(parents=True)
    (out / "kept" / "mine").write_text("mine")
    (out / "a.sh").write_text("mine")

    async def evil(session: Session) -> None:
        entries = [
            file(name, size=len(contents[name]), mode=mode & 0o777) for name, mode in names.items()
        ]
        await session.send(
            entries,
            *(
                content(session.established, number, contents[name])
                for number, name in enumerate(names)
            ),
        )

    status, program = attack(run(home, evil, "--overwrite", "rename"))
    assert status == 0, program.said()
    landed = {name: "a (1).sh" if name == "a.sh" else name for name in names}
    assert sorted(os.listdir(out)) == sorted(["a.sh", "kept", *landed.values()])
    umask = os.umask(0o077)
    os.umask(umask)
    for name, mode in names.items():
        status_of = (out / landed[name]).lstat()
        assert (out / landed[name]).read_bytes() == contents[name]
        assert stat.S_IMODE(status_of.st_mode) == mode & 0o777 & ~umask
    assert (out / "a.sh").read_text() == "mine"
    assert (out / "kept" / "mine").read_text() == "mine"
    assert not proof.exists()
    assert not (home.root / "escaped").exists()


@pytest.mark.parametrize("overwrite", ["never", "rename", "always"])
def test_t01_an_empty_offer_of_a_folder_deletes_nothing_in_it(home: Home, overwrite: str) -> None:
    home.environment()
    out = home.root / "out"
    (out / "d" / "sub").mkdir(parents=True)
    (out / "d" / "sub" / "mine").write_text("mine")

    async def evil(session: Session) -> None:
        await session.send([D, Entry(EntryKind.DIRECTORY, ("d", "sub"), 0, 0, 0)])

    assert attack(run(home, evil, "--overwrite", overwrite))[0] == 0
    assert (out / "d" / "sub" / "mine").read_text() == "mine"
    assert stat.S_IMODE((out / "d" / "sub").stat().st_mode) == 0o755


# -- offers --------------------------------------------------------------------------------------


def target(up: int, *names: bytes) -> bytes:
    return bytes((up, len(names))) + b"".join(bytes((len(name),)) + name for name in names)


FOLDER = raw_entry([b"d"], 1, 0o755, 0)
A_FILE = raw_entry([b"d", b"a"])


def raw_link(components: Sequence[bytes], more: bytes, mode: int = 0) -> bytes:
    return raw_entry(components, 3, mode, 0) + more


def raw_twin(components: Sequence[bytes], first: int, mode: int = 0, mtime: int = 0) -> bytes:
    return raw_entry(components, 4, mode, 0, mtime) + first.to_bytes(4, "big")


LINK = raw_link([b"d", b"b"], target(0, b"x"))
OFFERS: dict[str, list[bytes]] = {
    "an absolute target": [FOLDER, raw_link([b"d", b"l"], target(0, b"/etc/passwd"))],
    "an empty first name": [FOLDER, raw_link([b"d", b"l"], target(0, b"", b"etc"))],
    "one level too many": [FOLDER, raw_link([b"d", b"l"], target(1, b"x"))],
    "255 levels": [FOLDER, raw_link([b"d", b"l"], target(255))],
    "levels in the middle": [FOLDER, raw_link([b"d", b"l"], target(0, b"x", b"..", b"..", b"y"))],
    "a separator in a target": [FOLDER, raw_link([b"d", b"l"], target(0, b"../../x"))],
    "a NUL in a target": [FOLDER, raw_link([b"d", b"l"], target(0, b"x\0y"))],
    "an escape in a target": [FOLDER, raw_link([b"d", b"l"], target(0, b"\x1b]52;c;YQ==\x07"))],
    "a bidirectional target": [FOLDER, raw_link([b"d", b"l"], target(0, "\u202egpj.exe".encode()))],
    "an overlong target": [FOLDER, raw_link([b"d", b"l"], target(0, *[b"x" * 250] * 17))],
    "a deep target": [FOLDER, raw_link([b"d", b"l"], target(0, *[b"x"] * 65))],
    "a target that is cut off": [FOLDER, raw_link([b"d", b"l"], b"\0\1\xff")],
    "a link at the top": [raw_link([b"l"], target(0, b"x"))],
    "a link with a mode": [FOLDER, raw_link([b"d", b"l"], target(0, b"x"), 0o777)],
    "a folder of a link's name": [FOLDER, LINK, raw_entry([b"d", b"b"], 1, 0o755, 0)],
    "a folder of a link's name but for case": [FOLDER, LINK, raw_entry([b"d", b"B"], 1, 0o755, 0)],
    "a file below a link": [FOLDER, LINK, raw_entry([b"d", b"b", b"c"])],
    "a folder below a link": [FOLDER, LINK, raw_entry([b"d", b"b", b"c"], 1, 0o755, 0)],
    "a hard link to itself": [FOLDER, raw_twin([b"d", b"l"], 1)],
    "a hard link to a later file": [FOLDER, raw_twin([b"d", b"0"], 2), A_FILE],
    "a hard link to nothing": [FOLDER, A_FILE, raw_twin([b"d", b"l"], 0xFFFFFFFF)],
    "a hard link to a folder": [FOLDER, A_FILE, raw_twin([b"d", b"l"], 0)],
    "a hard link to a link": [FOLDER, A_FILE, LINK, raw_twin([b"d", b"l"], 2)],
    "a hard link to a hard link": [
        FOLDER,
        A_FILE,
        raw_twin([b"d", b"b"], 1),
        raw_twin([b"d", b"l"], 2),
    ],
    "a setuid hard link": [FOLDER, A_FILE, raw_twin([b"d", b"l"], 1, 0o4755)],
    "a hard link with a time": [FOLDER, A_FILE, raw_twin([b"d", b"l"], 1, 0, 5)],
    "below a hard link": [FOLDER, A_FILE, raw_twin([b"d", b"b"], 1), raw_entry([b"d", b"b", b"c"])],
    "more data than size": [raw_entry([b"a"], 5, size=1) + (2).to_bytes(8, "big")],
    "a kind that is none": [raw_entry([b"a"], 6, size=0)],
}


@pytest.mark.parametrize("entries", OFFERS.values(), ids=OFFERS)
def test_t05_t16_a_hostile_link_is_refused_before_anything_is_made(
    home: Home, entries: list[bytes]
) -> None:
    kinds = [entry[0] for entry in entries]
    counts = {
        "directories": kinds.count(1),
        "links": kinds.count(3) + kinds.count(4),
        "size": kinds.count(2) + kinds.count(5),
    }

    async def evil(session: Session) -> None:
        await session.control.seal(
            RecordType.OFFER_PAGE, raw_offer(session.established, entries, **counts)
        )
        await session.control.last_words()

    status, program = attack(run(home, evil))
    assert status == 8, program.said()
    assert not any(event["event"] == "offer" for event in program.events())
    assert not (home.root / "out").exists()


# -- content -------------------------------------------------------------------------------------


def hole(number: int, offset: int, length: int) -> bytes:
    return HOLE.pack(ItemType.HOLE, number, offset, length)


HOLED = Entry(EntryKind.SPARSE, ("holed",), 0o644, 0, SEGMENT + 100, data=10)
HOLES: dict[str, list[bytes]] = {
    "beyond the size": [hole(0, 0, SEGMENT), hole(0, SEGMENT, 101)],
    "over a segment": [hole(0, 0, SEGMENT + 1)],
    "overlapping": [hole(0, 0, 100), hole(0, 50, 100)],
    "backwards": [hole(0, 0, 100), hole(0, 0, 100)],
    "with a gap": [hole(0, 100, 100)],
    "huge": [hole(0, 0, 0xFFFFFFFF)],
    "over data": [chunk(0, 0, b"0123456789"), hole(0, 5, 10)],
    "more data than was said": [chunk(0, 0, b"0123456789a")],
    "without an end": [hole(0, 0, 10)] * 1000,
}


@pytest.mark.parametrize("items", HOLES.values(), ids=HOLES)
def test_t17_holes_stop_at_the_declared_size(home: Home, items: list[bytes]) -> None:
    async def evil(session: Session) -> None:
        _, lane = await session.accepted([HOLED])
        await lane.seal(RecordType.DATA, b"".join(items), final=True)
        await session.control.last_words()

    status, program = attack(run(home, evil))
    assert status == 8, program.said()
    assert tree(home.root / "out") == []


def test_t17_a_terabyte_of_holes_takes_neither_memory_nor_disk(home: Home) -> None:
    size = 1 << 38
    bomb = Entry(EntryKind.SPARSE, ("bomb",), 0o644, 0, size, data=0)

    async def scenario() -> int:
        async def after(peer: Peer) -> None:
            _, lane = await Session(peer, host).accepted([bomb])
            running, items = FileHash(peer.established.hash, SEGMENT), bytearray()
            for offset in range(0, size, SEGMENT):
                items += hole(0, offset, SEGMENT)
                running.zeros(SEGMENT)
                if len(items) > 900_000:
                    await lane.seal(RecordType.DATA, bytes(items))
                    items.clear()
            items += TRAILER.pack(ItemType.TRAILER, 0, size, running.digest())
            await lane.seal(RecordType.DATA, bytes(items), final=True)
            assert (await peer.line.open())[0] == RecordType.RECEIVED
            peak.append(program.peak_kib())
            await peer.line.seal(RecordType.CLOSE, final=True)
            await peer.line.closed()

        peak: list[int] = []
        host = HostileHost(after)
        async with listening(host.serve) as port, receiver(home, port) as program:
            assert await program.wait(80) == 0, program.said()
        return peak[0]

    assert attack(scenario()) < 128 * 1024
    status = (home.root / "out" / "bomb").stat()
    assert (status.st_size, status.st_blocks * 512 < 1 << 20) == (size, True)


def test_t05_a_hard_link_to_a_file_that_failed_makes_nothing(home: Home) -> None:
    entries = [D, file("d", "a"), hard_link("d", "b", first=1), symlink("d", "c", target="a")]

    async def evil(session: Session) -> None:
        await session.send(
            entries, chunk(1, 0, b"da"), FAILED.pack(ItemType.FAILED, 1, Reason.CHANGED)
        )

    status, program = attack(run(home, evil))
    assert status == 0, program.said()
    assert tree(home.root / "out") == ["d", "d/c"]
    done = next(event for event in program.events() if event["event"] == "done")
    assert done["skipped"] == [
        {"path": "d/a", "reason": "changed"},
        {"path": "d/b", "reason": "unreadable"},
    ]


@pytest.mark.parametrize("wrong", [0, 2, 3])
def test_t09_only_what_was_chosen_is_taken(home: Home, wrong: int) -> None:
    """Of the files a, b, c, d the second was chosen: content of any other ends it."""

    async def evil(session: Session) -> None:
        bodies, lane = await session.accepted([file(name) for name in "abcd"])
        assert bodies == [b"\0\0\0\0\x01\x02"]
        items = [content(session.established, number, b"data") for number in sorted({1, wrong})]
        await lane.seal(RecordType.DATA, b"".join(items), final=True)
        await session.control.last_words()

    status, program = attack(run(home, evil, "--only", "b"))
    assert status == 8, program.said()
    assert tree(home.root / "out") in ([], ["b"])


def test_t05_links_while_a_thread_swaps_folders(home: Home, tmp_path: Path) -> None:
    """The receiver's own files are swapped for links to elsewhere while it lands a tree, over and
    over."""
    home.environment()
    out, outside, aside = home.root / "out", tmp_path / "outside", tmp_path / "aside"
    outside.mkdir()
    aside.mkdir()
    (outside / "f").write_text("precious")
    entries = [D]
    for number in range(100):
        entries += [
            Entry(EntryKind.DIRECTORY, ("d", f"{number:03d}"), 0o755, 0, 0),
            file("d", f"{number:03d}", "f", size=1),
        ]
        entries += [
            hard_link("d", f"{number:03d}", "g", first=len(entries) - 1),
            symlink("d", f"{number:03d}", "l", target="../000/f"),
        ]

    async def swap() -> None:
        number = 0
        while True:
            for victim in (out / "d" / f"{number % 100:03d}", out / "d"):
                try:
                    victim.rename(aside / str(number))
                    victim.symlink_to(outside)
                    await asyncio.sleep(0)
                    victim.unlink()
                except OSError:
                    pass
                number += 1
            await asyncio.sleep(0)

    async def evil(session: Session) -> None:
        _, lane = await session.accepted(entries)
        swapping = asyncio.create_task(swap())
        try:
            for number, entry in enumerate(entries):
                if entry.kind == EntryKind.FILE:
                    await lane.seal(RecordType.DATA, content(session.established, number, b"x"))
                    await asyncio.sleep(0.002)
            await lane.seal(RecordType.DATA, b"", final=True)
            await session.control.open()
        finally:
            swapping.cancel()

    status, _ = attack(run(home, evil, "--overwrite", "always"))
    assert status in (0, 9)
    assert os.listdir(outside) == ["f"]
    assert (outside / "f").read_text() == "precious"
    assert (outside / "f").stat().st_nlink == 1


# -- a hostile receiver --------------------------------------------------------------------------


def accept(page: int, last: int, bits: bytes) -> bytes:
    return Writer().u32(page).u8(last).raw(bits).done()


@pytest.mark.parametrize(
    "bodies",
    [
        [b"\0"],
        [accept(0, 1, b"")],
        [accept(0, 1, b"\1\0")],
        [accept(0, 0, b"\1")],
        [accept(1, 1, b"\1")],
        [accept(0, 1, b"\x10")],
        [accept(0, 1, b"\1")],
        [accept(0, 1, b"\x04")],
    ],
    ids=range(8),
)
def test_t16_an_accept_out_of_bounds_ends_the_session(home: Home, bodies: list[bytes]) -> None:
    """Of a folder, a file, a link to it, and another folder: the last two ask for content of a
    folder and of a link."""
    home.environment()
    root = home.root / "f"
    (root / "z").mkdir(parents=True)
    (root / "a").write_text("a")
    os.link(root / "a", root / "b")

    async def scenario() -> None:
        async with sender(home, "f") as program:
            peer = await as_guest(port := await program.port())
            while (await peer.line.open())[0] != RecordType.OFFER_PAGE:
                pass
            for body in bodies:
                await peer.line.seal(RecordType.ACCEPT, body)
            try:
                lane = await peer.dial_lane(port)
                await lane.closed()
            except Gone:
                pass
            assert await program.wait() == 8, program.said()
            assert_harmless(program)

    attack(scenario())


def test_a_receiver_that_chose_nothing_gets_nothing(home: Home) -> None:
    home.environment()
    (home.root / "a").write_text("secret")

    async def scenario() -> None:
        async with sender(home, "a") as program:
            peer = await as_guest(port := await program.port())
            assert (await peer.line.open())[0] == RecordType.OFFER_PAGE
            await peer.line.seal(RecordType.ACCEPT, accept(0, 1, b"\0"))
            lane = await peer.dial_lane(port)
            assert await lane.open() == (RecordType.DATA, b"")
            await lane.seal(RecordType.CLOSE, final=True)
            await peer.line.seal(RecordType.RECEIVED, receipt(peer.established), final=True)
            assert await program.wait() == 0, program.said()
            assert program.events()[-1]["files"] == 0

    attack(scenario())
