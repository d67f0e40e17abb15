"""A small file in one step: sent as it is in pieces, and read as it is in pieces, be it right or
wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import FileSystemError, TallowError
from tallow_core.files.record_buffer import RecordBuffer
from tallow_core.files.source.compression import MIN_CHUNK_BYTES, Compression
from tallow_core.files.source.record_packer import LARGE, RecordPacker
from tallow_core.protocol.transfer.content_items import CHUNK, FAILED, PACKED, TRAILER, ItemType
from tallow_core.protocol.transfer.content_reader import (
    ContentEvent,
    ContentReader,
    FileBegin,
    FileChunk,
    FileVerified,
    FileWhole,
)
from tallow_core.protocol.transfer.file_hash import hash_whole
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.offer_pages import SEGMENT_BYTES
from tallow_core.protocol.transfer.offer_reader import MIN_SEGMENT_BYTES
from tallow_plugins.compressors.zstd import Zstd
from tallow_plugins.hashes.blake3 import Blake3
from tests.kit.contents import KIB, Slow, content, entry, tree_hash

MOST = 1 << 20
WEAK = 3
"""Files of a record in which every bit is turned."""


def read(
    entries: Sequence[Entry],
    records: Sequence[bytes],
    segment: int = SEGMENT_BYTES,
    *,
    wholes: bool,
) -> tuple[list[ContentEvent], str]:
    """All events, a small file's in pieces whatever it came as, and the error at the end."""
    reader = ContentReader(entries, segment, Blake3, MOST, compressor=Zstd, wholes=wholes)
    events: list[ContentEvent] = []
    try:
        for record in records:
            for event in reader.record(memoryview(record)):
                events += in_pieces(event)
        events += reader.end()
    except TallowError as error:
        return events, f"{type(error).__name__}: {error}"
    return events, ""


def in_pieces(event: ContentEvent) -> Iterator[ContentEvent]:
    """What the same file is told by otherwise; how its content travelled is not compared."""
    if isinstance(event, FileWhole):
        yield FileBegin(event.number, event.entry)
        if event.data:
            yield FileChunk(0, memoryview(bytes(event.data)))
        yield FileVerified(event.entry, len(event.data), event.tree_hash)
    elif isinstance(event, FileChunk):
        yield FileChunk(event.offset, memoryview(bytes(event.data)))
    else:
        yield event


def send(
    sizes: Sequence[int], *, whole: bool, packing: bool = False
) -> tuple[list[Entry], list[bytes]]:
    """The records of made-up files."""
    records: list[bytes] = []

    async def collect(buffer: RecordBuffer, size: int) -> None:
        records.append(bytes(buffer.plain[1:size]))

    async def pump() -> None:
        packer = RecordPacker(
            collect, Blake3, SEGMENT_BYTES, compression=Compression(Zstd()) if packing else None
        )
        for number, size in enumerate(sizes):
            data = bytes(size) if packing else content(number, size)
            if whole and packer.small_file(number, Slow(data)) is not None:
                continue
            await packer.file(number, Slow(data))
        await packer.finish()
        assert packer.sent == sum(sizes)

    asyncio.run(pump())
    return [entry(number, size) for number, size in enumerate(sizes)], records


SIZES = st.lists(
    st.one_of(
        st.integers(0, 300),
        st.sampled_from([0, MIN_CHUNK_BYTES, LARGE - 1, LARGE]),
        st.integers(0, 200 * KIB),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(SIZES)
def test_both_ways_of_sending_give_the_same_items(sizes: list[int]) -> None:
    assert b"".join(send(sizes, whole=True)[1]) == b"".join(send(sizes, whole=False)[1])


@settings(max_examples=60, deadline=None)
@given(SIZES, st.sampled_from([MIN_SEGMENT_BYTES, SEGMENT_BYTES]), st.booleans())
def test_both_ways_of_reading_tell_the_same(sizes: list[int], segment: int, packing: bool) -> None:
    entries, records = send(sizes, whole=True, packing=packing)
    assert read(entries, records, wholes=True) == read(entries, records, wholes=False)
    assert read(entries, records, wholes=True)[1] == ""


def test_small_files_do_come_whole() -> None:
    entries, records = send([100] * 50 + [MIN_CHUNK_BYTES] * 50, whole=True, packing=True)
    reader = ContentReader(entries, SEGMENT_BYTES, Blake3, MOST, compressor=Zstd, wholes=True)
    assert [type(event) for record in records for event in reader.record(memoryview(record))] == [
        FileWhole
    ] * 100


@pytest.mark.parametrize("size", [0, 1, 5000, MIN_SEGMENT_BYTES - 1, MIN_SEGMENT_BYTES])
def test_the_hash_in_one_step_is_the_files(size: int) -> None:
    assert hash_whole(Blake3, MIN_SEGMENT_BYTES, content(1, size)) == tree_hash(
        content(1, size), MIN_SEGMENT_BYTES
    )


@pytest.mark.parametrize("size", [0, 5, MIN_CHUNK_BYTES])
def test_whatever_is_wrong_is_refused_as_in_pieces(size: int) -> None:
    """Every byte of the heads and trailers turned in two ways, and the record cut after each."""
    entries, (record,) = send([size] * WEAK, whole=True)
    item = len(record) // WEAK
    assert read(entries, [record], wholes=True)[1] == ""
    for at in (
        at for at in range(len(record)) if not CHUNK.size + 8 < at % item < item - TRAILER.size
    ):
        for flip in (1, 0x80):
            bad = [record[:at] + bytes([record[at] ^ flip]) + record[at + 1 :]]
            assert read(entries, bad, wholes=True) == read(entries, bad, wholes=False)
            assert read(entries, bad, wholes=True)[1]
        short = [record[:at]]
        assert read(entries, short, wholes=True) == read(entries, short, wholes=False)
        assert read(entries, short, wholes=True)[1]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"x" * 10,
        bytes(5000),
        *(bytes(Zstd().pack(bytes(size))) for size in (4999, 5000, 5001)),
    ],
)
def test_a_frame_is_bounded_as_in_pieces(frame: bytes) -> None:
    data = bytes(5000)
    record = PACKED.pack(ItemType.PACKED, 0, 0, len(data), len(frame)) + bytes(frame)
    record += TRAILER.pack(ItemType.TRAILER, 0, len(data), tree_hash(data, SEGMENT_BYTES))
    entries = [entry(0, len(data))]
    told, error = read(entries, [record], wholes=True)
    assert (told or [FileBegin(0, entries[0])], error) == read(entries, [record], wholes=False)
    assert (error == "") is (frame == Zstd().pack(data))


def test_what_else_an_entry_may_be_does_not_come_whole() -> None:
    data = b"12345"
    record = (
        CHUNK.pack(ItemType.CHUNK, 0, 0, 5)
        + data
        + TRAILER.pack(ItemType.TRAILER, 0, 5, tree_hash(data, SEGMENT_BYTES))
    )
    for described in (
        entry(0, None),
        entry(0, 5, kind=EntryKind.SPARSE)._replace(data=5),
        entry(0, 6),
    ):
        assert read([described], [record], wholes=True) == read([described], [record], wholes=False)
    failed = FAILED.pack(ItemType.FAILED, 0, 1)
    assert read([entry(0, 5)], [failed], wholes=True) == read([entry(0, 5)], [failed], wholes=False)


def test_a_file_that_cannot_be_read_leaves_nothing_in_the_record() -> None:
    records: list[bytes] = []

    async def collect(buffer: RecordBuffer, size: int) -> None:
        records.append(bytes(buffer.plain[1:size]))

    class Gone(Slow):
        def read_now(self, buffer: memoryview) -> bool:
            raise FileSystemError("gone")

    packer = RecordPacker(collect, Blake3, SEGMENT_BYTES)
    with pytest.raises(FileSystemError):
        packer.small_file(0, Gone(bytes(5)))
    assert packer.sent == 0
    asyncio.run(packer.finish())
    assert records == [b""]
