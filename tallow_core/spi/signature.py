"""The contract of a digital signature scheme."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from tallow_core.secrets import wipe
from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer


@dataclass(slots=True)
class SigningPair:
    """A key pair: the encoded public key, and the encoded secret key, which is what a vault stores
    (empty once wiped)."""

    public: bytes
    secret: bytearray = field(repr=False)

    def wipe(self) -> None:
        """Overwrite the secret key and drop it. Signing afterwards is a `CryptoError`."""
        wipe(self.secret)
        self.secret = bytearray()


class Signature(Driver):
    """Signs messages, and verifies what others signed.

    Sizes are in bytes and fixed. There is no context argument: a message of the protocol begins
    with its label. `deterministic` says that the same pair and message always give the same
    signature; else no two are the same.
    """

    public_size: ClassVar[int]
    secret_size: ClassVar[int]
    signature_size: ClassVar[int]
    deterministic: ClassVar[bool]

    @classmethod
    @abstractmethod
    def generate(cls) -> SigningPair:
        """Make a fresh pair from the operating system's randomness."""

    @classmethod
    @abstractmethod
    def restore(cls, secret: ReadBuffer) -> SigningPair:
        """The pair whose secret key is `secret`, which is copied; the public key is computed from
        it.

        A secret of another length than `secret_size`, or one whose parts do not belong together, is
        a `CryptoError`.
        """

    @classmethod
    @abstractmethod
    def sign(cls, pair: SigningPair, message: ReadBuffer) -> bytes:
        """Return the signature of `message`, `signature_size` bytes. A pair that was wiped, or is
        of another driver, is a `CryptoError`."""

    @classmethod
    @abstractmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        """Return if `signature` is one of `message` by the holder of `public`.

        Anything else is a `BadSignature`: another message, key or signature, one of a wrong length,
        a key that the standard refuses.
        """
