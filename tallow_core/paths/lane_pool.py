"""Spare lanes: joined, and idle until the host sends the data by them.

Those at a candidate lie beside the path of the session, and the data moves to one of them. Others
lead where the data goes already. They are added to the lanes that carry it where the round trip is
long or either end asks for several.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from tallow_core.aio import Scope
from tallow_core.errors import TallowError, TransportError
from tallow_core.events import PathChanged
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.lanes.lane_join import CONTROL_LANE, MAX_DATA_LANES, LaneHello
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import (
    Further,
    read_further,
    read_wanted,
    write_wanted,
)
from tallow_core.session.channel import Channel
from tallow_core.session.context import Context
from tallow_core.session.lane import Dial, Lane
from tallow_core.session.lane_set import LaneSet
from tallow_core.spi.transport import ByteStream
from tallow_core.types import NetworkPath, Role

MAX_SPARE_LANES = 4 + MAX_DATA_LANES - 1
"""Beside the path of the session, of one end at once: four to move to, and those that join the one
in use."""
MAX_MOVES = 8
"""To a spare lane, in one session."""
MAX_LANES_MESSAGES = 1 + 2 * MAX_MOVES
"""How often a host asks for further lanes: once for each path that the data takes."""
JOIN_SECONDS = 5.0
"""One attempt beside the path of the session: from dialling, or from the accepted connection, to
the joined lane."""
AT_ONCE = 2
"""Further lanes that are opened at a time: a relay lets no more wait."""
FAR_SECONDS, FAR_LANES = 0.02, 4
"""The round trip from which on several lanes are used, and how many, unless a user chose. The
buffers of one connection (4 MiB in many systems) then hold it below what a line may carry."""

Record = tuple[int, memoryview]
FLOW = (RecordType.DATA, RecordType.SPREAD, RecordType.MOVED)
"""Record types with which a lane that carries the data may begin. The record receiver decides
whether this one may come now."""


class SpareLane(NamedTuple):
    """A lane, and the task that reads it while it is idle. At the guest the task's result is the
    first record of the data."""

    lane: Lane
    reading: asyncio.Task[Record | None]

    @property
    def broken(self) -> bool:
        """Whether it has ended, by itself or by an error."""
        return self.reading.done() and (
            self.reading.cancelled()
            or self.reading.exception() is not None
            or self.reading.result() is None
        )


class LanePool:
    """The spare lanes of one session. The host chooses which are used; the guest uses those that
    the host names."""

    def __init__(
        self, context: Context, scope: Scope, channel: Channel, lanes: LaneSet, path: NetworkPath
    ) -> None:
        self._context = context
        self.scope = scope
        self.channel = channel
        self.lanes = lanes
        self.path = path
        self.reporter = context.reporter
        self._idle: dict[int, SpareLane] = {}
        self._ready: list[int] = []
        self._moves = 0
        self._asked = 0
        self._wish = 0
        self._opening: tuple[str, asyncio.Task[None]] | None = None
        self.stay = False
        """Whether the path of the session was found to be the fastest, and the data stays there."""
        self.searches = False
        """Whether this end looks for a direct path beside the one of the session."""
        self.peer_searches = False
        """Whether the other end is known to do so."""
        if lanes.role is Role.HOST:
            channel.handle(RecordType.LANES_WANTED, self._on_wish)
        else:
            channel.handle(RecordType.LANES, self._on_lanes)

    @property
    def wanted(self) -> bool:
        """Whether another lane to move to is of use."""
        return (
            self.lanes.aside is None
            and not self.stay
            and self._moves < MAX_MOVES
            and not self._alive()
        )

    def _alive(self) -> int:
        return sum(bool(spare.lane.address) and not spare.broken for spare in self._idle.values())

    async def dial(self, dial: Dial, address: str) -> None:
        """Join by a stream that `dial` opens to `address`. The host uses the lane once the guest
        has sent a ping on it."""
        async with asyncio.timeout(JOIN_SECONDS):
            await self.lanes.dial_aside(dial, address, self._add)

    async def accept(self, stream: ByteStream, hello: LaneHello, address: str) -> None:
        """Join by a stream that the other end opened."""
        if self._alive() >= MAX_SPARE_LANES:
            raise malformed(f"more than {MAX_SPARE_LANES} lanes that carry nothing")
        lane = await self.lanes.accept_aside(stream, hello, address)
        self._add(lane)
        if self.lanes.role is Role.HOST:
            self._ready.append(lane.keys.lane)
        else:
            await lane.send(RecordType.PING)

    def _add(self, lane: Lane) -> None:
        number = lane.keys.lane
        reading = self.scope.task(self._read(lane))
        self._idle[number] = SpareLane(lane, reading)
        reading.add_done_callback(lambda task: self._over(number, lane, task))

    def _over(self, number: int, lane: Lane, task: asyncio.Task[Record | None]) -> None:
        """Reading has ended: with the lane, or (at the guest) with the first record of the data. A
        lane that broke does not end the session."""
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, TransportError):
            self.scope.fail(error)
        if error is not None or task.result() is None:
            self._not_ready(number)
            self.lanes.drop(lane)
            if self.lanes.role is Role.HOST:
                self._idle.pop(number, None)

    async def _read(self, lane: Lane) -> Record | None:
        host = self.lanes.role is Role.HOST
        while not lane.opener.finished:
            kind, body = await lane.receive()
            if kind == RecordType.EPOCH:
                await self.lanes.epochs.received(lane, body)
            elif kind in FLOW and not host:
                return kind, body
            elif kind == RecordType.PING and host:
                self._stands(lane.keys.lane)
            elif kind not in (RecordType.PING, RecordType.CLOSE):
                raise malformed(f"record {kind:#04x} on a lane that carries nothing yet")
        if not lane.sealer.finished:
            await lane.send(RecordType.CLOSE, final=True)
        return None

    def _stands(self, number: int) -> None:
        if number in self._idle and number not in self._ready:
            self._ready.append(number)

    def _not_ready(self, number: int) -> None:
        if number in self._ready:
            self._ready.remove(number)

    def forget(self, address: str) -> None:
        """A path beside the session's own is broken: drop the idle lanes that lead there."""
        self.stop_opening(address)
        for number, spare in list(self._idle.items()):
            if spare.lane.address == address:
                del self._idle[number]
                self._not_ready(number)
                self.lanes.drop(spare.lane)

    def show_path(self, lane: Lane, reason: str) -> None:
        """The `path` event: the data goes by `lane` from here on, because a path was "found", is
        "broken", or was "slower"."""
        self.lanes.aside = lane if lane.address else None
        self._context.report(PathChanged("direct" if lane.address else self.path.kind, reason))
        self.reporter.note(f"the data goes by {lane.address or self.path.address}")

    # -- moving ----------------------------------------------------------------------------------

    def best(self) -> Lane | None:
        """At the host: take the lane that joined first, to move to, and end the others. None if
        there is none."""
        if not self._ready or self._moves >= MAX_MOVES or self.stay:
            return None
        self._moves += 1
        number, *others = self._ready
        self._ready = []
        for other in others:
            self.scope.spawn(self.lanes.end(self._idle.pop(other).lane))
        return self._idle.pop(number).lane

    def named(self, number: int) -> SpareLane:
        """At the guest: the lane that the host has moved the data to. If it has broken, reading it
        raises that."""
        self._moves += 1
        if self._moves > MAX_MOVES:
            raise malformed(f"the data was moved more than {MAX_MOVES} times")
        return self.joining(number, aside=True)

    async def give_up(self, number: int) -> None:
        """At the guest: close the idle lane of this id. If the data has moved to it already,
        reading it raises the break."""
        spare = self._idle.get(number)
        if spare is None or not spare.lane.address:
            raise malformed(f"lane {number} is given up, which the data did not move to")
        await spare.lane.stream.aclose()

    def joining(self, number: int, *, aside: bool) -> SpareLane:
        """At the guest: take the lane by which the host sends data, beside the path of the session
        (`aside`) or on it."""
        spare = self._idle.get(number)
        if spare is None or bool(spare.lane.address) is not aside:
            raise malformed(
                f"the data was moved to lane {number}, which is no lane that it could move to"
            )
        return self._idle.pop(number)

    # -- several at once -------------------------------------------------------------------------

    async def wish(self) -> None:
        """At the guest: send the host the number of lanes that the user here chose, if any."""
        if chosen := self._context.settings.session.lanes:
            await self.channel.send(RecordType.LANES_WANTED, write_wanted(chosen))

    async def _on_wish(self, body: bytes) -> None:
        if self._wish:
            raise malformed("a second wish for lanes")
        self._wish = read_wanted(body)

    def widen(self, lane: Lane) -> None:
        """At the host: have further lanes opened to where `lane` leads, until there are as many as
        the data takes. The end that opened `lane` opens them."""
        chosen = max(self._context.settings.session.lanes, self._wish)
        count = (chosen or (FAR_LANES if lane.rtt >= FAR_SECONDS else 1)) - 1
        if not count:
            return
        if lane.dial is not None:
            self._open(lane.dial, lane.address, count)
        else:
            if not lane.address:
                self.lanes.expect(count)
            further = Further(lane.keys.lane if lane.address else CONTROL_LANE, count)
            self.scope.spawn(self.channel.send(RecordType.LANES, further.encoded()))

    def further(self, address: str) -> Lane | None:
        """At the host: take a lane that has joined at `address` ("" for the path of the session),
        where the data goes already. None if there is none."""
        if not address:
            return self.lanes.take_joined()
        for number in self._ready:
            if self._idle[number].lane.address == address:
                self._ready.remove(number)
                return self._idle.pop(number).lane
        return None

    async def _on_lanes(self, body: bytes) -> None:
        further = read_further(body)
        self._asked += 1
        if self._asked > MAX_LANES_MESSAGES:
            raise malformed(f"more than {MAX_LANES_MESSAGES} times asked for lanes")
        if further.lane == CONTROL_LANE:
            dial, address = self.lanes.dial_path, ""
        else:
            lane = self.lanes.dialled(further.lane)
            dial, address = (None, "") if lane is None else (lane.dial, lane.address)
        if dial is not None:  # else it has broken
            self._open(dial, address, further.lanes)

    def _open(self, dial: Dial, address: str, count: int) -> None:
        if self._opening is not None:
            self._opening[1].cancel()
        self._opening = address, self.scope.spawn(self._open_all(dial, address, count))

    def stop_opening(self, address: str) -> None:
        """Open no further lanes to `address`: the data goes elsewhere."""
        if self._opening is not None and self._opening[0] == address:
            self._opening[1].cancel()

    async def _open_all(self, dial: Dial, address: str, count: int) -> None:
        places = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with places:
                try:
                    await (self.dial(dial, address) if address else self.lanes.dial(self._add))
                except (TallowError, TimeoutError) as error:
                    self.reporter.note(
                        f"a further connection could not be opened: {error or 'no answer in time'}",
                        2,
                    )

        await asyncio.gather(*(one() for _ in range(count)))
