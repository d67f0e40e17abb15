"""Packed chunks: what the sending pump packs, the reader unpacks; nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import RemoteProtocolError
from tallow_core.files.record_buffer import PAYLOAD_BYTES, RecordBuffer
from tallow_core.files.source.compression import Compression
from tallow_core.files.source.record_packer import FULL, RecordPacker
from tallow_core.protocol.transfer.content_items import MAX_PACKED_BYTES, PACKED, ItemType
from tallow_core.protocol.transfer.content_reader import ContentReader, FileChunk, FileVerified
from tallow_core.protocol.transfer.manifest_entry import Entry
from tallow_core.protocol.transfer.offer_pages import SEGMENT_BYTES
from tallow_core.protocol.transfer.offer_reader import MIN_SEGMENT_BYTES
from tallow_core.secrets import system_rng
from tallow_plugins.compressors.none import NoCompression
from tallow_plugins.compressors.zstd import Zstd
from tallow_plugins.hashes.blake3 import Blake3
from tests.kit.contents import Slow, entry

KIB, MIB = 1 << 10, 1 << 20
WORDS = b"so much of what is said was said before; "


def text(size: int) -> bytes:
    """Content that packs well."""
    return (WORDS * (size // len(WORDS) + 1))[:size]


class Standing:
    """A clock that stands still: nothing costs time, so packing goes on."""

    def __call__(self) -> float:
        return 0.0


def send(
    files: Sequence[bytes], segment: int = SEGMENT_BYTES, step: int = 1 << 30, sized: bool = True
) -> tuple[list[Entry], list[bytes]]:
    """What the pump makes of these files: the entries and the records."""
    records: list[bytes] = []

    async def collect(buffer: RecordBuffer, size: int) -> None:
        records.append(bytes(buffer.plain[:size]))

    async def pump() -> None:
        out = RecordPacker(collect, Blake3, segment, PAYLOAD_BYTES, Compression(Zstd(), Standing()))
        for number, data in enumerate(files):
            await out.file(number, Slow(data, step, sized=sized))
        await out.finish()
        assert out.sent == sum(map(len, files))

    asyncio.run(pump())
    return [
        entry(number, len(data) if sized else None) for number, data in enumerate(files)
    ], records


def received(
    entries: list[Entry], records: list[bytes], segment: int = SEGMENT_BYTES
) -> list[tuple[bytes, int]]:
    """The content of each file, and how many of its chunks came packed."""
    reader = ContentReader(entries, segment, Blake3, 64 * MIB, compressor=Zstd)
    files, data, packed = [], bytearray(), 0
    for record in records:
        assert len(record) <= FULL
        for event in reader.record(memoryview(record)[1:]):
            if isinstance(event, FileChunk):
                assert event.offset == len(data)
                data += event.data
                packed += event.packed
            elif isinstance(event, FileVerified):
                files.append((bytes(data), packed))
                data, packed = bytearray(), 0
    assert list(reader.end()) == []
    return files


KINDS = st.builds(
    lambda kind, size: kind(size),
    st.sampled_from([text, bytes, system_rng]),
    st.integers(0, 400 * KIB),
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(KINDS, max_size=8),
    st.sampled_from([MIN_SEGMENT_BYTES, MIB, SEGMENT_BYTES]),
    st.sampled_from([1 << 30, 70_000]),
    st.booleans(),
)
def test_what_is_packed_is_unpacked(
    files: list[bytes], segment: int, step: int, sized: bool
) -> None:
    entries, records = send(files, segment, step, sized)
    assert [data for data, _ in received(entries, records, segment)] == files


def test_text_shrinks_and_media_do_not() -> None:
    files = [text(3 * MIB), system_rng(3 * MIB), text(MIB)]
    entries, records = send(files)
    got = received(entries, records)
    assert [data for data, _ in got] == files
    assert [packed > 0 for _, packed in got] == [True, False, True]
    assert 3 * MIB < sum(map(len, records)) < 3.2 * MIB


def test_small_files_share_records_packed_too() -> None:
    files = [text(10 * KIB)] * 1000
    entries, records = send(files)
    got = received(entries, records)
    assert [data for data, _ in got] == files
    assert sum(packed for _, packed in got) > 900
    assert len(records) <= 2


def frame_of(data: bytes) -> bytes:
    """An honest frame."""
    return bytes(Zstd().pack(data))


def packed(frame: bytes, length: int, *, size: int | None = None, offset: int = 0) -> bytes:
    """A packed chunk of entry 0."""
    return (
        PACKED.pack(ItemType.PACKED, 0, offset, length, len(frame) if size is None else size)
        + frame
    )


def read(item: bytes, total: int, segment: int = SEGMENT_BYTES) -> bytes:
    """The bytes that one item gives."""
    reader = ContentReader([entry(0, total)], segment, Blake3, MIB, compressor=Zstd)
    return b"".join(
        bytes(event.data)
        for event in reader.record(memoryview(item))
        if isinstance(event, FileChunk)
    )


def test_the_largest_chunk_is_a_mib() -> None:
    data = text(MAX_PACKED_BYTES + 1)
    assert read(packed(frame_of(data[:-1]), MAX_PACKED_BYTES), 2 * MIB) == data[:-1]
    with pytest.raises(RemoteProtocolError):
        read(packed(frame_of(data), len(data)), 2 * MIB)


def test_t17_what_holds_for_a_chunk_holds_for_a_packed_one() -> None:
    data = text(5000)
    frame = frame_of(data)
    assert read(packed(frame, 5000), 5000) == data
    with pytest.raises(RemoteProtocolError):
        read(packed(frame, 5000), 4999)  # more than the file
    with pytest.raises(RemoteProtocolError):
        read(packed(frame, 5000, offset=1), 5001)  # not where it belongs
    long = text(MIN_SEGMENT_BYTES)
    assert read(packed(frame_of(long), len(long)), 2 * MIN_SEGMENT_BYTES, MIN_SEGMENT_BYTES) == long
    with pytest.raises(RemoteProtocolError):
        read(
            packed(frame, 5000) + PACKED.pack(ItemType.PACKED, 0, 5000, len(long), 10) + bytes(10),
            2 * MIN_SEGMENT_BYTES,
            MIN_SEGMENT_BYTES,
        )


@pytest.mark.parametrize("size", [0, 1, 3, 5000, 5001, (1 << 32) - 1])
def test_t16_every_size_of_a_frame(size: int) -> None:
    with pytest.raises(RemoteProtocolError):
        read(packed(frame_of(text(5000)), 5000, size=size), 5000)


def test_t17_a_frame_is_shorter_than_its_chunk() -> None:
    """Else packing were a way to make a record carry less than it says."""
    noise = system_rng(5000)
    frame = frame_of(noise)
    assert len(frame) > len(noise)
    with pytest.raises(RemoteProtocolError):
        read(packed(frame, 5000), 5000)


def test_t17_under_none_no_frame_is_one() -> None:
    reader = ContentReader([entry(0, 100)], SEGMENT_BYTES, Blake3, MIB, compressor=NoCompression)
    with pytest.raises(RemoteProtocolError):
        list(reader.record(memoryview(packed(frame_of(bytes(100)), 100))))
