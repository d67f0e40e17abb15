"""The guest's handshake machine: Answer, Prove (docs/protocol/handshake.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow_core.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
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
from tallow_core.spi.kem import Kem, KemPair
from tallow_core.types import Role


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
        random_a = reader.raw(RANDOM_BYTES)
        direction = reader.u8()
        self._theirs = read_wishes(reader)
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
        random_b = self._rng(RANDOM_BYTES)
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
        """Make the proof, once it is charged to the guest's own budget."""
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
