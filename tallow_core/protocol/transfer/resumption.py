"""Messages with which a later session continues an interrupted transfer (docs/protocol/transfer.md,
"Resuming").

    RESUME   sender -> receiver, before the offer
             count[1] || count x (transfer id[16] || proof[32])
    RESUMED  receiver -> sender, at once
             empty, or transfer id[16] || proof[32]
    HAVE     receiver -> sender, before ACCEPT
             count[1] || count x (file[4] || offset[8]); then pages of bits as ACCEPT has

proof = HMAC(resume secret, "sender" or "receiver" || TH). The resume secret is K("resume") of the
session in which the transfer began; TH is the transcript hash of the present session. A receiver
that knows no such transfer and one that finds no right proof answer alike, so a sender does not
learn which transfers the receiver knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.protocol.handshake.key_schedule import resume_proof
from tallow_core.protocol.transfer.selection import CONTENT, AcceptReader, bit_pages
from tallow_core.secrets import equal
from tallow_core.types import ReadBuffer

TRANSFER_ID, PROOF = 16, 32
MAX_NAMED_TRANSFERS = 4
"""The most earlier transfers that one session may name."""
MAX_PARTIAL_FILES = 16
"""The most files of which a receiver may have a part."""


class Earlier(NamedTuple):
    """The part of a transfer that both ends keep: its id, and a secret that only the two have."""

    transfer_id: bytes
    secret: bytes


class Proof(NamedTuple):
    """The proof that an end took part in the transfer `transfer_id`."""

    transfer_id: bytes
    mac: bytes


def prove(earlier: Earlier, end: str, kdf: str, transcript: bytes) -> Proof:
    """The proof of this end, "sender" or "receiver", for a session with the hash `kdf` and the
    transcript hash `transcript`."""
    return Proof(earlier.transfer_id, resume_proof(kdf, earlier.secret, end, transcript))


def proves(proof: Proof, earlier: Earlier, end: str, kdf: str, transcript: bytes) -> bool:
    """Whether `proof` shows that the other end, `end`, took part in `earlier`."""
    return proof.transfer_id == earlier.transfer_id and equal(
        proof.mac, prove(earlier, end, kdf, transcript).mac
    )


def write_resume(proofs: Sequence[Proof]) -> bytes:
    """The body of RESUME, for one to `MAX_NAMED_TRANSFERS` transfers."""
    return (
        Writer()
        .u8(len(proofs))
        .raw(b"".join(proof.transfer_id + proof.mac for proof in proofs))
        .done()
    )


def read_resume(body: ReadBuffer) -> list[Proof]:
    """Read the body of RESUME; raises `RemoteProtocolError`."""
    reader = Reader(body, "Resume")
    count = reader.u8()
    if not 1 <= count <= MAX_NAMED_TRANSFERS:
        raise malformed(f"a Resume that names {count} transfers")
    proofs = [_proof(reader) for _ in range(count)]
    reader.end()
    if len({proof.transfer_id for proof in proofs}) != count:
        raise malformed("a Resume that names a transfer twice")
    return proofs


def write_resumed(proof: Proof | None) -> bytes:
    """The body of RESUMED; None if no such transfer is known, or no proof was right."""
    return b"" if proof is None else proof.transfer_id + proof.mac


def read_resumed(body: ReadBuffer) -> Proof | None:
    """Read the body of RESUMED; raises `RemoteProtocolError`."""
    if not len(body):
        return None
    reader = Reader(body, "Resumed")
    proof = _proof(reader)
    reader.end()
    return proof


def _proof(reader: Reader) -> Proof:
    return Proof(reader.raw(TRANSFER_ID), reader.raw(PROOF))


def write_have(partial: Mapping[int, int], done: bytearray) -> Iterator[bytes]:
    """The bodies of HAVE. `partial`: file -> bytes that are here (whole segments). `done`: 1 for
    each file that is whole."""
    writer = Writer().u8(len(partial))
    for number, offset in sorted(partial.items()):
        writer.u32(number).u64(offset)
    yield writer.done()
    yield from bit_pages(bytearray(done).translate(_AS_FLAGS))


_AS_FLAGS = bytes(CONTENT if value else 0 for value in range(256))


class HaveReader:
    """Takes the HAVE records at the sender, for an offer of `entries` entries."""

    def __init__(self, entries: int, segment_size: int) -> None:
        self._entries = entries
        self._segment_size = segment_size
        self._bits = AcceptReader(entries)
        self._first = True
        self.partial: dict[int, int] = {}

    @property
    def done(self) -> bool:
        """Whether the last record has come."""
        return self._bits.done

    def page(self, body: ReadBuffer) -> None:
        """Take one record; raises `RemoteProtocolError`."""
        if self._first:
            self._first = False
            self._partial(Reader(body, "Have"))
            return
        if not len(body):
            raise malformed("a page of Have without bits")
        self._bits.page(body)

    def _partial(self, reader: Reader) -> None:
        count = reader.u8()
        if count > MAX_PARTIAL_FILES:
            raise malformed(f"a Have with parts of {count} files")
        last = -1
        for _ in range(count):
            number, offset = reader.u32(), reader.u64()
            if not last < number < self._entries or not offset or offset % self._segment_size:
                raise malformed("a Have of parts that were not offered")
            self.partial[number] = offset
            last = number
        reader.end()

    def whole(self, number: int) -> bool:
        """Whether the receiver has the whole file."""
        return not self._first and self._bits.content(number)
