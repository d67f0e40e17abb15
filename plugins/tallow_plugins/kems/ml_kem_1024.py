"""ML-KEM-1024: FIPS 203, security category 5. The secret is the one that the standard gives,
without a further derivation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey, MLKEM1024PublicKey

from tallow_core.errors import CryptoError, PluginError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.kem import Kem, KemPair
from tallow_core.types import ReadBuffer


class MlKem1024(Kem):
    """ML-KEM-1024 alone.

    A changed ciphertext gives another secret (implicit rejection, FIPS 203 section 6.3). A public
    key of the wrong length or with a coefficient that is not reduced modulo 3329 is refused
    (section 7.2), a ciphertext of the wrong length too (section 7.3).
    """

    name: ClassVar[str] = "ml-kem-1024"
    labels: ClassVar[frozenset[str]] = frozenset({"post-quantum"})
    preference: ClassVar[int] = 20
    public_size: ClassVar[int] = 1568
    ciphertext_size: ClassVar[int] = 1568
    shared_size: ClassVar[int] = 32
    seed_size: ClassVar[int] = 64
    implicit_rejection: ClassVar[bool] = True

    @classmethod
    def generate(cls) -> KemPair:
        """See `Kem.generate`."""
        return _pair_of(MLKEM1024PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: ReadBuffer) -> KemPair:
        """See `Kem.from_seed`. The seed is d || z of FIPS 203 algorithm 16."""
        if len(seed) != cls.seed_size:
            raise CryptoError(f"a seed of ml-kem-1024 has {cls.seed_size} bytes, not {len(seed)}")
        return _pair_of(MLKEM1024PrivateKey.from_seed_bytes(bytes(seed)))

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        """See `Kem.encapsulate`."""
        try:
            shared, ciphertext = MLKEM1024PublicKey.from_public_bytes(bytes(public)).encapsulate()
        except ValueError as error:
            raise CryptoError(
                "the other side sent an ML-KEM-1024 key that FIPS 203 refuses; end the connection"
                " and begin again"
            ) from error
        return ciphertext, bytearray(shared)

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        """See `Kem.decapsulate`."""
        if not isinstance(pair.private, MLKEM1024PrivateKey):
            raise CryptoError(
                "this key pair of ml-kem-1024 was wiped or belongs to another driver; make a fresh"
                " one"
            )
        try:
            return bytearray(pair.private.decapsulate(bytes(ciphertext)))
        except ValueError as error:
            raise CryptoError(
                "the other side sent an ML-KEM-1024 ciphertext that FIPS 203 refuses; end the"
                " connection and begin again"
            ) from error


def _pair_of(private: MLKEM1024PrivateKey) -> KemPair:
    return KemPair(private.public_key().public_bytes_raw(), private)


def require_support() -> None:
    """Raise `PluginError` if the installed `cryptography` was built without ML-KEM."""
    try:
        MLKEM1024PrivateKey.from_seed_bytes(bytes(MlKem1024.seed_size))
    except UnsupportedAlgorithm as error:
        raise PluginError(
            "the installed cryptography library was built without ML-KEM; install its wheel with"
            " `pip install --upgrade cryptography`"
        ) from error


@hookimpl
def tallow_offer_kem() -> Iterable[type[Kem]]:
    """Offer ML-KEM-1024, where the library has it."""
    require_support()
    return [MlKem1024]
