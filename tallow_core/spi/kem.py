"""The contract of a key encapsulation mechanism."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer


@dataclass(slots=True)
class KemPair:
    """A key pair: the encoded public key, and whatever the driver needs to decapsulate (None once
    wiped)."""

    public: bytes
    private: object | None

    def wipe(self) -> None:
        """Drop the private key. Decapsulating afterwards is a `CryptoError`."""
        self.private = None


class Kem(Driver):
    """Makes key pairs, and agrees on a secret of `shared_size` bytes through a ciphertext.

    Sizes are in bytes and fixed. Keys and ciphertexts of any other length, and those that the
    algorithm's standard tells to refuse, are a `CryptoError`. A ciphertext that was merely changed
    never gives the same secret: with `implicit_rejection` it gives another one, never an error that
    would tell its sender something (FIPS 203 section 6.3); without, it may be a `CryptoError`.
    """

    public_size: ClassVar[int]
    ciphertext_size: ClassVar[int]
    shared_size: ClassVar[int]
    seed_size: ClassVar[int]
    implicit_rejection: ClassVar[bool]

    @classmethod
    @abstractmethod
    def generate(cls) -> KemPair:
        """Make a fresh pair from the operating system's randomness."""

    @classmethod
    @abstractmethod
    def from_seed(cls, seed: ReadBuffer) -> KemPair:
        """Make the pair that `seed` (`seed_size` bytes) determines: for published vectors."""

    @classmethod
    @abstractmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        """Return (ciphertext, shared secret) for the holder of `public`."""

    @classmethod
    @abstractmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        """Return the shared secret in `ciphertext`."""
