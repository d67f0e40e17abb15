"""The messages of a transfer that goes on: what is written is read, and nothing else is."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallow_core.errors import RemoteProtocolError
from tallow_core.protocol.transfer.offer_reader import MIN_SEGMENT_BYTES
from tallow_core.protocol.transfer.resumption import (
    MAX_NAMED_TRANSFERS,
    MAX_PARTIAL_FILES,
    Earlier,
    HaveReader,
    Proof,
    prove,
    proves,
    read_resume,
    read_resumed,
    write_have,
    write_resume,
    write_resumed,
)

PROOFS = st.builds(Proof, st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
NAMED = st.lists(
    PROOFS, min_size=1, max_size=MAX_NAMED_TRANSFERS, unique_by=lambda proof: proof.transfer_id
)


@given(NAMED)
def test_resume(proofs: list[Proof]) -> None:
    assert read_resume(write_resume(proofs)) == proofs


@given(NAMED, st.data())
def test_t23_a_resume_of_another_length_is_refused(
    proofs: list[Proof], data: st.DataObject
) -> None:
    body = write_resume(proofs)
    cut = data.draw(st.integers(0, len(body) - 1))
    for wrong in (body[:cut], body + b"\0"):
        with pytest.raises(RemoteProtocolError):
            read_resume(wrong)


def test_t23_too_many_or_the_same_twice() -> None:
    proof = Proof(bytes(16), bytes(32))
    for proofs in (
        [],
        [proof, proof],
        [Proof(bytes([n]) * 16, bytes(32)) for n in range(MAX_NAMED_TRANSFERS + 1)],
    ):
        with pytest.raises(RemoteProtocolError):
            read_resume(write_resume(proofs))


@given(st.none() | PROOFS)
def test_resumed(proof: Proof | None) -> None:
    body = write_resumed(proof)
    assert read_resumed(body) == proof
    with pytest.raises(RemoteProtocolError):
        read_resumed(body + b"\0")
    if proof is not None:
        with pytest.raises(RemoteProtocolError):
            read_resumed(body[:-1])


@given(st.binary(max_size=300))
def test_t23_rubbish_ends_in_a_clean_error(body: bytes) -> None:
    for read in (read_resume, read_resumed, HaveReader(100, MIN_SEGMENT_BYTES).page):
        try:
            read(body)
        except RemoteProtocolError:
            pass


@given(st.integers(1, 600_000), st.data())
def test_have(entries: int, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(0, entries - 1), max_size=20, unique=True))
    partial = {number: MIN_SEGMENT_BYTES * (number + 1) for number in numbers[:MAX_PARTIAL_FILES]}
    done = bytearray(entries)
    for number in numbers[MAX_PARTIAL_FILES:]:
        done[number] = 1
    reader = HaveReader(entries, MIN_SEGMENT_BYTES)
    for body in write_have(partial, done):
        assert not reader.done
        assert len(body) < 60_000
        reader.page(body)
    assert reader.done
    assert reader.partial == partial
    assert [number for number in numbers if reader.whole(number)] == numbers[MAX_PARTIAL_FILES:]


@pytest.mark.parametrize(
    "partial",
    [
        {5: MIN_SEGMENT_BYTES},
        {1: 0},
        {1: MIN_SEGMENT_BYTES + 1},
        dict.fromkeys(range(MAX_PARTIAL_FILES + 1), MIN_SEGMENT_BYTES),
    ],
    ids=str,
)
def test_t23_parts_that_cannot_be(partial: dict[int, int]) -> None:
    entries = 5 if len(partial) == 1 else 100
    with pytest.raises(RemoteProtocolError):
        HaveReader(entries, MIN_SEGMENT_BYTES).page(next(write_have(partial, bytearray(entries))))


def test_the_proof_is_an_hmac_of_the_end_and_the_transcript() -> None:
    earlier = Earlier(bytes(range(16)), bytes(range(32)))
    proof = prove(earlier, "sender", "sha256", b"T" * 32)
    assert proof == (
        earlier.transfer_id,
        hmac.new(earlier.secret, b"sender" + b"T" * 32, hashlib.sha256).digest(),
    )


def test_t34_a_proof_is_for_one_end_session_secret_and_transfer() -> None:
    earlier, transcript = Earlier(bytes(16), bytes(32)), b"T" * 32
    proof = prove(earlier, "sender", "sha256", transcript)
    assert proves(proof, earlier, "sender", "sha256", transcript)
    assert not proves(proof, earlier, "receiver", "sha256", transcript), "reflected"
    assert not proves(proof, earlier, "sender", "sha256", b"U" * 32), "of another session"
    assert not proves(proof, Earlier(bytes(16), b"x" * 32), "sender", "sha256", transcript)
    assert not proves(proof, Earlier(b"y" * 16, bytes(32)), "sender", "sha256", transcript)
    assert not proves(Proof(proof.transfer_id, bytes(32)), earlier, "sender", "sha256", transcript)
