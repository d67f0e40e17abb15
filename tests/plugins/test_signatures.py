"""The first-party signatures: the kit, the formula of the hybrid written out again, and other
implementations of each part."""

from __future__ import annotations

import hashlib
from typing import Any

import nacl.bindings
import nacl.exceptions
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography_vectors import open_vector_file
from dilithium_py.ml_dsa import ML_DSA_87  # type: ignore[import-untyped]
from pqcrypto.sign import ml_dsa_87 as other_ml_dsa  # type: ignore[import-untyped]
from pqcrypto.sign import slh_dsa_sha2_256f as slh_dsa
from slhdsa import KeyPair, PublicKey, SecretKey
from slhdsa.lowlevel.parameters import sha2_256f

from tallow_core.errors import BadSignature, CryptoError, PluginError
from tallow_core.spi.signature import Signature, SigningPair
from tallow_core.testing.checks import signature_checks as checks
from tallow_core.testing.vectors import assembled, published
from tallow_plugins.signatures import ed25519, ed25519_ml_dsa_87, ml_dsa_87, slh_dsa_sha2_256f
from tallow_plugins.signatures.ed25519 import Ed25519
from tallow_plugins.signatures.ed25519_ml_dsa_87 import Ed25519MlDsa87
from tallow_plugins.signatures.ml_dsa_87 import MlDsa87
from tallow_plugins.signatures.slh_dsa_sha2_256f import SlhDsaSha2256f
from tests.kit.katfile import known_answers

DRIVERS: tuple[type[Signature], ...] = (Ed25519MlDsa87, MlDsa87, SlhDsaSha2256f, Ed25519)
MESSAGE = b"tallow/1 a test, and what it says"
LABEL = b"tallow/1 signature ed25519-ml-dsa-87"


def verifies(driver: type[Signature], public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        driver.verify(public, message, signature)
    except BadSignature:
        return False
    return True


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_conformance(driver: type[Signature], check: checks.Check) -> None:
    check(driver)


def test_each_module_offers_its_driver() -> None:
    assert list(ed25519.tallow_offer_signature()) == [Ed25519]
    assert list(ml_dsa_87.tallow_offer_signature()) == [MlDsa87]
    assert list(ed25519_ml_dsa_87.tallow_offer_signature()) == [Ed25519MlDsa87]
    assert list(slh_dsa_sha2_256f.tallow_offer_signature()) == [SlhDsaSha2256f]


def test_the_hybrid_comes_first_and_ed25519_claims_nothing() -> None:
    assert tuple(sorted(DRIVERS, key=lambda driver: driver.preference)) == DRIVERS
    assert Ed25519MlDsa87.labels == {"post-quantum", "hybrid"}
    assert MlDsa87.labels == SlhDsaSha2256f.labels == {"post-quantum"}
    assert Ed25519.labels == frozenset()


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_the_kit_has_vectors_of_every_sort(driver: type[Signature]) -> None:
    vectors = published("signature", driver.name)
    assert vectors["source"]
    assert vectors["keys"]
    assert vectors["signatures"]
    assert len(vectors["forgeries"]) >= 10
    for entry in vectors["signatures"]:
        assert len(assembled(vectors, entry["signature"])) == driver.signature_size


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
@pytest.mark.parametrize("foreign", DRIVERS, ids=lambda driver: driver.name)
def test_a_pair_of_another_driver_is_refused(
    driver: type[Signature], foreign: type[Signature]
) -> None:
    if driver is not foreign:
        with pytest.raises(CryptoError, match="belongs to another driver"):
            driver.sign(foreign.generate(), MESSAGE)


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_a_pair_does_not_print_its_secret(driver: type[Signature]) -> None:
    pair = driver.generate()
    assert "secret" not in repr(pair)
    assert pair.secret.hex()[:16] not in repr(pair)


def test_known_answers_of_ed25519() -> None:
    """Every line of sign.input of the Ed25519 authors: messages of 0 to 1,023 bytes."""
    with open_vector_file("asymmetric/Ed25519/sign.input", "r") as file:
        lines = file.read().splitlines()
    assert len(lines) == 1024
    for line in lines:
        secret, public, message, signed = (bytes.fromhex(field) for field in line.split(":")[:4])
        pair = Ed25519.restore(secret[:32])
        assert pair.public == public
        assert Ed25519.sign(pair, message) == signed[:64]
        Ed25519.verify(public, message, signed[:64])


def test_known_answers_of_ml_dsa_keys() -> None:
    answers = known_answers("asymmetric/MLDSA/kat_MLDSA_87_det_pure.rsp")
    assert len(answers) >= 100
    for answer in answers:
        assert MlDsa87.restore(bytes.fromhex(answer["xi"])).public.hex() == answer["pk"]


def test_libsodium_agrees_on_ed25519() -> None:
    public, secret = nacl.bindings.crypto_sign_keypair()
    assert Ed25519.restore(secret[:32]).public == public
    Ed25519.verify(public, MESSAGE, nacl.bindings.crypto_sign(MESSAGE, secret)[:64])
    pair = Ed25519.generate()
    assert (
        nacl.bindings.crypto_sign_open(Ed25519.sign(pair, MESSAGE) + MESSAGE, pair.public)
        == MESSAGE
    )


def test_the_keys_of_small_order_are_those_that_libsodium_refuses() -> None:
    """The library underneath takes them all, and under each of them signatures that anybody can
    make."""
    forged = [
        entry
        for entry in published("signature", Ed25519.name)["forgeries"]
        if entry["source"].startswith("computed")
    ]
    assert len({entry["public"] for entry in forged}) == 14
    for entry in forged:
        public, message, signature = (
            bytes.fromhex(entry[field]) for field in ("public", "message", "signature")
        )
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        assert not nacl.bindings.crypto_core_ed25519_is_valid_point(public)
        with pytest.raises(nacl.exceptions.BadSignatureError):
            nacl.bindings.crypto_sign_open(signature + message, public)
        assert not verifies(Ed25519, public, message, signature)


def test_two_other_implementations_agree_on_ml_dsa() -> None:
    """pqcrypto (Rust) and dilithium-py (Python) verify ours, and we verify theirs."""
    pair = MlDsa87.generate()
    signature = MlDsa87.sign(pair, MESSAGE)
    other_ml_dsa.verify(pair.public, MESSAGE, signature)
    assert ML_DSA_87.verify(pair.public, MESSAGE, signature)
    public, secret = other_ml_dsa.keygen()
    MlDsa87.verify(public, MESSAGE, other_ml_dsa.sign(secret, MESSAGE))
    public, secret = ML_DSA_87.key_derive(bytes(pair.secret))
    assert public == pair.public
    for deterministic in (False, True):
        MlDsa87.verify(
            public, MESSAGE, ML_DSA_87.sign(secret, MESSAGE, deterministic=deterministic)
        )
    other_ml_dsa.verify(public, MESSAGE, other_ml_dsa.sign(secret, MESSAGE))


def test_a_signature_with_a_context_is_another_one() -> None:
    public, secret = other_ml_dsa.keygen()
    assert not verifies(MlDsa87, public, MESSAGE, other_ml_dsa.sign(secret, MESSAGE, b"context"))
    public, secret = slh_dsa.keygen()
    assert not verifies(SlhDsaSha2256f, public, MESSAGE, slh_dsa.sign(secret, MESSAGE, b"context"))


def test_another_implementation_agrees_on_slh_dsa() -> None:
    """slh-dsa (Python) verifies ours, and we verify and restore its."""
    pair = SlhDsaSha2256f.generate()
    assert PublicKey.from_digest(pair.public, sha2_256f).verify_pure(
        MESSAGE, SlhDsaSha2256f.sign(pair, MESSAGE)
    )
    other = KeyPair.gen(sha2_256f)
    restored = SlhDsaSha2256f.restore(other.sec.digest())
    assert restored.public == other.pub.digest()
    SlhDsaSha2256f.verify(restored.public, MESSAGE, other.sign_pure(MESSAGE))


def test_another_implementation_agrees_on_the_vectors_of_slh_dsa() -> None:
    """Also on those that were derived from the published ones."""
    vectors = published("signature", SlhDsaSha2256f.name)
    for key in vectors["keys"]:
        assert (
            SecretKey.from_digest(bytes.fromhex(key["secret"]), sha2_256f).pubkey.digest().hex()
            == key["public"]
        )
    for section, expected in (("signatures", True), ("forgeries", False)):
        for entry in vectors[section]:
            public, message, signature = (
                assembled(vectors, entry[field]) for field in ("public", "message", "signature")
            )
            if len(signature) == SlhDsaSha2256f.signature_size:
                assert (
                    PublicKey.from_digest(public, sha2_256f).verify_pure(message, signature)
                    is expected
                ), entry["source"]


def framed(public: bytes, message: bytes) -> bytes:
    parts = (LABEL, public[:32], public[32:])
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts) + message


def test_the_hybrid_is_the_formula_over_two_other_libraries() -> None:
    """The specification, written out again: libsodium and dilithium-py verify the halves of ours,
    and we verify the halves of theirs."""
    pair = Ed25519MlDsa87.generate()
    signature = Ed25519MlDsa87.sign(pair, MESSAGE)
    signed = framed(pair.public, MESSAGE)
    assert nacl.bindings.crypto_sign_open(signature[:64] + signed, pair.public[:32]) == signed
    assert ML_DSA_87.verify(pair.public[32:], signed, signature[64:])
    _, classical = nacl.bindings.crypto_sign_seed_keypair(bytes(pair.secret[:32]))
    public, lattice = ML_DSA_87.key_derive(bytes(pair.secret[32:]))
    assert public == pair.public[32:]
    theirs = nacl.bindings.crypto_sign(signed, classical)[:64] + ML_DSA_87.sign(lattice, signed)
    Ed25519MlDsa87.verify(pair.public, MESSAGE, theirs)


def test_neither_half_of_a_hybrid_signature_stands_alone() -> None:
    pair = Ed25519MlDsa87.generate()
    signature = Ed25519MlDsa87.sign(pair, MESSAGE)
    assert not verifies(Ed25519, pair.public[:32], MESSAGE, signature[:64])
    assert not verifies(MlDsa87, pair.public[32:], MESSAGE, signature[64:])
    classical, lattice = Ed25519.restore(pair.secret[:32]), MlDsa87.restore(pair.secret[32:])
    assert not verifies(
        Ed25519MlDsa87,
        pair.public,
        MESSAGE,
        Ed25519.sign(classical, MESSAGE) + MlDsa87.sign(lattice, MESSAGE),
    )


def test_a_half_does_not_fit_beside_another_key() -> None:
    """Whoever replaces the ML-DSA half of somebody's key cannot keep the Ed25519 half of their
    signature."""
    pair, own = Ed25519MlDsa87.generate(), MlDsa87.generate()
    signature = Ed25519MlDsa87.sign(pair, MESSAGE)
    public = pair.public[:32] + own.public
    forged = signature[:64] + MlDsa87.sign(own, framed(public, MESSAGE))
    assert not verifies(Ed25519MlDsa87, public, MESSAGE, forged)
    MlDsa87.verify(own.public, framed(public, MESSAGE), forged[64:])


def test_a_pair_with_a_foreign_public_key_betrays_nothing() -> None:
    """Ed25519 with a public key that is not the secret's would give the secret away: the one in the
    pair is not used."""
    pair, other = Ed25519.generate(), Ed25519.generate()
    assert Ed25519.sign(SigningPair(other.public, bytearray(pair.secret)), MESSAGE) == Ed25519.sign(
        pair, MESSAGE
    )


class WithoutMlDsa:
    @staticmethod
    def from_seed_bytes(_seed: bytes) -> None:
        raise UnsupportedAlgorithm("ML-DSA-87 is not supported by this backend.")


@pytest.mark.parametrize(
    "module", [ml_dsa_87, ed25519_ml_dsa_87], ids=lambda module: str(module.__name__)
)
def test_a_library_without_ml_dsa_is_named_before_any_use(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ml_dsa_87, "MLDSA87PrivateKey", WithoutMlDsa)
    with pytest.raises(PluginError, match="pip install"):
        module.tallow_offer_signature()


def test_the_vectors_of_the_hybrid_are_of_the_sources_they_name() -> None:
    key = published("signature", Ed25519MlDsa87.name)["keys"][0]
    assert key["secret"][:64] == published("signature", Ed25519.name)["keys"][0]["secret"]
    assert key["secret"][64:] == published("signature", MlDsa87.name)["keys"][0]["secret"]
    public = Ed25519MlDsa87.restore(bytes.fromhex(key["secret"])).public
    assert hashlib.sha256(public).hexdigest() == key["public_sha256"]
