"""The hybrid of X25519 (RFC 7748) and ML-KEM-1024 (FIPS 203): the secret stands as long as one of
the two does.

Seeds, public keys and ciphertexts are joined in the order of the name; secret = SHA3-256 over lv of
"tallow/1 kem x25519-ml-kem-1024", the X25519 result, the ML-KEM secret, the ephemeral X25519 key,
the ML-KEM ciphertext, the X25519 public key, the ML-KEM public key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from tallow_core.errors import CryptoError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.kem import Kem, KemPair
from tallow_core.types import ReadBuffer
from tallow_plugins.kems import x25519
from tallow_plugins.kems._combine import combine
from tallow_plugins.kems.ml_kem_1024 import MlKem1024, require_support
from tallow_plugins.kems.x25519 import X25519

_CUT = x25519.KEY_SIZE


class X25519MlKem1024(Kem):
    """X25519 and ML-KEM-1024, both in one secret."""

    name: ClassVar[str] = "x25519-ml-kem-1024"
    labels: ClassVar[frozenset[str]] = frozenset({"post-quantum", "hybrid"})
    preference: ClassVar[int] = 10
    public_size: ClassVar[int] = X25519.public_size + MlKem1024.public_size
    ciphertext_size: ClassVar[int] = X25519.ciphertext_size + MlKem1024.ciphertext_size
    shared_size: ClassVar[int] = 32
    seed_size: ClassVar[int] = X25519.seed_size + MlKem1024.seed_size
    implicit_rejection: ClassVar[bool] = True

    @classmethod
    def generate(cls) -> KemPair:
        """See `Kem.generate`."""
        return _join(X25519.generate(), MlKem1024.generate())

    @classmethod
    def from_seed(cls, seed: ReadBuffer) -> KemPair:
        """See `Kem.from_seed`. The seed is the X25519 private key, then d || z of ML-KEM."""
        classical, lattice = _split(seed)
        return _join(X25519.from_seed(classical), MlKem1024.from_seed(lattice))

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        """See `Kem.encapsulate`."""
        pk_x, pk_m = _split(public)
        ct_x, ss_x = x25519.send(pk_x)
        ct_m, ss_m = MlKem1024.encapsulate(pk_m)
        return ct_x + ct_m, combine(cls.name, ss_x, ss_m, ct_x, ct_m, pk_x, pk_m)

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        """See `Kem.decapsulate`."""
        ct_x, ct_m = _split(ciphertext)
        if not isinstance(pair.private, tuple):
            raise CryptoError(
                "this key pair of x25519-ml-kem-1024 was wiped or belongs to another driver; make"
                " a fresh one"
            )
        classical, lattice = pair.private
        ss_x = x25519.receive(classical, ct_x)
        ss_m = MlKem1024.decapsulate(lattice, ct_m)
        return combine(cls.name, ss_x, ss_m, ct_x, ct_m, classical.public, lattice.public)


def _join(classical: KemPair, lattice: KemPair) -> KemPair:
    return KemPair(classical.public + lattice.public, (classical, lattice))


def _split(joined: ReadBuffer) -> tuple[bytes, bytes]:
    # A wrong length leaves one part with a wrong length, which that part's driver refuses.
    return bytes(joined[:_CUT]), bytes(joined[_CUT:])


@hookimpl
def tallow_offer_kem() -> Iterable[type[Kem]]:
    """Offer the hybrid, where the library has ML-KEM."""
    require_support()
    return [X25519MlKem1024]
