"""XChaCha20-Poly1305: AEAD_XChaCha20_Poly1305 of draft-irtf-cfrg-xchacha-03, by libsodium."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from tallow_core.errors import CryptoError, ForgedRecord
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.secrets import wipe
from tallow_core.spi.cipher import Allowance, Cipher
from tallow_core.types import ReadBuffer, WriteBuffer


class XChaCha20Poly1305(Cipher):
    """ChaCha20-Poly1305 under a subkey that the first 16 bytes of a nonce of 24 select (section 2.3
    of the draft).

    A session counts in the last eight bytes of the nonce, so all its records share one subkey, and
    the limits are those of ChaCha20-Poly1305: RFC 9001 section 6.6 puts them above 2^62 records.
    Forgeries are limited by the session, which ends with the first.
    """

    name: ClassVar[str] = "xchacha20-poly1305"
    labels: ClassVar[frozenset[str]] = frozenset({"post-quantum"})
    preference: ClassVar[int] = 60
    key_size: ClassVar[int] = 32
    nonce_size: ClassVar[int] = 24
    tag_size: ClassVar[int] = 16
    max_records: ClassVar[int] = 2**62
    max_bytes: ClassVar[int] = 2**62

    def __init__(self, key: ReadBuffer) -> None:
        if len(key) != self.key_size:
            raise CryptoError(f"a key of {self.name} has {self.key_size} bytes, not {len(key)}")
        # Here and not above: a plugin is loaded in every run, its library needed only when this
        # cipher was chosen.
        from nacl import bindings

        self._seal = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt
        self._open = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt
        self._key: bytes | None = bytes(key)
        self._allowance = Allowance(type(self))

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        """See `Cipher.seal_into`. The library takes and returns `bytes`, so `out` may lie where
        `plaintext` does."""
        key, source = self._ready(nonce, plaintext)
        room = self._room(out, len(source) + self.tag_size)
        self._allowance.take(len(source))
        room[:] = self._seal(source, bytes(aad), bytes(nonce), key)
        return len(room)

    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        """See `Cipher.open_into`."""
        from nacl.exceptions import CryptoError as NotVerified

        key, source = self._ready(nonce, ciphertext)
        room = self._room(out, max(len(source) - self.tag_size, 0))
        try:
            if len(source) < self.tag_size:
                raise NotVerified("shorter than a tag")
            room[:] = self._open(source, bytes(aad), bytes(nonce), key)
        except NotVerified:
            wipe(room)  # opened in place, it still holds the forgery
            raise ForgedRecord(
                "a sealed record does not verify: it was changed on the way; start the transfer"
                " again"
            ) from None
        return len(room)

    def wipe(self) -> None:
        """See `Cipher.wipe`."""
        self._key = None

    def _ready(self, nonce: ReadBuffer, source: ReadBuffer) -> tuple[bytes, bytes]:
        """The key and a copy of `source`; a `CryptoError` where the contract asks for one."""
        if self._key is None:
            raise CryptoError(f"this key of {self.name} was wiped; take a fresh one")
        if len(nonce) != self.nonce_size:
            raise CryptoError(
                f"a nonce of {self.name} has {self.nonce_size} bytes, not {len(nonce)}"
            )
        if not memoryview(source).c_contiguous:
            raise CryptoError(f"{self.name} takes no input with gaps")
        return self._key, bytes(source)

    def _room(self, out: WriteBuffer, length: int) -> memoryview:
        """The first `length` bytes of `out`; a `CryptoError` if they cannot be written."""
        view = memoryview(out)
        if view.readonly or not view.c_contiguous or view.nbytes < length:
            raise CryptoError(
                f"{self.name} needs an output of {length} bytes that can be written and has no gaps"
            )
        return view.cast("B")[:length]


@hookimpl
def tallow_offer_cipher() -> Iterable[type[Cipher]]:
    """Offer XChaCha20-Poly1305."""
    return [XChaCha20Poly1305]
