"""The refusals that the signature drivers share: foreign secrets and pairs, and signatures that do
not verify."""

from __future__ import annotations

from tallow_core.errors import BadSignature, CryptoError
from tallow_core.spi.signature import Signature, SigningPair
from tallow_core.types import ReadBuffer


def require_secret(driver: type[Signature], secret: ReadBuffer) -> None:
    """Raise `CryptoError` unless `secret` has the size of the driver's secret keys."""
    if len(secret) != driver.secret_size:
        raise CryptoError(
            f"a secret key of {driver.name} has {driver.secret_size} bytes, not {len(secret)}"
        )


def require_pair(driver: type[Signature], pair: SigningPair) -> None:
    """Raise `CryptoError` if `pair` was wiped, or has not the sizes of the driver's pairs."""
    if (len(pair.public), len(pair.secret)) != (driver.public_size, driver.secret_size):
        raise CryptoError(
            f"this key pair of {driver.name} was wiped or belongs to another driver; load it again"
        )


def not_verified(driver: type[Signature]) -> BadSignature:
    """The error for everything that does not verify; it says no more, since a forger would learn
    from it."""
    return BadSignature(
        f"a signature of {driver.name} does not verify: do not trust what it stands under, and ask"
        " for it again"
    )
