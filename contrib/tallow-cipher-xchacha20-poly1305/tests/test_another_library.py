"""The same construction out of another library's parts."""

from __future__ import annotations

import os
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher as LibraryCipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from tallow_cipher_xchacha20_poly1305 import XChaCha20Poly1305

CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")


def subkey(key: bytes, nonce: bytes) -> bytes:
    """HChaCha20 (section 2.2 of the draft): the ChaCha20 block without its last addition, words 0
    to 3 and 12 to 15."""
    stream = LibraryCipher(ChaCha20(key, nonce[:16]), None).encryptor().update(bytes(64))
    block, start = (
        struct.unpack("<16I", stream),
        (*CONSTANTS, *(0,) * 8, *struct.unpack("<4I", nonce[:16])),
    )
    return struct.pack(
        "<8I", *((block[word] - start[word]) & 0xFFFFFFFF for word in (0, 1, 2, 3, 12, 13, 14, 15))
    )


@pytest.mark.parametrize("length", [0, 1, 64, 65, 100_000])
def test_another_library_seals_to_the_same_bytes(length: int) -> None:
    key, nonce, aad, plaintext = (
        os.urandom(32),
        os.urandom(24),
        os.urandom(length % 40),
        os.urandom(length),
    )
    out = bytearray(length + XChaCha20Poly1305.tag_size)
    assert XChaCha20Poly1305(key).seal_into(nonce, aad, plaintext, out) == len(out)
    expected = ChaCha20Poly1305(subkey(key, nonce)).encrypt(bytes(4) + nonce[16:], plaintext, aad)
    assert out == expected
