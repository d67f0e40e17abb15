"""The first-party hashes: the kit, and that each is its function and nothing around it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import blake3 as library
import cryptography_vectors
import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from tallow_core.spi.hash import Hash
from tallow_core.testing.checks import hash_checks as checks
from tallow_core.testing.vectors import published
from tallow_plugins.hashes import blake3, sha3_256
from tallow_plugins.hashes.blake3 import Blake3
from tallow_plugins.hashes.sha3_256 import Sha3256

DRIVERS: tuple[type[Hash], ...] = (Blake3, Sha3256)
NIST = Path(cryptography_vectors.__file__).parent / "hashes" / "SHA3"


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_conformance(driver: type[Hash], check: checks.Check) -> None:
    check(driver)


def test_each_module_offers_its_driver() -> None:
    assert list(blake3.tallow_offer_hash()) == [Blake3]
    assert list(sha3_256.tallow_offer_hash()) == [Sha3256]


def test_the_session_derives_its_keys_with_the_function_that_belongs_to_the_hash() -> None:
    assert (Blake3.kdf, Sha3256.kdf) == ("sha256", "sha3_256")
    assert all(driver.labels == {"post-quantum"} for driver in DRIVERS)
    assert Blake3.preference < Sha3256.preference


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_the_kit_has_vectors_of_all_lengths(driver: type[Hash]) -> None:
    vectors = published("hash", driver.name)
    lengths = [entry["length"] for entry in vectors["digests"]]
    assert min(lengths) == 0
    assert max(lengths) > 64 * 1024
    assert vectors["kdf"]


def test_a_context_is_apart_from_plain_blake3() -> None:
    hasher = Blake3.hasher("")
    hasher.update(b"data")
    assert hasher.digest() != library.blake3(b"data").digest()


# -- SHA3-256 ------------------------------------------------------------------------------------


def nist(name: str) -> Iterator[tuple[bytes, str]]:
    """(message, digest) of one of NIST's files."""
    for bits, message, digest in re.findall(
        r"Len = (\d+)\s+Msg = (\w+)\s+MD = (\w+)", (NIST / name).read_text("ascii")
    ):
        yield bytes.fromhex(message)[: int(bits) // 8], digest


@pytest.mark.parametrize(
    ("name", "count"), [("SHA3_256ShortMsg.rsp", 137), ("SHA3_256LongMsg.rsp", 100)]
)
def test_the_library_agrees_with_nist(name: str, count: int) -> None:
    """The function itself; no published vector can begin with a context's block."""
    vectors = list(nist(name))
    assert len(vectors) == count
    for message, digest in vectors:
        assert hashlib.sha3_256(message).hexdigest() == digest


def by_the_formula(context: str, data: bytes) -> bytes:
    """docs/protocol/handshake.md, "Drivers of this version", through another binding."""
    prefix = len(context.encode()).to_bytes(4, "big") + context.encode()
    while len(prefix) % 136:
        prefix += b"\0"
    state = hashes.Hash(hashes.SHA3_256())
    state.update(prefix + data)
    return state.finalize()


@given(st.text(max_size=300), st.binary(max_size=600))
def test_the_construction_is_the_documented_one(context: str, data: bytes) -> None:
    hasher = Sha3256.hasher(context)
    hasher.update(data)
    assert hasher.digest() == by_the_formula(context, data)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_context_can_run_into_its_padding(one: bytes, other: bytes) -> None:
    """The first block tells the context: also of those that differ in trailing zeros alone."""
    contexts = {text.decode("latin-1") for text in (one, other, one + b"\0", other + b"\0" * 136)}
    assert len({Sha3256.hasher(context).digest() for context in contexts}) == len(contexts)
