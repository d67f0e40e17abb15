"""The common part of the two AEADs of the `cryptography` library: one library object, checked
buffers, wiped output after a forgery."""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tallow_core.errors import CryptoError, ForgedRecord
from tallow_core.secrets import wipe
from tallow_core.spi.cipher import Allowance, Cipher
from tallow_core.types import ReadBuffer, WriteBuffer

Library: TypeAlias = AESGCM | ChaCha20Poly1305


class LibraryAead(Cipher):
    """An AEAD with a key of 32 bytes, a nonce of 12 and a tag of 16 (RFC 5116), as `cryptography`
    offers it.

    Buffers are passed through, never copied; the library releases the GIL while it works.
    """

    key_size: ClassVar[int] = 32
    nonce_size: ClassVar[int] = 12
    tag_size: ClassVar[int] = 16
    library: ClassVar[type[Library]]

    def __init__(self, key: ReadBuffer) -> None:
        if len(key) != self.key_size:
            raise CryptoError(f"a key of {self.name} has {self.key_size} bytes, not {len(key)}")
        try:
            self._aead: Library | None = self.library(key)
        except BufferError as error:
            raise CryptoError(f"{self.name} cannot take a key with gaps: {error}") from error
        self._allowance = Allowance(type(self))

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        """See `Cipher.seal_into`."""
        aead = self._ready(nonce)
        try:
            source = memoryview(plaintext).cast("B")
            sealed = memoryview(out).cast("B")[: len(source) + self.tag_size]
            self._allowance.take(len(source))
            return aead.encrypt_into(nonce, source, aad, sealed)
        except (ValueError, TypeError, BufferError, OverflowError) as error:
            raise self._misused("seal", error) from error

    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        """See `Cipher.open_into`."""
        aead = self._ready(nonce)
        try:
            source = memoryview(ciphertext).cast("B")
            opened = memoryview(out).cast("B")[: max(len(source) - self.tag_size, 0)]
            return aead.decrypt_into(nonce, source, aad, opened)
        except InvalidTag:
            # The library has already written what it deciphered before it compared the tag.
            wipe(opened)
            raise ForgedRecord(
                "a sealed record does not verify: it was changed on the way; start the transfer"
                " again"
            ) from None
        except (ValueError, TypeError, BufferError, OverflowError) as error:
            raise self._misused("open", error) from error

    def wipe(self) -> None:
        """See `Cipher.wipe`. The copy of the key inside the library goes with its object."""
        self._aead = None

    def _ready(self, nonce: ReadBuffer) -> Library:
        if self._aead is None:
            raise CryptoError(f"this key of {self.name} was wiped; take a fresh one")
        if len(nonce) != self.nonce_size:
            raise CryptoError(
                f"a nonce of {self.name} has {self.nonce_size} bytes, not {len(nonce)}"
            )
        return self._aead

    def _misused(self, verb: str, error: Exception) -> CryptoError:
        return CryptoError(f"{self.name} cannot {verb} with these buffers: {error}")
