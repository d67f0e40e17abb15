"""The frames between hosts, guests and a relay, before a stream is spliced
(docs/protocol/relay.md).

    host  -> relay  Open(wanted nameplate or none)
    relay -> host   Opened(nameplate, token)
    host  -> relay  Resume(nameplate, token)      answered by Opened
    guest -> relay  Join(nameplate, wait, lane)
    relay -> guest  Waiting, repeated; or Refused
    relay -> host   Guest(id, lane)               on the host's control connection
    host  -> relay  Take(nameplate, token, id)    on a new connection, then bytes without framing
    relay -> host   Ping                          answered by Pong
    host  -> relay  Leave                         frees the room at once; else it waits for Resume
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tallow_core.errors import RemoteProtocolError, UnreachableError
from tallow_core.protocol.codec.alert import Alert
from tallow_core.protocol.codec.frame import MAGIC, WIRE_VERSION, Frame, FrameType
from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.protocol.handshake.code import NAMEPLATE

TOKEN_BYTES = 32
PING_SECONDS = 30.0
SILENCE_SECONDS = 90.0
TAKE_SECONDS = 15.0
FIRST_SECONDS = 10.0
RESUME_SECONDS = 60.0


class Refusal(IntEnum):
    """Numbers of refusals; never reused."""

    NO_ROOM = 1
    TAKEN = 2
    FULL = 3
    BUSY = 4
    BAD_TOKEN = 5
    NOT_TAKEN = 6
    MALFORMED = 7
    CLOSING = 8
    HOST_GONE = 9
    REPLACED = 10


SENTENCES = {
    Refusal.NO_ROOM: "nobody waits under that number",
    Refusal.TAKEN: "that number is in use; choose another, or let the relay choose",
    Refusal.FULL: "the relay is full; try again later",
    Refusal.BUSY: "too many tries from this address for that number; try again in a minute",
    Refusal.BAD_TOKEN: "the relay does not know this host any more",
    Refusal.NOT_TAKEN: "the other side did not answer",
    Refusal.MALFORMED: (
        "the relay did not understand a message; use the same Tallow on all machines"
    ),
    Refusal.CLOSING: "the relay is shutting down",
    Refusal.HOST_GONE: "the other side has gone",
    Refusal.REPLACED: "another connection took over this room",
}


class RelayRefused(UnreachableError):
    """The relay answered with a refusal; `number` says which."""

    def __init__(self, number: int) -> None:
        known = number in tuple(Refusal)
        super().__init__(
            f"the relay refused: {SENTENCES[Refusal(number)] if known else f'refusal {number}'}"
        )
        self.number = number


class OpenRoom(NamedTuple):
    """Open: a host asks for a room, the one named or any (None)."""

    wanted: str | None

    def frame(self) -> Frame:
        """magic[6] || wire version[1] || nameplate (length[1] || digits, empty for any)."""
        return Frame(FrameType.RELAY_OPEN, _opening().text8(self.wanted or "").done())


class ResumeRoom(NamedTuple):
    """Resume: a host returns to its room. This connection replaces the earlier one."""

    nameplate: str
    token: bytes

    def frame(self) -> Frame:
        """magic[6] || wire version[1] || nameplate || token[32]."""
        return Frame(
            FrameType.RELAY_RESUME, _opening().text8(self.nameplate).raw(self.token).done()
        )


class TakeGuest(NamedTuple):
    """Take: a host takes a guest on this connection."""

    nameplate: str
    token: bytes
    guest: int

    def frame(self) -> Frame:
        """magic[6] || wire version[1] || nameplate || token[32] || guest id[4]."""
        return Frame(
            FrameType.RELAY_TAKE,
            _opening().text8(self.nameplate).raw(self.token).u32(self.guest).done(),
        )


class RoomOpened(NamedTuple):
    """Opened: the room is open. The token proves to this relay that a later connection is the
    host's."""

    nameplate: str
    token: bytes

    def frame(self) -> Frame:
        """nameplate || token[32]."""
        return Frame(FrameType.RELAY_OPENED, Writer().text8(self.nameplate).raw(self.token).done())


class GuestWaiting(NamedTuple):
    """Guest: a guest waits to be taken; `lane` is that of its Join."""

    id: int
    lane: bool

    def frame(self) -> Frame:
        """guest id[4] || lane[1]."""
        return Frame(FrameType.RELAY_GUEST, Writer().u32(self.id).u8(self.lane).done())


PING = Frame(FrameType.RELAY_PING, b"")
PONG = Frame(FrameType.RELAY_PONG, b"")
LEAVE = Frame(FrameType.RELAY_LEAVE, b"")
WAITING = Frame(FrameType.RELAY_WAITING, b"")


def refused(number: Refusal) -> Frame:
    """The frame Refused: number[1]."""
    return Frame(FrameType.RELAY_REFUSED, bytes([number]))


def _opening() -> Writer:
    return Writer().raw(MAGIC).u8(WIRE_VERSION)


def _opened(frame: Frame) -> Reader:
    reader = Reader(frame.body, "the first message")
    if reader.raw(len(MAGIC)) != MAGIC:
        raise malformed("it does not begin as Tallow does")
    if reader.u8() != WIRE_VERSION:
        raise RemoteProtocolError(
            "the other side speaks another version of the protocol", Alert.VERSION
        )
    return reader


def _nameplate(reader: Reader) -> str:
    nameplate = reader.text8()
    if not NAMEPLATE.fullmatch(nameplate):
        raise malformed("a nameplate that is none")
    return nameplate


def read_host_request(frame: Frame) -> OpenRoom | ResumeRoom | TakeGuest:
    """Read the first frame of a host's connection, at the relay. Raises `RemoteProtocolError`."""
    reader = _opened(frame)
    request: OpenRoom | ResumeRoom | TakeGuest
    if frame.type == FrameType.RELAY_OPEN:
        wanted = reader.text8()
        if wanted and not NAMEPLATE.fullmatch(wanted):
            raise malformed("a nameplate that is none")
        request = OpenRoom(wanted or None)
    elif frame.type == FrameType.RELAY_RESUME:
        request = ResumeRoom(_nameplate(reader), reader.raw(TOKEN_BYTES))
    elif frame.type == FrameType.RELAY_TAKE:
        request = TakeGuest(_nameplate(reader), reader.raw(TOKEN_BYTES), reader.u32())
    else:
        raise malformed(f"frame {frame.type:#04x} as the first of a connection")
    reader.end()
    return request


def read_opened(frame: Frame) -> RoomOpened:
    """Read the answer to Open or Resume, at the host. Raises `RelayRefused` or
    `RemoteProtocolError`."""
    raise_refusal(frame)
    if frame.type != FrameType.RELAY_OPENED:
        raise malformed(f"frame {frame.type:#04x} where the relay should open a room")
    reader = Reader(frame.body, "Opened")
    opened = RoomOpened(_nameplate(reader), reader.raw(TOKEN_BYTES))
    reader.end()
    return opened


def read_guest(frame: Frame) -> GuestWaiting:
    """Read the announcement of a guest, at the host."""
    reader = Reader(frame.body, "Guest")
    guest, lane = reader.u32(), reader.u8()
    reader.end()
    if lane > 1:
        raise malformed("a Guest with fields out of bounds")
    return GuestWaiting(guest, bool(lane))


def raise_refusal(frame: Frame) -> None:
    """Raise `RelayRefused` if `frame` is a refusal."""
    if frame.type == FrameType.RELAY_REFUSED:
        reader = Reader(frame.body, "Refused")
        number = reader.u8()
        reader.end()
        raise RelayRefused(number)
