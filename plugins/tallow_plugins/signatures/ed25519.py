"""Ed25519: the Edwards-curve signature of RFC 8032 section 5.1, pure, without a context.

Public keys that section 5.1.3 does not decode are refused, and so are those of small order: under
one of them a signature that anybody can make verifies for many messages, so that it says nothing
about who signed what.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.signature import Signature, SigningPair
from tallow_core.types import ReadBuffer
from tallow_plugins.signatures._refusals import not_verified, require_pair, require_secret

_PRIME = 2**255 - 19
_ORDER_EIGHT = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset({0, 1, _PRIME - 1, _ORDER_EIGHT, _PRIME - _ORDER_EIGHT})
"""The y-coordinates of the eight points whose order divides the cofactor 8 (RFC 8032 section 5.1):
1, 2, 4 and 8."""


class Ed25519(Signature):
    """Ed25519 alone. Not post-quantum: a large quantum computer finds the secret key in the public
    one."""

    name: ClassVar[str] = "ed25519"
    preference: ClassVar[int] = 90
    public_size: ClassVar[int] = 32
    secret_size: ClassVar[int] = 32
    signature_size: ClassVar[int] = 64
    deterministic: ClassVar[bool] = True

    @classmethod
    def generate(cls) -> SigningPair:
        """See `Signature.generate`."""
        return cls.restore(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def restore(cls, secret: ReadBuffer) -> SigningPair:
        """See `Signature.restore`. The secret is the private key of RFC 8032 section 5.1.5."""
        require_secret(cls, secret)
        return SigningPair(
            Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw(),
            bytearray(secret),
        )

    @classmethod
    def sign(cls, pair: SigningPair, message: ReadBuffer) -> bytes:
        """See `Signature.sign`. The library computes the public key anew: one that does not belong
        to the secret would betray it."""
        require_pair(cls, pair)
        return Ed25519PrivateKey.from_private_bytes(pair.secret).sign(message)

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        """See `Signature.verify`. A scalar that is not reduced is refused by the library (RFC 8032
        section 5.1.7)."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes(public))
            if _is_refused(public):
                raise not_verified(cls)
            key.verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise not_verified(cls) from error


def _is_refused(public: ReadBuffer) -> bool:
    """Whether the point is of small order, or its y-coordinate not reduced; the library looks at
    neither."""
    y = int.from_bytes(public, "little") & ((1 << 255) - 1)
    return y >= _PRIME or y in _SMALL_ORDER


@hookimpl
def tallow_offer_signature() -> Iterable[type[Signature]]:
    """Offer Ed25519."""
    return [Ed25519]
