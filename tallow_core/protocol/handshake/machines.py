"""The handshake: two sans-IO machines, from the host's Hello to a session that both ends have
confirmed.

    host                                   guest
    Hello  versions, random, offers   ->
                                      <-   Answer  suite, KEM public key, PAKE share
    Share  KEM ciphertext, PAKE share ->
                                      <-   Prove   confirmation (one guess, counted by both ends)
    Done   confirmation               ->

Join, which finds the listener or the room, comes before and belongs to
`tallow_core.protocol.handshake.join`. Feed a machine with `receive` (at most `wants` bytes if what
follows the handshake must stay out of it), send what `data_to_send` gives, and take `next_event`.
When a method raises, send what `data_to_send` still gives (the alert) and close.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from enum import IntEnum, IntFlag
from typing import Any, ClassVar, NamedTuple, TypeAlias

from tallow_core.errors import (
    AuthenticationError,
    LocalProtocolError,
    PolicyError,
    RefusedError,
    RemoteProtocolError,
    TallowError,
    UnreachableError,
)
from tallow_core.offers import NoCommonDriver
from tallow_core.protocol.codec.alert import Alert, sentence
from tallow_core.protocol.codec.frame import Frame, FrameParser, FrameType
from tallow_core.protocol.codec.wire import Reader, Writer, lv, malformed
from tallow_core.protocol.handshake.code import Code
from tallow_core.protocol.handshake.key_schedule import PROTOCOL, Schedule, transcript_hash
from tallow_core.protocol.handshake.suite_offer import (
    Drivers,
    choose,
    offer_of,
    read_offer,
    write_offer,
)
from tallow_core.secrets import Rng, equal
from tallow_core.spi.cipher import Cipher
from tallow_core.spi.compressor import Compressor
from tallow_core.spi.hash import Hash
from tallow_core.spi.kem import Kem, KemPair
from tallow_core.types import ReadBuffer, Role

SESSION_VERSION = 1
RANDOM = 32
STATE_SECONDS = 10.0
"""How long either end waits for the other's next message."""

Veto: TypeAlias = Callable[[Mapping[str, str]], str | None]


class Displaced(UnreachableError):
    """The host had too many strangers at once; the same path is worth another try."""

    code = "displaced"


class Direction(IntEnum):
    """Who sends the files, as Hello says it."""

    HOST_SENDS = 1


class Wish(IntFlag):
    """What an end asks of the session, in Hello or Answer; it holds if either end asks. Bits that
    are not known here are ignored."""

    NONE = 0
    PAD = 1
    SAFETY = 2


_WISHES = Wish.PAD | Wish.SAFETY


class Established(NamedTuple):
    """Both ends proved that they know the code and saw the same transcript. `ours` and `theirs` are
    what each end asked for."""

    schedule: Schedule
    suite: Mapping[str, str]
    cipher: type[Cipher]
    kem: type[Kem]
    hash: type[Hash]
    compressor: type[Compressor]
    ours: Wish
    theirs: Wish

    @property
    def padded(self) -> bool:
        """Whether all records are padded, on both sides."""
        return Wish.PAD in self.ours | self.theirs


class ProofDue:
    """A proof is about to be made (guest) or checked (host): charge the guess budget, then call
    `prove` or `check`."""


Event: TypeAlias = Established | ProofDue


class Handshake(ABC):
    """What both machines share."""

    role: ClassVar[Role]

    def __init__(
        self, code: Code, drivers: Drivers, rng: Rng, veto: Veto, wishes: Wish = Wish.NONE
    ) -> None:
        self._code = code
        self._drivers = drivers
        self._rng = rng
        self._veto = veto
        self._wishes = wishes
        self._theirs = Wish.NONE
        self._parser = FrameParser()
        self._out = bytearray()
        self._events: deque[Event] = deque()
        self._frames: list[bytes] = []
        self._expected: FrameType | None = None
        self._ended = False
        self._was_told = False
        self._schedule: Schedule | None = None
        self._suite: Mapping[str, str] = {}

    @property
    def wants(self) -> int:
        """Bytes that the current message still needs."""
        return self._parser.wants

    def data_to_send(self) -> bytes:
        """Take the bytes to send now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def next_event(self) -> Event | None:
        """Take the next event, or None."""
        return self._events.popleft() if self._events else None

    def receive(self, data: ReadBuffer) -> None:
        """Take bytes from the other end.

        Raises `AuthenticationError`, `PolicyError` (no common suite), `RefusedError` (a veto),
        `UnreachableError` (the other side ended it) or `RemoteProtocolError`; the machine is then
        over.
        """
        if self._ended:
            raise LocalProtocolError("this handshake is over")
        try:
            self._parser.feed(data)
            while frame := self._parser.next_frame():
                self._take(frame)
        except TallowError as error:
            self._fail(error)
            raise

    def _take(self, frame: Frame) -> None:
        if frame.type == FrameType.ALERT:
            raise self._told(Reader(frame.body, "Alert"))
        if frame.type != self._expected:
            raise malformed(f"frame {frame.type:#04x} where the handshake has no place for it")
        self._expected = None
        self._handle(frame)

    @abstractmethod
    def _handle(self, frame: Frame) -> None: ...

    def _send(self, kind: FrameType, body: bytes, *, bound: bool) -> None:
        encoded = Frame(kind, body).encoded
        self._out += encoded
        if bound:
            self._frames.append(encoded)

    def _fail(self, error: TallowError) -> None:
        self._ended = True
        self._events.clear()
        if not self._was_told:  # an alert is never answered with an alert
            alert = getattr(error, "alert", None) or _ALERTS.get(type(error), Alert.MALFORMED)
            self._out += Frame(FrameType.ALERT, bytes([alert])).encoded
        self._wipe()

    def _told(self, reader: Reader) -> TallowError:
        number = reader.u8()
        reader.end()
        self._was_told = True
        return _CAUSES.get(number, UnreachableError)(
            f"the other side, or someone between, says: {sentence(number)}"
        )

    def _wipe(self) -> None:
        if self._schedule is not None:
            self._schedule.wipe()

    def _settle(self, suite: Mapping[str, str]) -> None:
        reason = self._veto(suite)
        if reason is not None:
            raise RefusedError(f"a plugin here refuses the suite: {reason}")
        self._suite = suite

    def _driver(self, kind: str) -> Any:
        return self._drivers[kind][self._suite[kind]]

    def _derive(self, isk: bytearray, kem_secret: bytearray) -> Schedule:
        kdf = self._driver("hash").kdf
        return Schedule(
            kdf, transcript_hash(kdf, self._code.nameplate, *self._frames), isk, kem_secret
        )

    def _pake(self, random_a: bytes, random_b: bytes) -> Any:
        channel = lv(PROTOCOL) + lv(self._code.nameplate.encode())
        return self._driver("authenticator")(
            self.role, self._code.password, random_a + random_b, channel
        )

    def _established(self) -> None:
        if self._schedule is None:
            raise LocalProtocolError("no keys yet")
        self._ended = True
        cipher, kem, hash, compressor = (
            self._driver(kind) for kind in ("cipher", "kem", "hash", "compressor")
        )
        self._events.append(
            Established(
                self._schedule,
                self._suite,
                cipher,
                kem,
                hash,
                compressor,
                self._wishes,
                self._theirs,
            )
        )

    def _sizes(self) -> bytes:
        """The sizes of the chosen drivers: two drivers of one name that disagree about them must
        not go on."""
        kem, cipher = self._driver("kem"), self._driver("cipher")
        writer = Writer()
        for size in (
            kem.public_size,
            kem.ciphertext_size,
            kem.shared_size,
            cipher.key_size,
            cipher.nonce_size,
            cipher.tag_size,
        ):
            writer.u16(size)
        return (
            writer.u16(self._driver("hash").digest_size)
            .u16(self._driver("authenticator").share_size)
            .done()
        )


class HostHandshake(Handshake):
    """The end that printed the code. One machine a guest, each with fresh randomness, scalar and
    encapsulation."""

    role = Role.HOST

    def __init__(
        self, code: Code, drivers: Drivers, rng: Rng, veto: Veto, wishes: Wish = Wish.NONE
    ) -> None:
        super().__init__(code, drivers, rng, veto, wishes)
        self._random = rng(RANDOM)
        self._proof = b""
        writer = (
            Writer().u8(1).u8(SESSION_VERSION).raw(self._random).u8(Direction.HOST_SENDS).u8(wishes)
        )
        write_offer(writer, offer_of(drivers))
        self._send(FrameType.HELLO, writer.done(), bound=True)
        self._expected = FrameType.ANSWER

    def _handle(self, frame: Frame) -> None:
        if frame.type == FrameType.ANSWER:
            self._answer(frame)
        else:
            reader = Reader(frame.body, "Prove")
            self._proof = reader.raw(32)
            reader.end()
            self._events.append(ProofDue())

    def _answer(self, frame: Frame) -> None:
        reader = Reader(frame.body, "Answer")
        if reader.u8() != SESSION_VERSION:
            raise RemoteProtocolError(
                "the other side answers in a version that was not offered", Alert.VERSION
            )
        random_b = reader.raw(RANDOM)
        self._theirs = _read_wishes(reader)
        theirs = read_offer(reader)
        named = {kind: reader.text8() for kind in theirs}
        try:
            chosen = choose(offer_of(self._drivers), theirs)
        except PolicyError:
            raise malformed("an Answer although no suite is common") from None
        if named != chosen:
            raise RemoteProtocolError(
                "the other side names another suite than both offers give", Alert.FAILED
            )
        self._settle(chosen)
        sizes = self._sizes()
        if reader.raw(len(sizes)) != sizes:
            raise RemoteProtocolError("the other side's drivers have other sizes", Alert.FAILED)
        public = reader.raw(self._driver("kem").public_size)
        share_b = reader.raw(self._driver("authenticator").share_size)
        reader.end()
        self._frames.append(frame.encoded)
        self._share(random_b, public, share_b)

    def _share(self, random_b: bytes, public: bytes, share_b: bytes) -> None:
        ciphertext, kem_secret = self._driver("kem").encapsulate(public)
        pake = self._pake(self._random, random_b)
        self._send(FrameType.SHARE, ciphertext + pake.share, bound=True)
        try:
            isk = pake.finish(share_b)
        except AuthenticationError:
            # A bad share must look like a wrong proof: go on with a key that nobody has.
            isk = bytearray(self._rng(64))
        self._schedule = self._derive(isk, kem_secret)
        self._expected = FrameType.PROVE

    def check(self) -> None:
        """Check the proof after it was charged: `Established` follows, or `AuthenticationError` is
        raised."""
        schedule, proof = self._schedule, self._proof
        if self._ended or schedule is None or not proof:
            raise LocalProtocolError("no proof to check")
        self._proof = b""
        if not equal(proof, schedule.confirmation_guest()):
            error = AuthenticationError("a guest did not know the code")
            self._fail(error)
            raise error
        self._send(FrameType.DONE, schedule.confirmation_host(proof), bound=False)
        self._established()

    def refuse(self, alert: Alert) -> None:
        """End this handshake with `alert`, for a reason outside it."""
        if not self._ended:
            self._fail(RemoteProtocolError("ended from outside", alert))


class GuestHandshake(Handshake):
    """The end that typed the code."""

    role = Role.GUEST

    def __init__(
        self, code: Code, drivers: Drivers, rng: Rng, veto: Veto, wishes: Wish = Wish.NONE
    ) -> None:
        super().__init__(code, drivers, rng, veto, wishes)
        self._pair: KemPair | None = None
        self._pake_run: Any = None
        self._proof = b""
        self._expected = FrameType.HELLO

    def _handle(self, frame: Frame) -> None:
        if frame.type == FrameType.HELLO:
            self._hello(frame)
        elif frame.type == FrameType.SHARE:
            self._share(frame)
        else:
            self._done(frame)

    def _hello(self, frame: Frame) -> None:
        reader = Reader(frame.body, "Hello")
        versions = reader.raw(reader.u8())
        random_a = reader.raw(RANDOM)
        direction = reader.u8()
        self._theirs = _read_wishes(reader)
        theirs = read_offer(reader)
        reader.end()
        if SESSION_VERSION not in versions:
            raise RemoteProtocolError(
                "the other side speaks another version of the protocol: use the same Tallow on"
                " both",
                Alert.VERSION,
            )
        if direction != Direction.HOST_SENDS:
            raise malformed(f"transfer role {direction}")
        self._frames.append(frame.encoded)
        ours = offer_of(self._drivers)
        self._settle(choose(ours, theirs))
        self._answer(random_a, ours)

    def _answer(self, random_a: bytes, ours: Mapping[str, tuple[str, ...]]) -> None:
        random_b = self._rng(RANDOM)
        self._pair = self._driver("kem").generate()
        self._pake_run = self._pake(random_a, random_b)
        writer = Writer().u8(SESSION_VERSION).raw(random_b).u8(self._wishes)
        write_offer(writer, ours)
        for kind in ours:
            writer.text8(self._suite[kind])
        writer.raw(self._sizes()).raw(self._pair.public).raw(self._pake_run.share)
        self._send(FrameType.ANSWER, writer.done(), bound=True)
        self._expected = FrameType.SHARE

    def _share(self, frame: Frame) -> None:
        kem: type[Kem] = self._driver("kem")
        reader = Reader(frame.body, "Share")
        ciphertext = reader.raw(kem.ciphertext_size)
        share_a = reader.raw(self._driver("authenticator").share_size)
        reader.end()
        if self._pair is None:
            raise LocalProtocolError("no key pair")
        self._frames.append(frame.encoded)
        kem_secret = kem.decapsulate(self._pair, ciphertext)
        self._pair.wipe()
        self._schedule = self._derive(self._pake_run.finish(share_a), kem_secret)
        self._pake_run = None
        self._events.append(ProofDue())

    def prove(self) -> None:
        """Make the proof, after it was charged to the guest's own budget."""
        if self._ended or self._schedule is None or self._proof:
            raise LocalProtocolError("no proof to make")
        self._proof = self._schedule.confirmation_guest()
        self._send(FrameType.PROVE, self._proof, bound=False)
        self._expected = FrameType.DONE

    def _done(self, frame: Frame) -> None:
        if self._schedule is None:
            raise LocalProtocolError("no keys yet")
        if not equal(frame.body, self._schedule.confirmation_host(self._proof)):
            raise AuthenticationError(
                "the other side did not prove that it knows the code; ask for a new one"
            )
        self._established()

    def _wipe(self) -> None:
        super()._wipe()
        if self._pair is not None:
            self._pair.wipe()


def _read_wishes(reader: Reader) -> Wish:
    return Wish(reader.u8() & _WISHES)


_ALERTS: Mapping[type[TallowError], Alert] = {
    AuthenticationError: Alert.FAILED,
    NoCommonDriver: Alert.NO_SUITE,
    RefusedError: Alert.VETOED,
}
"""What the other side is told of an error that carries no alert of its own; any other is
MALFORMED."""

_CAUSES: Mapping[int, type[TallowError]] = {
    Alert.FAILED: AuthenticationError,
    Alert.VOID: AuthenticationError,
    Alert.NO_SUITE: PolicyError,
    Alert.VETOED: RefusedError,
    Alert.DISPLACED: Displaced,
}
"""What an alert of the other side becomes here; any other is an `UnreachableError`."""
