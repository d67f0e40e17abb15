"""The first-party KEMs: the kit, the formulas recomputed from published parts, and another
implementation of ML-KEM."""

from __future__ import annotations

import hashlib
from typing import Any

import nacl.bindings
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from kyber_py.ml_kem import ML_KEM_1024  # type: ignore[import-untyped]
from pqcrypto.kem import ml_kem_1024 as other_ml_kem  # type: ignore[import-untyped]

from tallow_core.errors import CryptoError, PluginError
from tallow_core.spi.kem import Kem
from tallow_core.testing.checks import kem_checks as checks
from tallow_core.testing.vectors import assembled, published
from tallow_plugins.kems import ml_kem_1024, x25519, x25519_ml_kem_1024
from tallow_plugins.kems.ml_kem_1024 import MlKem1024
from tallow_plugins.kems.x25519 import X25519
from tallow_plugins.kems.x25519_ml_kem_1024 import X25519MlKem1024
from tests.kit.katfile import known_answers

DRIVERS: tuple[type[Kem], ...] = (X25519MlKem1024, MlKem1024, X25519)


def sha3_of(*parts: bytes) -> bytes:
    return hashlib.sha3_256(
        b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    ).digest()


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


@pytest.mark.parametrize(
    "vector", published("kem", X25519.name)["exchanges"], ids=lambda vector: str(vector["source"])
)
def test_the_secret_of_x25519_is_derived_from_the_published_result(vector: dict[str, str]) -> None:
    seed, ciphertext = bytes.fromhex(vector["seed"]), bytes.fromhex(vector["ciphertext"])
    public = nacl.bindings.crypto_scalarmult_base(seed)
    assert public == X25519.from_seed(seed).public
    assert nacl.bindings.crypto_scalarmult(seed, ciphertext).hex() == vector["dh"]
    expected = sha3_of(
        b"tallow/1 kem x25519",
        bytes.fromhex(vector["dh"]),
        bytes.fromhex(vector["ciphertext"]),
        public,
    )
    assert bytes.fromhex(vector["shared"]) == expected


def test_the_hybrid_secret_is_the_formula_over_published_parts() -> None:
    """The specification, written out again: X25519 of RFC 7748 section 6.1 and the first known
    answer of ML-KEM-1024."""
    classical, lattice = exchange(X25519, 2), exchange(MlKem1024, 0)
    pair = X25519MlKem1024.from_seed(bytes.fromhex(classical["seed"] + lattice["seed"]))
    assert pair.public[:32].hex() == classical["public"]
    assert hashlib.sha256(pair.public[32:]).hexdigest() == lattice["public_sha256"]
    ct_x, ct_m = bytes.fromhex(classical["ciphertext"]), bytes.fromhex(lattice["ciphertext"])
    secrets = bytes.fromhex(classical["dh"]), bytes.fromhex(lattice["shared"])
    expected = sha3_of(
        b"tallow/1 kem x25519-ml-kem-1024", *secrets, ct_x, ct_m, pair.public[:32], pair.public[32:]
    )
    assert X25519MlKem1024.decapsulate(pair, ct_x + ct_m) == expected
    assert exchange(X25519MlKem1024, 0)["shared"] == expected.hex()


def test_rfc_7748_gives_both_ends_one_result() -> None:
    """Sections 5.2 and 6.1: Alice and Bob, and the published results that the kit's secrets are
    made of."""
    alice, bob = exchange(X25519, 2), exchange(X25519, 3)
    assert (alice["ciphertext"], bob["ciphertext"], alice["dh"]) == (
        bob["public"],
        alice["public"],
        bob["dh"],
    )


def test_every_encoding_of_low_order_is_among_the_vectors() -> None:
    """The seven coordinates below 2^255 whose multiples are of low order, each with and without the
    ignored top bit."""
    vectors = published("kem", X25519.name)
    points = {bytes.fromhex(overlay["hex"]) for overlay in vectors["refused_publics"]}
    assert (
        vectors["refused_ciphertexts"]
        == vectors["refused_publics"]
        == published("kem", X25519MlKem1024.name)["refused_ciphertexts"]
    )
    assert len(points) == 14
    assert {point[:31] + bytes([point[31] ^ 0x80]) for point in points} == points
    for point in points:
        with pytest.raises(nacl.exceptions.RuntimeError):
            nacl.bindings.crypto_scalarmult(bytes(range(32)), point)


def test_known_answers_of_ml_kem() -> None:
    answers = known_answers("asymmetric/MLKEM/kat_MLKEM_1024.rsp")
    assert len(answers) >= 100
    for answer in answers:
        pair = MlKem1024.from_seed(bytes.fromhex(answer["d"] + answer["z"]))
        assert pair.public.hex() == answer["pk"]
        assert MlKem1024.decapsulate(pair, bytes.fromhex(answer["ct"])).hex() == answer["ss"]
        assert MlKem1024.decapsulate(pair, bytes.fromhex(answer["ct_n"])).hex() == answer["ss_n"]


def test_a_rust_implementation_of_ml_kem_agrees() -> None:
    public, secret = other_ml_kem.keygen()
    ciphertext, shared = MlKem1024.encapsulate(public)
    assert other_ml_kem.decaps(secret, ciphertext) == shared
    pair = MlKem1024.generate()
    ciphertext, shared = other_ml_kem.encaps(pair.public)
    assert MlKem1024.decapsulate(pair, ciphertext) == shared


def test_a_python_implementation_of_ml_kem_agrees() -> None:
    """The same seed, both directions, and the secret of a changed ciphertext; with the third
    implementation too."""
    seed = bytes(range(64))
    pair = MlKem1024.from_seed(seed)
    public, secret = ML_KEM_1024.key_derive(seed)
    assert public == pair.public
    ciphertext, shared = MlKem1024.encapsulate(public)
    assert ML_KEM_1024.decaps(secret, ciphertext) == shared
    shared, ciphertext = ML_KEM_1024.encaps(pair.public)
    assert (
        MlKem1024.decapsulate(pair, ciphertext) == shared == other_ml_kem.decaps(secret, ciphertext)
    )
    changed = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
    assert (
        MlKem1024.decapsulate(pair, changed)
        == ML_KEM_1024.decaps(secret, changed)
        == other_ml_kem.decaps(secret, changed)
        != shared
    )


@pytest.mark.parametrize("section", ["accepted_publics", "refused_publics"])
def test_a_python_implementation_judges_ml_kem_keys_alike(section: str) -> None:
    for overlay in published("kem", MlKem1024.name)[section]:
        patch, offset = bytes.fromhex(overlay["hex"]), overlay["offset"]
        public = bytearray(MlKem1024.generate().public)
        public[offset : offset + len(patch)] = patch
        if section == "accepted_publics":
            assert len(ML_KEM_1024.encaps(bytes(public))[1]) == 1568
        else:
            with pytest.raises(ValueError, match="Modulus check"):
                ML_KEM_1024.encaps(bytes(public))


def test_the_vectors_of_implicit_rejection_are_those_of_one_changed_byte() -> None:
    vectors = published("kem", MlKem1024.name)
    changed = [entry for entry in vectors["exchanges"] if "modified at byte" in entry["source"]]
    whole = bytes.fromhex(vectors["named"]["modified"])
    assert len(changed) == 9
    for entry in changed:
        ciphertext = assembled(vectors, entry["ciphertext"])
        assert sum(left != right for left, right in zip(ciphertext, whole, strict=True)) == 1
        pair = MlKem1024.from_seed(bytes.fromhex(entry["seed"]))
        assert MlKem1024.decapsulate(pair, whole).hex() != entry["shared"]


@pytest.mark.parametrize("lane", range(4))
def test_every_coefficient_of_an_ml_kem_key_is_checked(lane: int) -> None:
    """FIPS 203 section 7.2: 3328 is the greatest that is accepted, anywhere among the 1,024
    coefficients."""
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


@pytest.mark.parametrize(
    ("driver", "foreign"), [(X25519, MlKem1024), (MlKem1024, X25519), (X25519MlKem1024, MlKem1024)]
)
def test_a_pair_of_another_driver_is_refused(driver: type[Kem], foreign: type[Kem]) -> None:
    ciphertext, _ = driver.encapsulate(driver.generate().public)
    with pytest.raises(CryptoError, match="belongs to another driver"):
        driver.decapsulate(foreign.generate(), ciphertext)


class WithoutMlKem:
    @staticmethod
    def from_seed_bytes(_seed: bytes) -> None:
        raise UnsupportedAlgorithm("ML-KEM-1024 is not supported by this backend.")


@pytest.mark.parametrize(
    "module", [ml_kem_1024, x25519_ml_kem_1024], ids=lambda module: str(module.__name__)
)
def test_a_library_without_ml_kem_is_named_before_any_use(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ml_kem_1024, "MLKEM1024PrivateKey", WithoutMlKem)
    with pytest.raises(PluginError, match="pip install"):
        module.tallow_offer_kem()
