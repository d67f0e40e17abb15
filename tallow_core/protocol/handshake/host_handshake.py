"""The host's handshake machine: Hello, Share, Done (docs/protocol/handshake.md)."""

from __future__ import annotations

from tallow_core.errors import (
    AuthenticationError,
    LocalProtocolError,
    PolicyError,
    RemoteProtocolError,
)
from tallow_core.protocol.codec.alert import Alert
from tallow_core.protocol.codec.frame import Frame, FrameType
from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.protocol.handshake.code import Code
from tallow_core.protocol.handshake.handshake_machine import (
    RANDOM_BYTES,
    SESSION_VERSION,
    Direction,
    Handshake,
    ProofDue,
    Veto,
    Wish,
    read_wishes,
)
from tallow_core.protocol.handshake.suite_offer import (
    Drivers,
    choose,
    offer_of,
    read_offer,
    write_offer,
)
from tallow_core.secrets import Rng, equal
from tallow_core.types import Role


class HostHandshake(Handshake):
    """The end that printed the code. Each guest gets a machine of its own, with fresh random bytes,
    a fresh PAKE scalar and a fresh encapsulation."""

    role = Role.HOST

    def __init__(
        self, code: Code, drivers: Drivers, rng: Rng, veto: Veto, wishes: Wish = Wish.NONE
    ) -> None:
        super().__init__(code, drivers, rng, veto, wishes)
        self._random = rng(RANDOM_BYTES)
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
        random_b = reader.raw(RANDOM_BYTES)
        self._theirs = read_wishes(reader)
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
            # A bad share must look like a wrong proof, so continue with a random key.
            isk = bytearray(self._rng(64))
        self._schedule = self._derive(isk, kem_secret)
        self._expected = FrameType.PROVE

    def check(self) -> None:
        """Check the proof, once it is charged to the budget. The event `Established` follows.

        Raises `AuthenticationError` if the proof is wrong.
        """
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
        """End the handshake with `alert`, for a reason that lies outside it."""
        if not self._ended:
            self._fail(RemoteProtocolError("ended from outside", alert))
