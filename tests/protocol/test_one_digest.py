"""Tallow asks each hasher for one digest, so a hash may end with it (`digest_ends`)."""

from __future__ import annotations

from tallow_core.protocol.transfer.file_hash import FileHash, hash_whole
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.offer_pages import OfferKind, pages
from tallow_core.protocol.transfer.offer_reader import MIN_SEGMENT_BYTES, OfferReader
from tallow_plugins.hashes.blake3 import Blake3
from tests.kit.once_hash import DigestEnds


def test_the_hash_of_a_file() -> None:
    data = bytes(range(256)) * (MIN_SEGMENT_BYTES // 128)
    once, often = (FileHash(driver, MIN_SEGMENT_BYTES) for driver in (DigestEnds, Blake3))
    for at in range(0, len(data), MIN_SEGMENT_BYTES):
        for running in (once, often):
            running.update(data[at : at + MIN_SEGMENT_BYTES])
            running.closed()
    assert once.digest() == often.digest()
    assert hash_whole(DigestEnds, MIN_SEGMENT_BYTES, b"abc") == hash_whole(
        Blake3, MIN_SEGMENT_BYTES, b"abc"
    )


def test_the_hash_of_the_manifest() -> None:
    entries = [Entry(EntryKind.FILE, (name,), 0o644, 0, 1) for name in "abc"]
    reader = OfferReader(DigestEnds)
    for body, _ in pages(OfferKind.FILES, bytes(16), DigestEnds, entries):
        reader.page(body)
    assert reader.offer is not None
    assert reader.offer.files == 3
