"""Contents of files and their hashes, and a source that gives little at a time."""

from __future__ import annotations

import hashlib

from blake3 import blake3

from tallow_core.files.source.opened_source import OpenedSource
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind

KIB, MIB = 1 << 10, 1 << 20


def content(number: int, size: int) -> bytes:
    """Bytes that tell where they are from."""
    block = hashlib.shake_256(number.to_bytes(4, "big")).digest(8191)
    return (block * (size // len(block) + 1))[:size]


def tree_hash(data: bytes, segment: int) -> bytes:
    """A file's hash, from the words of the specification and the hash library alone."""
    hashes = [
        blake3(data[start : start + segment], derive_key_context="tallow/1 segment").digest()
        for start in range(0, len(data), segment)
    ]
    head = len(data).to_bytes(8, "big") + segment.to_bytes(4, "big")
    return blake3(head + b"".join(hashes), derive_key_context="tallow/1 file").digest()


class Slow(OpenedSource):
    """A source that gives at most `step` bytes at a time, offered with `size` bytes (default: as
    many as it has)."""

    def __init__(
        self, data: bytes, step: int = 1 << 30, *, size: int | None = None, sized: bool = True
    ) -> None:
        self.data, self.step, self.at = data, step, 0
        self.size: int | None = (len(data) if size is None else size) if sized else None

    async def read_into(self, buffer: memoryview) -> int:
        part = self.data[self.at : self.at + min(self.step, len(buffer))]
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)

    def read_now(self, buffer: memoryview) -> bool:
        buffer[:] = self.data
        return True

    def check(self) -> None:
        """It does not change."""

    def close(self) -> None:
        """It stays open."""


def entry(number: int, size: int | None, *, kind: EntryKind = EntryKind.FILE) -> Entry:
    """The entry of number `number`."""
    return Entry(kind, (f"{number:05d}",), 0o644, 0, size)
