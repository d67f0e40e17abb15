"""Join, the guest's first message on every path. It names the room (relay) or the listener
(direct) and proves nothing."""

from __future__ import annotations

from typing import NamedTuple

from tallow_core.errors import RemoteProtocolError
from tallow_core.protocol.codec.alert import Alert
from tallow_core.protocol.codec.frame import MAGIC, WIRE_VERSION, Frame, FrameType
from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.protocol.handshake.code import NAMEPLATE

MAX_WAIT_SECONDS = 86_400


class Join(NamedTuple):
    """A guest's first message.

    `wait`: seconds for which a relay may keep the guest until the room opens. `lane`: the stream
    becomes a lane (LaneHello follows), instead of a new handshake.
    """

    nameplate: str
    wait: int = 0
    lane: bool = False

    def frame(self) -> Frame:
        """magic[6] || wire version[1] || lane[1] || wait[4] || nameplate (length[1] || digits)."""
        writer = (
            Writer().raw(MAGIC).u8(WIRE_VERSION).u8(self.lane).u32(self.wait).text8(self.nameplate)
        )
        return Frame(FrameType.JOIN, writer.done())


def read_join(frame: Frame) -> Join:
    """Read a Join; raises `RemoteProtocolError`."""
    reader = Reader(frame.body, "Join")
    if frame.type != FrameType.JOIN or reader.raw(len(MAGIC)) != MAGIC:
        raise malformed("it does not begin with a Join")
    if reader.u8() != WIRE_VERSION:
        raise RemoteProtocolError(
            "the other side speaks another version of the protocol: use the same Tallow on both",
            Alert.VERSION,
        )
    lane, wait, nameplate = reader.u8(), reader.u32(), reader.text8()
    reader.end()
    if lane > 1 or wait > MAX_WAIT_SECONDS or not NAMEPLATE.fullmatch(nameplate):
        raise malformed("a Join with fields out of bounds")
    return Join(nameplate, wait, bool(lane))
