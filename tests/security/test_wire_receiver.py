"""The receiver against a sender that knows the code and misbehaves: T-04, T-05, T-07, T-08, T-16,
T-23."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tallow_core.errors import AuthenticationError
from tallow_core.protocol.codec.frame import Frame, FrameType
from tallow_core.protocol.codec.wire import Writer, u32
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import Rekey
from tallow_core.protocol.transfer.content_items import TRAILER, ItemType
from tallow_core.protocol.transfer.file_hash import FileHash
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.offer_pages import OfferKind
from tests.kit.evil_sender import ONE, Evil, Session, run
from tests.kit.hostile_peers import (
    CODE,
    SEGMENT,
    WRONG,
    Home,
    HostileHost,
    Line,
    Peer,
    assert_harmless,
    attack,
    chunk,
    content,
    eventually,
    listening,
    offer,
    raw_entry,
    raw_offer,
    receiver,
    tree,
)

ESCAPES = (
    "\x1b]52;c;YQ==\x07\x1b[31m\x9b2J\x90q\u202egpj.exe\u2066\u2028\r\nfake: done\x00\x7f\x08\u200f"
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


# -- the offer -----------------------------------------------------------------------------------


def _page(**fields: int) -> Evil:
    async def evil(session: Session) -> None:
        await session.page(raw_offer(session.established, [raw_entry([b"a"])], **fields))

    return evil


def _entry(**fields: int) -> Evil:
    async def evil(session: Session) -> None:
        size = fields.get("size", 1)
        await session.page(
            raw_offer(session.established, [raw_entry([b"a"], **fields)], size=size & (1 << 64) - 1)
        )

    return evil


async def _wrong_manifest_hash(session: Session) -> None:
    body = raw_offer(session.established, [raw_entry([b"a"])])
    await session.page(body[:-1] + bytes([body[-1] ^ 1]))


async def _bytes_after_the_offer(session: Session) -> None:
    await session.page(raw_offer(session.established, [raw_entry([b"a"])]) + b"\0")


async def _never_ending_manifest(session: Session) -> None:
    head = Writer().u8(0).raw(bytes(16)).u32(SEGMENT).done()
    for number in range(1 << 20):
        names = [f"{number:08d}-{at:03d}".encode() + b"x" * 200 for at in range(200)]
        entries = b"".join(raw_entry([name]) for name in names)
        await session.page(
            u32(number)
            + b"\0"
            + (head if number == 0 else b"")
            + len(names).to_bytes(2, "big")
            + entries
        )


async def _pages_out_of_order(session: Session) -> None:
    await session.page(raw_offer(session.established, [raw_entry([b"a"])], number=1))


async def _empty_page(session: Session) -> None:
    await session.page(b"")


async def _data_instead_of_an_offer(session: Session) -> None:
    await session.control.seal(RecordType.DATA, content(session.established, 0, b"evil"))


async def _accept_instead_of_an_offer(session: Session) -> None:
    await session.control.seal(RecordType.ACCEPT)


async def _receipt_instead_of_an_offer(session: Session) -> None:
    await session.control.seal(RecordType.RECEIVED, bytes(44))


async def _unknown_record(session: Session) -> None:
    await session.control.seal(0x7F, b"?")


async def _close_instead_of_an_offer(session: Session) -> None:
    await session.control.seal(RecordType.CLOSE, final=True)


async def _text_of_two_files(session: Session) -> None:
    await session.page(
        raw_offer(session.established, [raw_entry([b"a"]), raw_entry([b"b"])], kind=1)
    )


async def _text_beyond_its_cap(session: Session) -> None:
    await session.page(
        raw_offer(
            session.established, [raw_entry([b"a"], size=(1 << 20) + 1)], kind=1, size=(1 << 20) + 1
        )
    )


async def _unknown_size_in_files(session: Session) -> None:
    await session.page(
        raw_offer(session.established, [raw_entry([b"a"], size=(1 << 64) - 1)], size=(1 << 64) - 1)
    )


async def _symlink_entry(session: Session) -> None:
    await session.page(raw_offer(session.established, [raw_entry([b"a"], kind=3)]))


async def _sizes_that_wrap_around(session: Session) -> None:
    rows = [raw_entry([name], size=1 << 62) for name in (b"a", b"b", b"c", b"d")]
    await session.page(raw_offer(session.established, rows, size=0))


OFFERS: dict[str, Evil] = {
    **{f"files {count}": _page(files=count) for count in (0, 2, (1 << 32) - 1)},
    **{f"directories {count}": _page(directories=count, files=1) for count in (1, (1 << 32) - 1)},
    **{f"size {size}": _page(size=size) for size in (0, 2, (1 << 63), (1 << 64) - 1)},
    **{
        f"segment {size}": _page(segment=size)
        for size in (0, 1, (64 << 10) - 1, (64 << 20) + 1, (1 << 32) - 1)
    },
    **{f"count {count}": _page(count=count) for count in (0, 2, 65535)},
    **{f"page {number}": _page(number=number) for number in (1, (1 << 32) - 1)},
    **{f"kind {kind}": _page(kind=kind) for kind in (3, 255)},
    **{f"last {last}": _page(last=last) for last in (2, 255)},
    **{f"entry kind {kind}": _entry(kind=kind) for kind in (0, 3, 4, 255)},
    **{
        f"entry mode {mode:o}": _entry(mode=mode)
        for mode in (0o1000, 0o2755, 0o4755, 0o7777, 0xFFFF)
    },
    **{
        f"entry size {size}": _entry(size=size)
        for size in ((1 << 62) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 2)
    },
    "folder with a size": _entry(kind=1),
    "manifest hash": _wrong_manifest_hash,
    "bytes after it": _bytes_after_the_offer,
    "out of order": _pages_out_of_order,
    "empty page": _empty_page,
    "data": _data_instead_of_an_offer,
    "accept": _accept_instead_of_an_offer,
    "receipt": _receipt_instead_of_an_offer,
    "unknown record": _unknown_record,
    "close": _close_instead_of_an_offer,
    "text of two files": _text_of_two_files,
    "text beyond its cap": _text_beyond_its_cap,
    "unknown size in files": _unknown_size_in_files,
    "symlink": _symlink_entry,
    "sizes that wrap around": _sizes_that_wrap_around,
}


@pytest.mark.parametrize("some", range(8))
def test_t16_every_integer_of_an_offer(some: int, tmp_path: Path) -> None:
    async def scenario() -> None:
        for name in list(OFFERS)[some::8]:
            home = Home(tmp_path / name.replace(" ", "-"))
            status, program = await run(home, OFFERS[name])
            assert status == 8, (name, program.said())
            assert not (home.root / "out").exists(), name

    attack(scenario())


@pytest.mark.slow
def test_t16_a_manifest_that_never_ends_is_cut_off_in_flat_memory(home: Home) -> None:
    async def scenario() -> None:
        async def after(peer: Peer) -> None:
            await _never_ending_manifest(Session(peer, host))

        host = HostileHost(after)
        async with (
            listening(host.serve) as port,
            receiver(home, port, env={"TMPDIR": str(home.root)}) as program,
        ):
            await program.event("suite")
            await asyncio.sleep(1)
            early = program.peak_kib()
            await asyncio.sleep(4)
            assert program.peak_kib() - early < 4 << 10, (early, program.peak_kib())
            assert tree(home.root / "out") == []

    attack(scenario())


# -- the content ---------------------------------------------------------------------------------


def _items(*parts: bytes | Callable[[Session], bytes], final: bool = False) -> Evil:
    async def evil(session: Session) -> None:
        await session.data(
            *(part if isinstance(part, bytes) else part(session) for part in parts), final=final
        )

    return evil


def _whole(session: Session) -> bytes:
    return content(session.established, 0, b"good")


def _trailer(size: int = 4, flip: int = 0, number: int = 0) -> Callable[[Session], bytes]:
    def make(session: Session) -> bytes:
        running = FileHash(session.established.hash, SEGMENT)
        running.update(b"good")
        digest = running.digest()
        return TRAILER.pack(ItemType.TRAILER, number, size, bytes([digest[0] ^ flip]) + digest[1:])

    return make


GOOD = chunk(0, 0, b"good")

CONTENTS: dict[str, Evil] = {
    "more than declared": _items(chunk(0, 0, b"goods")),
    "more than declared, later": _items(GOOD, chunk(0, 4, b"s")),
    "one short of declared": _items(lambda session: content(session.established, 0, b"goo")),
    "a chunk out of place": _items(chunk(0, 1, b"goo")),
    "a chunk twice": _items(GOOD, GOOD),
    "a chunk far away": _items(chunk(0, (1 << 64) - 4, b"good")),
    "an empty chunk": _items(chunk(0, 0, b"")),
    "a chunk longer than its record": _items(GOOD[:-1]),
    "a length of 2^32-1": _items(GOOD[:13] + b"\xff" * 4 + b"good"),
    "another file's number": _items(chunk(1, 0, b"good")),
    "the greatest number": _items(chunk((1 << 32) - 1, 0, b"good")),
    "an unknown item": _items(b"\x09" + bytes(4)),
    "half an item": _items(b"\x01\x00"),
    "a wrong hash": _items(GOOD, _trailer(flip=1)),
    "a wrong size in the trailer": _items(GOOD, _trailer(5)),
    "a size of 0 in the trailer": _items(GOOD, _trailer(0)),
    "the greatest size in the trailer": _items(GOOD, _trailer((1 << 64) - 1)),
    "a trailer alone": _items(_trailer()),
    "half a trailer": _items(GOOD, lambda session: _trailer()(session)[:-1]),
    "another file's trailer": _items(GOOD, _trailer(number=1)),
    "final before the chunk": _items(final=True),
    "final before the trailer": _items(GOOD, final=True),
}


@pytest.mark.parametrize("some", range(6))
def test_t16_t23_content_that_breaks_the_offer_never_gets_a_name(some: int, tmp_path: Path) -> None:
    async def scenario() -> None:
        for name in list(CONTENTS)[some::6]:
            home = Home(tmp_path / name.replace(" ", "-"))
            status, program = await run(home, CONTENTS[name])
            assert status == 8, (name, program.said())
            assert tree(home.root / "out") == [], name

    attack(scenario())


async def _close_early(session: Session) -> None:
    lane = await session.offered()
    await session.control.seal(RecordType.CLOSE, final=True)
    await lane.seal(RecordType.DATA, GOOD)
    await lane.aclose()


async def _hang_up_on_the_lane(session: Session) -> None:
    lane = await session.offered()
    await lane.seal(RecordType.DATA, GOOD)
    await lane.aclose()


async def _hang_up_on_both(session: Session) -> None:
    lane = await session.offered()
    lane.abort()
    session.control.abort()


async def _data_before_accept(session: Session) -> None:
    await session.page(offer(session.established, ONE)[0])
    await session.control.seal(RecordType.DATA, _whole(session))
    assert (await session.control.open())[0] == RecordType.ACCEPT
    await (await session.host.lane()).aclose()


async def _garbage_on_the_lane(session: Session) -> None:
    await (await session.offered()).put(u32(64) + os.urandom(64))


async def _garbage_on_control(session: Session) -> None:
    await session.offered()
    await session.control.put(u32(64) + os.urandom(64))


async def _control_record_on_the_lane(session: Session) -> None:
    await (await session.offered()).seal(RecordType.OFFER_PAGE, b"x")


async def _replayed_record(session: Session) -> None:
    lane = await session.offered()
    record = lane.sealed(RecordType.DATA, GOOD)
    await lane.put(record + record)


async def _records_swapped(session: Session) -> None:
    lane = await session.offered()
    first, second = (
        lane.sealed(RecordType.DATA, GOOD),
        lane.sealed(RecordType.DATA, _trailer()(session), final=True),
    )
    await lane.put(second + first)


async def _lane_record_on_control(session: Session) -> None:
    lane = await session.offered()
    await session.control.put(lane.sealed(RecordType.DATA, _whole(session), final=True))


async def _after_the_final_record(session: Session) -> None:
    lane = await session.offered()
    await lane.seal(RecordType.DATA, GOOD, final=True)
    await lane.put(u32(32) + bytes(32))


async def _rekey_of_nonsense(session: Session) -> None:
    await session.control.seal(RecordType.REKEY, Rekey(1, b"short").encoded())


async def _rekey_out_of_turn(session: Session) -> None:
    await session.control.seal(RecordType.REKEY, Rekey(7, bytes(1600)).encoded())


async def _rekey_answer_unasked(session: Session) -> None:
    await session.control.seal(RecordType.REKEY_ANSWER, Rekey(1, bytes(1600)).encoded())


async def _rekey_too_long(session: Session) -> None:
    await session.control.seal(RecordType.REKEY, Rekey(1, bytes(16385)).encoded())


async def _epoch_unasked(session: Session) -> None:
    await session.control.seal(RecordType.EPOCH, u32(1))


async def _epoch_cut_short(session: Session) -> None:
    await session.control.seal(RecordType.EPOCH, b"\0")


async def _error_cut_short(session: Session) -> None:
    await session.control.seal(RecordType.ERROR, b"\x08\xff\xff")


async def _error_not_utf8(session: Session) -> None:
    await session.control.seal(RecordType.ERROR, b"\x08\x00\x02\xff\xfe")


MISCHIEF: dict[str, tuple[Evil, int]] = {
    "hang up on the lane": (_hang_up_on_the_lane, 7),
    "hang up on both": (_hang_up_on_both, 7),
    "CLOSE early": (_close_early, 7),
    "data before Accept": (_data_before_accept, 7),
    "garbage on the lane": (_garbage_on_the_lane, 8),
    "garbage on control": (_garbage_on_control, 8),
    "control record on the lane": (_control_record_on_the_lane, 8),
    "replayed record": (_replayed_record, 8),
    "records swapped": (_records_swapped, 8),
    "lane record on control": (_lane_record_on_control, 8),
    "after the final record": (_after_the_final_record, 8),
    "rekey of nonsense": (_rekey_of_nonsense, 8),
    "rekey out of turn": (_rekey_out_of_turn, 8),
    "rekey too long": (_rekey_too_long, 8),
    "rekey answer unasked": (_rekey_answer_unasked, 8),
    "epoch unasked": (_epoch_unasked, 8),
    "epoch cut short": (_epoch_cut_short, 8),
    "error cut short": (_error_cut_short, 8),
    "error that is not UTF-8": (_error_not_utf8, 8),
}


@pytest.mark.parametrize("some", range(6))
def test_t23_sealed_mischief_ends_in_the_right_exit_code_and_no_file(
    some: int, tmp_path: Path
) -> None:
    async def scenario() -> None:
        for name in list(MISCHIEF)[some::6]:
            home = Home(tmp_path / name.replace(" ", "-"))
            evil, expected = MISCHIEF[name]
            status, program = await run(home, evil)
            assert status == expected, (name, program.said())
            assert tree(home.root / "out") == [], name

    attack(scenario())


def test_t16_an_endless_stream_stops_at_the_cap(home: Home) -> None:
    home.configure("[receive]\nunknown_size = 3000000\n")

    async def endless(session: Session) -> None:
        lane = await session.offered(
            Entry(EntryKind.FILE, ("stdin",), 0o600, 0, None), kind=OfferKind.STREAM
        )
        for number in range(1000):
            await lane.seal(RecordType.DATA, chunk(0, number << 20, bytes(1 << 20)))

    async def scenario() -> None:
        status, program = await run(home, endless)
        assert status == 8, program.said()
        assert "3000000" in program.events()[-1]["message"]
        assert tree(home.root / "out") == []

    attack(scenario())


# -- length prefixes -----------------------------------------------------------------------------

CAPS = {"before Done": 16 * 1024, "control": 64 * 1024, "data": (1 << 20) + 64}


@pytest.mark.parametrize("length", [0, 1, "cap + 1", 1 << 31, (1 << 32) - 1])
@pytest.mark.parametrize("stage", list(CAPS))
def test_t16_a_length_prefix_above_the_cap_costs_no_memory(
    stage: str, length: int | str, home: Home
) -> None:
    size = CAPS[stage] + 1 if isinstance(length, str) else length
    filler = bytes(min(size, 8 << 20))

    async def scenario() -> None:
        async def before_done(line: Line) -> None:
            await line.frame()
            await line.put(bytes([FrameType.HELLO]) + u32(size) + filler)
            await line.closed()

        async def evil(peer: Peer) -> None:
            line = peer.line if stage == "control" else await Session(peer, host).offered()
            ready.set()
            await go.wait()
            await line.put(u32(size) + filler)
            await peer.line.closed()

        host, ready, go = HostileHost(evil), asyncio.Event(), asyncio.Event()
        async with (
            listening(before_done if stage == "before Done" else host.serve) as port,
            receiver(home, port) as program,
        ):
            if stage != "before Done":
                await ready.wait()
                before = program.peak_kib()
                go.set()
                while program.process.returncode is None:
                    try:
                        assert program.peak_kib() - before < 3 << 10
                    except (FileNotFoundError, StopIteration):
                        break
                    await asyncio.sleep(0.01)
            assert await program.wait() == 8, program.said()
            assert_harmless(program)

    attack(scenario())
    assert tree(home.root / "out") == []


# -- T-04: every text a sender can set -----------------------------------------------------------


@pytest.mark.parametrize("kind", [RecordType.ERROR, RecordType.REFUSE])
@pytest.mark.parametrize("json", [True, False])
def test_t04_reasons_of_a_sender_are_harmless(kind: RecordType, json: bool, home: Home) -> None:
    async def scenario() -> None:
        async def after(peer: Peer) -> None:
            text = ESCAPES.encode()
            await peer.line.seal(kind, b"\x00" + len(text).to_bytes(2, "big") + text, final=True)
            await peer.line.closed()

        async with (
            listening(HostileHost(after).serve) as port,
            receiver(home, port, "-vvv", json=json) as program,
        ):
            assert await program.wait() == (6 if kind == RecordType.REFUSE else 7), program.said()
            assert_harmless(program)
            assert b"fake: done" in program.out + program.err
            assert not any(
                line.startswith(b"fake") for line in (program.out + program.err).split(b"\n")
            )

    attack(scenario())


@pytest.mark.parametrize("json", [True, False])
def test_t04_a_text_message_is_harmless(json: bool, home: Home) -> None:
    text = ESCAPES.encode()

    async def scenario() -> None:
        async def evil(session: Session) -> None:
            lane = await session.offered(
                Entry(EntryKind.FILE, ("text.txt",), 0o600, 0, len(text)), kind=OfferKind.TEXT
            )
            await lane.seal(RecordType.DATA, content(session.established, 0, text), final=True)
            assert (await session.control.open())[0] == RecordType.RECEIVED
            await session.control.seal(RecordType.CLOSE, final=True)

        status, program = await run(home, evil, json=json)
        assert status == 0, program.said()
        assert b"52;c;YQ==" in program.out
        assert not (home.root / "out").exists()

    attack(scenario())


@pytest.mark.parametrize("alert", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255])
def test_t04_t23_alerts_before_done_are_hints_with_documented_codes(alert: int, home: Home) -> None:
    async def scenario() -> None:
        async def serve(line: Line) -> None:
            await line.frame()
            await line.put_frame(FrameType.ALERT, bytes([alert]))
            await line.closed()

        async with listening(serve) as port, receiver(home, port, "--wait", "2") as program:
            assert await program.wait() == {1: 4, 9: 4, 2: 3, 7: 6}.get(alert, 5), program.said()
            # 8 (too many strangers) is tried again for as long as --wait lasts.
            assert alert == 8 or "someone between" in program.events()[-1]["message"]
            assert_harmless(program)

    attack(scenario())


NAMES = [
    b"\x1b[31mx",
    b"aes-256-gcm\n",
    "\u202ex".encode(),
    b"",
    b"A",
    b"-x",
    b"x" * 33,
    b"\xff",
    b"../../os",
]


@pytest.mark.parametrize("some", range(3))
def test_t04_t27_driver_names_in_an_offer(some: int, tmp_path: Path) -> None:
    """A name that is none is refused; one that nobody has is explained, and nothing is imported for
    it."""

    async def scenario() -> None:
        for at, name in list(enumerate([*NAMES, b"os"]))[some::3]:
            body = Writer().u8(1).u8(1).raw(bytes(32)).u8(1).u8(0)
            for kind in range(5):
                body.u8(1).u8(len(name) if kind == 1 else 4).raw(name if kind == 1 else b"none")

            async def serve(line: Line, body: Writer = body) -> None:
                await line.frame()
                await line.put_frame(FrameType.HELLO, body.done())
                await line.closed()

            home = Home(tmp_path / str(at))
            async with listening(serve) as port, receiver(home, port, "-vvv") as program:
                assert await program.wait() == (3 if name == b"os" else 8), (name, program.said())
                assert_harmless(program)

    attack(scenario())


# -- T-05, T-07, T-08 ----------------------------------------------------------------------------


async def _honest(session: Session) -> None:
    """A folder with a file in it and a file beside it, sent as an honest sender would."""
    entries = [
        Entry(EntryKind.DIRECTORY, ("d",), 0o777, 0, 0),
        Entry(EntryKind.FILE, ("d", "x"), 0o777, -(1 << 63), 4),
        Entry(EntryKind.FILE, ("e",), 0o777, (1 << 63) - 1, 4),
    ]
    lane = await session.offered(*entries)
    items = content(session.established, 1, b"evil") + content(session.established, 2, b"evil")
    await lane.seal(RecordType.DATA, items, final=True)
    if (await session.control.open())[0] == RecordType.RECEIVED:
        await session.control.seal(RecordType.CLOSE, final=True)


@pytest.mark.parametrize("overwrite", ["never", "rename", "always"])
@pytest.mark.parametrize("planted", ["leaf", "parent", "dangling leaf"])
def test_t05_links_in_the_destination_are_never_followed(
    planted: str, overwrite: str, home: Home, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("mine")
    home.environment()
    out = home.root / "out"
    out.mkdir()
    if planted == "parent":
        (out / "d").symlink_to(other)
    else:
        (out / "e").symlink_to(other / ("file" if planted == "leaf" else "new"))

    async def scenario() -> None:
        status, program = await run(home, _honest, "--overwrite", overwrite)
        refused = planted == "parent" and overwrite != "rename"
        assert status == (9 if refused else 0), program.said()

    attack(scenario())
    assert (other / "file").read_text() == "mine"
    assert tree(other) == ["file"]


def test_t05_a_racing_thread_that_swaps_folders_for_links_gains_nothing(
    home: Home, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    home.environment()
    out = home.root / "out"
    out.mkdir()
    files = 300

    async def evil(session: Session) -> None:
        entries = [Entry(EntryKind.DIRECTORY, ("d",), 0o755, 0, 0)]
        entries += [Entry(EntryKind.FILE, ("d", f"{at:03}"), 0o644, 0, 4) for at in range(files)]
        lane = await session.offered(*entries)
        for at in range(files):
            await lane.seal(
                RecordType.DATA,
                content(session.established, at + 1, b"evil"),
                final=at + 1 == files,
            )
            swap(at)
            await asyncio.sleep(0)
        assert (await session.control.open())[0] == RecordType.RECEIVED
        await session.control.seal(RecordType.CLOSE, final=True)

    def swap(at: int) -> None:
        place = out / "d"
        if place.is_symlink():
            place.unlink()
        elif place.exists():
            place.rename(out / f"moved{at}")
            place.symlink_to(other)

    async def scenario() -> None:
        status, program = await run(home, evil, "--overwrite", "always")
        assert status in (0, 9), program.said()

    attack(scenario())
    assert tree(other) == []


def test_t07_mode_and_umask(home: Home) -> None:
    async def scenario() -> None:
        previous = os.umask(0o027)
        try:
            status, program = await run(home, _honest)
        finally:
            os.umask(previous)
        assert status == 0, program.said()

    attack(scenario())
    for name in ("d", "d/x", "e"):
        assert stat.S_IMODE((home.root / "out" / name).stat().st_mode) == 0o750


def test_t08_temporary_files_are_private_unpredictable_and_gone_after_a_failure(home: Home) -> None:
    home.environment()
    out = home.root / "out"
    out.mkdir()
    (out / "mine").write_text("mine")
    seen: list[str] = []

    async def evil(session: Session) -> None:
        lane = await session.offered(Entry(EntryKind.FILE, ("a",), 0o777, 0, 8))
        await lane.seal(RecordType.DATA, GOOD)
        await eventually(lambda: len(tree(out)) >= 4, "the temporary file")
        for path in out.rglob("*"):
            if path.name not in ("mine", "journal"):
                seen.append(path.name)
                assert stat.S_IMODE(path.lstat().st_mode) == (0o700 if path.is_dir() else 0o600)
        lane.abort()
        session.control.abort()

    async def scenario() -> None:
        status, program = await run(home, evil)
        assert status == 7, program.said()

    attack(scenario())
    assert len(seen) == 2
    assert "a" not in seen
    assert all(len(name) >= 16 for name in seen)
    assert tree(out) == ["mine"]


# -- the handshake -------------------------------------------------------------------------------


def test_t23_a_sender_that_does_not_know_the_code_gets_nothing(home: Home) -> None:
    async def never(peer: Peer) -> None:
        raise AssertionError(
            "the receiver opened a session with somebody who does not know the code"
        )

    async def scenario() -> None:
        host = HostileHost(never, code=WRONG)

        async def serve(line: Line) -> None:
            with pytest.raises(AuthenticationError):
                await host.serve(line)

        async with listening(serve) as port, receiver(home, port) as program:
            assert await program.wait() in (4, 7), program.said()

    attack(scenario())
    assert (home.state / "guesses" / "guest-4821").read_text() == "1"


def test_a_sender_that_answers_nothing_is_given_up(home: Home) -> None:
    async def scenario() -> None:
        async def serve(line: Line) -> None:
            await line.closed()

        async with listening(serve) as port, receiver(home, port, "--wait", "2") as program:
            assert await program.wait(15) == 5, program.said()

    attack(scenario())


def test_t23_reflection_of_every_message_of_the_guest(home: Home) -> None:
    async def scenario() -> None:
        async def serve(line: Line) -> None:
            while True:
                frame = await line.frame()
                await line.put(Frame(frame.type, frame.body).encoded)

        async with listening(serve) as port, receiver(home, port) as program:
            assert await program.wait() == 8, program.said()

    attack(scenario())
    assert CODE
