"""The small sealed messages of a session: the bodies of their records, without the type byte
(docs/protocol/lanes.md, "Records")."""

from __future__ import annotations

from typing import NamedTuple

from tallow_core.protocol.codec.wire import Reader, Writer, malformed, u32
from tallow_core.protocol.lanes.lane_join import MAX_DATA_LANES
from tallow_core.types import ReadBuffer

MAX_REASON_BYTES = 512


def clip(text: str) -> bytes:
    """`text` as at most `MAX_REASON_BYTES` bytes of UTF-8."""
    return text.encode(errors="replace")[:MAX_REASON_BYTES].decode(errors="ignore").encode()


def write_reason(exit_status: int, text: str) -> bytes:
    """The body of REFUSE and ERROR: exit_status[1] || text (length[2] || UTF-8, at most 512
    bytes)."""
    return Writer().u8(exit_status & 0xFF).bytes16(clip(text)).done()


def read_reason(body: ReadBuffer) -> tuple[int, str]:
    """Read the body of REFUSE or ERROR: (exit status of the other side, its sentence, not yet safe
    to show)."""
    reader = Reader(body, "Error")
    status, text = reader.u8(), reader.text16(MAX_REASON_BYTES)
    reader.end()
    return status, text


class Receipt(NamedTuple):
    """RECEIVED: what the receiver verified, including files that it left alone because they
    existed.

    `size`: bytes of all content. `digest`: the hash (context "tallow/1 receipt") over the hashes of
    all files, in order.
    """

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
    """ACK: how many Data records of a path the receiver has verified, and how many milliseconds it
    has waited for them. `lane` is the first lane of that path, to which the data moved."""

    lane: int
    records: int
    waited: int = 0

    def encoded(self) -> bytes:
        """lane id[4] || records[8] || milliseconds[4]."""
        return Writer().u32(self.lane).u64(self.records).u32(self.waited).done()


def read_arrived(body: ReadBuffer) -> Arrived:
    """Read the body of ACK."""
    reader = Reader(body, "Ack")
    arrived = Arrived(reader.u32(), reader.u64(), reader.u32())
    reader.end()
    return arrived


class Lost(NamedTuple):
    """LOST: how many Data records came by a path that broke, and the least id of the lane by which
    the receiver wants the others."""

    lane: int
    records: int
    onwards: int

    def encoded(self) -> bytes:
        """lane id[4] || records[8] || lane id[4]."""
        return Writer().u32(self.lane).u64(self.records).u32(self.onwards).done()


def read_lost(body: ReadBuffer) -> Lost:
    """Read the body of LOST."""
    reader = Reader(body, "Lost")
    lost = Lost(reader.u32(), reader.u64(), reader.u32())
    reader.end()
    return lost


class Further(NamedTuple):
    """LANES: a request to the receiver to open `lanes` more lanes to the place of `lane`, which it
    dialled; 0 is the path of the session."""

    lane: int
    lanes: int

    def encoded(self) -> bytes:
        """lane id[4] || count[1]."""
        return Writer().u32(self.lane).u8(self.lanes).done()


def read_further(body: ReadBuffer) -> Further:
    """Read the body of LANES; raises `RemoteProtocolError` for a count outside 1 to 15."""
    reader = Reader(body, "Lanes")
    further = Further(reader.u32(), reader.u8())
    reader.end()
    if not 1 <= further.lanes < MAX_DATA_LANES:
        raise malformed(f"{further.lanes} further lanes")
    return further


def write_wanted(count: int) -> bytes:
    """The body of LANES_WANTED: count[1]."""
    return Writer().u8(count).done()


def read_wanted(body: ReadBuffer) -> int:
    """Read the body of LANES_WANTED: the number of lanes that the receiver wants for the data.
    Raises `RemoteProtocolError` outside 1 to 16."""
    reader = Reader(body, "LanesWanted")
    count = reader.u8()
    reader.end()
    if not 1 <= count <= MAX_DATA_LANES:
        raise malformed(f"a wish for {count} lanes")
    return count


def write_lane(lane: int) -> bytes:
    """The body of MOVED, SPREAD and GIVEN_UP: lane id[4]."""
    return u32(lane)


def read_lane(body: ReadBuffer, what: str) -> int:
    """Read the body of MOVED, SPREAD or GIVEN_UP: the lane to which the data moves, that is added,
    or that is given up."""
    reader = Reader(body, what)
    lane = reader.u32()
    reader.end()
    return lane
