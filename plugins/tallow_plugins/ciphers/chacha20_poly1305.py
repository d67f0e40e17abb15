"""ChaCha20-Poly1305: AEAD_CHACHA20_POLY1305 of RFC 8439 section 2.8."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305 as LibraryChaCha20Poly1305

from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.cipher import Cipher
from tallow_plugins.ciphers._aead import LibraryAead


class ChaCha20Poly1305(LibraryAead):
    """ChaCha20-Poly1305.

    The ChaCha20 block is a pseudo-random function, not a permutation, so secrecy sets no limit that
    counters could reach: RFC 9001 section 6.6 puts it above 2^62 records, RFC 8446 section 5.5
    behind the end of its 64-bit counter. Forgeries are what a Poly1305 key limits (2^36, RFC 9147
    section 4.5.3), and a session ends with the first.
    """

    name: ClassVar[str] = "chacha20-poly1305"
    labels: ClassVar[frozenset[str]] = frozenset({"post-quantum"})
    preference: ClassVar[int] = 20
    max_records: ClassVar[int] = 2**62
    max_bytes: ClassVar[int] = 2**62
    library = LibraryChaCha20Poly1305


@hookimpl
def tallow_offer_cipher() -> Iterable[type[Cipher]]:
    """Offer ChaCha20-Poly1305."""
    return [ChaCha20Poly1305]
