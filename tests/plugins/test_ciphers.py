"""The first-party ciphers: the kit, and what the kit cannot ask of every cipher."""

from __future__ import annotations

import array
import mmap
import tracemalloc

import pytest

from tallow_core.spi.cipher import Cipher
from tallow_core.testing.checks import cipher as checks
from tallow_core.testing.vectors import published
from tallow_plugins.ciphers import aes_256_gcm, chacha20_poly1305
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tallow_plugins.ciphers.chacha20_poly1305 import ChaCha20Poly1305

DRIVERS: tuple[type[Cipher], ...] = (Aes256Gcm, ChaCha20Poly1305)
MIB = 1 << 20


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_conformance(driver: type[Cipher], check: checks.Check) -> None:
    check(driver)


def test_each_module_offers_its_driver() -> None:
    assert list(aes_256_gcm.tallow_offer_cipher()) == [Aes256Gcm]
    assert list(chacha20_poly1305.tallow_offer_cipher()) == [ChaCha20Poly1305]


def test_aes_comes_first_and_both_are_post_quantum() -> None:
    assert sorted(DRIVERS, key=lambda driver: driver.preference) == [Aes256Gcm, ChaCha20Poly1305]
    assert all(driver.labels == {"post-quantum"} for driver in DRIVERS)


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_the_kit_has_vectors_of_both_kinds(driver: type[Cipher]) -> None:
    records = published("cipher", driver.name)["records"]
    assert any("plaintext" in record for record in records)
    assert any("plaintext" not in record for record in records)


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_a_data_record_is_sealed_and_opened_without_a_copy(driver: type[Cipher]) -> None:
    cipher, nonce = driver(bytes(32)), bytes(12)
    record = memoryview(mmap.mmap(-1, MIB + mmap.PAGESIZE))[: MIB + 16]
    tracemalloc.start()
    try:
        cipher.seal_into(nonce, b"aad", record[:MIB], record)
        cipher.open_into(nonce, b"aad", record, record[:MIB])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB // 16


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_a_view_of_wider_items_is_taken_as_bytes(driver: type[Cipher]) -> None:
    cipher, nonce = driver(bytes(32)), bytes(12)
    words = array.array("I", [1, 2, 3, 4])
    out = bytearray(len(words) * words.itemsize + 16)
    assert cipher.seal_into(nonce, b"", memoryview(words), out) == len(out)
    opened = array.array("I", [0, 0, 0, 0])
    assert cipher.open_into(nonce, b"", out, memoryview(opened)) == len(out) - 16
    assert opened == words


def test_the_limits_of_gcm_stay_below_those_of_rfc_8446() -> None:
    blocks = Aes256Gcm.max_bytes // 16 + 2 * Aes256Gcm.max_records  # a partial block and the tag's mask for each record
    assert blocks < 2**34.5
