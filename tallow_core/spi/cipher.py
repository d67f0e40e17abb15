"""The contract of an authenticated cipher (AEAD, RFC 5116)."""

from __future__ import annotations

from abc import abstractmethod
from types import MappingProxyType
from typing import ClassVar

from tallow_core.errors import CryptoError
from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer, WriteBuffer

MAX_TAG_BYTES = 42
"""Bytes of a tag: the room that a data record has beside 1 MiB of content, the head of its chunk,
its type, and the length of a padded body."""


class Cipher(Driver):
    """Seals and opens records under one key.

    Sizes are in bytes: `key_size` is 16 to 1,024, `nonce_size` 8 to 255 (a 64-bit counter),
    `tag_size` 16 to 42. A driver beyond these bounds is refused when it is loaded.

    `max_records` and `max_bytes` (of plaintext) limit what one object seals. The session takes a
    new key before either is reached. The object itself refuses to seal beyond them; `Allowance`
    counts. A driver reads both limits from its own class, because a subclass may lower them. The
    session derives nonces from a counter and never repeats one.

    Inputs may be read-only and are not changed, except where `out` overlaps one. For an input with
    gaps (a non-contiguous memoryview) a driver either raises `CryptoError` or uses the bytes that
    the view shows; sealing and opening do the same.
    """

    size_bounds = MappingProxyType(
        {"key_size": (16, 1024), "nonce_size": (8, 255), "tag_size": (16, MAX_TAG_BYTES)}
    )
    key_size: ClassVar[int]
    nonce_size: ClassVar[int]
    tag_size: ClassVar[int]
    max_records: ClassVar[int]
    max_bytes: ClassVar[int]

    @abstractmethod
    def __init__(self, key: ReadBuffer) -> None:
        """Take a key. Raises `CryptoError` for another length than `key_size`."""

    @abstractmethod
    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        """Write ciphertext and tag to the start of `out` and return their length, `len(plaintext) +
        tag_size`.

        `out` has at least that length. It may start at the same byte as `plaintext` (sealing in
        place); any other overlap is not allowed. Raises `CryptoError`, and writes nothing, for a
        wrong nonce length, for a short, read-only or non-contiguous `out`, for a record beyond
        `max_records` or `max_bytes`, and after `wipe`.
        """

    @abstractmethod
    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        """Verify, write the plaintext to the start of `out` and return its length, `len(ciphertext)
        - tag_size`.

        `out` has at least that length and may start at the same byte as `ciphertext` (opening in
        place). Raises `ForgedRecord` for a record that does not verify or is shorter than a tag;
        `out[:len(ciphertext) - tag_size]` is then zeros, so that no unverified plaintext remains.
        Raises `CryptoError` for a wrong nonce length, an unsuitable `out`, and after `wipe`.
        """

    @abstractmethod
    def wipe(self) -> None:
        """Drop the key. Using the cipher after that is a `CryptoError`. Raises nothing, also when
        called twice."""


class Allowance:
    """How much one key may still seal, by the limits of its driver. A refused attempt may count;
    opening does not."""

    __slots__ = ("_bytes", "_driver", "_records")

    def __init__(self, driver: type[Cipher]) -> None:
        self._driver = driver
        self._records = driver.max_records
        self._bytes = driver.max_bytes

    def take(self, size: int) -> None:
        """Count a record of `size` bytes of plaintext before it is sealed. Raises `CryptoError` if
        it exceeds a limit."""
        if self._records < 1 or self._bytes < size:
            raise CryptoError(
                f"this key of {self._driver.name} has sealed all that it safely may; take a fresh"
                " one"
            )
        self._records -= 1
        self._bytes -= size
