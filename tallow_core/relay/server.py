"""The relay: rooms that hosts wait in, and connections spliced byte for byte.

It sees nameplates, sealed streams, sizes and times. It stores a hash of each host's token, logs no
address and no nameplate, and everything that a stranger can make it hold is bounded: connections,
rooms, guests of a room, frame sizes, times.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import ipaddress
import itertools
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from tallow_core.config.schema import RelayServerSettings
from tallow_core.errors import BrokenOffError, TallowError, UnreachableError
from tallow_core.protocol.codec.frame import MAX_BODY, Frame, FrameType
from tallow_core.protocol.handshake.join import Join, read_join
from tallow_core.protocol.relay.relay_frames import (
    FIRST_SECONDS,
    PING,
    PING_SECONDS,
    RESUME_SECONDS,
    SILENCE_SECONDS,
    TAKE_SECONDS,
    TOKEN,
    WAITING,
    Guest,
    Open,
    Opened,
    Refusal,
    RelayRefused,
    Resume,
    Take,
    read_host_request,
    refused,
)
from tallow_core.relay.splice import Splice
from tallow_core.secrets import equal, system_rng
from tallow_core.session.frame_io import best_effort, read_frame, write_frame
from tallow_core.spi.rooms import Rooms, RoomsFull, RoomTaken
from tallow_core.spi.transport import ByteStream, Listener

WAITING_PER_ADDRESS = 2
JOINS_PER_MINUTE, LANES_PER_MINUTE = 10, 48
"""Of one address for one nameplate: handshakes, and further connections of a session, which has up
to 16 and may be begun again."""
MOST_WAITING = 64
"""Guests of one address that wait at once, over all rooms."""
SAFE_SECONDS = 2.0
"""For how long a waiting guest cannot be displaced by a further one of the same number."""
PARTING_SECONDS = 10.0
WAITING_SECONDS = 15.0


@dataclass(slots=True, eq=False)
class _Waiting:
    """A guest that was not taken yet; `taken` gets the host's stream, `spliced` is set when both
    directions have ended."""

    join: Join
    stream: ByteStream
    address: str
    id: int
    taken: asyncio.Future[ByteStream]
    spliced: asyncio.Event = field(default_factory=asyncio.Event)
    since: float = field(default_factory=time.monotonic)
    splice: Splice = field(default_factory=Splice)


@dataclass(slots=True, eq=False)
class _Room:
    """The host of a room. `stream` changes when the host resumes."""

    stream: ByteStream
    guests: dict[int, _Waiting] = field(default_factory=dict)
    expiry: asyncio.Task[None] | None = None
    telling: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def tell(self, stream: ByteStream, frame: Frame) -> None:
        """Send a frame to the host, one at a time: guests and the pinger do so from tasks of their
        own."""
        async with self.telling:
            await write_frame(stream, frame)


class RelayServer:
    """Serves listeners until cancelled."""

    def __init__(self, rooms: Rooms, limits: RelayServerSettings) -> None:
        self._store = rooms
        self._limits = limits
        self._rooms: dict[str, _Room] = {}
        self._early: dict[str, list[_Waiting]] = {}
        self._joins: dict[tuple[str, str, bool], deque[float]] = {}
        self._most_joins = limits.connections
        self._ids = itertools.count(1)
        self._connections: set[asyncio.Task[None]] = set()
        self._half_open: dict[asyncio.Task[None], str] = {}
        self._waiting: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()

    async def serve(self, listener: Listener) -> None:
        """Accept until cancelled, then say goodbye to whoever waits and let go of the rest."""
        try:
            while True:
                stream = await listener.accept()
                address = _network(stream.facts.peer)
                admitted = self._has_place(address)
                task = asyncio.create_task(
                    self._connection(stream) if admitted else stream.aclose()
                )
                if admitted:
                    self._half_open[task] = address
                self._connections.add(task)
                self._addresses[address] += 1
                task.add_done_callback(functools.partial(self._ended, address))
        finally:
            await listener.aclose()
            await self._goodbye()

    def _has_place(self, address: str) -> bool:
        """Whether one more connection from `address` fits; one that has said nothing yet makes
        room, the oldest first."""
        if self._addresses[address] >= self._limits.connections_per_address:
            return self._evict(address)
        return len(self._connections) < self._limits.connections or self._evict(None)

    def _evict(self, address: str | None) -> bool:
        oldest = next(
            (task for task, whose in self._half_open.items() if address in (None, whose)), None
        )
        if oldest is None:
            return False
        del self._half_open[oldest]
        return oldest.cancel()

    def _ended(self, address: str, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._half_open.pop(task, None)
        _count_down(self._addresses, address)

    async def _goodbye(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                for room in list(self._rooms.values()):
                    await best_effort(room.stream, refused(Refusal.CLOSING).encoded)
        tasks = [
            *self._connections,
            *(room.expiry for room in self._rooms.values() if room.expiry is not None),
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, stream: ByteStream) -> None:
        try:
            frame = await read_frame(stream, FIRST_SECONDS)
            task = asyncio.current_task()
            assert task is not None
            self._half_open.pop(task, None)
            if frame.type == FrameType.JOIN:
                await self._guest(stream, read_join(frame))
            else:
                await self._host(stream, frame)
        except RelayRefused as refusal:
            await best_effort(stream, refused(Refusal(refusal.number)).encoded)
        except (BrokenOffError, UnreachableError):
            pass  # gone, or silent for too long
        except TallowError:
            await best_effort(stream, refused(Refusal.MALFORMED).encoded)
        finally:
            await stream.aclose()

    # -- hosts -----------------------------------------------------------------------------------

    async def _host(self, stream: ByteStream, frame: Frame) -> None:
        request = read_host_request(frame)
        if isinstance(request, Take):
            await self._take(stream, request)
        elif isinstance(request, Resume):
            await self._resume(stream, request)
        else:
            await self._open(stream, request)

    async def _open(self, stream: ByteStream, request: Open) -> None:
        token = system_rng(TOKEN)
        try:
            nameplate = await self._store.open(
                request.wanted, hashlib.sha256(token).digest(), time.monotonic()
            )
        except RoomTaken:
            raise RelayRefused(Refusal.TAKEN) from None
        except RoomsFull:
            raise RelayRefused(Refusal.FULL) from None
        room = self._rooms[nameplate] = _Room(stream)
        await self._attend(stream, nameplate, token, room)

    async def _owned(self, nameplate: str, token: bytes) -> _Room:
        owner = await self._store.owner(nameplate)
        room = self._rooms.get(nameplate)
        if owner is None or room is None:
            raise RelayRefused(Refusal.NO_ROOM)
        if not equal(owner, hashlib.sha256(token).digest()):
            raise RelayRefused(Refusal.BAD_TOKEN)
        return room

    async def _resume(self, stream: ByteStream, request: Resume) -> None:
        room = await self._owned(request.nameplate, request.token)
        if room.expiry is not None:
            room.expiry.cancel()
            room.expiry = None
        former, room.stream = room.stream, stream
        await best_effort(former, refused(Refusal.REPLACED).encoded)
        await former.aclose()
        if self._rooms.get(request.nameplate) is not room or room.stream is not stream:
            raise RelayRefused(
                Refusal.NO_ROOM
            )  # freed or resumed again meanwhile: it may be somebody else's by now
        await self._attend(stream, request.nameplate, request.token, room)

    async def _attend(self, stream: ByteStream, nameplate: str, token: bytes, room: _Room) -> None:
        """Keep a host's control connection: tell it of guests, ping it, and free the room when it
        goes."""
        pinger = None
        try:
            await room.tell(stream, Opened(nameplate, token).frame())
            for waiting in self._early.pop(nameplate, []) + list(room.guests.values()):
                await self._announce(room, waiting)
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
            if self._rooms.get(nameplate) is room and room.stream is stream:
                room.expiry = asyncio.create_task(self._expire(nameplate, room))

    async def _expire(self, nameplate: str, room: _Room) -> None:
        """The host was lost without a word: it has a minute to come back with its token."""
        await asyncio.sleep(RESUME_SECONDS)
        await self._free(nameplate, room)

    async def _free(self, nameplate: str, room: _Room) -> None:
        if self._rooms.get(nameplate) is not room:
            return
        del self._rooms[nameplate]
        for waiting in room.guests.values():
            if not waiting.taken.done():
                waiting.taken.set_exception(RelayRefused(Refusal.HOST_GONE))
        await self._store.close(nameplate, time.monotonic())

    async def _take(self, stream: ByteStream, request: Take) -> None:
        room = await self._owned(request.nameplate, request.token)
        waiting = room.guests.pop(request.guest, None)
        if waiting is None or waiting.taken.done():
            raise RelayRefused(Refusal.HOST_GONE)
        waiting.taken.set_result(stream)
        await waiting.spliced.wait()

    # -- guests ----------------------------------------------------------------------------------

    async def _guest(self, stream: ByteStream, join: Join) -> None:
        waiting = _Waiting(
            join,
            stream,
            _network(stream.facts.peer),
            next(self._ids),
            asyncio.get_running_loop().create_future(),
        )
        self._admit(waiting)
        self._waiting[waiting.address] += 1
        waiting.taken.add_done_callback(lambda _: _count_down(self._waiting, waiting.address))
        outward = asyncio.create_task(self._outward(waiting))
        try:
            host = await self._until_taken(waiting, outward)
            inward = asyncio.create_task(waiting.splice.copy(host, stream))
            await _both(waiting.splice, outward, inward)
        finally:
            self._forget(waiting)
            outward.cancel()
            await asyncio.gather(outward, return_exceptions=True)
            waiting.spliced.set()

    def _admit(self, waiting: _Waiting) -> None:
        nameplate, now = waiting.join.nameplate, time.monotonic()
        room = self._rooms.get(nameplate)
        others = list(room.guests.values()) if room else self._early.get(nameplate, [])
        same = [other for other in others if other.address == waiting.address]
        if self._waiting[waiting.address] >= MOST_WAITING:
            raise RelayRefused(Refusal.BUSY)
        if len(same) >= WAITING_PER_ADDRESS or not self._in_pace(waiting, now):
            raise RelayRefused(Refusal.BUSY)
        if len(others) >= self._limits.guests_per_room:
            self._displace(others, now)
        if room is None and not waiting.join.wait:
            raise RelayRefused(Refusal.NO_ROOM)

    def _displace(self, others: list[_Waiting], now: float) -> None:
        """Make room among the guests of one nameplate: strangers must not be able to keep the right
        one out."""
        oldest = next((other for other in others if not other.taken.done()), None)
        if oldest is None or now - oldest.since < SAFE_SECONDS:
            raise RelayRefused(Refusal.BUSY)
        oldest.taken.set_exception(RelayRefused(Refusal.BUSY))
        self._leave(oldest)

    def _in_pace(self, waiting: _Waiting, now: float) -> bool:
        if len(self._joins) > self._most_joins:
            self._joins = {
                key: times for key, times in self._joins.items() if times and now - times[-1] < 60
            }
            # In a flood most of them are fresh: the next walk over all comes when there are twice
            # as many.
            self._most_joins = max(self._limits.connections, 2 * len(self._joins))
        most = LANES_PER_MINUTE if waiting.join.lane else JOINS_PER_MINUTE
        times = self._joins.setdefault(
            (waiting.address, waiting.join.nameplate, waiting.join.lane), deque(maxlen=most)
        )
        if len(times) == most and now - times[0] < 60:
            return False
        times.append(now)
        return True

    async def _outward(self, waiting: _Waiting) -> int:
        """Guest to host. Reading begins at once, so that a guest that leaves while it waits is
        noticed."""
        first = memoryview(bytearray(MAX_BODY))
        count = await waiting.stream.receive_into(first)
        if count == 0:
            raise BrokenOffError("the guest left")
        host = await asyncio.shield(waiting.taken)
        await host.send(first[:count])
        return count + await waiting.splice.copy(waiting.stream, host)

    async def _until_taken(self, waiting: _Waiting, outward: asyncio.Task[int]) -> ByteStream:
        room = self._rooms.get(waiting.join.nameplate)
        if room is not None:
            await self._announce(room, waiting)
        else:
            self._early.setdefault(waiting.join.nameplate, []).append(waiting)
        opened = time.monotonic() + waiting.join.wait
        while not waiting.taken.done():
            if not waiting.join.lane:  # what comes first on a lane is from the host
                await write_frame(waiting.stream, WAITING)
            announced = self._is_announced(waiting)
            left = TAKE_SECONDS if announced else min(WAITING_SECONDS, opened - time.monotonic())
            either: list[asyncio.Future[Any]] = [waiting.taken, outward]
            await asyncio.wait(either, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
            if outward.done() and not waiting.taken.done():
                outward.result()
            if not waiting.taken.done() and announced:
                raise RelayRefused(Refusal.NOT_TAKEN)
            if (
                not waiting.taken.done()
                and not self._is_announced(waiting)
                and time.monotonic() >= opened
            ):
                raise RelayRefused(Refusal.NO_ROOM)
        return waiting.taken.result()

    def _is_announced(self, waiting: _Waiting) -> bool:
        room = self._rooms.get(waiting.join.nameplate)
        return room is not None and waiting.id in room.guests and room.expiry is None

    async def _announce(self, room: _Room, waiting: _Waiting) -> None:
        room.guests[waiting.id] = waiting
        if room.expiry is not None:
            return  # the host was lost: it is told when it comes back
        with contextlib.suppress(BrokenOffError):  # lost just now: the same
            await room.tell(room.stream, Guest(waiting.id, waiting.join.lane).frame())

    def _forget(self, waiting: _Waiting) -> None:
        self._leave(waiting)
        if not waiting.taken.done():
            waiting.taken.cancel()
        elif not waiting.taken.cancelled():
            waiting.taken.exception()  # seen

    def _leave(self, waiting: _Waiting) -> None:
        nameplate = waiting.join.nameplate
        if (room := self._rooms.get(nameplate)) is not None:
            room.guests.pop(waiting.id, None)
        early = self._early.get(nameplate, [])
        if waiting in early:
            early.remove(waiting)
        if not early:
            self._early.pop(nameplate, None)


async def _both(splice: Splice, outward: asyncio.Task[int], inward: asyncio.Task[int]) -> None:
    """Let both directions end, or both be silent for too long; once one has ended, the other may
    take a while, unless it failed."""
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


async def _ping(room: _Room, stream: ByteStream) -> None:
    with contextlib.suppress(TallowError):
        while True:
            await asyncio.sleep(PING_SECONDS)
            await room.tell(stream, PING)


def _count_down(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    prefix = 32 if parsed.version == 4 else 64
    return str(ipaddress.ip_network((parsed, prefix), strict=False))
