"""The rooms of a relay: each host's control connection, and the guests that wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from tallow_core.errors import BrokenOffError
from tallow_core.protocol.codec.frame import Frame
from tallow_core.protocol.handshake.join import Join
from tallow_core.protocol.relay.relay_frames import GuestWaiting, Refusal, RelayRefused
from tallow_core.relay.splice import Splice
from tallow_core.session.frame_io import write_frame
from tallow_core.spi.transport import ByteStream


@dataclass(slots=True, eq=False)
class WaitingGuest:
    """A guest that waits to be taken. `taken` gets the host's stream; `spliced` is set when both
    directions have ended; `since` is a monotonic time in seconds."""

    join: Join
    stream: ByteStream
    address: str
    id: int
    taken: asyncio.Future[ByteStream]
    spliced: asyncio.Event = field(default_factory=asyncio.Event)
    since: float = field(default_factory=time.monotonic)
    splice: Splice = field(default_factory=Splice)

    def refuse(self, refusal: Refusal) -> None:
        """End its wait with a refusal, unless it was taken."""
        if not self.taken.done():
            self.taken.set_exception(RelayRefused(refusal))


@dataclass(slots=True, eq=False)
class RelayRoom:
    """One host's room. `stream` is its control connection, which a Resume replaces; `expiry` runs
    while the host is lost."""

    stream: ByteStream
    guests: dict[int, WaitingGuest] = field(default_factory=dict)
    expiry: asyncio.Task[None] | None = None
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def send(self, stream: ByteStream, frame: Frame) -> None:
        """Send a frame on a control connection. Several tasks do so; the lock keeps frames
        whole."""
        async with self._sending:
            await write_frame(stream, frame)


class RoomTable:
    """All open rooms by nameplate, and the guests that came before their room opened."""

    def __init__(self) -> None:
        self.rooms: dict[str, RelayRoom] = {}
        self._early: dict[str, list[WaitingGuest]] = {}

    def waiting(self, nameplate: str) -> list[WaitingGuest]:
        """The guests that wait under `nameplate`, the oldest first."""
        room = self.rooms.get(nameplate)
        return list(room.guests.values()) if room else list(self._early.get(nameplate, []))

    def is_announced(self, guest: WaitingGuest) -> bool:
        """Whether a host that is connected has been sent this guest."""
        room = self.rooms.get(guest.join.nameplate)
        return room is not None and guest.id in room.guests and room.expiry is None

    async def enter(self, guest: WaitingGuest) -> None:
        """Announce a guest to its host, or keep it until the room opens."""
        room = self.rooms.get(guest.join.nameplate)
        if room is not None:
            await self._announce(room, guest)
        else:
            self._early.setdefault(guest.join.nameplate, []).append(guest)

    async def announce_all(self, nameplate: str, room: RelayRoom) -> None:
        """Announce all guests that wait, after the host has opened or resumed its room."""
        for guest in self._early.pop(nameplate, []) + list(room.guests.values()):
            await self._announce(room, guest)

    async def _announce(self, room: RelayRoom, guest: WaitingGuest) -> None:
        room.guests[guest.id] = guest
        if room.expiry is not None:
            return  # the host is lost; the guest is announced when it resumes
        with contextlib.suppress(BrokenOffError):  # lost just now: the same
            await room.send(room.stream, GuestWaiting(guest.id, guest.join.lane).frame())

    def leave(self, guest: WaitingGuest) -> None:
        """Forget a guest that waits no more."""
        nameplate = guest.join.nameplate
        if (room := self.rooms.get(nameplate)) is not None:
            room.guests.pop(guest.id, None)
        early = self._early.get(nameplate, [])
        if guest in early:
            early.remove(guest)
        if not early:
            self._early.pop(nameplate, None)
