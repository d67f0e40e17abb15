"""X25519 as a KEM: RFC 7748 Diffie-Hellman with an ephemeral key; SHA3-256 over the result and both
public keys.

ciphertext = the ephemeral public key; secret = SHA3-256(lv("tallow/1 kem x25519") || lv(dh) ||
lv(ciphertext) || lv(public key)).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from tallow_core.errors import CryptoError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.kem import Kem, KemPair
from tallow_core.types import ReadBuffer
from tallow_plugins.kems._combine import combine

KEY_SIZE = 32
"""Bytes of a public key, of a private key and of the result (RFC 7748 section 5)."""


class X25519(Kem):
    """X25519 alone. Not post-quantum: a session that is recorded today can be opened with a large
    quantum computer."""

    name: ClassVar[str] = "x25519"
    preference: ClassVar[int] = 90
    public_size: ClassVar[int] = KEY_SIZE
    ciphertext_size: ClassVar[int] = KEY_SIZE
    shared_size: ClassVar[int] = 32
    seed_size: ClassVar[int] = KEY_SIZE
    implicit_rejection: ClassVar[bool] = True

    @classmethod
    def generate(cls) -> KemPair:
        """See `Kem.generate`."""
        return pair_of(X25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: ReadBuffer) -> KemPair:
        """See `Kem.from_seed`. The seed is the private key, clamped as RFC 7748 section 5 says."""
        if len(seed) != cls.seed_size:
            raise CryptoError(f"a seed of x25519 has {cls.seed_size} bytes, not {len(seed)}")
        return pair_of(X25519PrivateKey.from_private_bytes(bytes(seed)))

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        """See `Kem.encapsulate`."""
        ciphertext, dh = send(public)
        return ciphertext, combine(cls.name, dh, ciphertext, public)

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        """See `Kem.decapsulate`."""
        return combine(cls.name, receive(pair, ciphertext), ciphertext, pair.public)


def pair_of(private: X25519PrivateKey) -> KemPair:
    """The pair around `private`."""
    return KemPair(private.public_key().public_bytes_raw(), private)


def send(public: ReadBuffer) -> tuple[bytes, bytes]:
    """Return (ephemeral public key, Diffie-Hellman result with `public`)."""
    ephemeral = X25519PrivateKey.generate()
    return ephemeral.public_key().public_bytes_raw(), _exchange(ephemeral, public)


def receive(pair: KemPair, ephemeral: ReadBuffer) -> bytes:
    """The Diffie-Hellman result of `pair` with the peer's ephemeral public key."""
    if not isinstance(pair.private, X25519PrivateKey):
        raise CryptoError(
            "this key pair of x25519 was wiped or belongs to another driver; make a fresh one"
        )
    return _exchange(pair.private, ephemeral)


def _exchange(private: X25519PrivateKey, public: ReadBuffer) -> bytes:
    try:
        # The library raises ValueError for a wrong length, and for the all-zero result of a
        # low-order point (RFC 7748 section 6.1).
        return private.exchange(X25519PublicKey.from_public_bytes(bytes(public)))
    except ValueError as error:
        raise CryptoError(
            "the other side sent an X25519 key that no honest program sends; end the connection and"
            " begin again"
        ) from error


@hookimpl
def tallow_offer_kem() -> Iterable[type[Kem]]:
    """Offer X25519."""
    return [X25519]
