"""The hash of a file, made of the hashes of its segments (docs/protocol/transfer.md, "Content")."""

from __future__ import annotations

from functools import cache
from struct import Struct

from tallow_core.protocol.handshake.key_schedule import FILE_CONTEXT, SEGMENT_CONTEXT
from tallow_core.spi.hash import Hash, Hasher
from tallow_core.types import ReadBuffer

_TREE = Struct(">QI")
_ZEROS = memoryview(bytes(1 << 20))


class FileHash:
    """H("tallow/1 file", size[8] || segment size[4] || H("tallow/1 segment", segment) in order)."""

    def __init__(self, driver: type[Hash], segment_size: int, segments: bytes = b"") -> None:
        """`segments`: the joined hashes of the whole segments that are here already."""
        self._driver = driver
        self.segment_size = segment_size
        self._tree = bytearray(segments)
        self._segment: Hasher | None = None
        self.size = len(segments) // driver.digest_size * segment_size

    @property
    def room(self) -> int:
        """Bytes up to the next segment boundary."""
        return self.segment_size - self.size % self.segment_size

    def update(self, data: ReadBuffer) -> None:
        """Take the next bytes, at most `room` of them."""
        if self._segment is None:
            self._segment = self._driver.hasher(SEGMENT_CONTEXT)
        self._segment.update(data)
        self.size += len(data)
        if self.size % self.segment_size == 0:
            self._close_segment()

    def zeros(self, count: int) -> None:
        """Take `count` zeros, at most `room` of them. The hash of a whole segment of zeros is
        cached."""
        if self._segment is None and count == self.segment_size:
            self._tree += _zero_segment(self._driver, count)
            self.size += count
            return
        while count:
            part = _ZEROS[: min(count, len(_ZEROS))]
            self.update(part)
            count -= len(part)

    def closed(self) -> tuple[int, bytes] | None:
        """(Number, hash) of the segment that ends at this point; None within a segment."""
        number, rest = divmod(self.size, self.segment_size)
        return (
            None
            if rest or not number
            else (number - 1, bytes(self._tree[-self._driver.digest_size :]))
        )

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._tree += self._segment.digest()
            self._segment = None

    def digest(self) -> bytes:
        """The hash of the whole file."""
        self._close_segment()
        return _file_hash(self._driver, self.size, self.segment_size, self._tree)


def hash_whole(driver: type[Hash], segment_size: int, data: ReadBuffer) -> bytes:
    """The hash of a file of at most one segment, in one step. It equals that of `FileHash`."""
    tree = b""
    if len(data):
        segment = driver.hasher(SEGMENT_CONTEXT)
        segment.update(data)
        tree = segment.digest()
    return _file_hash(driver, len(data), segment_size, tree)


def _file_hash(driver: type[Hash], size: int, segment_size: int, tree: bytes | bytearray) -> bytes:
    hasher = driver.hasher(FILE_CONTEXT)
    hasher.update(_TREE.pack(size, segment_size) + tree)
    return hasher.digest()


@cache
def _zero_segment(driver: type[Hash], size: int) -> bytes:
    hasher = driver.hasher(SEGMENT_CONTEXT)
    for start in range(0, size, len(_ZEROS)):
        hasher.update(_ZEROS[: size - start])
    return hasher.digest()
