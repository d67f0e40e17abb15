"""The hybrid of Ed25519 (RFC 8032) and ML-DSA-87 (FIPS 204): a forger has to break both.

Keys and signatures are joined in the order of the name. Each part signs lv("tallow/1 signature
ed25519-ml-dsa-87") || lv(Ed25519 public key) || lv(ML-DSA public key) || message, so that neither
half is a signature of the message by that part alone, nor fits beside another key; lv(x) = length
in four bytes, big-endian, then x. docs/protocol/signatures.md has the format.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from tallow_core.errors import BadSignature
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.signature import Signature, SigningPair
from tallow_core.types import ReadBuffer
from tallow_plugins.signatures._refusals import not_verified, require_pair, require_secret
from tallow_plugins.signatures.ed25519 import Ed25519
from tallow_plugins.signatures.ml_dsa_87 import MlDsa87, require_support


class Ed25519MlDsa87(Signature):
    """Ed25519 and ML-DSA-87; both must verify."""

    name: ClassVar[str] = "ed25519-ml-dsa-87"
    labels: ClassVar[frozenset[str]] = frozenset({"post-quantum", "hybrid"})
    preference: ClassVar[int] = 10
    public_size: ClassVar[int] = Ed25519.public_size + MlDsa87.public_size
    secret_size: ClassVar[int] = Ed25519.secret_size + MlDsa87.secret_size
    signature_size: ClassVar[int] = Ed25519.signature_size + MlDsa87.signature_size
    deterministic: ClassVar[bool] = False

    @classmethod
    def generate(cls) -> SigningPair:
        """See `Signature.generate`."""
        return _join(Ed25519.generate(), MlDsa87.generate())

    @classmethod
    def restore(cls, secret: ReadBuffer) -> SigningPair:
        """See `Signature.restore`. The secret is the Ed25519 private key, then the ML-DSA seed."""
        require_secret(cls, secret)
        joined = memoryview(secret)
        return _join(
            Ed25519.restore(joined[: Ed25519.secret_size]),
            MlDsa87.restore(joined[Ed25519.secret_size :]),
        )

    @classmethod
    def sign(cls, pair: SigningPair, message: ReadBuffer) -> bytes:
        """See `Signature.sign`."""
        require_pair(cls, pair)
        classical = SigningPair(
            pair.public[: Ed25519.public_size], pair.secret[: Ed25519.secret_size]
        )
        lattice = SigningPair(
            pair.public[Ed25519.public_size :], pair.secret[Ed25519.secret_size :]
        )
        framed = _framed(classical.public, lattice.public, message)
        try:
            return Ed25519.sign(classical, framed) + MlDsa87.sign(lattice, framed)
        finally:
            classical.wipe()
            lattice.wipe()

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        """See `Signature.verify`. A wrong length leaves one half with a wrong length, which that
        part's driver refuses."""
        classical, lattice = public[: Ed25519.public_size], public[Ed25519.public_size :]
        framed = _framed(classical, lattice, message)
        try:
            Ed25519.verify(classical, framed, signature[: Ed25519.signature_size])
            MlDsa87.verify(lattice, framed, signature[Ed25519.signature_size :])
        except BadSignature as error:
            raise not_verified(cls) from error


def _join(classical: SigningPair, lattice: SigningPair) -> SigningPair:
    joined = SigningPair(classical.public + lattice.public, classical.secret + lattice.secret)
    classical.wipe()
    lattice.wipe()
    return joined


def _framed(classical: ReadBuffer, lattice: ReadBuffer, message: ReadBuffer) -> bytes:
    label = b"tallow/1 signature " + Ed25519MlDsa87.name.encode("ascii")
    return b"".join(
        (
            *(len(part).to_bytes(4, "big") + bytes(part) for part in (label, classical, lattice)),
            message,
        )
    )


@hookimpl
def tallow_offer_signature() -> Iterable[type[Signature]]:
    """Offer the hybrid, where the library has ML-DSA."""
    require_support()
    return [Ed25519MlDsa87]
