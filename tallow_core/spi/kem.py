"""The contract of a key encapsulation mechanism (KEM)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from tallow_core.errors import CryptoError
from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer

MAX_KEM_PUBLIC_BYTES = 12 * 1024
"""Bytes of a public key. It travels in Answer, one frame of at most 16,384 bytes, with the full
offer and the PAKE share."""

MAX_KEM_CIPHERTEXT_BYTES = 15 * 1024
"""Bytes of a ciphertext. It travels in Share, one frame of at most 16,384 bytes, with the PAKE
share."""


@dataclass(slots=True)
class KemPair:
    """A key pair: the encoded public key, and what the driver needs to decapsulate (None once
    wiped)."""

    public: bytes
    private: object | None

    def wipe(self) -> None:
        """Drop the private key. Decapsulating after that is a `CryptoError`."""
        self.private = None


class Kem(Driver):
    """Makes key pairs, and agrees on a secret of `shared_size` bytes through a ciphertext.

    Sizes are in bytes and fixed. A key or ciphertext of any other length, or one that the
    algorithm's standard refuses, is a `CryptoError`. `public_size` is at most 12,288 and
    `ciphertext_size` at most 15,360, because each travels in one message of the handshake;
    `shared_size` is 32 to 1,024. A driver beyond these bounds is refused when it is loaded.

    A changed ciphertext never gives the same secret. With `implicit_rejection` it gives another
    secret, never an error from which its sender could learn (FIPS 203 section 6.3). Without, it may
    be a `CryptoError`.

    `seed_size` is 0 where the algorithm makes no pair from a seed; the driver then leaves
    `from_seed` out. Otherwise it is 32 to 1,024.
    """

    size_bounds = MappingProxyType(
        {
            "public_size": (1, MAX_KEM_PUBLIC_BYTES),
            "ciphertext_size": (1, MAX_KEM_CIPHERTEXT_BYTES),
            "shared_size": (32, 1024),
            "seed_size": (0, 1024),
        }
    )
    public_size: ClassVar[int]
    ciphertext_size: ClassVar[int]
    shared_size: ClassVar[int]
    seed_size: ClassVar[int] = 0
    implicit_rejection: ClassVar[bool]

    @classmethod
    @abstractmethod
    def generate(cls) -> KemPair:
        """Make a fresh pair from the operating system's randomness. Raises nothing."""

    @classmethod
    def from_seed(cls, seed: ReadBuffer) -> KemPair:
        """Make the pair that `seed` determines. The kit uses it for published vectors; a session
        does not.

        Raises `CryptoError` for a seed of another length than `seed_size`, and always if
        `seed_size` is 0.
        """
        raise CryptoError(f"{cls.name} makes no key pair from a seed of {len(seed)} bytes")

    @classmethod
    @abstractmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        """Return (ciphertext, shared secret) for the holder of `public`.

        Raises `CryptoError` for a key of the wrong length, or one that the standard refuses.
        """

    @classmethod
    @abstractmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        """Return the shared secret in `ciphertext`.

        Raises `CryptoError` for a ciphertext of the wrong length or one that the standard refuses,
        for a wiped pair and for a pair of another driver.
        """
