"""ML-DSA-87: FIPS 204, security category 5; pure, with the empty context (section 5.2), hedged by
fresh randomness (section 3.4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey, MLDSA87PublicKey

from tallow_core.errors import PluginError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.signature import Signature, SigningPair
from tallow_core.types import ReadBuffer
from tallow_plugins.signatures._refusals import not_verified, require_pair, require_secret


class MlDsa87(Signature):
    """ML-DSA-87 alone."""

    name: ClassVar[str] = "ml-dsa-87"
    labels: ClassVar[frozenset[str]] = frozenset({"post-quantum"})
    preference: ClassVar[int] = 20
    public_size: ClassVar[int] = 2592
    secret_size: ClassVar[int] = 32
    signature_size: ClassVar[int] = 4627
    deterministic: ClassVar[bool] = False

    @classmethod
    def generate(cls) -> SigningPair:
        """See `Signature.generate`."""
        return cls.restore(MLDSA87PrivateKey.generate().private_bytes_raw())

    @classmethod
    def restore(cls, secret: ReadBuffer) -> SigningPair:
        """See `Signature.restore`. The secret is the seed of FIPS 204 algorithm 1."""
        require_secret(cls, secret)
        return SigningPair(
            MLDSA87PrivateKey.from_seed_bytes(secret).public_key().public_bytes_raw(),
            bytearray(secret),
        )

    @classmethod
    def sign(cls, pair: SigningPair, message: ReadBuffer) -> bytes:
        """See `Signature.sign`."""
        require_pair(cls, pair)
        return MLDSA87PrivateKey.from_seed_bytes(pair.secret).sign(message)

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        """See `Signature.verify`."""
        try:
            MLDSA87PublicKey.from_public_bytes(bytes(public)).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise not_verified(cls) from error


def require_support() -> None:
    """Raise `PluginError` if the installed `cryptography` was built without ML-DSA."""
    try:
        MLDSA87PrivateKey.from_seed_bytes(bytes(MlDsa87.secret_size))
    except UnsupportedAlgorithm as error:
        raise PluginError(
            "the installed cryptography library was built without ML-DSA; install its wheel with"
            " `pip install --upgrade cryptography`"
        ) from error


@hookimpl
def tallow_offer_signature() -> Iterable[type[Signature]]:
    """Offer ML-DSA-87, where the library has it."""
    require_support()
    return [MlDsa87]
