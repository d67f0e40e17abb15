"""Joining a lane: a further stream of a session, with keys of its own (docs/protocol/lanes.md,
"Lanes").

    dialler -> LaneHello(tag[16], lane id[4], random_d[32])
    acceptor -> LaneAccept(random_a[32], mac_acceptor[32])
    dialler -> LaneReady(mac_dialler[32])

mac_x = HMAC(K("lane x"), H(LaneHello frame || random_a)). Both ends add fresh random bytes to the
lane's secrets, so a replayed message or a lane that is opened again never uses an old pair of key
and nonce. Lane 0 is the control lane, on the stream of the handshake itself.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from tallow_core.errors import AuthenticationError, LocalProtocolError
from tallow_core.protocol.codec.frame import Frame, FrameParser, FrameType
from tallow_core.protocol.codec.wire import Reader, Writer, malformed, u32
from tallow_core.protocol.handshake.key_schedule import CONTROL, LANE, LANE_MAC, LANE_TAG, Schedule
from tallow_core.protocol.lanes.record import direction_of
from tallow_core.secrets import Rng, equal
from tallow_core.types import ReadBuffer, Role

TAG_BYTES, RANDOM_BYTES, MAC_BYTES = 16, 32, 32
CONTROL_LANE = 0
MAX_LANE_IDS = 1 << 16
"""The limit of the lane ids of a session; all are below it. Every attempt uses a new id."""
MAX_DATA_LANES = 16
"""The most data lanes that are in use at the same time."""


def lane_tag(schedule: Schedule) -> bytes:
    """K("lane tag"), by which the acceptor finds the session. It is readable on the wire of a
    direct path and reveals nothing else."""
    return bytes(schedule.key(LANE_TAG, length=TAG_BYTES))


class LaneKeys(NamedTuple):
    """The inputs of a lane's secrets beside the root of the session."""

    lane: int
    random_d: bytes
    random_a: bytes

    def secret(self, schedule: Schedule, sender: Role) -> bytearray:
        """K("control", direction) for lane 0, else K("lane", lane id, random_d, random_a,
        direction)."""
        direction = bytes([direction_of(sender)])
        if self.lane == CONTROL_LANE:
            return schedule.key(CONTROL, direction)
        return schedule.key(LANE, u32(self.lane), self.random_d, self.random_a, direction)


CONTROL_KEYS = LaneKeys(CONTROL_LANE, b"", b"")


def _mac(schedule: Schedule, who: str, hello: bytes, random_a: bytes) -> bytes:
    return schedule.mac(LANE_MAC[who], hashlib.new(schedule.kdf, hello + random_a).digest())


class LaneHello(NamedTuple):
    """The dialler's first message."""

    tag: bytes
    lane: int
    random_d: bytes

    def frame(self) -> Frame:
        """tag[16] || lane id[4] || random_d[32]."""
        return Frame(
            FrameType.LANE_HELLO, Writer().raw(self.tag).u32(self.lane).raw(self.random_d).done()
        )


def read_lane_hello(frame: Frame) -> LaneHello:
    """Read a LaneHello; raises `RemoteProtocolError`."""
    if frame.type != FrameType.LANE_HELLO:
        raise malformed(f"frame {frame.type:#04x} where a lane is joined")
    reader = Reader(frame.body, "LaneHello")
    hello = LaneHello(reader.raw(TAG_BYTES), reader.u32(), reader.raw(RANDOM_BYTES))
    reader.end()
    if not 0 < hello.lane < MAX_LANE_IDS:
        raise malformed(f"lane {hello.lane}")
    return hello


class _LaneMachine:
    """State and steps of both ends. `keys` is None until the other end's MAC has verified."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._parser = FrameParser(RANDOM_BYTES + MAC_BYTES)
        self._out = bytearray()
        self.keys: LaneKeys | None = None

    @property
    def wants(self) -> int:
        """The number of bytes that the current message still needs."""
        return self._parser.wants

    def data_to_send(self) -> bytes:
        """Take the bytes to send now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def _frame(self, data: ReadBuffer, kind: FrameType) -> Reader | None:
        if self.keys is not None:
            raise LocalProtocolError("this lane is already joined")
        self._parser.feed(data)
        frame = self._parser.next_frame()
        if frame is None:
            return None
        if frame.type != kind:
            raise malformed(f"frame {frame.type:#04x} where a lane is joined")
        return Reader(frame.body, kind.name)

    def _verify(self, mac: bytes, who: str, hello: bytes, random_a: bytes) -> None:
        if not equal(mac, _mac(self._schedule, who, hello, random_a)):
            raise AuthenticationError(
                "a further connection did not prove that it belongs to this session"
            )


class LaneDialler(_LaneMachine):
    """The end that opens the connection."""

    def __init__(self, schedule: Schedule, lane: int, rng: Rng) -> None:
        super().__init__(schedule)
        hello = LaneHello(lane_tag(schedule), lane, rng(RANDOM_BYTES))
        self._hello, self._encoded = hello, hello.frame().encoded
        self._out += self._encoded

    def receive(self, data: ReadBuffer) -> None:
        """Take bytes of the acceptor; `keys` is set once its MAC has verified.

        Raises `AuthenticationError` or `RemoteProtocolError`.
        """
        reader = self._frame(data, FrameType.LANE_ACCEPT)
        if reader is None:
            return
        random_a, mac = reader.raw(RANDOM_BYTES), reader.raw(MAC_BYTES)
        reader.end()
        self._verify(mac, "acceptor", self._encoded, random_a)
        ready = Writer().raw(_mac(self._schedule, "dialler", self._encoded, random_a)).done()
        self._out += Frame(FrameType.LANE_READY, ready).encoded
        self.keys = LaneKeys(self._hello.lane, self._hello.random_d, random_a)


class LaneAcceptor(_LaneMachine):
    """The end that was dialled, for a LaneHello whose tag belongs to this session."""

    def __init__(self, schedule: Schedule, hello: LaneHello, rng: Rng) -> None:
        super().__init__(schedule)
        self._hello, self._encoded, self._random = hello, hello.frame().encoded, rng(RANDOM_BYTES)
        mac = _mac(schedule, "acceptor", self._encoded, self._random)
        self._out += Frame(FrameType.LANE_ACCEPT, self._random + mac).encoded

    def receive(self, data: ReadBuffer) -> None:
        """Take bytes of the dialler; `keys` is set once its MAC has verified.

        Raises `AuthenticationError` or `RemoteProtocolError`.
        """
        reader = self._frame(data, FrameType.LANE_READY)
        if reader is None:
            return
        mac = reader.raw(MAC_BYTES)
        reader.end()
        self._verify(mac, "dialler", self._encoded, self._random)
        self.keys = LaneKeys(self._hello.lane, self._hello.random_d, self._random)
