"""The contract of an authenticated cipher (AEAD, RFC 5116)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from tallow_core.errors import CryptoError
from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer, WriteBuffer


class Cipher(Driver):
    """Seals and opens records under one key.

    Sizes are in bytes. `max_records` and `max_bytes` (of plaintext) bound what one object seals.
    The session takes a new key before either is reached; should it ever miscount, the object
    refuses, so that nothing is sealed past the limit: `Allowance` does the counting. A driver reads
    both from its own class, not from constants: a subclass may lower them. The caller never repeats
    a nonce: the session derives it from a counter.

    Inputs may be read-only and stay as they are, except where `out` lies over one. An input with
    gaps (a non-contiguous memoryview) is a `CryptoError`, or is taken for the bytes that it shows;
    sealing and opening agree on which.
    """

    key_size: ClassVar[int]
    nonce_size: ClassVar[int]
    tag_size: ClassVar[int]
    max_records: ClassVar[int]
    max_bytes: ClassVar[int]

    @abstractmethod
    def __init__(self, key: ReadBuffer) -> None:
        """Take a key of `key_size` bytes; any other length is a `CryptoError`."""

    @abstractmethod
    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        """Write ciphertext and tag to the start of `out` and return their length, `len(plaintext) +
        tag_size`.

        `out` has at least that length and may start at the very byte where `plaintext` starts
        (sealing in place); any other overlap is not allowed. A wrong nonce length, a short,
        read-only or non-contiguous buffer is a `CryptoError` and writes nothing; so is a record
        beyond `max_records` or `max_bytes`.
        """

    @abstractmethod
    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        """Verify, write the plaintext to the start of `out` and return its length, `len(ciphertext)
        - tag_size`.

        `out` has at least that length and may start where `ciphertext` starts (opening in place). A
        record that does not verify, or is shorter than a tag, is a `ForgedRecord`, and
        `out[:len(ciphertext) - tag_size]` is then zeros: no byte of unverified plaintext is left
        behind.
        """

    @abstractmethod
    def wipe(self) -> None:
        """Drop the key. Using the cipher afterwards is a `CryptoError`."""


class Allowance:
    """What one key may still seal, by the limits of its driver. A refused attempt may count;
    opening never does."""

    __slots__ = ("_bytes", "_driver", "_records")

    def __init__(self, driver: type[Cipher]) -> None:
        self._driver = driver
        self._records = driver.max_records
        self._bytes = driver.max_bytes

    def take(self, size: int) -> None:
        """Account for a record of `size` bytes of plaintext before it is sealed; a `CryptoError` if
        it exceeds a limit."""
        if self._records < 1 or self._bytes < size:
            raise CryptoError(
                f"This key of {self._driver.name} has sealed all that it safely may; take a fresh"
                " one."
            )
        self._records -= 1
        self._bytes -= size
