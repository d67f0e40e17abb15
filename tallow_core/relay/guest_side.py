"""The side of a relay that serves guests: they wait, are taken by their host, and are spliced to
it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from typing import Any

from tallow_core.config.schema import RelayServerSettings
from tallow_core.errors import BrokenOffError
from tallow_core.protocol.codec.frame import MAX_BODY_BYTES
from tallow_core.protocol.handshake.join import Join
from tallow_core.protocol.relay.relay_frames import TAKE_SECONDS, WAITING, Refusal, RelayRefused
from tallow_core.relay.admission import JoinPace, count_down, network_of
from tallow_core.relay.relay_rooms import RoomTable, WaitingGuest
from tallow_core.relay.splice import Splice
from tallow_core.session.frame_io import write_frame
from tallow_core.spi.transport import ByteStream

MAX_GUESTS_OF_ADDRESS_IN_ROOM = 2
MAX_GUESTS_OF_ADDRESS = 64
"""Guests of one address that wait at once, over all rooms."""
SAFE_SECONDS = 2.0
"""Time for which another guest of the same nameplate cannot displace a waiting guest."""
PARTING_SECONDS = 10.0
"""Time that one direction of a splice has after the other has ended."""
WAITING_SECONDS = 15.0
"""Interval of Waiting frames."""


class GuestSide:
    """Serves the connections of guests."""

    def __init__(self, table: RoomTable, limits: RelayServerSettings) -> None:
        self._table = table
        self._max_in_room = limits.guests_per_room
        self._pace = JoinPace(limits)
        self._ids = itertools.count(1)
        self._waiting: Counter[str] = Counter()

    async def serve(self, stream: ByteStream, join: Join) -> None:
        """Serve a connection whose first frame is `join`. Raises `RelayRefused`."""
        guest = WaitingGuest(
            join,
            stream,
            network_of(stream.facts.peer),
            next(self._ids),
            asyncio.get_running_loop().create_future(),
        )
        self._admit(guest)
        self._waiting[guest.address] += 1
        guest.taken.add_done_callback(lambda _: count_down(self._waiting, guest.address))
        outward = asyncio.create_task(_outward(guest))
        try:
            host = await self._until_taken(guest, outward)
            inward = asyncio.create_task(guest.splice.copy(host, stream))
            await _both(guest.splice, outward, inward)
        finally:
            self._forget(guest)
            outward.cancel()
            await asyncio.gather(outward, return_exceptions=True)
            guest.spliced.set()

    def _admit(self, guest: WaitingGuest) -> None:
        nameplate, now = guest.join.nameplate, time.monotonic()
        others = self._table.waiting(nameplate)
        same = [other for other in others if other.address == guest.address]
        if self._waiting[guest.address] >= MAX_GUESTS_OF_ADDRESS:
            raise RelayRefused(Refusal.BUSY)
        if len(same) >= MAX_GUESTS_OF_ADDRESS_IN_ROOM or not self._pace.admits(
            guest.address, nameplate, guest.join.lane, now
        ):
            raise RelayRefused(Refusal.BUSY)
        if len(others) >= self._max_in_room:
            self._displace(others, now)
        if nameplate not in self._table.rooms and not guest.join.wait:
            raise RelayRefused(Refusal.NO_ROOM)

    def _displace(self, others: list[WaitingGuest], now: float) -> None:
        """Make room among the guests of one nameplate, so that strangers cannot keep the right
        guest out."""
        oldest = next((other for other in others if not other.taken.done()), None)
        if oldest is None or now - oldest.since < SAFE_SECONDS:
            raise RelayRefused(Refusal.BUSY)
        oldest.refuse(Refusal.BUSY)
        self._table.leave(oldest)

    async def _until_taken(self, guest: WaitingGuest, outward: asyncio.Task[int]) -> ByteStream:
        await self._table.enter(guest)
        opened = time.monotonic() + guest.join.wait
        while not guest.taken.done():
            if not guest.join.lane:  # the first frame on a lane is the host's
                await write_frame(guest.stream, WAITING)
            announced = self._table.is_announced(guest)
            left = TAKE_SECONDS if announced else min(WAITING_SECONDS, opened - time.monotonic())
            either: list[asyncio.Future[Any]] = [guest.taken, outward]
            await asyncio.wait(either, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
            if not guest.taken.done():
                self._give_up(guest, outward, announced, opened)
        return guest.taken.result()

    def _give_up(
        self, guest: WaitingGuest, outward: asyncio.Task[int], announced: bool, opened: float
    ) -> None:
        """Raise if the guest left, the host did not take it, or the room did not open in time."""
        if outward.done():
            outward.result()
        if announced:
            raise RelayRefused(Refusal.NOT_TAKEN)
        if not self._table.is_announced(guest) and time.monotonic() >= opened:
            raise RelayRefused(Refusal.NO_ROOM)

    def _forget(self, guest: WaitingGuest) -> None:
        self._table.leave(guest)
        if not guest.taken.done():
            guest.taken.cancel()
        elif not guest.taken.cancelled():
            guest.taken.exception()  # retrieved, so that asyncio does not log it


async def _outward(guest: WaitingGuest) -> int:
    """Copy from guest to host. Reading begins at once, so that a guest that leaves while it waits
    is noticed."""
    first = memoryview(bytearray(MAX_BODY_BYTES))
    count = await guest.stream.receive_into(first)
    if count == 0:
        raise BrokenOffError("the guest left")
    host = await asyncio.shield(guest.taken)
    await host.send(first[:count])
    return count + await guest.splice.copy(guest.stream, host)


async def _both(splice: Splice, outward: asyncio.Task[int], inward: asyncio.Task[int]) -> None:
    """Wait until both directions end, or both are silent for too long. Once one has ended without
    an error, the other has `PARTING_SECONDS`."""
    silence = asyncio.create_task(splice.watch())
    tasks: set[asyncio.Task[Any]] = {outward, inward, silence}
    try:
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        rest = pending - {silence}
        if rest and silence not in done and not any(task.exception() for task in done):
            await asyncio.wait(rest, timeout=PARTING_SECONDS)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
