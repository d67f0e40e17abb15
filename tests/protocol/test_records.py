"""Sealed records: counters, epochs, the authenticated end, and whatever may happen to the bytes."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import ForgedRecord, LocalProtocolError, RemoteProtocolError
from tallow_core.protocol.lanes.record import (
    EPOCH_RECORDS,
    FINAL,
    MAX_CONTROL_RECORD_BYTES,
    MAX_DATA_RECORD_BYTES,
    PADDED,
    Half,
    Opener,
    RecordType,
    Sealer,
    record_length,
)
from tallow_core.spi.cipher import Cipher
from tallow_core.testing.fakes import NonceLedger, recording
from tallow_core.types import Role
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tallow_plugins.ciphers.chacha20_poly1305 import ChaCha20Poly1305
from tests.kit.record_pairs import SECRET, expand, pair

TAG = 16
CIPHERS = pytest.mark.parametrize(
    "cipher", [Aes256Gcm, ChaCha20Poly1305], ids=lambda cipher: cipher.name
)


def limited(cipher: type[Cipher], records: int = 3, size: int = 1 << 30) -> type[Cipher]:
    """`cipher` with a key that is soon worn out."""

    class Limited(cipher):  # type: ignore[misc, valid-type]
        max_records = records
        max_bytes = size

    return Limited


def seal(sealer: Sealer, body: bytes = b"", kind: int = RecordType.DATA) -> bytes:
    """One record's ciphertext."""
    plain = bytes([kind]) + body
    raw = memoryview(bytearray(plain + bytes(TAG)))
    assert sealer.seal(raw, len(plain)) == len(raw)
    return bytes(raw)


def open_(opener: Opener, record: bytes) -> bytes:
    """One record's plaintext."""
    return bytes(opener.open(memoryview(bytearray(record))))


def forged(opener: Opener, record: bytes) -> None:
    """`record` does not verify, is wiped, and the opener is of no more use."""
    raw = memoryview(bytearray(record))
    with pytest.raises(ForgedRecord):
        opener.open(raw)
    assert not any(raw[: len(raw) - TAG])
    with pytest.raises(LocalProtocolError):
        opener.open(memoryview(bytearray(record)))


@CIPHERS
@pytest.mark.parametrize("kdf", ["sha256", "sha3_256"])
@pytest.mark.parametrize("sender", list(Role))
def test_what_is_sealed_opens(cipher: type[Cipher], kdf: str, sender: Role) -> None:
    sealer, opener = pair(cipher, 5, sender, kdf=kdf)
    for size in (0, 1, 2, 15, 16, 17, 1000, 65536):
        body = bytes(size)
        assert open_(opener, seal(sealer, body)) == bytes([RecordType.DATA]) + body
    assert sealer.total == opener.total == sum((1, 2, 3, 16, 17, 18, 1001, 65537))


def test_a_record_is_what_the_specification_says() -> None:
    """Keys, nonce and AD computed again, over three epochs."""
    sealer, _ = pair(limited(Aes256Gcm, 2), lane=0x01020304, sender=Role.GUEST)
    secret = SECRET
    for epoch in range(3):
        aead, iv = (
            AESGCM(expand(secret, b"key", 32)),
            int.from_bytes(expand(secret, b"iv", 12), "big"),
        )
        for counter in range(2):
            record = seal(sealer, b"body")
            aad = (
                len(record).to_bytes(4, "big")
                + b"\x01\x02\x03\x04\x01"
                + epoch.to_bytes(4, "big")
                + counter.to_bytes(8, "big")
            )
            assert aead.decrypt((iv ^ counter).to_bytes(12, "big"), record, aad) == b"\x10body"
        secret = expand(secret, b"next", 32)


@CIPHERS
def test_t33_no_nonce_repeats_over_epochs_directions_and_lanes(cipher: type[Cipher]) -> None:
    ledger = NonceLedger()
    keys = set()
    for lane in (0, 1, 2):
        for sender in Role:
            secret = hashlib.sha256(bytes([lane]) + sender.value.encode()).digest()
            sealer, opener = pair(recording(limited(cipher), ledger), lane, sender, secret)
            for number in range(20):
                assert open_(opener, seal(sealer, bytes([number]))) == bytes([0x10, number])
            assert sealer.epoch == opener.epoch == 6
    keys = {key for key, _ in ledger.pairs}
    assert len(ledger.pairs) == 6 * 20
    assert len(keys) == 6 * 7


def test_an_epoch_has_two_to_the_sixteenth_records() -> None:
    ledger = NonceLedger()
    sealer, opener = pair(recording(Aes256Gcm, ledger))
    raw = memoryview(bytearray(1 + TAG))
    for _ in range(EPOCH_RECORDS):
        raw[0] = RecordType.PING
        sealer.seal(raw, 1)
        opener.open(raw)
    assert EPOCH_RECORDS == 65536
    assert (sealer.epoch, opener.epoch) == (0, 0)
    assert open_(opener, seal(sealer)) == b"\x10"
    assert (sealer.epoch, opener.epoch) == (1, 1)
    assert len(ledger.pairs) == EPOCH_RECORDS + 1


def test_the_bytes_of_a_key_are_bounded_too() -> None:
    sealer, opener = pair(limited(Aes256Gcm, 1000, size=100))
    epochs = []
    for size in (49, 49, 0, 98, 0, 99, 99):
        assert open_(opener, seal(sealer, bytes(size))) == b"\x10" + bytes(size)
        assert sealer.epoch == opener.epoch
        epochs.append(sealer.epoch)
    assert epochs == [
        0,
        0,
        1,
        1,
        2,
        3,
        4,
    ]  # one byte of each is the type; exactly 100 bytes still fit


def test_t25_after_the_ratchet_the_old_secret_and_key_are_gone() -> None:
    wiped: list[Cipher] = []

    class Watched(limited(Aes256Gcm)):  # type: ignore[misc]
        def wipe(self) -> None:
            super().wipe()
            wiped.append(self)

    secret = bytearray(SECRET)
    sealer = Sealer(Watched, "sha256", 0, Role.HOST, secret)
    for _ in range(3):
        seal(sealer)
    assert secret == SECRET
    assert wiped == []
    seal(sealer)
    assert secret == bytes(32)
    assert len(wiped) == 1


def test_t25_records_of_an_earlier_epoch_no_longer_open() -> None:
    for number in range(3):
        sealer, opener = pair(limited(Aes256Gcm))
        old = [seal(sealer, b"old") for _ in range(3)]
        for record in [*old, seal(sealer)]:
            open_(opener, record)
        forged(opener, old[number])


def test_t25_a_rekey_renews_both_ends() -> None:
    secret = bytearray(SECRET)
    sealer, opener = Sealer(Aes256Gcm, "sha256", 0, Role.HOST, secret), pair()[1]
    before = seal(sealer, b"before")
    open_(opener, before)
    for half in (sealer, opener):
        half.renew(bytearray(b"r" * 32))
    assert secret == bytes(32)
    assert (sealer.epoch, opener.epoch) == (1, 1)
    assert open_(opener, seal(sealer, b"after")) == b"\x10after"
    forged(opener, before)


@CIPHERS
def test_t23_every_bit_of_a_record_counts(cipher: type[Cipher]) -> None:
    record = seal(pair(cipher)[0], b"some bytes")
    for bit in range(len(record) * 8):
        changed = bytearray(record)
        changed[bit // 8] ^= 1 << (bit % 8)
        forged(pair(cipher)[1], bytes(changed))


@CIPHERS
def test_t23_a_record_cut_short_or_grown_is_refused(cipher: type[Cipher]) -> None:
    record = seal(pair(cipher)[0], b"some bytes")
    for length in range(len(record)):
        opener = pair(cipher)[1]
        with pytest.raises(ForgedRecord):
            opener.open(memoryview(bytearray(record[:length])))
    forged(pair(cipher)[1], record + b"\0")


def other_role(records: list[bytes]) -> tuple[Opener, bytes]:
    """Reflection: the sender's own record comes back, under the very same secret."""
    return pair(sender=Role.GUEST)[1], records[0]


def other_lane(records: list[bytes]) -> tuple[Opener, bytes]:
    """The record of another lane, under the very same secret."""
    return pair(lane=1)[1], records[0]


def other_secret(records: list[bytes]) -> tuple[Opener, bytes]:
    """The record of another session."""
    return pair(secret=bytes(32))[1], records[0]


def replayed(records: list[bytes]) -> tuple[Opener, bytes]:
    """A record that was opened already."""
    opener = pair()[1]
    open_(opener, records[0])
    return opener, records[0]


def dropped(records: list[bytes]) -> tuple[Opener, bytes]:
    """The record after one that never came."""
    return pair()[1], records[1]


def late(records: list[bytes]) -> tuple[Opener, bytes]:
    """A record after its successor's place."""
    opener = pair()[1]
    for record in records[:3]:
        open_(opener, record)
    return opener, records[1]


@pytest.mark.parametrize(
    "moved",
    [other_role, other_lane, other_secret, replayed, dropped, late],
    ids=lambda moved: moved.__name__,
)
def test_t23_a_record_in_another_place_is_refused(
    moved: Callable[[list[bytes]], tuple[Opener, bytes]],
) -> None:
    sealer, _ = pair()
    forged(*moved([seal(sealer, bytes([number])) for number in range(4)]))


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(6)))
def test_t23_only_the_order_of_sending_opens(order: list[int]) -> None:
    sealer, opener = pair(limited(Aes256Gcm, 2))
    records = [seal(sealer, bytes([number])) for number in range(6)]
    for place, number in enumerate(order):
        if place != number:
            forged(opener, records[number])
            return
        assert open_(opener, records[number]) == bytes([0x10, number])


def test_nothing_follows_the_final_record() -> None:
    sealer, opener = pair()
    assert open_(opener, seal(sealer, b"not yet")) == b"\x10not yet"
    assert [sealer.finished, opener.finished] == [False, False]
    last = seal(sealer, b"end", RecordType.DATA | FINAL)
    assert open_(opener, last) == b"\x90end"
    assert [sealer.finished, opener.finished] == [True, True]
    with pytest.raises(LocalProtocolError):
        seal(sealer)
    with pytest.raises(RemoteProtocolError):
        open_(opener, last)


def test_a_forged_record_does_not_end_the_lane_as_if_it_were_the_final_one() -> None:
    sealer, opener = pair()
    record = bytearray(seal(sealer, b""))
    record[0] ^= FINAL
    forged(opener, bytes(record))
    assert not opener.finished


@pytest.mark.parametrize("worn_out", [False, True])
def test_a_half_that_was_wiped_stays_so(worn_out: bool) -> None:
    """Also where the next record would have begun an epoch: its keys would follow from a secret of
    zeros."""
    halves: list[tuple[Half, Callable[[], Any]]] = []
    sealer, opener = pair(limited(Aes256Gcm))
    records = [seal(sealer) for _ in range(3 if worn_out else 1)]
    for record in records:
        open_(opener, record)
    halves = [(sealer, lambda: seal(sealer)), (opener, lambda: open_(opener, records[0]))]
    for half, use in halves:
        half.wipe()
        assert half._secret == bytes(32)
        with pytest.raises(LocalProtocolError):
            use()


@pytest.mark.parametrize("cap", [MAX_CONTROL_RECORD_BYTES, MAX_DATA_RECORD_BYTES])
def test_t16_the_length_of_a_record(cap: int) -> None:
    tracemalloc.start()
    try:
        for length in (0, cap + 1, 1 << 31, (1 << 32) - 1):
            with pytest.raises(ForgedRecord):
                record_length(length.to_bytes(4, "big"), cap)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    for length in (1, 2, cap - 1, cap):
        assert record_length(length.to_bytes(4, "big"), cap) == length
    assert (MAX_CONTROL_RECORD_BYTES, MAX_DATA_RECORD_BYTES) == (65536, (1 << 20) + 64)


def test_the_numbers_of_records_leave_room_for_the_flags() -> None:
    assert all(kind & (FINAL | PADDED) == 0 for kind in RecordType)
    assert len({int(kind) for kind in RecordType}) == len(RecordType.__members__)
