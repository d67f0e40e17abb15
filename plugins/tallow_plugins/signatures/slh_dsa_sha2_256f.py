"""SLH-DSA-SHA2-256f: FIPS 205, security category 5; pure, with the empty context, hedged by fresh
randomness (section 10.2).

It rests on SHA-2 alone, not on lattices; its signatures are large and slow to make. The library
makes keys from fresh randomness only, so the secret key is the whole encoding of section 9.1:
SK.seed || SK.prf || PK.seed || PK.root, the public key being its second half.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from pqcrypto.sign import slh_dsa_sha2_256f as library  # type: ignore[import-untyped]

from tallow_core.errors import BadSignature, CryptoError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.signature import Signature, SigningPair
from tallow_core.types import ReadBuffer
from tallow_plugins.signatures._refusals import not_verified, require_pair, require_secret


class SlhDsaSha2256f(Signature):
    """SLH-DSA with SHA-2, 256 bits, the fast parameters."""

    name: ClassVar[str] = "slh-dsa-sha2-256f"
    labels: ClassVar[frozenset[str]] = frozenset({"post-quantum"})
    preference: ClassVar[int] = 60
    public_size: ClassVar[int] = 64
    secret_size: ClassVar[int] = 128
    signature_size: ClassVar[int] = 49_856
    deterministic: ClassVar[bool] = False

    @classmethod
    def generate(cls) -> SigningPair:
        """See `Signature.generate`."""
        public, secret = library.keygen()
        return SigningPair(public, bytearray(secret))

    @classmethod
    def restore(cls, secret: ReadBuffer) -> SigningPair:
        """See `Signature.restore`. The library cannot compute PK.root again: that it belongs to the
        seeds is seen by signing with them."""
        require_secret(cls, secret)
        pair = SigningPair(bytes(secret[cls.secret_size - cls.public_size :]), bytearray(secret))
        try:
            cls.verify(
                pair.public, cls.name.encode("ascii"), cls.sign(pair, cls.name.encode("ascii"))
            )
        except BadSignature as error:
            raise CryptoError(
                "the parts of this slh-dsa-sha2-256f secret key do not belong together; take it"
                " from a backup"
            ) from error
        return pair

    @classmethod
    def sign(cls, pair: SigningPair, message: ReadBuffer) -> bytes:
        """See `Signature.sign`."""
        require_pair(cls, pair)
        signature: bytes = library.sign(bytes(pair.secret), bytes(message))
        return signature

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        """See `Signature.verify`."""
        try:
            library.verify(bytes(public), bytes(message), bytes(signature))
        except ValueError as error:
            raise not_verified(cls) from error


@hookimpl
def tallow_offer_signature() -> Iterable[type[Signature]]:
    """Offer SLH-DSA."""
    return [SlhDsaSha2256f]
