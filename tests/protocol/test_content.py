"""Chunks and trailers: what the sending pump packs, the reader accepts; nothing else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import FileSystemError, IntegrityError, RemoteProtocolError
from tallow_core.files.os_faults import ChangedError
from tallow_core.files.record_buffer import PAYLOAD_BYTES, RecordBuffer
from tallow_core.files.source.opened_source import OpenedSource, read_inline
from tallow_core.files.source.record_packer import FULL, LARGE, RecordPacker
from tallow_core.protocol.lanes.record import FINAL, MAX_DATA_RECORD_BYTES, RecordType
from tallow_core.protocol.transfer.content_items import (
    CHUNK,
    FAILED,
    HOLE,
    PACKED,
    TRAILER,
    ItemType,
    Reason,
)
from tallow_core.protocol.transfer.content_reader import (
    ContentEvent,
    ContentReader,
    FileBegin,
    FileChunk,
    FileFailed,
    FileHole,
    FileVerified,
    Passed,
)
from tallow_core.protocol.transfer.file_hash import FileHash
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.offer_pages import SEGMENT_BYTES
from tallow_core.protocol.transfer.offer_reader import MIN_SEGMENT_BYTES
from tallow_core.text import printable
from tallow_plugins.hashes.blake3 import Blake3
from tests.kit.contents import KIB, MIB, Slow, content, entry, tree_hash

MOST = 8 * MIB


@dataclass
class Sent:
    """Entries, what is sent for them, and their hashes; a size of None is a folder, a negative one
    a file that cannot be read."""

    entries: list[Entry]
    records: list[bytes]
    hashes: list[bytes]


def send(
    sizes: Sequence[int | None],
    segment: int = SEGMENT_BYTES,
    step: int = 1 << 30,
    *,
    sized: bool = True,
) -> Sent:
    """Run the sending pump over made-up files."""
    sent = Sent([], [], [])

    async def collect(buffer: RecordBuffer, size: int) -> None:
        sent.records.append(bytes(buffer.plain[:size]))

    async def pump() -> None:
        packer = RecordPacker(collect, Blake3, segment)
        for number, size in enumerate(sizes):
            if size is None:
                sent.entries.append(entry(number, 0, kind=EntryKind.DIRECTORY))
                continue
            sent.entries.append(entry(number, abs(size) if sized else None))
            if size < 0:
                await packer.failed(number, Reason.UNREADABLE)
            else:
                data = content(number, size)
                sent.hashes.append(await packer.file(number, Slow(data, step, sized=sized)))
        await packer.finish()
        assert packer.sent == sum(size for size in sizes if size is not None and size > 0)

    asyncio.run(pump())
    return sent


def take(sent: Sent, segment: int = SEGMENT_BYTES) -> list[ContentEvent]:
    """Give the records to a reader; chunks become events whose bytes are copied."""
    reader = ContentReader(sent.entries, segment, Blake3, MOST)
    events: list[ContentEvent] = []
    for number, record in enumerate(sent.records):
        last = number == len(sent.records) - 1
        assert record[0] == RecordType.DATA | (FINAL if last else 0)
        assert len(record) <= FULL <= MAX_DATA_RECORD_BYTES - 16
        for event in reader.record(memoryview(record)[1:]):
            events.append(
                FileChunk(event.offset, memoryview(bytes(event.data)))
                if isinstance(event, FileChunk)
                else event
            )
    events += reader.end()
    return events


def expect(
    sizes: Sequence[int | None], sent: Sent, events: list[ContentEvent], segment: int
) -> None:
    """The events are those of the tree, in order, and every byte is there."""
    stream = iter(events)
    hashes = iter(sent.hashes)
    for number, size in enumerate(sizes):
        described = sent.entries[number]
        if size is None:
            assert next(stream) == Passed(number, described)
            continue
        assert next(stream) == FileBegin(number, described)
        if size < 0:
            assert next(stream) == FileFailed(number, described, Reason.UNREADABLE)
            continue
        data = bytearray()
        while isinstance(event := next(stream), FileChunk):
            assert event.offset == len(data)
            assert event.offset // segment == (event.offset + len(event.data) - 1) // segment, (
                "a chunk crosses a segment boundary"
            )
            data += event.data
        whole = content(number, size)
        assert data == whole
        assert event == FileVerified(described, size, tree_hash(whole, segment))
        assert event.tree_hash == next(hashes)
    assert list(stream) == []


EDGES = [
    0,
    1,
    2,
    LARGE - 1,
    LARGE,
    LARGE + 1,
    2 * LARGE,
    PAYLOAD_BYTES - 1,
    PAYLOAD_BYTES,
    PAYLOAD_BYTES + 1,
    FULL,
    2 * MIB,
    2 * MIB + 7,
]
SIZES = st.one_of(
    st.none(),
    st.integers(0, 300),
    st.sampled_from(EDGES),
    st.integers(0, 200 * KIB),
    st.integers(-5, -1),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(SIZES, max_size=12),
    st.sampled_from([MIN_SEGMENT_BYTES, 100_000, MIB, SEGMENT_BYTES]),
    st.sampled_from([1 << 30, 70_000, 5000]),
)
def test_what_is_packed_is_read(sizes: list[int | None], segment: int, step: int) -> None:
    sent = send(sizes, segment, step)
    expect(sizes, sent, take(sent, segment), segment)


@pytest.mark.parametrize(
    "size", [SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 5, 0, MIN_SEGMENT_BYTES]
)
@pytest.mark.parametrize("segment", [MIN_SEGMENT_BYTES, SEGMENT_BYTES])
@pytest.mark.parametrize("sized", [True, False], ids=["sized", "stream"])
def test_one_file(size: int, segment: int, sized: bool) -> None:
    sent = send([size], segment, step=900_001, sized=sized)
    expect([size], sent, take(sent, segment), segment)


def test_small_files_share_records() -> None:
    sizes = [100] * 10_000
    sent = send(sizes)
    assert len(sent.records) == 2
    expect(sizes, sent, take(sent), SEGMENT_BYTES)


def test_a_large_file_begins_its_own_record_and_fills_it() -> None:
    sent = send([10, 3 * MIB])
    assert [len(record) for record in sent.records] == [
        1 + CHUNK.size + 10 + TRAILER.size,
        FULL,
        FULL,
        FULL,
        1 + TRAILER.size,
    ]


def test_nothing_at_all_is_one_final_record() -> None:
    sent = send([])
    assert sent.records == [bytes([RecordType.DATA | FINAL])]
    assert take(sent) == []
    assert take(send([None, None])) == [
        Passed(n, entry(n, 0, kind=EntryKind.DIRECTORY)) for n in range(2)
    ]


def test_a_file_that_became_shorter_is_said_to_have_failed() -> None:
    sent = Sent([entry(0, 300_000), entry(1, 5)], [], [])

    async def collect(buffer: RecordBuffer, size: int) -> None:
        sent.records.append(bytes(buffer.plain[:size]))

    async def pump() -> None:
        packer = RecordPacker(collect, Blake3, SEGMENT_BYTES)
        with pytest.raises(FileSystemError):
            await packer.file(0, Slow(content(0, 200_000), size=300_000))
        await packer.failed(0, Reason.CHANGED)
        sent.hashes.append(await packer.file(1, Slow(content(1, 5))))
        await packer.finish()

    asyncio.run(pump())
    kinds = [type(event) for event in take(sent)]
    assert kinds == [FileBegin, FileChunk, FileFailed, FileBegin, FileChunk, FileVerified]


def test_a_file_that_grew_is_sent_as_it_was_offered() -> None:
    """Its size is part of the offer: what was appended since is not read."""
    sent = Sent([entry(0, 1000)], [], [])

    async def collect(buffer: RecordBuffer, size: int) -> None:
        sent.records.append(bytes(buffer.plain[:size]))

    async def pump() -> None:
        packer = RecordPacker(collect, Blake3, SEGMENT_BYTES)
        sent.hashes.append(await packer.file(0, Slow(content(0, 5000), size=1000)))
        await packer.finish()

    asyncio.run(pump())
    expect([1000], sent, take(sent), SEGMENT_BYTES)


def test_a_regular_file_is_a_source(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content(3, 100_000))
    buffer = memoryview(bytearray(70_000))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        got = b""
        while count := read_inline(descriptor, buffer):
            got += bytes(buffer[:count])
    finally:
        os.close(descriptor)
    assert got == content(3, 100_000)
    with pytest.raises(FileSystemError):
        read_inline(descriptor, buffer)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400_000), st.lists(st.integers(1, 90_000), max_size=20))
def test_the_hash_of_a_file_does_not_depend_on_how_it_arrives(size: int, steps: list[int]) -> None:
    data, running, at = content(1, size), FileHash(Blake3, MIN_SEGMENT_BYTES), 0
    for step in [*steps, *[size] * 10]:
        part = data[at : at + min(step, running.room)]
        if part:
            running.update(part)
        at += len(part)
    assert running.size == size
    assert running.digest() == tree_hash(data, MIN_SEGMENT_BYTES)


def test_the_hash_of_a_file_says_its_size_and_its_segments() -> None:
    data = content(1, 3 * MIN_SEGMENT_BYTES)
    assert (
        len(
            {
                tree_hash(data[:size], segment)
                for size in (0, 1, len(data))
                for segment in (MIN_SEGMENT_BYTES, SEGMENT_BYTES)
            }
        )
        == 6
    )


class Holed(OpenedSource):
    """A source whose data lies in `parts`, zeros between them; like a descriptor, it stands at the
    start of a part when that is told."""

    def __init__(self, size: int, parts: list[tuple[int, int]]) -> None:
        self.size: int = size
        self.parts, self.at = parts, 0

    def bytes(self) -> bytes:
        whole = bytearray(self.size)
        for start, end in self.parts:
            whole[start:end] = content(start, end - start)
        return bytes(whole)

    def extents(self) -> Iterator[tuple[int, int]]:
        for start, end in self.parts:
            self.at = start
            yield start, end

    def check(self) -> None:
        """It does not change."""

    def close(self) -> None:
        """It stays open."""

    async def read_into(self, buffer: memoryview) -> int:
        part = self.bytes()[self.at : self.at + len(buffer)]
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)


PARTS = st.lists(st.integers(0, 3 * MIN_SEGMENT_BYTES), max_size=8, unique=True).map(sorted)


@settings(max_examples=40, deadline=None)
@given(PARTS, st.integers(0, MIN_SEGMENT_BYTES + 10))
def test_holes_are_not_sent_and_the_hash_is_that_of_the_bytes(
    edges: list[int], beyond: int
) -> None:
    source = Holed(
        (edges[-1] if edges else 0) + beyond, list(zip(edges[::2], edges[1::2], strict=False))
    )
    data = sum(end - start for start, end in source.parts)
    described = Entry(EntryKind.SPARSE, ("holed",), 0o644, 0, source.size, data=data)
    sent = Sent([described], [], [])

    async def collect(buffer: RecordBuffer, size: int) -> None:
        sent.records.append(bytes(buffer.plain[:size]))

    async def pump() -> None:
        packer = RecordPacker(collect, Blake3, MIN_SEGMENT_BYTES)
        sent.hashes.append(await packer.file(0, source))
        await packer.finish()
        assert packer.sent == source.size

    asyncio.run(pump())
    got = bytearray(source.size)
    events = take(sent, MIN_SEGMENT_BYTES)
    for event in events:
        if isinstance(event, FileChunk):
            got[event.offset : event.offset + len(event.data)] = event.data
    assert bytes(got) == source.bytes()
    assert events[-1] == FileVerified(
        described, source.size, tree_hash(source.bytes(), MIN_SEGMENT_BYTES)
    )
    assert sum(map(len, sent.records)) < data + 100 * (len(edges) + 8)


def test_zeros_hash_like_zeros() -> None:
    for size in (0, 1, 5000, MIN_SEGMENT_BYTES - 1, MIN_SEGMENT_BYTES, 3 * MIN_SEGMENT_BYTES + 7):
        running = FileHash(Blake3, MIN_SEGMENT_BYTES)
        while running.size < size:
            running.zeros(min(running.room, size - running.size))
        assert running.digest() == tree_hash(bytes(size), MIN_SEGMENT_BYTES)


def test_a_change_is_noticed_before_the_trailer() -> None:
    records: list[bytes] = []

    async def collect(buffer: RecordBuffer, size: int) -> None:
        records.append(bytes(buffer.plain[:size]))

    class Changing(Slow):
        def check(self) -> None:
            if self.at:
                raise ChangedError("it is another one by now")

    async def pump() -> None:
        packer = RecordPacker(collect, Blake3, SEGMENT_BYTES)
        with pytest.raises(ChangedError):
            await packer.file(0, Changing(b"x" * 10))
        await packer.failed(0, Reason.CHANGED)
        await packer.finish()

    asyncio.run(pump())
    assert [type(event) for event in take(Sent([entry(0, 10)], records, []))] == [
        FileBegin,
        FileChunk,
        FileFailed,
    ]


def test_records_are_as_small_as_asked() -> None:
    records: list[bytes] = []

    async def collect(buffer: RecordBuffer, size: int) -> None:
        records.append(bytes(buffer.plain[:size]))

    async def pump() -> None:
        packer = RecordPacker(collect, Blake3, SEGMENT_BYTES, 5000)
        await packer.file(0, Slow(content(0, 100_000)))
        await packer.finish()

    asyncio.run(pump())
    assert max(map(len, records)) == 1 + CHUNK.size + 5000
    assert isinstance(take(Sent([entry(0, 100_000)], records, []))[-1], FileVerified)


def test_only_what_was_chosen_is_taken() -> None:
    for chosen in ({0}, {1, 3}, {4}, set[int]()):
        reader = ContentReader(TREE, MIN_SEGMENT_BYTES, Blake3, 1000, chosen.__contains__)
        items = [
            item
            for number, group in ((0, FIRST), (1, SECOND), (3, THIRD), (4, FOURTH))
            if number in chosen
            for item in group
        ]
        events = [event for item in items for event in reader.record(memoryview(item))] + list(
            reader.end()
        )
        assert {event.entry.components for event in events if isinstance(event, FileVerified)} == {
            TREE[at].components for at in chosen
        }
        assert sum(isinstance(event, Passed) for event in events) == 1
    for wrong in (FIRST, THIRD, FOURTH):
        reader = ContentReader(TREE, MIN_SEGMENT_BYTES, Blake3, 1000, {1}.__contains__)
        with pytest.raises(RemoteProtocolError, match="order"):
            list(reader.record(memoryview(wrong[0])))
    reader = ContentReader(TREE, MIN_SEGMENT_BYTES, Blake3, 1000, {1}.__contains__)
    with pytest.raises(RemoteProtocolError, match="ended"):
        list(reader.end())


# -- a hostile sender ----------------------------------------------------------------------------


def chunk(number: int, offset: int, data: bytes, length: int | None = None) -> bytes:
    """A CHUNK, of which the length may lie."""
    return (
        CHUNK.pack(ItemType.CHUNK, number, offset, len(data) if length is None else length) + data
    )


def trailer(
    number: int, data: bytes, size: int | None = None, digest: bytes | None = None
) -> bytes:
    """The TRAILER of a file with content `data`, or a wrong one."""
    return TRAILER.pack(
        ItemType.TRAILER,
        number,
        len(data) if size is None else size,
        digest or tree_hash(data, MIN_SEGMENT_BYTES),
    )


DATA = content(0, 100)
LONG = content(1, MIN_SEGMENT_BYTES + 10)
TREE = [
    entry(0, 100),
    entry(1, len(LONG)),
    entry(2, 0, kind=EntryKind.DIRECTORY),
    entry(3, 0),
    entry(4, None),
]
FIRST = [chunk(0, 0, DATA), trailer(0, DATA)]
SECOND = [
    chunk(1, 0, LONG[:MIN_SEGMENT_BYTES]),
    chunk(1, MIN_SEGMENT_BYTES, LONG[MIN_SEGMENT_BYTES:]),
    trailer(1, LONG),
]
THIRD = [trailer(3, b"")]
FOURTH = [chunk(4, 0, DATA), trailer(4, DATA)]
ALL = [*FIRST, *SECOND, *THIRD, *FOURTH]
U32, U64 = (1 << 32) - 1, (1 << 64) - 1


def read(
    items: Sequence[bytes], *, one_record: bool = False, end: bool = True
) -> list[ContentEvent]:
    """What a receiver makes of these items, each in a record of its own or all in one, and of the
    end after them."""
    reader = ContentReader(TREE, MIN_SEGMENT_BYTES, Blake3, 1000)
    events: list[ContentEvent] = []
    for body in [b"".join(items)] if one_record else items:
        events += reader.record(memoryview(body))
    return [*events, *(reader.end() if end else ())]


@pytest.mark.parametrize("one_record", [False, True])
def test_the_untouched_items_are_taken(one_record: bool) -> None:
    """What the cases below change is right before they do."""
    assert sum(isinstance(event, FileVerified) for event in read(ALL, one_record=one_record)) == 4
    failed = [FAILED.pack(ItemType.FAILED, number, Reason.CHANGED) for number in (0, 1, 3, 4)]
    assert sum(isinstance(event, FileFailed) for event in read(failed, one_record=one_record)) == 4


ENDED: dict[str, list[bytes]] = {
    "nothing": [],
    "the last file is missing": ALL[:-2],
    "the last trailer is missing": ALL[:-1],
    "all but the first file is missing": FIRST,
    "the rest of a file is missing": [*FIRST, SECOND[0]],
}


@pytest.mark.parametrize("one_record", [False, True], ids=["records", "one-record"])
@pytest.mark.parametrize("items", ENDED.values(), ids=ENDED)
def test_t23_an_end_before_the_last_file_is_refused(items: list[bytes], one_record: bool) -> None:
    read(items, one_record=one_record, end=False)
    with pytest.raises(RemoteProtocolError, match="ended"):
        read(items, one_record=one_record)


def hole(number: int, offset: int, length: int) -> bytes:
    """A HOLE."""
    return HOLE.pack(ItemType.HOLE, number, offset, length)


SPARSE = Entry(EntryKind.SPARSE, ("sparse",), 0o644, 0, MIN_SEGMENT_BYTES + 100, data=50)
ZEROS = bytes(MIN_SEGMENT_BYTES + 100)


def read_sparse(*items: bytes) -> list[ContentEvent]:
    reader = ContentReader([SPARSE, entry(1, 100)], MIN_SEGMENT_BYTES, Blake3, 1000)
    return [event for item in items for event in reader.record(memoryview(item))]


def test_the_untouched_holes_are_taken() -> None:
    events = read_sparse(
        hole(0, 0, MIN_SEGMENT_BYTES),
        hole(0, MIN_SEGMENT_BYTES, 100),
        trailer(0, ZEROS),
        chunk(1, 0, DATA),
        trailer(1, DATA),
    )
    assert sum(isinstance(event, FileHole) for event in events) == 2
    data = DATA[:50]
    whole = data + ZEROS[50:]
    read_sparse(
        chunk(0, 0, data),
        hole(0, 50, MIN_SEGMENT_BYTES - 50),
        hole(0, MIN_SEGMENT_BYTES, 100),
        trailer(0, whole),
    )


HOLES: dict[str, list[bytes]] = {
    "beyond the size": [hole(0, 0, MIN_SEGMENT_BYTES), hole(0, MIN_SEGMENT_BYTES, 101)],
    "over a segment's boundary": [hole(0, 0, MIN_SEGMENT_BYTES + 1)],
    "of the largest length": [hole(0, 0, U32)],
    "empty": [hole(0, 0, 0)],
    "backwards": [hole(0, 0, 100), hole(0, 50, 100)],
    "with a gap before it": [hole(0, 1, 100)],
    "at the largest offset": [hole(0, U64, 1)],
    "over a chunk": [chunk(0, 0, DATA[:50]), hole(0, 0, 100)],
    "a chunk over a hole": [hole(0, 0, 100), chunk(0, 50, DATA[:10])],
    "more data than was said": [chunk(0, 0, DATA[:50]), chunk(0, 50, b"x")],
    "more data than was said, at once": [chunk(0, 0, DATA[:51])],
    "in an ordinary file": [
        hole(0, 0, MIN_SEGMENT_BYTES),
        hole(0, MIN_SEGMENT_BYTES, 100),
        trailer(0, ZEROS),
        hole(1, 0, 100),
    ],
    "half of one": [hole(0, 0, 100)[:-1]],
}


@pytest.mark.parametrize("items", HOLES.values(), ids=HOLES)
def test_t16_t17_a_hole_where_none_may_be_is_refused(items: list[bytes]) -> None:
    """A few bytes stand for many: they stop at the declared size, as what a compressor would yield
    does."""
    with pytest.raises(RemoteProtocolError):
        read_sparse(*items)


def test_t23_holes_instead_of_data_are_noticed() -> None:
    with pytest.raises(IntegrityError):
        read_sparse(
            hole(0, 0, MIN_SEGMENT_BYTES),
            hole(0, MIN_SEGMENT_BYTES, 100),
            trailer(0, DATA[:50] + ZEROS[50:]),
        )


BROKEN: dict[str, list[bytes]] = {
    "a trailer is missing": [FIRST[0], *SECOND],
    "a file is missing": [*FIRST, *THIRD],
    "the first file is missing": SECOND,
    "files in another order": [*SECOND, *FIRST],
    "a file twice": [*FIRST, *FIRST],
    "a chunk twice": [FIRST[0], *FIRST],
    "two files interleaved": [FIRST[0], SECOND[0]],
    "the content of a folder": [*FIRST, *SECOND, chunk(2, 0, b"x")],
    "the trailer of a folder": [*FIRST, *SECOND, trailer(2, b"")],
    "after the last file": [*ALL, chunk(5, 0, b"x")],
    "a file after the last": [*ALL, trailer(5, b"")],
    "an unknown number": [chunk(U32, 0, DATA)],
    "an offset of one": [chunk(0, 1, DATA)],
    "the largest offset": [chunk(0, U64, DATA)],
    "an offset that leaves a hole": [chunk(0, 0, DATA[:50]), chunk(0, 51, DATA[51:])],
    "an offset that goes back": [chunk(0, 0, DATA[:50]), chunk(0, 49, DATA[49:])],
    "the second segment first": [*FIRST, SECOND[1]],
    "an empty chunk": [chunk(0, 0, b"")],
    "one byte too many": [chunk(0, 0, DATA + b"x")],
    "one byte too many, later": [FIRST[0], chunk(0, 100, b"x")],
    "bytes for an empty file": [*FIRST, *SECOND, chunk(3, 0, b"x")],
    "over a segment's boundary": [*FIRST, chunk(1, 0, LONG[: MIN_SEGMENT_BYTES + 1])],
    "over a segment's boundary, later": [
        *FIRST,
        chunk(1, 0, LONG[:10]),
        chunk(1, 10, LONG[10 : MIN_SEGMENT_BYTES + 1]),
    ],
    "more of a stream than is taken": [*FIRST, *SECOND, *THIRD, chunk(4, 0, bytes(1001))],
    "more of a stream than is taken, later": [
        *FIRST,
        *SECOND,
        *THIRD,
        chunk(4, 0, bytes(1000)),
        chunk(4, 1000, b"x"),
    ],
    "a chunk longer than its record": [chunk(0, 0, DATA, 101)],
    "a chunk of the largest length": [chunk(0, 0, DATA, U32)],
    "half a chunk's head": [FIRST[0][:10]],
    "half a trailer": [FIRST[0], FIRST[1][:-1]],
    "half a failure": [b"\x03\0\0\0\0"],
    "kind zero": [b"\0" + FIRST[0][1:]],
    "a packed chunk where none was agreed on": [
        PACKED.pack(ItemType.PACKED, 0, 0, 100, 99) + DATA[:99]
    ],
    "kind six": [b"\x06" + FIRST[0][1:]],
    "a hole in a stream": [*FIRST, *SECOND, *THIRD, hole(4, 0, 10)],
    "a hole in a file that has none": [hole(0, 0, 100)],
    "kind 255": [b"\xff" + FIRST[0][1:]],
    "a byte left over": [FIRST[0] + b"\x01"],
}


@pytest.mark.parametrize("one_record", [False, True], ids=["records", "one-record"])
@pytest.mark.parametrize("items", BROKEN.values(), ids=BROKEN)
def test_t16_t23_what_breaks_the_protocol_is_refused(items: list[bytes], one_record: bool) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read(items, one_record=one_record, end=False)
    assert printable(str(caught.value)) == str(caught.value)


WRONG: dict[str, list[bytes]] = {
    "another hash": [FIRST[0], trailer(0, DATA, digest=bytes(32))],
    "the hash of other bytes": [chunk(0, 0, bytes(100)), FIRST[1]],
    "a file that is too short": [chunk(0, 0, DATA[:99]), trailer(0, DATA[:99])],
    "nothing of a file": [trailer(0, b"")],
    "a size less by one": [FIRST[0], trailer(0, DATA, size=99)],
    "a size more by one": [FIRST[0], trailer(0, DATA, size=101)],
    "the largest size": [FIRST[0], trailer(0, DATA, size=U64)],
    "another segment size": [
        *FIRST,
        *SECOND[:2],
        trailer(1, LONG, digest=tree_hash(LONG, SEGMENT_BYTES)),
    ],
    "a stream that lies about its size": [
        *FIRST,
        *SECOND,
        *THIRD,
        FOURTH[0],
        trailer(4, DATA, size=99),
    ],
}


@pytest.mark.parametrize("items", WRONG.values(), ids=WRONG)
def test_t23_what_is_not_the_file_is_refused(items: list[bytes]) -> None:
    with pytest.raises(IntegrityError):
        read(items, end=False)


def test_t23_every_bit_of_a_file_counts() -> None:
    """Of its bytes and of its trailer; the receiver never says that the file is verified."""
    whole = b"".join(FIRST)
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << (bit % 8)
        reader = ContentReader(TREE, MIN_SEGMENT_BYTES, Blake3, 1000)
        seen: list[ContentEvent] = []
        with pytest.raises((RemoteProtocolError, IntegrityError)):
            drain(partial(reader.record, memoryview(changed)), seen)
        assert not any(isinstance(event, FileVerified) for event in seen)


def drain(events: Callable[[], object], seen: list[ContentEvent]) -> None:
    """Collect events until they end or fail; a failure that the sender announces is one too."""
    for event in events():  # type: ignore[attr-defined]
        seen.append(event)
        if isinstance(event, FileFailed):
            raise IntegrityError("announced")


def test_t04_a_hostile_name_is_escaped_in_the_error() -> None:
    hostile = Entry(EntryKind.FILE, ("a\x1b[2Jb\u202e",), 0o644, 0, 1)
    for items in ([chunk(0, 0, b"xx")], [chunk(0, 0, b"x"), trailer(0, b"y")]):
        reader = ContentReader([hostile], MIN_SEGMENT_BYTES, Blake3, 1000)
        for item in items[:-1]:
            list(reader.record(memoryview(item)))
        with pytest.raises((RemoteProtocolError, IntegrityError)) as caught:
            list(reader.record(memoryview(items[-1])))
        assert printable(str(caught.value)) == str(caught.value)
        assert "\\x1b" in str(caught.value)


def test_items_have_the_sizes_of_the_specification() -> None:
    assert (CHUNK.size, TRAILER.size, FAILED.size) == (17, 45, 6)
    assert (HOLE.size, PACKED.size) == (17, 21)
    assert 1 + CHUNK.size + PAYLOAD_BYTES + 16 <= MAX_DATA_RECORD_BYTES
