"""T-17: the receiver against a sender that knows the code and sends compressed chunks that are not
what they say."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.transfer.content_items import CHUNK, PACKED, TRAILER, ItemType
from tallow_core.protocol.transfer.file_hash import FileHash
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_plugins.compressors.none import NoCompression
from tests.kit.hostile_peers import (
    SEGMENT,
    Gone,
    Home,
    HostileHost,
    Peer,
    Program,
    assert_harmless,
    attack,
    listening,
    receiver,
    tree,
)
from tests.kit.hostile_peers import offer as pages_of
from tests.kit.machines import DEFAULT, named

MIB = 1 << 20
TEXT = b"so much of what is said was said before, " * 100
SIZE = len(TEXT)
MAGIC = bytes.fromhex("28b52ffd")


def frame(data: bytes, **options: Any) -> bytes:
    """An honest frame of `data`."""
    return zstandard.ZstdCompressor(level=1, **options).compress(data)


def blocks(
    *parts: tuple[int, int, bytes], window: bytes = b"", size: int | None = SIZE, flags: int = 0
) -> bytes:
    """A frame by hand (RFC 8878, section 3.1.1): parts are (block type, size, content), the last
    block is the last part.

    With `window` (one byte) the frame has that window descriptor, else a single segment; `size`
    None states no content size.
    """
    descriptor = (0x80 if size is not None else 0) | (0 if window else 0x20) | flags
    head = (
        MAGIC
        + bytes([descriptor])
        + window
        + (size.to_bytes(4, "little") if size is not None else b"\x00" * (not window))
    )
    body = b"".join(
        (length << 3 | kind << 1 | (number == len(parts) - 1)).to_bytes(3, "little") + content
        for number, (kind, length, content) in enumerate(parts)
    )
    return head + body


def rle(total: int, size: int | None = SIZE, **fields: bytes) -> bytes:
    """A frame of `total` zeros in blocks of 128 KiB, 4 bytes each, whatever it states."""
    full, rest = divmod(total, 128 << 10)
    return blocks(
        *[(1, 128 << 10, b"\0")] * full,
        *[(1, rest, b"\0")] * (rest > 0),
        size=size,
        **fields,  # type: ignore[arg-type]
    )


def packed(
    data: bytes, length: int = SIZE, size: int | None = None, offset: int = 0, number: int = 0
) -> bytes:
    """A packed chunk that says it stands for `length` bytes."""
    return (
        PACKED.pack(ItemType.PACKED, number, offset, length, len(data) if size is None else size)
        + data
    )


def trailer(content: bytes) -> bytes:
    """The trailer of entry 0."""
    return TRAILER.pack(ItemType.TRAILER, 0, len(content), hashed(content))


def hashed(content: bytes) -> bytes:
    """The file's hash, of one segment or none."""
    running = FileHash(DEFAULT["hash"]["blake3"], SEGMENT)
    for start in range(0, len(content), MIB):
        running.update(content[start : start + MIB])
    return running.digest()


def whole_window(log: int) -> bytes:
    """A window descriptor (RFC 8878, section 3.1.1.1.2) of 2**log bytes."""
    return bytes([(log - 10) << 3])


async def run(
    home: Home, *items: bytes, size: int = SIZE, drivers: object = DEFAULT, alone: bool = True
) -> tuple[int, Program, int]:
    """Offer one file of `size` bytes and send these items in one record; exit status, receiver, and
    its peak memory in KiB."""
    peak = 0

    async def after(peer: Peer) -> None:
        try:
            for body in pages_of(peer.established, [Entry(EntryKind.FILE, ("a",), 0o644, 0, size)]):
                await peer.line.seal(RecordType.OFFER_PAGE, body)
            assert (await peer.line.open())[0] == RecordType.ACCEPT
            lane = await host.lane()
            await lane.seal(RecordType.DATA, b"".join(items), final=alone)
            await peer.line.closed()
        except Gone:
            pass

    host = HostileHost(after, drivers=drivers)  # type: ignore[arg-type]
    async with listening(host.serve) as port, receiver(home, port) as program:
        while program.process.returncode is None:
            peak = max(peak, note_peak(program))
            await asyncio.sleep(0.005)
        status = await program.wait(60)
        assert_harmless(program)
        return status, program, peak


def note_peak(program: Program) -> int:
    """Its peak memory so far, 0 if it has ended."""
    try:
        return program.peak_kib()
    except (OSError, StopIteration):
        return 0


HONEST = frame(TEXT)
RAW = (0, SIZE, TEXT)

BAD: dict[str, Callable[[], bytes]] = {
    "more than it says": lambda: packed(frame(TEXT + TEXT)),
    "less than it says": lambda: packed(frame(TEXT[:-1])),
    "one byte more than the chunk": lambda: packed(HONEST, length=SIZE - 1),
    "one byte less than the chunk": lambda: packed(HONEST, length=SIZE + 1),
    "a bomb that states its size": lambda: packed(rle(1 << 31, size=1 << 31)),
    "a bomb that lies": lambda: packed(rle(1 << 31)),
    "a bomb without a size": lambda: packed(rle(1 << 31, size=None, window=whole_window(20))),
    "the right bytes without a stated size": lambda: packed(frame(TEXT, write_content_size=False)),
    "a stated size with less in it": lambda: packed(rle(SIZE - 1)),
    "a stated size with nothing in it": lambda: packed(blocks((0, 0, b""))),
    "window log 31": lambda: packed(rle(SIZE, window=whole_window(31))),
    "window log 41": lambda: packed(rle(SIZE, window=b"\xff")),
    "window log 24": lambda: packed(rle(SIZE, window=whole_window(24))),
    "a dictionary": lambda: packed(MAGIC + b"\xa1\x07" + HONEST[5:]),
    "a dictionary by hand": lambda: packed(MAGIC + b"\xa1\x07" + rle(SIZE)[5:]),
    "a reserved block": lambda: packed(blocks((3, 10, b"\0" * 10))),
    "a block above 128 KiB": lambda: packed(
        blocks((1, (128 << 10) + 1, b"\0"), size=(128 << 10) + 1), length=(128 << 10) + 1
    ),
    "a damaged frame": lambda: packed(HONEST[:20] + bytes([HONEST[20] ^ 0xFF]) + HONEST[21:]),
    "a cut-off frame": lambda: packed(HONEST[:-1]),
    "half a frame": lambda: packed(HONEST[: len(HONEST) // 2]),
    "a header alone": lambda: packed(HONEST[:6]),
    "a magic alone": lambda: packed(MAGIC),
    "a byte after the frame": lambda: packed(HONEST + b"\0"),
    "a frame after the frame": lambda: packed(HONEST + frame(b"")),
    "two halves in two frames": lambda: packed(frame(TEXT[: SIZE // 2]) + frame(TEXT[SIZE // 2 :])),
    "a skippable frame": lambda: packed(
        bytes.fromhex("502a4d18") + (4).to_bytes(4, "little") + b"abcd"
    ),
    "a skippable frame of the size": lambda: packed(
        bytes.fromhex("502a4d18") + SIZE.to_bytes(4, "little") + bytes(50)
    ),
    "a skippable frame before": lambda: packed(
        bytes.fromhex("502a4d18") + (4).to_bytes(4, "little") + b"abcd" + HONEST
    ),
    "a skippable frame after": lambda: packed(
        HONEST + bytes.fromhex("502a4d18") + (4).to_bytes(4, "little") + b"abcd"
    ),
    "an old format": lambda: packed(bytes.fromhex("27b52ffd") + HONEST[4:]),
    "zlib": lambda: packed(zlib.compress(TEXT)),
    "nothing": lambda: packed(b""),
    "text": lambda: packed(TEXT[:100]),
    "a frame as long as its chunk": lambda: packed(HONEST, length=len(HONEST)),
    "a frame longer than its chunk": lambda: packed(blocks(RAW)),
    "a length of 0": lambda: packed(frame(b""), length=0),
    "the greatest length": lambda: packed(HONEST, length=0xFFFFFFFF),
    "the greatest size": lambda: packed(HONEST, size=0xFFFFFFFF),
    "a size beyond the record": lambda: packed(HONEST, size=len(HONEST) + 1),
    "an offset": lambda: packed(HONEST, offset=1),
    "the greatest offset": lambda: packed(HONEST, offset=(1 << 64) - 1),
    "another entry": lambda: packed(HONEST, number=1),
    "the header cut off": lambda: packed(HONEST)[:15],
    "more than the file": lambda: packed(HONEST) + packed(HONEST, offset=SIZE),
}


@pytest.mark.parametrize("some", range(4))
def test_t17_a_packed_chunk_that_is_not_what_it_says_ends_the_transfer(
    some: int, tmp_path: Path
) -> None:
    """Exit 8, nothing under a name, and no memory for what a frame promises."""

    async def scenario() -> None:
        for number, (name, item) in enumerate(sorted(BAD.items())[some::4]):
            home = Home(tmp_path / str(number))
            status, program, peak = await run(home, item(), trailer(TEXT))
            assert status == 8, f"{name}: {program.said()}"
            code = (await program.event("error"))["name"]
            assert code == "remote-protocol" or name == "a damaged frame", (
                f"{name}: {program.said()}"
            )  # not only by the file's hash
            assert tree(home.root / "out") == [], name
            assert peak < 150 << 10, f"{name}: {peak} KiB"

    attack(scenario(), within=170)


def test_t17_the_same_chunk_as_it_should_be_arrives(tmp_path: Path) -> None:
    """What stands above is refused for its faults: by hand and by the library, packed and nested,
    the content arrives."""

    async def scenario() -> None:
        half = SIZE // 2
        good = {
            "one": (TEXT, packed(HONEST)),
            "two": (
                TEXT,
                packed(frame(TEXT[:half]), half)
                + packed(frame(TEXT[half:]), SIZE - half, offset=half),
            ),
            "mixed": (
                TEXT,
                packed(frame(TEXT[:half]), half)
                + CHUNK.pack(ItemType.CHUNK, 0, half, SIZE - half)
                + TEXT[half:],
            ),
            "by hand": (bytes(SIZE), packed(rle(SIZE))),
            "a window": (bytes(SIZE), packed(rle(SIZE, window=whole_window(20)))),
            "checksum": (TEXT, packed(frame(TEXT, write_checksum=True))),
        }
        for name, (content, items) in good.items():
            home = Home(tmp_path / name)
            status, program, _ = await run(home, items, trailer(content))
            assert status in (0, 7), (
                f"{name}: {program.said()}"
            )  # 7: this sender is gone without a last word
            assert (home.root / "out" / "a").read_bytes() == content

    attack(scenario())


def test_t17_frames_in_frames_are_content(tmp_path: Path) -> None:
    """A frame of a frame of a gigabyte of zeros arrives as what it is: nothing unpacks it twice."""

    async def scenario() -> None:
        inner = rle(1 << 30, size=1 << 30)
        home = Home(tmp_path / "home")
        status, program, peak = await run(
            home, packed(frame(inner), len(inner)), trailer(inner), size=len(inner)
        )
        assert status in (0, 7), program.said()
        assert (home.root / "out" / "a").read_bytes() == inner
        assert peak < 150 << 10

    attack(scenario())


def test_t17_a_record_full_of_packed_chunks_stays_within_the_file_and_in_flat_memory(
    tmp_path: Path,
) -> None:
    """Ten thousand frames of a MiB of zeros in one record, into a file of 64 MiB: it ends at the
    65th."""

    async def scenario() -> None:
        home, size = Home(tmp_path / "home"), 64 * MIB
        one = rle(MIB, size=MIB)
        items = b"".join(packed(one, MIB, offset=number * MIB) for number in range(10_000))[
            : 1000 * 1024
        ]
        status, program, peak = await run(home, items, size=size)
        assert status == 8, program.said()
        assert tree(home.root / "out") == []
        assert peak < 150 << 10

    attack(scenario())


def test_t17_t26_where_none_was_agreed_on_nothing_is_unpacked(tmp_path: Path) -> None:
    """A frame, and content that is said to be packed, are refused under `none`, also by a receiver
    that has zstd."""

    async def scenario() -> None:
        drivers = {**DEFAULT, "compressor": named(NoCompression)}
        for number, item in enumerate((packed(HONEST), packed(TEXT), packed(TEXT[:-1]))):
            home = Home(tmp_path / str(number))
            status, program, _ = await run(home, item, trailer(TEXT), drivers=drivers)
            assert (await program.event("suite"))["compressor"] == "none"
            assert status == 8, program.said()
            assert tree(home.root / "out") == []

    attack(scenario())
