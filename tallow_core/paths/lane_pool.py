"""The pool of spare lanes, which have joined the session and stay idle until the host sends data by
them.

Some lead to a candidate, on a path beside the session's own; the data can move to one of them. The
others lead where the data goes already. The host adds these to the lanes in use where the round
trip is long, or where a user chose several lanes.
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
"""The most spare lanes beside the session's path that one end may open: four that the data could
move to, and those that join the lane in use."""
MAX_MOVES = 8
"""The most times that the data moves to a spare lane in one session."""
MAX_LANES_MESSAGES = 1 + 2 * MAX_MOVES
"""The most times that a host asks for further lanes in one session. It asks once for each path that
the data takes."""
JOIN_SECONDS = 5.0
"""The time limit for one lane to join beside the session's path, from the dialling or from the
accepted connection on."""
AT_ONCE = 2
"""The number of further lanes that an end opens at a time. A relay lets no more wait."""
FAR_SECONDS, FAR_LANES = 0.02, 4
"""The round trip from which on the data takes several lanes, and how many it takes, unless a user
chose a number. One connection is limited there by its buffers (4 MiB in many systems) and carries
less than the line can."""

Record = tuple[int, memoryview]
FLOW = (RecordType.DATA, RecordType.SPREAD, RecordType.MOVED)
"""The record types with which the data may begin on a lane. The record receiver checks that the one
that came is due."""


class SpareLane(NamedTuple):
    """A lane, and the task that reads it while it is idle. At the guest the task's result is the
    first record of the data."""

    lane: Lane
    reading: asyncio.Task[Record | None]

    @property
    def broken(self) -> bool:
        """Whether the lane has ended, with a Close or by an error."""
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
        """Whether the data stays on the session's path, which was measured to be the fastest."""
        self.searches = False
        """Whether this end looks for a direct path beside the one of the session."""
        self.peer_searches = False
        """Whether the other end is known to look for a direct path too."""
        if lanes.role is Role.HOST:
            channel.handle(RecordType.LANES_WANTED, self._on_wish)
        else:
            channel.handle(RecordType.LANES, self._on_lanes)

    @property
    def wanted(self) -> bool:
        """Whether the pool needs a lane that the data could move to."""
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
            await lane.put(RecordType.PING)

    def _add(self, lane: Lane) -> None:
        number = lane.keys.lane
        reading = self.scope.task(self._read(lane))
        self._idle[number] = SpareLane(lane, reading)
        reading.add_done_callback(lambda task: self._over(number, lane, task))

    def _over(self, number: int, lane: Lane, task: asyncio.Task[Record | None]) -> None:
        """Handle the end of `_read`: the lane has ended, or (at the guest) the data has begun on
        it. A lane that broke does not end the session."""
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
            kind, body = await lane.next_record()
            if kind == RecordType.EPOCH:
                await self.lanes.epochs.received(lane, body)
            elif kind in FLOW and not host:
                return kind, body
            elif kind == RecordType.PING and host:
                self._stands(lane.keys.lane)
            elif kind not in (RecordType.PING, RecordType.CLOSE):
                raise malformed(f"record {kind:#04x} on a lane that carries nothing yet")
        if not lane.sealer.finished:
            await lane.put(RecordType.CLOSE, final=True)
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
        """Take the lane that joined first, to move the data to it, and end the other ready lanes.
        Only the host calls this. Returns None if no lane is ready."""
        if not self._ready or self._moves >= MAX_MOVES or self.stay:
            return None
        self._moves += 1
        number, *others = self._ready
        self._ready = []
        for other in others:
            self.scope.spawn(self.lanes.end(self._idle.pop(other).lane))
        return self._idle.pop(number).lane

    def named(self, number: int) -> SpareLane:
        """Take the lane that the host has moved the data to. Only the guest calls this. If the lane
        has broken, its reading task raises the error."""
        self._moves += 1
        if self._moves > MAX_MOVES:
            raise malformed(f"the data was moved more than {MAX_MOVES} times")
        return self.joining(number, aside=True)

    async def give_up(self, number: int) -> None:
        """Close the idle lane with this id, which the host has given up. Only the guest calls this.
        If the data has moved to it already, its reading task raises the error."""
        spare = self._idle.get(number)
        if spare is None or not spare.lane.address:
            raise malformed(f"lane {number} is given up, which the data did not move to")
        await spare.lane.stream.aclose()

    def joining(self, number: int, *, aside: bool) -> SpareLane:
        """Take the lane by which the host sends data, beside the session's path (`aside`) or on it.
        Only the guest calls this."""
        spare = self._idle.get(number)
        if spare is None or bool(spare.lane.address) is not aside:
            raise malformed(
                f"the data was moved to lane {number}, which is no lane that it could move to"
            )
        return self._idle.pop(number)

    # -- several at once -------------------------------------------------------------------------

    async def wish(self) -> None:
        """Send the host the number of lanes that the user of this end chose, if any. Only the guest
        calls this."""
        if chosen := self._context.settings.session.lanes:
            await self.channel.post(RecordType.LANES_WANTED, write_wanted(chosen))

    async def _on_wish(self, body: bytes) -> None:
        if self._wish:
            raise malformed("a second wish for lanes")
        self._wish = read_wanted(body)

    def widen(self, lane: Lane) -> None:
        """Have further lanes opened to the place where `lane` leads, until there are as many as the
        data takes. The end that opened `lane` opens them. Only the host calls this."""
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
            self.scope.spawn(self.channel.post(RecordType.LANES, further.encoded()))

    def further(self, address: str) -> Lane | None:
        """Take a lane that has joined at `address`, where the data goes already; "" is the
        session's path. Only the host calls this. Returns None if there is no such lane."""
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
