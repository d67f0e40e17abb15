"""The side of a relay that serves hosts: Open, Resume, Take, and the control connection."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tallow_core.errors import TallowError
from tallow_core.protocol.codec.frame import Frame, FrameType
from tallow_core.protocol.relay.relay_frames import (
    PING,
    PING_SECONDS,
    RESUME_SECONDS,
    SILENCE_SECONDS,
    TOKEN_BYTES,
    OpenRoom,
    Refusal,
    RelayRefused,
    ResumeRoom,
    RoomOpened,
    TakeGuest,
    read_host_request,
    refused,
)
from tallow_core.relay.relay_rooms import RelayRoom, RoomTable
from tallow_core.secrets import equal, system_rng
from tallow_core.session.frame_io import best_effort, read_frame
from tallow_core.spi.rooms import Rooms, RoomsFull, RoomTaken
from tallow_core.spi.transport import ByteStream
from tallow_core.text import printable

T = TypeVar("T")

REPORT_SECONDS = 60.0
"""Minimum time between two reports to the operator."""


class HostSide:
    """Serves the connections of hosts. `report` takes a sentence for the relay's operator."""

    def __init__(self, store: Rooms, table: RoomTable, report: Callable[[str], None]) -> None:
        self._store = store
        self._table = table
        self._report = report
        self._reported = -REPORT_SECONDS

    async def serve(self, stream: ByteStream, frame: Frame) -> None:
        """Serve a connection whose first frame is a host's. Raises `RelayRefused`."""
        request = read_host_request(frame)
        if isinstance(request, TakeGuest):
            await self._take(stream, request)
        elif isinstance(request, ResumeRoom):
            await self._resume(stream, request)
        else:
            await self._open(stream, request)

    async def _open(self, stream: ByteStream, request: OpenRoom) -> None:
        token = system_rng(TOKEN_BYTES)
        try:
            nameplate = await self._stored(
                self._store.open(request.wanted, hashlib.sha256(token).digest(), time.monotonic())
            )
        except RoomTaken:
            raise RelayRefused(Refusal.TAKEN) from None
        except RoomsFull:
            raise RelayRefused(Refusal.FULL) from None
        room = self._table.rooms[nameplate] = RelayRoom(stream)
        await self._attend(stream, nameplate, token, room)

    async def _stored(self, answer: Awaitable[T]) -> T:
        """Await the store of rooms. A failure is reported to the operator and refuses the host."""
        try:
            return await answer
        except (RoomTaken, RoomsFull):
            raise
        except Exception as error:
            self._failed(error)
            raise RelayRefused(Refusal.FULL) from error

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._report(
                f"the store of rooms {self._store.name} failed, so a host was refused:"
                f" {printable(str(error)) or type(error).__name__}"
            )

    async def _owned(self, nameplate: str, token: bytes) -> RelayRoom:
        owner = await self._stored(self._store.owner(nameplate))
        room = self._table.rooms.get(nameplate)
        if owner is None or room is None:
            raise RelayRefused(Refusal.NO_ROOM)
        if not equal(owner, hashlib.sha256(token).digest()):
            raise RelayRefused(Refusal.BAD_TOKEN)
        return room

    async def _resume(self, stream: ByteStream, request: ResumeRoom) -> None:
        room = await self._owned(request.nameplate, request.token)
        if room.expiry is not None:
            room.expiry.cancel()
            room.expiry = None
        former, room.stream = room.stream, stream
        await best_effort(former, refused(Refusal.REPLACED).encoded)
        await former.aclose()
        if self._table.rooms.get(request.nameplate) is not room or room.stream is not stream:
            # Freed or resumed again meanwhile: the nameplate may belong to another host by now.
            raise RelayRefused(Refusal.NO_ROOM)
        await self._attend(stream, request.nameplate, request.token, room)

    async def _attend(
        self, stream: ByteStream, nameplate: str, token: bytes, room: RelayRoom
    ) -> None:
        """Run a host's control connection: announce guests, ping, and free the room at its end."""
        pinger = None
        try:
            await room.send(stream, RoomOpened(nameplate, token).frame())
            await self._table.announce_all(nameplate, room)
            pinger = asyncio.create_task(_ping(room, stream))
            while True:
                frame = await read_frame(stream, SILENCE_SECONDS, cap=0)
                if frame.type == FrameType.RELAY_LEAVE:
                    if room.stream is stream:
                        await self._free(nameplate, room)
                    return
                if frame.type != FrameType.RELAY_PONG:
                    raise RelayRefused(Refusal.MALFORMED)
        finally:
            if pinger is not None:
                pinger.cancel()
            if self._table.rooms.get(nameplate) is room and room.stream is stream:
                room.expiry = asyncio.create_task(self._expire(nameplate, room))

    async def _expire(self, nameplate: str, room: RelayRoom) -> None:
        """Wait for a lost host to resume, then free the room."""
        await asyncio.sleep(RESUME_SECONDS)
        with contextlib.suppress(RelayRefused):
            await self._free(nameplate, room)

    async def _free(self, nameplate: str, room: RelayRoom) -> None:
        if self._table.rooms.get(nameplate) is not room:
            return
        del self._table.rooms[nameplate]
        for guest in room.guests.values():
            guest.refuse(Refusal.HOST_GONE)
        await self._stored(self._store.close(nameplate, time.monotonic()))

    async def _take(self, stream: ByteStream, request: TakeGuest) -> None:
        room = await self._owned(request.nameplate, request.token)
        guest = room.guests.pop(request.guest, None)
        if guest is None or guest.taken.done():
            raise RelayRefused(Refusal.HOST_GONE)
        guest.taken.set_result(stream)
        await guest.spliced.wait()


async def _ping(room: RelayRoom, stream: ByteStream) -> None:
    with contextlib.suppress(TallowError):
        while True:
            await asyncio.sleep(PING_SECONDS)
            await room.send(stream, PING)
