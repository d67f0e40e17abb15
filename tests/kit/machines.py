"""Two handshake machines and the wire between them, on which a test may do what it likes."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, ClassVar
from unittest import mock

from tallow_core.errors import TallowError
from tallow_core.protocol.codec.frame import Frame, FrameParser, FrameType
from tallow_core.protocol.handshake.code import Code, parse_code
from tallow_core.protocol.handshake.guest_handshake import GuestHandshake
from tallow_core.protocol.handshake.handshake_machine import (
    Established,
    Handshake,
    ProofDue,
    Veto,
    Wish,
)
from tallow_core.protocol.handshake.host_handshake import HostHandshake
from tallow_core.protocol.handshake.key_schedule import Schedule
from tallow_core.protocol.handshake.suite_offer import Drivers
from tallow_core.secrets import Rng, system_rng
from tallow_core.spi.hash import Hash, Hasher, Kdf
from tallow_core.types import ReadBuffer, Role
from tallow_plugins.authenticators.cpace import Cpace
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tallow_plugins.ciphers.chacha20_poly1305 import ChaCha20Poly1305
from tallow_plugins.compressors.none import NoCompression
from tallow_plugins.compressors.zstd import Zstd
from tallow_plugins.hashes.blake3 import Blake3
from tallow_plugins.kems.ml_kem_1024 import MlKem1024
from tallow_plugins.kems.x25519 import X25519
from tallow_plugins.kems.x25519_ml_kem_1024 import X25519MlKem1024

CODE = parse_code("4821-stamp-daybreak-kindred")
WRONG = parse_code("4821-stamp-daybreak-kindling")

HELLO, ANSWER, SHARE, PROVE, DONE, ALERT = (
    FrameType.HELLO,
    FrameType.ANSWER,
    FrameType.SHARE,
    FrameType.PROVE,
    FrameType.DONE,
    FrameType.ALERT,
)
FLIGHTS = (HELLO, ANSWER, SHARE, PROVE, DONE)
"""The messages of a handshake, in order; the host sends the first, third and fifth."""


class Sha3(Hash):
    """A content hash whose sessions use SHA3-256 for their keys."""

    name: ClassVar[str] = "sha3-256"
    digest_size: ClassVar[int] = 32
    kdf: ClassVar[Kdf] = "sha3_256"

    @classmethod
    def hasher(cls, context: str) -> Hasher:
        running = _Sha3()
        running.update(len(context).to_bytes(4, "big") + context.encode())
        return running


class _Sha3(Hasher):
    def __init__(self) -> None:
        self._state = hashlib.sha3_256()

    def update(self, data: ReadBuffer, /) -> None:
        self._state.update(data)

    def digest(self) -> bytes:
        return self._state.digest()


def named(*classes: type[Any]) -> dict[str, type[Any]]:
    """Driver classes by name."""
    return {driver.name: driver for driver in classes}


FAST: Drivers = {
    "kem": named(X25519, MlKem1024),
    "cipher": named(Aes256Gcm, ChaCha20Poly1305),
    "hash": named(Blake3, Sha3),
    "authenticator": named(Cpace),
    "compressor": named(Zstd, NoCompression),
}
"""Small messages: what is tried for every bit of them stays quick."""

DEFAULT: Drivers = {**FAST, "kem": named(X25519MlKem1024, MlKem1024)}
"""The hybrid KEM first, as policy has it by default."""


def no_veto(_suite: object) -> str | None:
    """Nobody objects."""
    return None


def scripted_cpace(scalar: bytes) -> type[Cpace]:
    """CPace with a fixed scalar instead of randomness."""

    class Scripted(Cpace):
        def __init__(
            self, role: Role, password: ReadBuffer, session_id: bytes, channel: bytes
        ) -> None:
            with mock.patch.object(secrets, "token_bytes", return_value=scalar):
                super().__init__(role, password, session_id, channel)

    return Scripted


class End:
    """One machine, and what became of it. It proves and checks as soon as it may."""

    def __init__(self, machine: Handshake) -> None:
        self.machine = machine
        self.error: TallowError | None = None
        self.established: Established | None = None
        self.proofs = 0
        self.sent: list[Frame] = []

    @property
    def over(self) -> bool:
        """Whether the machine takes nothing more."""
        return self.error is not None or self.established is not None

    def feed(self, data: bytes) -> None:
        """Give bytes to the machine and do what its events ask for."""
        if self.over or not data:
            return
        try:
            self.machine.receive(data)
            while event := self.machine.next_event():
                self._on(event)
        except TallowError as error:
            self.error = error
            assert self.machine.next_event() is None

    def _on(self, event: object) -> None:
        if isinstance(event, Established):
            self.established = event
            return
        assert isinstance(event, ProofDue)
        self.proofs += 1
        if isinstance(self.machine, HostHandshake):
            self.machine.check()
        elif isinstance(self.machine, GuestHandshake):
            self.machine.prove()

    def take(self) -> list[Frame]:
        """The frames that the machine sends now."""
        frames = frames_of(self.machine.data_to_send())
        self.sent += frames
        return frames


def frames_of(data: bytes) -> list[Frame]:
    """Cut whole frames."""
    parser = FrameParser()
    parser.feed(data)
    frames = []
    while frame := parser.next_frame():
        frames.append(frame)
    assert parser.wants == 5, "half a frame was sent"
    return frames


Wire = Callable[[Frame], Sequence[bytes]]
"""What becomes of one frame on its way: the chunks that arrive."""


def untouched(frame: Frame) -> Sequence[bytes]:
    """The frame arrives whole."""
    return [frame.encoded]


def host(
    code: Code = CODE,
    drivers: Drivers = FAST,
    rng: Rng = system_rng,
    veto: Veto = no_veto,
    wishes: Wish = Wish.NONE,
) -> End:
    """A host's end."""
    return End(HostHandshake(code, drivers, rng, veto, wishes))


def guest(
    code: Code = CODE,
    drivers: Drivers = FAST,
    rng: Rng = system_rng,
    veto: Veto = no_veto,
    wishes: Wish = Wish.NONE,
) -> End:
    """A guest's end."""
    return End(GuestHandshake(code, drivers, rng, veto, wishes))


def converse(a: End, b: End, wire: Wire = untouched) -> tuple[End, End]:
    """Let host `a` and guest `b` talk until both are silent."""
    while True:
        moved = False
        for sender, receiver in ((a, b), (b, a)):
            for frame in sender.take():
                moved = True
                for chunk in wire(frame):
                    receiver.feed(chunk)
        if not moved:
            return a, b


def established(code: Code = CODE, drivers: Drivers = FAST) -> tuple[Established, Established]:
    """Host's and guest's side of a session."""
    a, b = converse(host(code, drivers), guest(code, drivers))
    assert a.established is not None
    assert b.established is not None
    return a.established, b.established


def schedules(drivers: Drivers = FAST) -> tuple[Schedule, Schedule]:
    """Host's and guest's schedule of a session."""
    a, b = established(drivers=drivers)
    return a.schedule, b.schedule


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


def lv(*parts: bytes) -> bytes:
    """`length[4] || part`, one after another: written again, so that the tests do not depend on
    what they test."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
