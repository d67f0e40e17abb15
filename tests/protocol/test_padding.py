"""Padded records: any body comes back, only few lengths travel, and nothing but the agreed padding
is taken."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import ForgedRecord, LocalProtocolError, RemoteProtocolError
from tallow_core.protocol.lanes.record import (
    FINAL,
    MAX_CONTROL_RECORD_BYTES,
    MAX_DATA_RECORD_BYTES,
    PADDED,
    PADDED_CONTROL,
    PADDED_DATA,
    Opener,
    RecordType,
    Sealer,
)
from tallow_core.types import Role
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tests.kit.record_pairs import SECRET, expand, pair

TAG = 16
LENGTHS = (256, 4096, 65536, (1 << 20) + 64)
"""The specification's, written again."""
CONTROL = [kind for kind in RecordType if kind != RecordType.DATA]
KINDS = st.sampled_from(CONTROL)
MOST_CONTROL, MOST_DATA = 65536 - TAG - 5, (1 << 20) + 64 - TAG - 5


def padded_pair(lane: int = 0, sender: Role = Role.HOST) -> tuple[Sealer, Opener]:
    """Both halves of one direction of a session in which padding was agreed."""
    return (
        Sealer(Aes256Gcm, "sha256", lane, sender, bytearray(SECRET), padded=True),
        Opener(Aes256Gcm, "sha256", lane, sender, bytearray(SECRET), padded=True),
    )


def seal(sealer: Sealer, kind: int, body: bytes = b"", dirt: int = 0xAA) -> bytes:
    """One record from a buffer that holds something else behind the body."""
    raw = memoryview(
        bytearray([dirt])
        * (MAX_DATA_RECORD_BYTES if kind & ~FINAL == RecordType.DATA else MAX_CONTROL_RECORD_BYTES)
    )
    raw[0] = kind
    raw[1 : 1 + len(body)] = body
    return bytes(raw[: sealer.seal(raw, 1 + len(body))])


def open_(opener: Opener, record: bytes) -> bytes:
    """One record's type and body."""
    return bytes(opener.open(memoryview(bytearray(record))))


def by_hand(plain: bytes) -> bytes:
    """The first record of lane 0 from the host, with a plaintext of the attacker's choice: a peer
    can seal anything."""
    aad = (len(plain) + TAG).to_bytes(4, "big") + bytes(4) + b"\0" + bytes(4) + bytes(8)
    return AESGCM(expand(SECRET, b"key", 32)).encrypt(expand(SECRET, b"iv", 12), plain, aad)


@settings(max_examples=200, deadline=None)
@given(KINDS, st.booleans(), st.integers(0, MOST_CONTROL))
def test_any_control_record_comes_back(kind: int, final: bool, size: int) -> None:
    sealer, opener = padded_pair()
    body = bytes(number % 255 + 1 for number in range(size))
    record = seal(sealer, kind | (FINAL if final else 0), body)
    assert len(record) == next(length for length in LENGTHS[:3] if size + 5 + TAG <= length)
    assert open_(opener, record) == bytes([kind | (FINAL if final else 0)]) + body
    assert sealer.finished is opener.finished is final
    assert sealer.total == opener.total == len(record) - TAG


@settings(max_examples=40, deadline=None)
@given(
    st.booleans(),
    st.one_of(st.integers(0, 3), st.integers(0, MOST_DATA), st.integers(MOST_DATA - 3, MOST_DATA)),
)
def test_every_data_record_has_one_length(final: bool, size: int) -> None:
    sealer, opener = padded_pair(lane=1)
    kind = RecordType.DATA | (FINAL if final else 0)
    record = seal(sealer, kind, b"x" * size)
    assert len(record) == LENGTHS[3]
    assert open_(opener, record) == bytes([kind]) + b"x" * size
    assert opener.finished is final


def test_the_lengths_are_those_of_the_specification() -> None:
    assert (*PADDED_CONTROL, *PADDED_DATA) == LENGTHS
    assert LENGTHS[2:] == (MAX_CONTROL_RECORD_BYTES, MAX_DATA_RECORD_BYTES)


@pytest.mark.parametrize("size", [0, 1, 235, 236, 4075, 4076, MOST_CONTROL])
def test_the_plaintext_is_what_the_specification_says(size: int) -> None:
    """type with its flag || body || zeros || length of the body[4], opened without the program."""
    record = seal(padded_pair()[0], RecordType.OFFER_PAGE, b"b" * size)
    assert len(record) == (256 if size <= 235 else 4096 if size <= 4075 else 65536)
    aad = len(record).to_bytes(4, "big") + bytes(4) + b"\0" + bytes(4) + bytes(8)
    plain = AESGCM(expand(SECRET, b"key", 32)).decrypt(expand(SECRET, b"iv", 12), record, aad)
    zeros = bytes(len(record) - TAG - 5 - size)
    assert plain == bytes([RecordType.OFFER_PAGE | 0x40]) + b"b" * size + zeros + size.to_bytes(
        4, "big"
    )


@pytest.mark.parametrize(
    ("kind", "size"), [(RecordType.OFFER_PAGE, MOST_CONTROL + 1), (RecordType.DATA, MOST_DATA + 1)]
)
def test_what_is_too_long_to_be_padded_is_our_own_fault(kind: int, size: int) -> None:
    sealer, _ = padded_pair()
    raw = memoryview(bytearray(size + 1000))
    raw[0] = kind
    with pytest.raises(LocalProtocolError):
        sealer.seal(raw, 1 + size)


def padded(
    body: bytes = b"body",
    length: int = 256,
    *,
    kind: int = RecordType.ERROR | PADDED,
    count: int | None = None,
) -> bytes:
    """A padded plaintext by hand."""
    used = len(body) if count is None else count
    return (
        bytes([kind])
        + body
        + bytes(length - TAG - 5 - len(body))
        + (used & 0xFFFFFFFF).to_bytes(4, "big")
    )


def test_a_plaintext_made_by_hand_is_taken() -> None:
    """What the next test changes is right to begin with."""
    assert open_(padded_pair()[1], by_hand(padded())) == bytes([RecordType.ERROR]) + b"body"


DATA = RecordType.DATA | PADDED
WRONG: dict[str, bytes] = {
    "unpadded": bytes([RecordType.ERROR]) + b"body",
    "no flag": padded(kind=RecordType.ERROR),
    "a longer size than needed": padded(length=4096),
    "the cap where less is enough": padded(length=65536),
    "the size of data for another type": padded(length=MAX_DATA_RECORD_BYTES),
    "a size for control on data": padded(kind=DATA),
    "a size of its own": padded(length=257),
    "a size below all": padded(length=255),
    "nothing but a type": bytes([RecordType.ERROR | PADDED]),
    "half a length": bytes([RecordType.ERROR | PADDED]) + bytes(3),
    "a length and no padding": bytes([RecordType.ERROR | PADDED]) + bytes(4),
    "a body shorter than there is": padded(count=3),
    "a body of the whole": padded(count=256 - TAG - 4),
    "a body beyond the record": padded(count=1 << 20),
    "a body of most": padded(count=-1),
    "the first byte of padding": padded()[:5] + b"\x01" + padded()[6:],
    "the last byte of padding": padded()[:-5] + b"\x80" + padded()[-4:],
}


@pytest.mark.parametrize("name", list(WRONG))
def test_t16_t23_another_padding_than_agreed_is_malformed(name: str) -> None:
    with pytest.raises(RemoteProtocolError):
        open_(padded_pair()[1], by_hand(WRONG[name]))


@pytest.mark.parametrize("at", range(5, 236))
def test_t23_every_byte_of_the_padding_is_zero(at: int) -> None:
    plain = bytearray(padded())
    plain[at] = 1
    with pytest.raises(RemoteProtocolError):
        open_(padded_pair()[1], by_hand(bytes(plain)))


@pytest.mark.parametrize("kind", [RecordType.ERROR, RecordType.ERROR | FINAL, RecordType.DATA])
def test_t24_a_padded_record_where_nothing_was_agreed_is_malformed(kind: int) -> None:
    record = seal(padded_pair()[0], kind, b"body")
    with pytest.raises(RemoteProtocolError, match="not agreed"):
        open_(pair()[1], record)


def test_t23_every_bit_of_a_padded_record_counts() -> None:
    record = seal(padded_pair()[0], RecordType.ACCEPT)
    for bit in range(len(record) * 8):
        changed = bytearray(record)
        changed[bit // 8] ^= 1 << (bit % 8)
        _forged(bytes(changed))


def test_t23_a_padded_record_cut_short_or_grown_is_refused() -> None:
    record = seal(padded_pair()[0], RecordType.ACCEPT)
    for length in range(TAG + 1, len(record)):
        _forged(record[:length])
    _forged(record + b"\0")
    for length in LENGTHS[1:]:
        _forged((record + bytes(length))[:length])


def _forged(record: bytes) -> None:
    """It does not verify, whatever it holds is wiped, and the opener is of no more use."""
    opener = padded_pair()[1]
    raw = memoryview(bytearray(record))
    with pytest.raises(ForgedRecord):
        opener.open(raw)
    assert not any(raw[: len(raw) - TAG])
    with pytest.raises(LocalProtocolError):
        opener.open(raw)


@pytest.mark.parametrize("opened", [0, 1], ids=["swapped", "repeated"])
def test_t23_padded_records_in_another_order_are_refused(opened: int) -> None:
    """They look alike from outside; the counters tell them apart."""
    sealer, opener = padded_pair()
    records = [seal(sealer, RecordType.PING), seal(sealer, RecordType.ACCEPT)]
    for record in records[:opened]:
        open_(opener, record)
    with pytest.raises(ForgedRecord):
        open_(opener, records[1 - opened])


def test_t23_a_padded_record_does_not_move_to_another_lane_or_back_to_its_sender() -> None:
    record = seal(padded_pair()[0], RecordType.PING)
    for opener in (padded_pair(lane=1)[1], padded_pair(sender=Role.GUEST)[1]):
        with pytest.raises(ForgedRecord):
            open_(opener, record)


def test_nothing_of_the_buffer_travels_as_padding() -> None:
    """The buffer behind the body holds an earlier ciphertext: it is overwritten, whatever it
    was."""
    one, other = (seal(padded_pair()[0], RecordType.PING, b"same", dirt) for dirt in (0x00, 0xFF))
    assert one == other
