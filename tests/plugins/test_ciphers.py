"""The first-party ciphers: the kit, and what the kit cannot ask of every cipher."""

from __future__ import annotations

import array
import mmap
import os
import tracemalloc
from collections.abc import Callable
from typing import TypeAlias

import pytest
from nacl import bindings as sodium
from nacl.exceptions import CryptoError as SodiumError
from nacl.exceptions import UnavailableError

from tallow_core.errors import CryptoError, ForgedRecord
from tallow_core.spi.cipher import Cipher
from tallow_core.testing.checks import cipher_checks as checks
from tallow_core.testing.vectors import published
from tallow_plugins.ciphers import aegis_256, aes_256_gcm, chacha20_poly1305
from tallow_plugins.ciphers.aegis_256 import Aegis256
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tallow_plugins.ciphers.chacha20_poly1305 import ChaCha20Poly1305

DRIVERS: tuple[type[Cipher], ...] = (Aes256Gcm, ChaCha20Poly1305, Aegis256)
MIB = 1 << 20


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_conformance(driver: type[Cipher], check: checks.Check) -> None:
    check(driver)


def test_each_module_offers_its_driver() -> None:
    assert list(aes_256_gcm.tallow_offer_cipher()) == [Aes256Gcm]
    assert list(chacha20_poly1305.tallow_offer_cipher()) == [ChaCha20Poly1305]
    assert list(aegis_256.tallow_offer_cipher()) == [Aegis256]


def test_aes_comes_first_and_all_are_post_quantum() -> None:
    assert sorted(DRIVERS, key=lambda driver: driver.preference) == [
        Aes256Gcm,
        ChaCha20Poly1305,
        Aegis256,
    ]
    assert all(driver.labels == {"post-quantum"} for driver in DRIVERS)


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_the_kit_has_vectors_of_both_kinds(driver: type[Cipher]) -> None:
    records = published("cipher", driver.name)["records"]
    assert any("plaintext" in record for record in records)
    assert any("plaintext" not in record for record in records)
    assert all(record["source"] for record in records)


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_a_data_record_is_sealed_and_opened_without_a_copy(driver: type[Cipher]) -> None:
    cipher, nonce = driver(bytes(32)), bytes(driver.nonce_size)
    record = memoryview(mmap.mmap(-1, MIB + mmap.PAGESIZE))[: MIB + driver.tag_size]
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
    cipher, nonce = driver(bytes(32)), bytes(driver.nonce_size)
    words = array.array("I", [1, 2, 3, 4])
    out = bytearray(len(words) * words.itemsize + driver.tag_size)
    assert cipher.seal_into(nonce, b"", memoryview(words), out) == len(out)
    opened = array.array("I", [0, 0, 0, 0])
    assert cipher.open_into(nonce, b"", out, memoryview(opened)) == len(out) - driver.tag_size
    assert opened == words


def test_the_limits_of_gcm_stay_below_those_of_rfc_8446() -> None:
    blocks = (
        Aes256Gcm.max_bytes // 16 + 2 * Aes256Gcm.max_records
    )  # a partial block and the tag's mask for each record
    assert blocks < 2**34.5


def test_no_read_only_memory_is_written() -> None:
    """The library behind aegis-256 would: it takes any buffer for a writable one."""
    cipher, victim = Aegis256(bytes(32)), bytes(64)
    for action in (cipher.seal_into, cipher.open_into):
        with pytest.raises(CryptoError, match="read-only"):
            action(bytes(32), b"", bytes(32), memoryview(victim))
    assert victim == bytes(64)


def test_a_wiped_key_of_aegis_is_overwritten() -> None:
    cipher = Aegis256(b"k" * 32)
    key = cipher._key
    assert key is not None
    cipher.wipe()
    assert not any(key)


# -- a second opinion: libsodium, through PyNaCl -------------------------------------------------

Call: TypeAlias = Callable[[bytes, bytes | None, bytes, bytes], bytes]
"""(message, associated data, nonce, key) -> the result."""

SECOND: dict[type[Cipher], tuple[Call, Call]] = {
    Aes256Gcm: (sodium.crypto_aead_aes256gcm_encrypt, sodium.crypto_aead_aes256gcm_decrypt),
    ChaCha20Poly1305: (
        sodium.crypto_aead_chacha20poly1305_ietf_encrypt,
        sodium.crypto_aead_chacha20poly1305_ietf_decrypt,
    ),
    Aegis256: (sodium.crypto_aead_aegis256_encrypt, sodium.crypto_aead_aegis256_decrypt),
}


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 64, 4097, MIB + 1])
@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_another_library_opens_what_is_sealed_and_seals_what_is_opened(
    driver: type[Cipher], length: int
) -> None:
    seal, open_ = SECOND[driver]
    key, nonce, aad, plaintext = (
        os.urandom(32),
        os.urandom(driver.nonce_size),
        os.urandom(21),
        os.urandom(length),
    )
    try:
        theirs = seal(plaintext, aad, nonce, key)
    except UnavailableError:
        pytest.skip("libsodium has AES-256-GCM only where the processor has AES instructions")
    ours = bytearray(length + driver.tag_size)
    driver(key).seal_into(nonce, aad, plaintext, ours)
    assert ours == theirs
    assert open_(bytes(ours), aad, nonce, key) == plaintext
    ours[-1] ^= 1
    with pytest.raises(SodiumError):
        open_(bytes(ours), aad, nonce, key)
    with pytest.raises(ForgedRecord):
        driver(key).open_into(nonce, aad, ours, bytearray(length))
    opened = bytearray(length)
    driver(key).open_into(nonce, aad, theirs, opened)
    assert opened == plaintext
