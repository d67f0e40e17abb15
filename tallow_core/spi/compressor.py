"""The contract of a compressor for chunks of files."""

from __future__ import annotations

from abc import abstractmethod

from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer, WriteBuffer


class Compressor(Driver):
    """Packs and unpacks chunks of 1 byte to 1 MiB.

    Each chunk is independent of the others: chunks may be lost, repeated or reordered. One object
    serves one transfer, from one thread at a time. Its input to unpack may come from a hostile
    peer; the buffer that the caller gives limits both the output and the memory. A library that is
    slow to import is imported by the first call.
    """

    @abstractmethod
    def __init__(self) -> None:
        """Take nothing, and do little: an object is made for each transfer. Raises nothing."""

    @abstractmethod
    def pack(self, data: ReadBuffer, /) -> ReadBuffer:
        """One frame that decodes to `data`, which is not changed. The frame may be longer than
        `data`; the caller then sends `data` unpacked. Raises nothing."""

    @abstractmethod
    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        """Fill `out`, to its last byte, from the one frame `packed`.

        Raises `RemoteProtocolError` if the frame does not hold exactly that: more bytes or fewer, a
        damaged or truncated frame, bytes after it, a need for a dictionary or for more memory than
        a chunk. Regardless of the sizes that the frame states, no more than `len(out)` bytes are
        decoded, with memory of a small multiple of that. The content of `out` after an error is
        undefined.
        """
