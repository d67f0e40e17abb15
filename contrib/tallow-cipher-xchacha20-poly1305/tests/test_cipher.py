"""XChaCha20-Poly1305: Tallow's conformance kit, and the vector of the draft."""

from __future__ import annotations

import pytest

from tallow_cipher_xchacha20_poly1305 import XChaCha20Poly1305
from tallow_core.errors import ForgedRecord
from tallow_core.registry.kinds import CIPHER
from tallow_core.testing.suite import run_checks

# draft-irtf-cfrg-xchacha-03, appendix A.3.1.
KEY = bytes(range(0x80, 0xA0))
NONCE = bytes(range(0x40, 0x58))
AAD = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
PLAINTEXT = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future,"
    b" sunscreen would be it."
)
SEALED = bytes.fromhex(
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f"
    "4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f"
    "76b2383565d3fff921f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"
)


def sealed(key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    out = bytearray(len(plaintext) + XChaCha20Poly1305.tag_size)
    assert XChaCha20Poly1305(key).seal_into(nonce, aad, plaintext, out) == len(out)
    return bytes(out)


def test_it_passes_the_kit() -> None:
    assert len(run_checks(CIPHER, XChaCha20Poly1305)) > 10


def test_the_published_vector() -> None:
    assert sealed(KEY, NONCE, AAD, PLAINTEXT) == SEALED
    out = bytearray(len(PLAINTEXT))
    XChaCha20Poly1305(KEY).open_into(NONCE, AAD, SEALED, out)
    assert out == PLAINTEXT


@pytest.mark.parametrize("position", [0, len(SEALED) // 2, len(SEALED) - 1])
def test_the_published_vector_changed(position: int) -> None:
    changed = bytearray(SEALED)
    changed[position] ^= 1
    with pytest.raises(ForgedRecord):
        XChaCha20Poly1305(KEY).open_into(NONCE, AAD, changed, memoryview(changed)[: len(PLAINTEXT)])
    assert not any(changed[: len(PLAINTEXT)])
