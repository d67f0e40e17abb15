"""The conformance kit refuses KEMs and signatures that are broken in the ways that matter."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PublicKey

from tallow_core.errors import BadSignature, CryptoError
from tallow_core.registry.kinds import KEM, SIGNATURE, Kind
from tallow_core.spi.kem import KemPair
from tallow_core.spi.signature import SigningPair
from tallow_core.testing import ConformanceError
from tallow_core.testing.suite import run_checks
from tallow_core.testing.vectors import assembled
from tallow_core.types import ReadBuffer
from tallow_plugins.kems.ml_kem_1024 import MlKem1024
from tallow_plugins.kems.x25519 import X25519
from tallow_plugins.kems.x25519_ml_kem_1024 import X25519MlKem1024
from tallow_plugins.signatures.ed25519 import Ed25519
from tallow_plugins.signatures.ed25519_ml_dsa_87 import Ed25519MlDsa87
from tallow_plugins.signatures.ml_dsa_87 import MlDsa87

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
"""L of RFC 8032 section 5.1."""


class AcceptsLowOrderKeys(X25519):
    """Encapsulates to a public key of low order: everybody knows the secret."""

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        try:
            return super().encapsulate(public)
        except CryptoError:
            if len(public) != 32:
                raise
            return super().encapsulate(cls.generate().public)


class AcceptsLowOrderHalves(X25519MlKem1024):
    """Relies on ML-KEM where the X25519 key is of low order."""

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        try:
            return super().encapsulate(public)
        except CryptoError:
            return super().encapsulate(X25519.generate().public + bytes(public[32:]))


class RefusesNonCanonicalKeys(X25519):
    """RFC 7748 section 5 takes coordinates that are not reduced."""

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        if int.from_bytes(ciphertext, "little") & (2**255 - 1) >= 2**255 - 19:
            raise CryptoError("not reduced")
        return super().decapsulate(pair, ciphertext)


class ReducesCoefficients(MlKem1024):
    """Takes every key of the right length, reducing what FIPS 203 section 7.2 tells to refuse."""

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        if len(public) == cls.public_size:
            number = int.from_bytes(public[:1536], "little")
            reduced = sum(
                (number >> 12 * index & 0xFFF) % 3329 << 12 * index for index in range(1024)
            )
            public = reduced.to_bytes(1536, "little") + bytes(public[1536:])
        return super().encapsulate(public)


class RefusesZeroKeys(MlKem1024):
    """An all-zero key is valid."""

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        if not any(public):
            raise CryptoError("zeros")
        return super().encapsulate(public)


class AcceptsShortKeys(MlKem1024):
    """Fills up what is missing."""

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        return super().encapsulate(bytes(public).ljust(cls.public_size, b"\0"))


class AcceptsShortCiphertexts(MlKem1024):
    """Fills up what is missing."""

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        return super().decapsulate(pair, bytes(ciphertext).ljust(cls.ciphertext_size, b"\0"))


class RejectsExplicitly(MlKem1024):
    """Tells the sender of a changed ciphertext that it was noticed."""

    name: ClassVar[str] = "rejects-explicitly"
    _made: ClassVar[set[bytes]] = set()

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        ciphertext, shared = super().encapsulate(public)
        cls._made.add(bytes(shared))
        return ciphertext, shared

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        shared = super().decapsulate(pair, ciphertext)
        if bytes(shared) not in cls._made:
            raise CryptoError("changed")
        return shared


class RejectsWithZeros(RejectsExplicitly):
    """Gives zeros for a changed ciphertext where the standard has a secret of its own."""

    name: ClassVar[str] = "ml-kem-1024"

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        try:
            return super().decapsulate(pair, ciphertext)
        except CryptoError:
            if len(ciphertext) != cls.ciphertext_size or pair.private is None:
                raise
            return bytearray(32)


class StrangersZeros(RejectsWithZeros):
    """The same under a name of which the kit has no vectors."""

    name: ClassVar[str] = "strangers-kem"


class SaysNothingOfRejection(MlKem1024):
    """Leaves the kit and its users in the dark."""

    implicit_rejection: ClassVar[bool] = None  # type: ignore[assignment]


class AcceptsEverything(Ed25519):
    """Looks at nothing."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        """Return."""


class ReturnsFalse(Ed25519):
    """Answers where it has to raise."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        try:
            super().verify(public, message, signature)
        except BadSignature:
            return False  # type: ignore[return-value]


class AcceptsTruncated(MlDsa87):
    """Fills up what is missing: a last byte of zero is the usual one."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        filled = bytes(signature)
        for last in range(256) if len(filled) == cls.signature_size - 1 else ():
            try:
                return super().verify(public, message, filled + bytes([last]))
            except BadSignature:
                continue
        super().verify(public, message, filled)


class AcceptsTrailingBytes(Ed25519):
    """Cuts what is too long."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        super().verify(public, message, signature[: cls.signature_size])


class AcceptsLongPublicKeys(MlDsa87):
    """Cuts what is too long."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        super().verify(public[: cls.public_size], message, signature)


class AcceptsMalleable(Ed25519):
    """Reduces the scalar before it looks at it: whoever sees a signature makes a second one."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        scalar = int.from_bytes(signature[32:], "little")
        if len(signature) == 64:
            signature = bytes(signature[:32]) + (scalar % GROUP_ORDER).to_bytes(32, "little")
        super().verify(public, message, signature)


class AcceptsSmallOrder(Ed25519):
    """Takes what the library takes."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        try:
            Ed25519PublicKey.from_public_bytes(bytes(public)).verify(signature, message)
        except Exception as error:
            raise BadSignature("does not verify") from error


class SignsTheBeginning(Ed25519):
    """Leaves the end of a long message unsigned."""

    name: ClassVar[str] = "signs-the-beginning"

    @classmethod
    def sign(cls, pair: SigningPair, message: ReadBuffer) -> bytes:
        return super().sign(pair, message[:1024])

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        super().verify(public, message[:1024], signature)


class IgnoresCase(Ed25519):
    """Signs what a message means to a person, and not its bytes."""

    name: ClassVar[str] = "ignores-case"

    @classmethod
    def sign(cls, pair: SigningPair, message: ReadBuffer) -> bytes:
        return super().sign(pair, bytes(message).lower())

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        super().verify(public, bytes(message).lower(), signature)


class ChecksClassicalHalf(Ed25519MlDsa87):
    """Verifies the Ed25519 half only."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        if len(public) != cls.public_size or len(signature) != cls.signature_size:
            raise BadSignature("wrong length")
        Ed25519.verify(public[:32], _framed(public, message), signature[:64])


class ChecksLatticeHalf(Ed25519MlDsa87):
    """Verifies the ML-DSA half only."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        if len(public) != cls.public_size or len(signature) != cls.signature_size:
            raise BadSignature("wrong length")
        MlDsa87.verify(public[32:], _framed(public, message), signature[64:])


class AcceptsEitherHalf(Ed25519MlDsa87):
    """One of the two is enough."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        try:
            ChecksClassicalHalf.verify(public, message, signature)
        except BadSignature:
            ChecksLatticeHalf.verify(public, message, signature)


class SignsWithoutLabel(Ed25519MlDsa87):
    """Both halves sign the bare message: each is a signature of its part's own driver."""

    @classmethod
    def sign(cls, pair: SigningPair, message: ReadBuffer) -> bytes:
        classical = SigningPair(pair.public[:32], pair.secret[:32])
        return Ed25519.sign(classical, message) + MlDsa87.sign(
            SigningPair(pair.public[32:], pair.secret[32:]), message
        )

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        Ed25519.verify(public[:32], message, signature[:64])
        MlDsa87.verify(public[32:], message, signature[64:])


class AlsoAcceptsPlainLattice(Ed25519MlDsa87):
    """Takes a plain ML-DSA-87 signature as well, for those who have no other."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        try:
            MlDsa87.verify(public[32:], message, signature)
        except BadSignature:
            super().verify(public, message, signature)


class ForgetsSecret(Ed25519):
    """Makes another pair each time."""

    @classmethod
    def restore(cls, secret: ReadBuffer) -> SigningPair:
        super().restore(secret)
        return super().restore(bytes(reversed(bytes(secret))))


class SharesTheSecret(Ed25519):
    """Keeps the caller's buffer, which the caller wipes."""

    @classmethod
    def restore(cls, secret: ReadBuffer) -> SigningPair:
        pair = super().restore(secret)
        return SigningPair(pair.public, secret) if isinstance(secret, bytearray) else pair


class _Unwiped(SigningPair):
    def wipe(self) -> None:
        """Do nothing."""


class SurvivesWipe(Ed25519):
    """Keeps its secret."""

    @classmethod
    def generate(cls) -> SigningPair:
        pair = super().generate()
        return _Unwiped(pair.public, pair.secret)


class ReusesWipedSecret(Ed25519):
    """Falls back to a pair of its own."""

    @classmethod
    def sign(cls, pair: SigningPair, message: ReadBuffer) -> bytes:
        return super().sign(pair if pair.secret else cls.generate(), message)


class LibraryErrors(MlDsa87):
    """Lets the library's own exception out."""

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        MLDSA87PublicKey.from_public_bytes(bytes(public)).verify(signature, message)


class ClaimsDeterminism(MlDsa87):
    """Hedged signatures are never the same."""

    deterministic: ClassVar[bool] = True


class HidesDeterminism(Ed25519):
    """The same signature each time."""

    deterministic: ClassVar[bool] = False


class WrongHash(Ed25519):
    """Consistent with itself, and not Ed25519."""

    @classmethod
    def sign(cls, pair: SigningPair, message: ReadBuffer) -> bytes:
        return super().sign(pair, bytes(message) + b"!")

    @classmethod
    def verify(cls, public: ReadBuffer, message: ReadBuffer, signature: ReadBuffer) -> None:
        super().verify(public, bytes(message) + b"!", signature)


def _framed(public: ReadBuffer, message: ReadBuffer) -> bytes:
    parts = (b"tallow/1 signature ed25519-ml-dsa-87", bytes(public[:32]), bytes(public[32:]))
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts) + bytes(message)


BROKEN: tuple[tuple[Kind[Any], type, str, str], ...] = (
    (KEM, AcceptsLowOrderKeys, "forbidden_inputs_are_refused", "accepted a key with 0000"),
    (
        KEM,
        AcceptsLowOrderHalves,
        "wrong_lengths_are_refused|forbidden_inputs_are_refused",
        "accepted",
    ),
    (KEM, RefusesNonCanonicalKeys, "published_vectors_match", "not reduced"),
    (KEM, ReducesCoefficients, "forbidden_inputs_are_refused", "coefficient above 3328"),
    (KEM, RefusesZeroKeys, "allowed_keys_are_taken", "zeros"),
    (KEM, AcceptsShortKeys, "wrong_lengths_are_refused", "a public key of 0 bytes"),
    (KEM, AcceptsShortCiphertexts, "wrong_lengths_are_refused", "a ciphertext of 0 bytes"),
    (
        KEM,
        RejectsExplicitly,
        "changed_ciphertexts_give_no_secret",
        "raises instead of giving another secret",
    ),
    (KEM, RejectsWithZeros, "published_vectors_match", "another secret"),
    (KEM, StrangersZeros, "changed_ciphertexts_give_no_secret", "anyone could know"),
    (KEM, SaysNothingOfRejection, "sizes_are_sensible", "implicit_rejection is None"),
    (SIGNATURE, AcceptsEverything, "messages_of_every_length_are_signed", "under a message of"),
    (SIGNATURE, ReturnsFalse, "messages_of_every_length_are_signed", "under a message of"),
    (
        SIGNATURE,
        AcceptsTruncated,
        "published_forgeries_are_refused|wrong_lengths_are_refused",
        "short signature|4626 bytes",
    ),
    (SIGNATURE, AcceptsTrailingBytes, "published_forgeries_are_refused", "SignatureWithGarbage"),
    (SIGNATURE, AcceptsLongPublicKeys, "published_forgeries_are_refused", "long public key"),
    (SIGNATURE, AcceptsMalleable, "published_forgeries_are_refused", "SignatureMalleability"),
    (SIGNATURE, AcceptsSmallOrder, "published_forgeries_are_refused", "small order"),
    (SIGNATURE, SignsTheBeginning, "messages_of_every_length_are_signed", "4096 bytes"),
    (SIGNATURE, IgnoresCase, "every_flipped_bit_is_refused", "a message with a flipped bit"),
    (
        SIGNATURE,
        ChecksClassicalHalf,
        "published_forgeries_are_refused",
        "only the ML-DSA half is broken",
    ),
    (
        SIGNATURE,
        ChecksLatticeHalf,
        "published_forgeries_are_refused",
        "only the Ed25519 half is broken",
    ),
    (SIGNATURE, AcceptsEitherHalf, "published_forgeries_are_refused", "half is broken"),
    (SIGNATURE, SignsWithoutLabel, "published_signatures_verify", "message of TEST 2"),
    (
        SIGNATURE,
        AlsoAcceptsPlainLattice,
        "published_forgeries_are_refused",
        "ml-dsa-87 alone in place of the whole",
    ),
    (SIGNATURE, ForgetsSecret, "secrets_restore_the_pair", "restores another pair"),
    (SIGNATURE, SharesTheSecret, "secrets_restore_the_pair", "does not verify"),
    (SIGNATURE, SurvivesWipe, "a_wiped_pair_is_of_no_use", "still there after wipe"),
    (SIGNATURE, ReusesWipedSecret, "wrong_lengths_are_refused", "a pair with a secret of 0 bytes"),
    (
        SIGNATURE,
        LibraryErrors,
        "messages_of_every_length_are_signed",
        "InvalidSignature instead of BadSignature",
    ),
    (SIGNATURE, ClaimsDeterminism, "nothing_repeats", "are not the same"),
    (SIGNATURE, HidesDeterminism, "nothing_repeats", "are the same"),
    (SIGNATURE, WrongHash, "published_signatures_verify", "TEST 1"),
)


@pytest.mark.parametrize(
    ("kind", "driver", "check", "told"), BROKEN, ids=[driver.__name__ for _, driver, _, _ in BROKEN]
)
def test_the_kit_refuses_a_broken_driver(
    kind: Kind[Any], driver: type, check: str, told: str
) -> None:
    with pytest.raises(ConformanceError, match=rf"{driver.__name__}, ({check}): .*({told})"):
        run_checks(kind, driver)


@pytest.mark.parametrize("name", ["signs-the-beginning", "ignores-case"])
def test_an_unknown_scheme_is_held_to_every_check_but_the_vectors(name: str) -> None:
    passing = type("Unknown", (Ed25519,), {"name": name})
    assert "every_flipped_bit_is_refused" in run_checks(SIGNATURE, passing)


def test_a_kem_that_rejects_explicitly_may_say_so() -> None:
    honest = type("Honest", (RejectsExplicitly,), {"implicit_rejection": False})
    assert "changed_ciphertexts_give_no_secret" in run_checks(KEM, honest)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", b""),
        ("00ff", b"\0\xff"),
        ("@a", b"\1\2\3"),
        ("@a[1:]", b"\2\3"),
        ("@a[:1] 09 @a[2:3]", b"\1\x09\3"),
        ("@a @b-2", b"\1\2\3\7"),
    ],
)
def test_vectors_are_assembled_from_slices(text: str, expected: bytes) -> None:
    assert assembled({"named": {"a": "010203", "b-2": "07"}}, text) == expected


@pytest.mark.parametrize("text", ["@c", "@a[1]", "@a[1:", "0", "zz"])
def test_a_vector_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises((KeyError, ValueError)):
        assembled({"named": {"a": "010203"}}, text)
