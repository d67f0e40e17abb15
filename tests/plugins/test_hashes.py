"""The first-party hash: the kit, and that it is BLAKE3 and nothing around it."""

from __future__ import annotations

import blake3 as library
import pytest

from tallow_core.testing.checks import hash as checks
from tallow_core.testing.vectors import published
from tallow_plugins.hashes import blake3
from tallow_plugins.hashes.blake3 import Blake3


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: checks.Check) -> None:
    check(Blake3)


def test_the_module_offers_its_driver() -> None:
    assert list(blake3.tallow_offer_hash()) == [Blake3]


def test_the_session_derives_its_keys_with_sha_256() -> None:
    assert Blake3.kdf == "sha256"
    assert Blake3.labels == {"post-quantum"}


def test_the_kit_has_vectors_beyond_one_chunk() -> None:
    lengths = [entry["length"] for entry in published("hash", "blake3")["digests"]]
    assert min(lengths) == 0
    assert max(lengths) > 64 * 1024


def test_a_context_is_apart_from_plain_blake3() -> None:
    hasher = Blake3.hasher("")
    hasher.update(b"data")
    assert hasher.digest() != library.blake3(b"data").digest()
