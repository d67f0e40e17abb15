"""AEGIS-256 with a tag of 256 bits: draft-irtf-cfrg-aegis-aead, section 4; AEAD_AEGIS256 of the
IANA registry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from aeg import aegis256  # type: ignore[import-untyped]

from tallow_core.errors import CryptoError, ForgedRecord
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.secrets import wipe
from tallow_core.spi.cipher import Allowance, Cipher
from tallow_core.types import ReadBuffer, WriteBuffer


class Aegis256(Cipher):
    """AEGIS-256.

    The draft states no limit to the records of one key (section 9.1.1: nonces of 256 bits may even
    be random) and 2^61 - 1 bytes of plaintext for one record (section 4). Both limits here lie
    below that and above every counter of a session. Forgeries have a chance of 2^-256 with this
    tag, against differential attacks more than 128 bits remain (section 9.3), and a session ends
    with the first.
    """

    name: ClassVar[str] = "aegis-256"
    labels: ClassVar[frozenset[str]] = frozenset({"post-quantum"})
    preference: ClassVar[int] = 30
    key_size: ClassVar[int] = 32
    nonce_size: ClassVar[int] = 32
    tag_size: ClassVar[int] = 32
    max_records: ClassVar[int] = 2**60
    max_bytes: ClassVar[int] = 2**60

    def __init__(self, key: ReadBuffer) -> None:
        self._key: bytearray | None = bytearray(key)
        if len(self._key) != self.key_size:
            raise CryptoError(
                f"a key of {self.name} has {self.key_size} bytes, not {len(self._key)}"
            )
        self._allowance = Allowance(type(self))

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        """See `Cipher.seal_into`."""
        key = self._ready(nonce)
        try:
            source, sealed = memoryview(plaintext).cast("B"), _writable(out)
            self._allowance.take(len(source))
            length = len(source) + self.tag_size
            aegis256.encrypt(key, nonce, source, aad, maclen=self.tag_size, into=sealed[:length])
        except (ValueError, TypeError, BufferError) as error:
            raise self._misused("seal", error) from error
        return length

    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        """See `Cipher.open_into`."""
        key = self._ready(nonce)
        try:
            source, data, target = (
                memoryview(ciphertext).cast("B"),
                memoryview(aad).cast("B"),
                _writable(out),
            )
        except (ValueError, TypeError) as error:
            raise self._misused("open", error) from error
        length = len(source) - self.tag_size
        if length < 0:
            raise _forged()
        opened = target[:length]
        try:
            aegis256.decrypt(key, nonce, source, data, maclen=self.tag_size, into=opened)
        except ValueError:
            # The library's word for a wrong tag. Its C code zeroes the output then, which is not
            # documented.
            wipe(opened)
            raise _forged() from None
        except (TypeError, BufferError) as error:
            raise self._misused("open", error) from error
        return length

    def wipe(self) -> None:
        """See `Cipher.wipe`. The library keeps no copy of the key."""
        wipe(self._key)
        self._key = None

    def _ready(self, nonce: ReadBuffer) -> bytearray:
        if self._key is None:
            raise CryptoError(f"this key of {self.name} was wiped; take a fresh one")
        if len(nonce) != self.nonce_size:
            raise CryptoError(
                f"a nonce of {self.name} has {self.nonce_size} bytes, not {len(nonce)}"
            )
        return self._key

    def _misused(self, verb: str, error: Exception) -> CryptoError:
        return CryptoError(f"{self.name} cannot {verb} with these buffers: {error}")


def _writable(out: WriteBuffer) -> memoryview:
    """The bytes of `out`. The library passes on the address only, and would write to read-only
    memory as well."""
    view = memoryview(out).cast("B")
    if view.readonly:
        raise TypeError("the output is read-only")
    return view


def _forged() -> ForgedRecord:
    return ForgedRecord(
        "a sealed record does not verify: it was changed on the way; start the transfer again"
    )


@hookimpl
def tallow_offer_cipher() -> Iterable[type[Cipher]]:
    """Offer AEGIS-256."""
    return [Aegis256]
