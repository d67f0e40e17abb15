"""The read seam: what stands between the disk and the records stands there for small files and for
large ones."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tallow_core.errors import FileSystemError
from tallow_core.files.os_faults import ChangedError
from tallow_core.files.record_buffer import RecordBuffer
from tallow_core.files.source.opened_source import OpenedFile, OpenedSource
from tallow_core.files.source.record_packer import LARGE, RecordPacker
from tallow_core.files.source.source_tree import SourceTree
from tallow_core.protocol.transfer.content_reader import ContentReader, FileChunk, FileWhole
from tallow_core.protocol.transfer.offer_pages import SEGMENT_BYTES
from tallow_core.transfer.payloads import FilesPayload
from tallow_plugins.hashes.blake3 import Blake3

SIZES = {"small": 100, "large": 3 * LARGE}


class Shouting(OpenedSource):
    """Another source, in capitals; it counts how it is used."""

    def __init__(self, source: OpenedSource) -> None:
        self._source = source
        self.size: int | None = source.size
        self.checks, self.closed = 0, False

    def extents(self) -> Iterable[tuple[int, int]] | None:
        return self._source.extents()

    async def read_into(self, buffer: memoryview) -> int:
        count = await self._source.read_into(buffer)
        buffer[:count] = bytes(buffer[:count]).upper()
        return count

    def read_now(self, buffer: memoryview) -> bool:
        read = self._source.read_now(buffer)
        buffer[:] = bytes(buffer).upper()
        return read

    def check(self) -> None:
        self.checks += 1
        self._source.check()

    def close(self) -> None:
        self.closed = True
        self._source.close()


def opened(path: Path) -> OpenedFile:
    with SourceTree([str(path)]) as tree:
        (entry,) = tree.walk()
        return tree.open(entry)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_wrapped_source_is_what_is_sent(name: str, at_once: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"a" * SIZES[name])
    records: list[bytes] = []

    async def collect(buffer: RecordBuffer, size: int) -> None:
        records.append(bytes(buffer.plain[1:size]))

    async def pump() -> None:
        packer = RecordPacker(collect, Blake3, SEGMENT_BYTES)
        source = Shouting(opened(path))
        digest = packer.small_file(0, source) if at_once else None
        assert (digest is not None) == (at_once and name == "small")
        if digest is None:
            await packer.file(0, source)
            assert source.checks == 2, "before the first byte, and before the trailer"
        await packer.finish()
        source.close()

    asyncio.run(pump())
    with SourceTree([str(path)]) as tree:
        entries = [source.entry for source in tree.walk()]
    reader = ContentReader(entries, SEGMENT_BYTES, Blake3, 1 << 20, wholes=True)
    got = b"".join(
        bytes(event.data)
        for record in records
        for event in reader.record(memoryview(record))
        if isinstance(event, FileChunk | FileWhole)
    )
    assert got == b"A" * SIZES[name]


def test_what_is_read_at_once_is_checked(tmp_path: Path) -> None:
    path, buffer = tmp_path / "file", memoryview(bytearray(5))
    for change in ("size", "time", "longer"):
        path.write_bytes(b"12345")
        source = opened(path)
        assert source.read_now(buffer)
        os.lseek(source.fd, 0, os.SEEK_SET)
        if change == "size":
            path.write_bytes(b"1234")
        elif change == "longer":
            path.write_bytes(b"123456")
        else:
            os.utime(path, ns=(1, 1))
        with pytest.raises(ChangedError):
            source.read_now(buffer)
        source.close()
        source.close()


def test_a_source_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    source = opened(path)
    source.close()
    with pytest.raises(FileSystemError):
        source.read_now(memoryview(bytearray(5)))
    with pytest.raises(FileSystemError):
        source.check()


def test_a_payload_closes_the_folders_it_holds(tmp_path: Path) -> None:
    folder = tmp_path / "d" / "e"
    folder.mkdir(parents=True)
    (folder / "f").write_bytes(b"12345")
    before = len(os.listdir("/dev/fd"))
    payload = FilesPayload([str(tmp_path / "d")])
    for _ in range(2):
        *_, entry = payload.entries()
        source = payload.open(entry)
        assert source.read_now(memoryview(bytearray(5)))
        source.close()
        payload.close()
        assert len(os.listdir("/dev/fd")) == before
