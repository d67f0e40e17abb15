"""The small sealed messages of the control lane: bodies behind the record's type byte."""

from __future__ import annotations

from typing import NamedTuple

from tallow_core.protocol.wire import Reader, Writer, u32
from tallow_core.types import ReadBuffer

MOST_REASON = 512


def clip(text: str) -> bytes:
    """`text` as at most `MOST_REASON` bytes of UTF-8."""
    return text.encode(errors="replace")[:MOST_REASON].decode(errors="ignore").encode()


def write_reason(exit_status: int, text: str) -> bytes:
    """The body of REFUSE and ERROR: exit_status[1] || text (length[2] || UTF-8, at most 512 bytes)."""
    return Writer().u8(exit_status & 0xFF).bytes16(clip(text)).done()


def read_reason(body: ReadBuffer) -> tuple[int, str]:
    """Read the body of REFUSE or ERROR: (exit status of the other side, its sentence, not yet safe to show)."""
    reader = Reader(body, "Error")
    status, text = reader.u8(), reader.text16(MOST_REASON)
    reader.end()
    return status, text


class Receipt(NamedTuple):
    """What the receiver verified (files it left alone because they existed are among them): `size` counts all content bytes; `digest` is
    the hash (context "tallow/1 receipt") over the hashes of all files, in order."""

    files: int
    size: int
    digest: bytes

    def encoded(self) -> bytes:
        """files[4] || size[8] || digest[32]."""
        return Writer().u32(self.files).u64(self.size).raw(self.digest).done()


def read_receipt(body: ReadBuffer) -> Receipt:
    """Read the body of RECEIVED."""
    reader = Reader(body, "Received")
    receipt = Receipt(reader.u32(), reader.u64(), reader.raw(32))
    reader.end()
    return receipt


class Rekey(NamedTuple):
    """REKEY (`material`: a KEM public key) and REKEY_ANSWER (a KEM ciphertext), numbered from 1."""

    number: int
    material: bytes

    def encoded(self) -> bytes:
        """number[4] || material (length[2] || bytes)."""
        return Writer().u32(self.number).bytes16(self.material).done()


def read_rekey(body: ReadBuffer) -> Rekey:
    """Read the body of REKEY or REKEY_ANSWER."""
    reader = Reader(body, "Rekey")
    rekey = Rekey(reader.u32(), reader.bytes16(16 * 1024))
    reader.end()
    return rekey


class Arrived(NamedTuple):
    """ACK and LOST: how many Data records of a lane the receiver has verified."""

    lane: int
    records: int

    def encoded(self) -> bytes:
        """lane id[4] || records[8]."""
        return Writer().u32(self.lane).u64(self.records).done()


def read_arrived(body: ReadBuffer) -> Arrived:
    """Read the body of ACK or LOST."""
    reader = Reader(body, "Ack")
    arrived = Arrived(reader.u32(), reader.u64())
    reader.end()
    return arrived


def write_moved(lane: int) -> bytes:
    """The body of MOVED: lane id[4]."""
    return u32(lane)


def read_moved(body: ReadBuffer) -> int:
    """Read the body of MOVED: the lane that the data goes on by."""
    reader = Reader(body, "Moved")
    lane = reader.u32()
    reader.end()
    return lane
