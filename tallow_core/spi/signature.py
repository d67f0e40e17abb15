"""The contract of a digital signature scheme."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from tallow_core.secrets import wipe
from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer

MAX_VERIFYING_KEY_BYTES = 8 * 1024
MAX_SIGNATURE_BYTES = 50 * 1024
"""Bytes of a public key and of a signature. Together they fit one record of the control lane, which
has at most 65,536."""

MAX_SIGNING_SECRET_BYTES = 64 * 1024
"""Bytes of a secret key, which a vault stores as one entry."""


@dataclass(slots=True)
class SigningPair:
    """A key pair: the encoded public key, and the encoded secret key, which a vault stores (empty
    once wiped)."""

    public: bytes
    secret: bytearray = field(repr=False)

    def wipe(self) -> None:
        """Overwrite the secret key and drop it. Signing after that is a `CryptoError`."""
        wipe(self.secret)
        self.secret = bytearray()


class Signature(Driver):
    """Signs messages and verifies signatures.

    Sizes are in bytes and fixed: `public_size` is 32 to 8,192, `signature_size` 32 to 51,200,
    `secret_size` 32 to 65,536. A driver beyond these bounds is refused when it is loaded. There is
    no context argument: a message of the protocol begins with its label. `deterministic`: the same
    pair and message always give the same signature; otherwise no two signatures are equal.
    """

    size_bounds = MappingProxyType(
        {
            "public_size": (32, MAX_VERIFYING_KEY_BYTES),
            "secret_size": (32, MAX_SIGNING_SECRET_BYTES),
            "signature_size": (32, MAX_SIGNATURE_BYTES),
        }
    )
    public_size: ClassVar[int]
    secret_size: ClassVar[int]
    signature_size: ClassVar[int]
    deterministic: ClassVar[bool]

    @classmethod
    @abstractmethod
    def generate(cls) -> SigningPair:
        """Make a fresh pair from the operating system's randomness. Raises nothing."""

    @classmethod
    @abstractmethod
    def restore(cls, secret: ReadBuffer) -> SigningPair:
        """The pair with the secret key `secret`, which is copied. The public key is computed from
        it.

        Raises `CryptoError` for a secret of another length than `secret_size`, or one whose parts
        do not belong together.
        """

    @classmethod
    @abstractmethod
    def sign(cls, pair: SigningPair, message: ReadBuffer) -> bytes:
        """Return the signature of `message`, `signature_size` bytes.

        Raises `CryptoError` for a wiped pair and for a pair of another driver.
        """

    @classmethod
    @abstractmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        """Return if `signature` is one of `message` by the holder of `public`.

        Raises `BadSignature` for anything else: another message, key or signature, a wrong length,
        a key that the standard refuses.
        """
