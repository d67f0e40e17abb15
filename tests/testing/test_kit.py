"""The conformance kit itself: it refuses drivers that are broken in the ways that matter, and its
fakes do what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallow_core.errors import AuthenticationError, CryptoError, ForgedRecord
from tallow_core.registry.kinds import AUTHENTICATOR, CIPHER, HASH, KEM, KINDS, TRANSPORT, Kind
from tallow_core.secrets import system_rng, wipe
from tallow_core.spi.authenticator import Authenticator, ClientLogin, LoggedIn, ServerLogin
from tallow_core.spi.cipher import Allowance
from tallow_core.spi.hash import Hasher
from tallow_core.spi.kem import KemPair
from tallow_core.testing import ConformanceError
from tallow_core.testing.expect import refuses
from tallow_core.testing.fakes import FakeClock, NonceLedger, recording, seeded_rng
from tallow_core.testing.suite import CHECKS, checks_of, run_checks
from tallow_core.types import ReadBuffer, Role, WriteBuffer
from tallow_plugins.authenticators.cpace import Cpace
from tallow_plugins.authenticators.opaque import Opaque
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tallow_plugins.hashes.blake3 import Blake3
from tallow_plugins.kems.ml_kem_1024 import MlKem1024
from tallow_plugins.kems.x25519 import X25519
from tests.kit.once_hash import DigestEnds, OnceOnly


class WrongTagLength(Aes256Gcm):
    """Cuts four bytes off every tag."""

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        return super().seal_into(nonce, aad, plaintext, out) - 4


class LeavesPlaintext(Aes256Gcm):
    """Refuses a forgery and forgets what the library has already written."""

    def __init__(self, key: ReadBuffer) -> None:
        super().__init__(key)
        self._raw = AESGCM(bytes(key))

    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        try:
            return self._raw.decrypt_into(
                nonce, ciphertext, aad, memoryview(out)[: max(len(ciphertext) - 16, 0)]
            )
        except InvalidTag as error:
            raise ForgedRecord("forged") from error


class IgnoresAad(Aes256Gcm):
    """Seals and opens as if there were no associated data."""

    name: ClassVar[str] = "ignores-aad"

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        return super().seal_into(nonce, b"", plaintext, out)

    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        return super().open_into(nonce, b"", ciphertext, out)


class AcceptsForgeries(Aes256Gcm):
    """Takes a forged record for an empty one."""

    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        try:
            return super().open_into(nonce, aad, ciphertext, out)
        except ForgedRecord:
            return max(len(ciphertext) - 16, 0)


class WritesBeforeChecking(Aes256Gcm):
    """Wipes an output that it then refuses."""

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        if len(out) < len(plaintext) + 16:
            wipe(out)
        return super().seal_into(nonce, aad, plaintext, out)


class SurvivesWipe(Aes256Gcm):
    """Keeps its key."""

    def wipe(self) -> None:
        """Do nothing."""


class CountsNothing(Aes256Gcm):
    """Seals as long as it is asked to."""

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        self._allowance = Allowance(Aes256Gcm)
        return super().seal_into(nonce, aad, plaintext, out)


class CountsRecordsOnly(Aes256Gcm):
    """Forgets that bytes have a limit too."""

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        self._allowance._bytes = self.max_bytes + len(plaintext)
        return super().seal_into(nonce, aad, plaintext, out)


class StopsEarly(Aes256Gcm):
    """Keeps the last record that it may seal to itself."""

    def __init__(self, key: ReadBuffer) -> None:
        super().__init__(key)
        self._allowance.take(0)


class WrongKeySchedule(Aes256Gcm):
    """Consistent with itself, and not AES-256-GCM."""

    def __init__(self, key: ReadBuffer) -> None:
        super().__init__(bytes(key)[::-1])


class LibraryErrors(Aes256Gcm):
    """Lets the library's own exception out."""

    def __init__(self, key: ReadBuffer) -> None:
        AESGCM(bytes(key))
        super().__init__(key)


class BadName(Aes256Gcm):
    """No user could type this."""

    name: ClassVar[str] = "AES 256"


class AcceptsLowOrder(X25519):
    """Goes on with zeros where the result is forbidden."""

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        try:
            return super().decapsulate(pair, ciphertext)
        except CryptoError:
            if len(ciphertext) != 32 or pair.private is None:
                raise
            return bytearray(32)


class AcceptsLongKeys(MlKem1024):
    """Cuts what is too long."""

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        return super().encapsulate(public[:1568])


class AcceptsLongCiphertexts(MlKem1024):
    """Cuts what is too long."""

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        return super().decapsulate(pair, ciphertext[:1568])


class IgnoresCiphertextByte(MlKem1024):
    """Clears the last byte of every ciphertext on both ends."""

    name: ClassVar[str] = "ignores-byte"
    _kept: ClassVar[dict[bytes, bytes]] = {}

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        ciphertext, shared = super().encapsulate(public)
        cls._kept[ciphertext[:-1]] = ciphertext
        return ciphertext, shared

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        known = cls._kept.get(bytes(ciphertext[:-1])) if len(ciphertext) == 1568 else None
        return super().decapsulate(pair, known or ciphertext)


class ForgetsSeed(MlKem1024):
    """Makes another pair each time."""

    @classmethod
    def from_seed(cls, seed: ReadBuffer) -> KemPair:
        super().from_seed(seed)
        return cls.generate()


class HasNoSeeds(X25519):
    """Makes no pair from a seed, and says so."""

    seed_size: ClassVar[int] = 0

    @classmethod
    def from_seed(cls, seed: ReadBuffer) -> KemPair:
        return super(X25519, cls).from_seed(seed)


class HidesItsSeeds(X25519):
    """Says that it makes no pair from a seed, and makes one."""

    seed_size: ClassVar[int] = 0

    @classmethod
    def from_seed(cls, seed: ReadBuffer) -> KemPair:
        return cls.generate()


class TooLargeKey(MlKem1024):
    """States a key that no message of the handshake holds."""

    public_size: ClassVar[int] = 261_120


class ReusesWipedPair(MlKem1024):
    """Falls back to a pair of its own."""

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        return super().decapsulate(cls.generate() if pair.private is None else pair, ciphertext)


class IgnoresContext(Blake3):
    """Hashes everything in one domain."""

    name: ClassVar[str] = "ignores-context"

    @classmethod
    def hasher(cls, context: str) -> Hasher:
        return super().hasher("")


class EndsTooEarly(Blake3):
    """Changes its digest when it is asked."""

    @classmethod
    def hasher(cls, context: str) -> Hasher:
        return _Salted(super().hasher(context))


class _Salted(OnceOnly):
    def digest(self) -> bytes:
        assert self._inner is not None
        found = self._inner.digest()
        self._inner.update(b"again")
        return found


class LongDigest(Blake3):
    """Has a digest for which messages have no room."""

    digest_size: ClassVar[int] = 64


class UnknownKdf(Blake3):
    """Names a function that hashlib does not have."""

    kdf: ClassVar[Any] = "blake3"


class AcceptsEqualShares(Cpace):
    """Agrees with a mirror."""

    def finish(self, peer_share: ReadBuffer) -> bytearray:
        return bytearray(64) if bytes(peer_share) == self.share else super().finish(peer_share)


class AcceptsLowOrderShares(Cpace):
    """Goes on with zeros where the result is forbidden."""

    def finish(self, peer_share: ReadBuffer) -> bytearray:
        try:
            return super().finish(peer_share)
        except AuthenticationError:
            if len(peer_share) != 32 or bytes(peer_share) == self.share:
                raise
            return bytearray(64)


class IgnoresChannel(Cpace):
    """Binds the run to nothing around it."""

    def __init__(self, role: Role, password: ReadBuffer, session_id: bytes, channel: bytes) -> None:
        super().__init__(role, password, session_id, b"")


class UsedTwice(Cpace):
    """Begins again by itself when it is asked a second time."""

    def __init__(self, role: Role, password: ReadBuffer, session_id: bytes, channel: bytes) -> None:
        super().__init__(role, password, session_id, channel)
        self._arguments = (role, bytes(password), session_id, channel)

    def finish(self, peer_share: ReadBuffer) -> bytearray:
        try:
            return super().finish(peer_share)
        except AuthenticationError:
            raise
        except CryptoError:
            return Cpace(*self._arguments).finish(peer_share)


class FoldsPasswords(Opaque):
    """Takes a password in any case, with white space around it."""

    @classmethod
    def log_in(cls, password: ReadBuffer) -> ClientLogin:
        return super().log_in(bytes(password).lower().strip())


class Answer(ServerLogin):
    """A server's run in front of another one."""

    def __init__(self, inner: ServerLogin) -> None:
        self.inner = inner

    @property
    def message(self) -> bytes:
        return self.inner.message

    def finish(self, finalization: ReadBuffer) -> LoggedIn:
        return self.inner.finish(finalization)

    def wipe(self) -> None:
        self.inner.wipe()


class LoginBy(Opaque):
    """Puts `answer` in front of the server's runs."""

    answer: ClassVar[type[Answer]]

    def answer_login(
        self, user: str, record: ReadBuffer | None, request: ReadBuffer
    ) -> ServerLogin:
        return self.answer(super().answer_login(user, record, request))


class NamesUnknownUsers(Opaque):
    """Says that there is no such user."""

    def answer_login(
        self, user: str, record: ReadBuffer | None, request: ReadBuffer
    ) -> ServerLogin:
        if record is None:
            raise CryptoError("no such user")
        return super().answer_login(user, record, request)


class TellsUnknownUsersByText(Opaque):
    """Refuses the finalization of an unknown user with another sentence."""

    class Told(Answer):
        def finish(self, finalization: ReadBuffer) -> LoggedIn:
            raise AuthenticationError("no such user")

    def answer_login(
        self, user: str, record: ReadBuffer | None, request: ReadBuffer
    ) -> ServerLogin:
        run = super().answer_login(user, record, request)
        return self.Told(run) if record is None else run


class TellsUnknownUsersBySize(Opaque):
    """Answers for an unknown user with fewer bytes."""

    class Short(Answer):
        @property
        def message(self) -> bytes:
            return self.inner.message[:-1]

    def answer_login(
        self, user: str, record: ReadBuffer | None, request: ReadBuffer
    ) -> ServerLogin:
        run = super().answer_login(user, record, request)
        return self.Short(run) if record is None else run


class TellsUnknownUsersByTime(Opaque):
    """Answers for an unknown user with what lies ready, after the same checks."""

    class Ready(Answer):
        def __init__(self) -> None:
            self._message = system_rng(320)

        @property
        def message(self) -> bytes:
            return self._message

        def finish(self, finalization: ReadBuffer) -> LoggedIn:
            raise AuthenticationError(
                "the client did not prove that it knows the password of this user; it may try again"
            )

    def answer_login(
        self, user: str, record: ReadBuffer | None, request: ReadBuffer
    ) -> ServerLogin:
        if record is None and len(request) == 96 and any(request):
            return self.Ready()
        return super().answer_login(user, record, request)


class FinishesTwice(LoginBy):
    """Gives the keys of a run a second time."""

    class answer(Answer):
        _done: LoggedIn | None = None

        def finish(self, finalization: ReadBuffer) -> LoggedIn:
            self._done = self._done or super().finish(finalization)
            return self._done


class BelievesFinalizations(Opaque):
    """Takes what the client has derived for what it has proved."""

    _derived: ClassVar[dict[bytes, LoggedIn]] = {}

    class Believes(Answer):
        def finish(self, finalization: ReadBuffer) -> LoggedIn:
            try:
                return super().finish(finalization)
            except AuthenticationError:
                if (found := BelievesFinalizations._derived.get(self.message)) is None:
                    raise
                return LoggedIn(found.session_key, bytearray(), found.messages)

    class Tells(ClientLogin):
        def __init__(self, inner: ClientLogin) -> None:
            self.inner = inner

        @property
        def message(self) -> bytes:
            return self.inner.message

        def finish(self, response: ReadBuffer) -> LoggedIn:
            return BelievesFinalizations._derived.setdefault(
                bytes(response), self.inner.finish(response)
            )

        def wipe(self) -> None:
            self.inner.wipe()

    @classmethod
    def log_in(cls, password: ReadBuffer) -> ClientLogin:
        return cls.Tells(super().log_in(password))

    def answer_login(
        self, user: str, record: ReadBuffer | None, request: ReadBuffer
    ) -> ServerLogin:
        return self.Believes(super().answer_login(user, record, request))


class ConstantSessionKey(LoginBy):
    """Gives every login the same key."""

    class answer(Answer):
        def finish(self, finalization: ReadBuffer) -> LoggedIn:
            return LoggedIn(bytearray(64), bytearray(), super().finish(finalization).messages)

    class Same(BelievesFinalizations.Tells):
        def finish(self, response: ReadBuffer) -> LoggedIn:
            done = self.inner.finish(response)
            return LoggedIn(bytearray(64), done.export_key, done.messages)

    @classmethod
    def log_in(cls, password: ReadBuffer) -> ClientLogin:
        return cls.Same(super().log_in(password))


class ForgetsTheRequest(LoginBy):
    """Reports other messages than the client."""

    class answer(Answer):
        def finish(self, finalization: ReadBuffer) -> LoggedIn:
            done = super().finish(finalization)
            return LoggedIn(done.session_key, done.export_key, (b"", *done.messages[1:]))


class OneUser(Opaque):
    """Keeps one record for all."""

    def answer_registration(self, user: str, request: ReadBuffer) -> Any:
        return super().answer_registration("", request)

    def answer_login(
        self, user: str, record: ReadBuffer | None, request: ReadBuffer
    ) -> ServerLogin:
        return super().answer_login("", record, request)


class AcceptsLongSetups(Opaque):
    """Cuts what is too long."""

    def __init__(self, setup: ReadBuffer) -> None:
        super().__init__(setup[: self.setup_size])


class AcceptsLongFinalizations(LoginBy):
    """Cuts what is too long."""

    class answer(Answer):
        def finish(self, finalization: ReadBuffer) -> LoggedIn:
            return super().finish(finalization[:64])


class ServesAfterWipe(Opaque):
    """Keeps its set-up."""

    def wipe(self) -> None:
        """Do nothing."""


class NeitherCodeNorLogin(Authenticator):
    """Belongs to no situation."""

    name: ClassVar[str] = "neither"


BROKEN: tuple[tuple[Kind[Any], type, str], ...] = (
    (CIPHER, WrongTagLength, "records_survive_the_round_trip|published_vectors_match"),
    (CIPHER, LeavesPlaintext, "every_flipped_bit_is_refused"),
    (CIPHER, IgnoresAad, "every_input_is_bound"),
    (CIPHER, AcceptsForgeries, "published_vectors_match"),
    (CIPHER, WritesBeforeChecking, "bad_outputs_are_refused"),
    (CIPHER, SurvivesWipe, "a_wiped_cipher_is_of_no_use"),
    (CIPHER, CountsNothing, "nothing_is_sealed_past_the_limits"),
    (CIPHER, CountsRecordsOnly, "nothing_is_sealed_past_the_limits"),
    (CIPHER, StopsEarly, "nothing_is_sealed_past_the_limits"),
    (CIPHER, WrongKeySchedule, "published_vectors_match"),
    (CIPHER, LibraryErrors, "wrong_lengths_are_refused"),
    (CIPHER, BadName, "descriptor_is_complete"),
    (KEM, AcceptsLowOrder, "forbidden_inputs_are_refused"),
    (KEM, AcceptsLongKeys, "wrong_lengths_are_refused"),
    (KEM, AcceptsLongCiphertexts, "wrong_lengths_are_refused"),
    (KEM, IgnoresCiphertextByte, "changed_ciphertexts_give_no_secret"),
    (KEM, ForgetsSeed, "seeds_determine_the_pair"),
    (KEM, HidesItsSeeds, "seeds_determine_the_pair"),
    (KEM, TooLargeKey, "sizes_are_sensible"),
    (KEM, ReusesWipedPair, "a_wiped_pair_is_of_no_use"),
    (HASH, IgnoresContext, "contexts_are_apart"),
    (HASH, UnknownKdf, "sizes_are_sensible"),
    (HASH, LongDigest, "sizes_are_sensible"),
    (HASH, EndsTooEarly, "a_digest_does_not_end_the_hash"),
    (AUTHENTICATOR, AcceptsEqualShares, "equal_shares_are_refused"),
    (AUTHENTICATOR, AcceptsLowOrderShares, "low_order_shares_are_refused"),
    (AUTHENTICATOR, IgnoresChannel, "everything_is_bound"),
    (AUTHENTICATOR, UsedTwice, "a_run_is_used_once"),
    (AUTHENTICATOR, FoldsPasswords, "a_wrong_password_fails"),
    (AUTHENTICATOR, NamesUnknownUsers, "unknown_users_look_known"),
    (AUTHENTICATOR, TellsUnknownUsersByText, "unknown_users_look_known"),
    (AUTHENTICATOR, TellsUnknownUsersBySize, "unknown_users_look_known"),
    (AUTHENTICATOR, TellsUnknownUsersByTime, "unknown_users_cost_the_same"),
    (AUTHENTICATOR, FinishesTwice, "runs_are_used_once"),
    (AUTHENTICATOR, BelievesFinalizations, "changed_logins_fail"),
    (AUTHENTICATOR, ConstantSessionKey, "nothing_repeats"),
    (AUTHENTICATOR, ForgetsTheRequest, "both_ends_agree"),
    (AUTHENTICATOR, OneUser, "records_belong_to_user_and_server"),
    (AUTHENTICATOR, AcceptsLongSetups, "a_setup_is_kept"),
    (AUTHENTICATOR, AcceptsLongFinalizations, "other_lengths_are_refused"),
    (AUTHENTICATOR, ServesAfterWipe, "a_wiped_server_is_of_no_use"),
)


@pytest.mark.parametrize(
    ("kind", "driver", "check"),
    [
        pytest.param(*row, marks=pytest.mark.slow if issubclass(row[1], Opaque) else ())
        for row in BROKEN
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_kit_refuses_a_broken_driver(kind: Kind[Any], driver: type, check: str) -> None:
    with pytest.raises(ConformanceError, match=f"{driver.__name__}, ({check})"):
        run_checks(kind, driver)


@pytest.mark.parametrize(
    ("kind", "driver"),
    [
        (CIPHER, Aes256Gcm),
        (KEM, X25519),
        (KEM, HasNoSeeds),
        (HASH, Blake3),
        (HASH, DigestEnds),
        (AUTHENTICATOR, Cpace),
        pytest.param(AUTHENTICATOR, Opaque, marks=pytest.mark.slow),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_good_driver_passes_every_check_by_name(kind: Kind[Any], driver: type) -> None:
    checks = [check.name for check in checks_of(kind, driver)]
    assert run_checks(kind, driver) == checks
    assert set(checks) <= {check.__name__ for check in CHECKS[kind.name]}


def test_authenticators_for_codes_and_for_logins_have_checks_of_their_own() -> None:
    code, login = (
        {check.name for check in checks_of(AUTHENTICATOR, driver)} for driver in (Cpace, Opaque)
    )
    assert code | login == {check.__name__ for check in CHECKS[AUTHENTICATOR.name]}
    assert "descriptor_is_complete" in code & login
    with pytest.raises(
        ConformanceError, match="NeitherCodeNorLogin derives from Authenticator alone"
    ):
        run_checks(AUTHENTICATOR, NeitherCodeNorLogin)


def test_a_class_of_another_kind_is_refused() -> None:
    with pytest.raises(ConformanceError, match="Blake3 does not implement Cipher"):
        run_checks(CIPHER, Blake3)


def test_an_unfinished_driver_is_refused() -> None:
    with pytest.raises(ConformanceError, match="Cipher leaves methods of Cipher open"):
        run_checks(CIPHER, CIPHER.contract)


def test_a_transport_is_not_checked_without_settings() -> None:
    stub = type(
        "Stub", (TRANSPORT.contract,), dict.fromkeys(TRANSPORT.contract.__abstractmethods__)
    )
    with pytest.raises(ConformanceError, match="checked with settings"):
        run_checks(TRANSPORT, stub)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_every_kind_has_an_entry_and_every_check_says_what_it_checks(kind: Kind[Any]) -> None:
    names = [check.__name__ for check in CHECKS[kind.name]]
    assert len(set(names)) == len(names)
    assert all(check.__doc__ for check in CHECKS[kind.name])


def test_refuses_tells_a_wrong_exception_from_none() -> None:
    refuses(CryptoError, raising(ForgedRecord("x")), "this")
    with pytest.raises(ConformanceError, match="accepted this"):
        refuses(CryptoError, lambda: None, "this")
    with pytest.raises(ConformanceError, match="ValueError instead of CryptoError"):
        refuses(CryptoError, raising(ValueError("x")), "this")


def raising(error: Exception) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


def test_t33_the_ledger_sees_a_repeated_nonce_across_ciphers() -> None:
    ledger = NonceLedger()
    driver = recording(Aes256Gcm, ledger)
    first, again, other = driver(bytes(32)), driver(bytes(32)), driver(b"k" * 32)
    first.seal_into(bytes(12), b"", b"text", bytearray(20))
    first.seal_into(b"\1" * 12, b"", b"text", bytearray(20))
    other.seal_into(bytes(12), b"", b"text", bytearray(20))
    assert ledger.pairs == {(bytes(32), bytes(12)), (bytes(32), b"\1" * 12), (b"k" * 32, bytes(12))}
    with pytest.raises(ConformanceError, match="sealed twice"):
        again.seal_into(bytes(12), b"other", b"other", bytearray(21))


def test_a_recording_cipher_speaks_the_same_bytes() -> None:
    driver = recording(Aes256Gcm, NonceLedger())
    assert (driver.name, driver.tag_size, driver.max_records) == (
        Aes256Gcm.name,
        16,
        Aes256Gcm.max_records,
    )
    plain, recorded, opened = bytearray(20), bytearray(20), bytearray(4)
    Aes256Gcm(bytes(32)).seal_into(bytes(12), b"aad", b"text", plain)
    cipher = driver(bytes(32))
    assert cipher.seal_into(bytes(12), b"aad", b"text", recorded) == 20
    assert recorded == plain
    assert cipher.open_into(bytes(12), b"aad", recorded, opened) == 4
    assert opened == b"text"
    cipher.wipe()
    with pytest.raises(CryptoError):
        cipher.seal_into(b"\2" * 12, b"", b"text", recorded)


def test_seeded_randomness_repeats_by_seed_and_never_by_call() -> None:
    one, twin, other = seeded_rng(b"seed"), seeded_rng(b"seed"), seeded_rng(b"Seed")
    draws = [one(32) for _ in range(3)]
    assert draws == [twin(32) for _ in range(3)]
    assert len({*draws, other(32)}) == 4
    assert len(one(1000)) == 1000


def test_the_clock_moves_only_when_told() -> None:
    clock = FakeClock(5.0)
    assert clock() == clock() == 5.0
    clock.advance(0.5)
    assert clock() == 5.5
    with pytest.raises(ValueError, match="go back"):
        clock.advance(-1)
