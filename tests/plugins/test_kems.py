"""The first-party KEMs: the kit, the formulas recomputed from published parts, and another implementation of ML-KEM."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from tallow_core.errors import CryptoError, PluginError
from tallow_core.spi.kem import Kem
from tallow_core.testing.checks import kem as checks
from tallow_core.testing.vectors import published
from tallow_plugins.kems import ml_kem_1024, x25519, x25519_ml_kem_1024
from tallow_plugins.kems.ml_kem_1024 import MlKem1024
from tallow_plugins.kems.x25519 import X25519
from tallow_plugins.kems.x25519_ml_kem_1024 import X25519MlKem1024

DRIVERS: tuple[type[Kem], ...] = (X25519MlKem1024, MlKem1024, X25519)


def sha3_of(*parts: bytes) -> bytes:
    return hashlib.sha3_256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def exchange(driver: type[Kem], index: int) -> dict[str, str]:
    found: dict[str, str] = published("kem", driver.name)["exchanges"][index]
    return found


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_conformance(driver: type[Kem], check: checks.Check) -> None:
    check(driver)


def test_each_module_offers_its_driver() -> None:
    assert list(x25519.tallow_offer_kem()) == [X25519]
    assert list(ml_kem_1024.tallow_offer_kem()) == [MlKem1024]
    assert list(x25519_ml_kem_1024.tallow_offer_kem()) == [X25519MlKem1024]


def test_the_hybrid_comes_first_and_x25519_claims_nothing() -> None:
    assert tuple(sorted(DRIVERS, key=lambda driver: driver.preference)) == DRIVERS
    assert X25519MlKem1024.labels == {"post-quantum", "hybrid"}
    assert MlKem1024.labels == {"post-quantum"}
    assert X25519.labels == frozenset()


@pytest.mark.parametrize("index", range(4))
def test_the_secret_of_x25519_is_derived_from_the_published_result(index: int) -> None:
    vector = exchange(X25519, index)
    public = X25519.from_seed(bytes.fromhex(vector["seed"])).public
    expected = sha3_of(b"tallow/1 kem x25519", bytes.fromhex(vector["dh"]), bytes.fromhex(vector["ciphertext"]), public)
    assert bytes.fromhex(vector["shared"]) == expected


def test_the_hybrid_secret_is_the_formula_over_published_parts() -> None:
    """The specification, written out again: X25519 of RFC 7748 section 6.1 and the first known answer of ML-KEM-1024."""
    classical, lattice = exchange(X25519, 2), exchange(MlKem1024, 0)
    pair = X25519MlKem1024.from_seed(bytes.fromhex(classical["seed"] + lattice["seed"]))
    assert pair.public[:32].hex() == classical["public"]
    assert hashlib.sha256(pair.public[32:]).hexdigest() == lattice["public_sha256"]
    ct_x, ct_m = bytes.fromhex(classical["ciphertext"]), bytes.fromhex(lattice["ciphertext"])
    secrets = bytes.fromhex(classical["dh"]), bytes.fromhex(lattice["shared"])
    expected = sha3_of(b"tallow/1 kem x25519-ml-kem-1024", *secrets, ct_x, ct_m, pair.public[:32], pair.public[32:])
    assert X25519MlKem1024.decapsulate(pair, ct_x + ct_m) == expected
    assert exchange(X25519MlKem1024, 0)["shared"] == expected.hex()


def test_another_implementation_of_ml_kem_agrees() -> None:
    other: Any = pytest.importorskip("pqcrypto.kem.ml_kem_1024")
    public, secret = other.keygen()
    ciphertext, shared = MlKem1024.encapsulate(public)
    assert other.decaps(secret, ciphertext) == shared
    pair = MlKem1024.generate()
    ciphertext, shared = other.encaps(pair.public)
    assert MlKem1024.decapsulate(pair, ciphertext) == shared


@pytest.mark.parametrize("lane", range(4))
def test_every_coefficient_of_an_ml_kem_key_is_checked(lane: int) -> None:
    """FIPS 203 section 7.2: 3328 is the greatest that is accepted, anywhere among the 1,024 coefficients."""
    public = MlKem1024.generate().public
    for coefficient in range(256 * lane, 256 * lane + 256):
        MlKem1024.encapsulate(with_coefficient(public, coefficient, 3328))
        with pytest.raises(CryptoError):
            MlKem1024.encapsulate(with_coefficient(public, coefficient, 3329))


def with_coefficient(public: bytes, index: int, value: int) -> bytes:
    """`public` with the 12-bit coefficient number `index` (FIPS 203 algorithm 5) set to `value`."""
    shift = 12 * index
    number = int.from_bytes(public[:1536], "little") & ~(0xFFF << shift) | value << shift
    return number.to_bytes(1536, "little") + public[1536:]


@pytest.mark.parametrize(("driver", "foreign"), [(X25519, MlKem1024), (MlKem1024, X25519), (X25519MlKem1024, MlKem1024)])
def test_a_pair_of_another_driver_is_refused(driver: type[Kem], foreign: type[Kem]) -> None:
    ciphertext, _ = driver.encapsulate(driver.generate().public)
    with pytest.raises(CryptoError, match="belongs to another driver"):
        driver.decapsulate(foreign.generate(), ciphertext)


class WithoutMlKem:
    @staticmethod
    def from_seed_bytes(_seed: bytes) -> None:
        raise UnsupportedAlgorithm("ML-KEM-1024 is not supported by this backend.")


@pytest.mark.parametrize("module", [ml_kem_1024, x25519_ml_kem_1024], ids=lambda module: str(module.__name__))
def test_a_library_without_ml_kem_is_named_before_any_use(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ml_kem_1024, "MLKEM1024PrivateKey", WithoutMlKem)
    with pytest.raises(PluginError, match="pip install"):
        module.tallow_offer_kem()
