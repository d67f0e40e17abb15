"""Frames: `type[1] || length[4] || body`, in clear, before a stream is sealed or spliced
(docs/protocol/codec.md, "Frames")."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tallow_core.protocol.codec.wire import malformed, u32
from tallow_core.types import ReadBuffer

MAX_BODY_BYTES = 16 * 1024
"""The most bytes of a frame's body. A longer one is refused before anything is allocated."""

HEADER = 5

MAGIC = b"tallow"
WIRE_VERSION = 1


class FrameType(IntEnum):
    """Numbers of frames; never reused."""

    JOIN = 0x01
    HELLO = 0x02
    ANSWER = 0x03
    SHARE = 0x04
    PROVE = 0x05
    DONE = 0x06
    ALERT = 0x07

    LANE_HELLO = 0x10
    LANE_ACCEPT = 0x11
    LANE_READY = 0x12

    RELAY_OPEN = 0x20
    RELAY_OPENED = 0x21
    RELAY_GUEST = 0x22
    RELAY_TAKE = 0x23
    RELAY_WAITING = 0x24
    RELAY_REFUSED = 0x25
    RELAY_PING = 0x26
    RELAY_PONG = 0x27
    RELAY_RESUME = 0x28
    RELAY_LEAVE = 0x29


class Frame(NamedTuple):
    """One frame. Its encoding is unique, so `encoded` also returns the bytes of a frame that was
    received."""

    type: int
    body: bytes

    @property
    def encoded(self) -> bytes:
        """`type[1] || length[4] || body`."""
        return bytes([self.type]) + u32(len(self.body)) + self.body


class FrameParser:
    """Cuts a stream into frames, from pieces of any size.

    `wants` is how many bytes the current frame still needs. A caller that feeds no more than that
    keeps the bytes after the last frame (sealed records, spliced bytes) out of the parser.
    """

    def __init__(self, cap: int = MAX_BODY_BYTES) -> None:
        self._cap = cap
        self._buffer = bytearray()
        self._need = HEADER

    @property
    def wants(self) -> int:
        """Bytes missing from the frame, or from its header while that is not whole."""
        return self._need - len(self._buffer)

    def feed(self, data: ReadBuffer) -> None:
        """Take bytes of the stream; raises `RemoteProtocolError` once a header is out of bounds."""
        self._buffer += data
        self._size()

    def next_frame(self) -> Frame | None:
        """Remove and return the first whole frame, or None."""
        self._size()
        if len(self._buffer) < HEADER or len(self._buffer) < self._need:
            return None
        frame = Frame(self._buffer[0], bytes(self._buffer[HEADER : self._need]))
        del self._buffer[: self._need]
        self._need = HEADER
        self._size()
        return frame

    def _size(self) -> None:
        if self._need == HEADER and len(self._buffer) >= HEADER:
            length = int.from_bytes(self._buffer[1:HEADER], "big")
            if length > self._cap:
                raise malformed(f"a frame of {length} bytes, more than {self._cap}")
            self._need = HEADER + length
