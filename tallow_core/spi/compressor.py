"""The contract of a compressor for chunks of files."""

from __future__ import annotations

from abc import abstractmethod

from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer, WriteBuffer


class Compressor(Driver):
    """Packs chunks and unpacks them, each by itself: nothing of one chunk is needed for another, so
    they may be lost, repeated or come in any order. A chunk has 1 byte to 1 MiB.

    One object serves one transfer, from one thread at a time. What it unpacks comes from a peer
    that may be hostile: it is bounded by the buffer that the caller gives, in bytes and in memory.
    A library that is slow to import is imported by the first call.
    """

    @abstractmethod
    def __init__(self) -> None:
        """Take nothing; cheap."""

    @abstractmethod
    def pack(self, data: ReadBuffer, /) -> ReadBuffer:
        """One frame that stands for `data`. It may be longer; the caller then sends `data` as it
        is. `data` stays as it is."""

    @abstractmethod
    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        """Fill `out`, to its last byte, from the one frame `packed`.

        A `RemoteProtocolError` if that is not exactly what the frame holds: more bytes or fewer, a
        damaged or cut-off frame, something after it, a need for a dictionary or for more memory
        than a chunk. Whatever the frame says of itself, no more than `len(out)` bytes are ever made
        of it, and a small multiple of that is used on the way. What `out` holds after an error is
        undefined.
        """
