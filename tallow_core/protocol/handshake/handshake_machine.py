"""The common part of the two handshake machines, `HostHandshake` and `GuestHandshake`.

The machines are sans-IO. They run from the host's Hello to a session that both ends have confirmed
(docs/protocol/handshake.md).

    host                                   guest
    Hello  versions, random, offers   ->
                                      <-   Answer  suite, KEM public key, PAKE share
    Share  KEM ciphertext, PAKE share ->
                                      <-   Prove   confirmation (one guess, counted by both ends)
    Done   confirmation               ->

Join, which finds the listener or the room, comes before (`tallow_core.protocol.handshake.join`).

How to use a machine: pass what arrives to `receive`, at most `wants` bytes at a time, so that the
records after the handshake stay out of it. Send what `data_to_send` returns. Take `next_event`.
When a method raises, send what `data_to_send` still returns (the alert) and close.
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
)
from tallow_core.secrets import Rng
from tallow_core.spi.cipher import Cipher
from tallow_core.spi.compressor import Compressor
from tallow_core.spi.hash import Hash
from tallow_core.spi.kem import Kem
from tallow_core.types import ReadBuffer, Role

SESSION_VERSION = 1
RANDOM_BYTES = 32
STATE_SECONDS = 10.0
"""The time, in seconds, that either end waits for the other's next message."""

Veto: TypeAlias = Callable[[Mapping[str, str]], str | None]
"""Takes a suite (kind -> driver name); returns the reason to refuse it, or None."""


class Displaced(UnreachableError):
    """The host had too many unproved guests at once; trying the same path again is worthwhile."""

    code = "displaced"


class Direction(IntEnum):
    """The end that sends the files: the field `role` of Hello."""

    HOST_SENDS = 1


class Wish(IntFlag):
    """The wishes that an end has for the session, one byte in Hello and in Answer.

    A wish holds for both ends if either end has it. Unknown bits are ignored.
    """

    NONE = 0
    PAD = 1
    SAFETY = 2


_WISHES = Wish.PAD | Wish.SAFETY


class Established(NamedTuple):
    """Event: both ends proved that they know the code and have the same transcript.

    `suite` is kind -> driver name; `ours` and `theirs` are the wishes of each end.
    """

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
    """Event: charge the guess budget, then call `prove` (guest) or `check` (host)."""


Event: TypeAlias = Established | ProofDue


class Handshake(ABC):
    """State and steps that both machines have.

    `drivers` are those that policy allows here, best first; `veto` is asked once the suite is
    chosen.
    """

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
        self._got_alert = False
        self._schedule: Schedule | None = None
        self._suite: Mapping[str, str] = {}

    @property
    def wants(self) -> int:
        """The number of bytes that the current message still needs."""
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
        `UnreachableError` (the other side ended it) or `RemoteProtocolError`. The machine cannot
        be used after that.
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
            raise self._error_of(Reader(frame.body, "Alert"))
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
        if not self._got_alert:  # an alert is never answered
            alert = getattr(error, "alert", None) or _ALERTS.get(type(error), Alert.MALFORMED)
            self._out += Frame(FrameType.ALERT, bytes([alert])).encoded
        self._wipe()

    def _error_of(self, reader: Reader) -> TallowError:
        number = reader.u8()
        reader.end()
        self._got_alert = True
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
        """The sizes of the chosen drivers. Both ends compare them, because two drivers of one name
        that differ in size must not continue."""
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


def read_wishes(reader: Reader) -> Wish:
    """Read the byte of wishes; unknown bits are dropped."""
    return Wish(reader.u8() & _WISHES)


_ALERTS: Mapping[type[TallowError], Alert] = {
    AuthenticationError: Alert.FAILED,
    NoCommonDriver: Alert.NO_SUITE,
    RefusedError: Alert.VETOED,
}
"""The alert for an error that carries none of its own; MALFORMED for any other."""

_CAUSES: Mapping[int, type[TallowError]] = {
    Alert.FAILED: AuthenticationError,
    Alert.VOID: AuthenticationError,
    Alert.NO_SUITE: PolicyError,
    Alert.VETOED: RefusedError,
    Alert.DISPLACED: Displaced,
}
"""The error that an alert of the other side becomes; `UnreachableError` for any other."""
