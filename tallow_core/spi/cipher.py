"""The contract of an authenticated cipher (AEAD, RFC 5116)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer, WriteBuffer


class Cipher(Driver):
    """Seals and opens records under one key.

    Sizes are in bytes. `max_records` and `max_bytes` bound what one key may seal; the session takes a new key before either is
    reached. The caller never repeats a nonce: the session derives it from a counter.

    Inputs may be read-only and stay as they are, except where `out` lies over one. An input with gaps (a non-contiguous memoryview) is a
    `CryptoError`, or is taken for the bytes that it shows; sealing and opening agree on which.
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
    def seal_into(self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer) -> int:
        """Write ciphertext and tag to the start of `out` and return their length, `len(plaintext) + tag_size`.

        `out` has at least that length and may start at the very byte where `plaintext` starts (sealing in place); any other overlap is
        not allowed. A wrong nonce length, a short, read-only or non-contiguous buffer is a `CryptoError` and writes nothing.
        """

    @abstractmethod
    def open_into(self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer) -> int:
        """Verify, write the plaintext to the start of `out` and return its length, `len(ciphertext) - tag_size`.

        `out` has at least that length and may start where `ciphertext` starts (opening in place). A record that does not verify, or is
        shorter than a tag, is a `ForgedRecord`, and `out[:len(ciphertext) - tag_size]` is then zeros: no byte of unverified plaintext
        is left behind.
        """

    @abstractmethod
    def wipe(self) -> None:
        """Drop the key. Using the cipher afterwards is a `CryptoError`."""
