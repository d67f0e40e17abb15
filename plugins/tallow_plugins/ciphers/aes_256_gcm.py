"""AES-256 in Galois/Counter Mode: FIPS 197, NIST SP 800-38D, AEAD_AES_256_GCM of RFC 5116 section
5.2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.cipher import Cipher
from tallow_plugins.ciphers._aead import LibraryAead


class Aes256Gcm(LibraryAead):
    """AES-256-GCM.

    A block cipher in counter mode can be distinguished from random near 2^64 blocks. RFC 8446
    section 5.5 keeps that chance below 2^-57 with 2^24.5 records of 2^14 bytes, which are 2^38.5
    bytes; both limits here are the next lower power of two, far below the 2^32 calls that SP
    800-38D section
    8.3 allows.
    """

    name: ClassVar[str] = "aes-256-gcm"
    labels: ClassVar[frozenset[str]] = frozenset({"post-quantum"})
    preference: ClassVar[int] = 10
    max_records: ClassVar[int] = 2**24
    max_bytes: ClassVar[int] = 2**38
    library = AESGCM


@hookimpl
def tallow_offer_cipher() -> Iterable[type[Cipher]]:
    """Offer AES-256-GCM."""
    return [Aes256Gcm]
