"""The sender's Data records, in order, over several lanes and paths: from relay to direct, and back
if that path breaks.

The records are dealt to the lanes in use, one to each in turn. The host decides which those are:
Spread adds one; Moved ends them all and names the lane of the next record. Both stand between the
records of the lane that is next, so the order of all records is exact. On a path beside the
session's own the sender keeps every record until the receiver acknowledges it. If that path breaks,
or is slower, the sender sends them again by the session's own path.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from tallow_core.errors import BrokenOffError, LocalProtocolError, TransportError
from tallow_core.files.record_buffer import RecordBuffer
from tallow_core.paths.backlog import MAX_KEPT_RECORDS, Backlog
from tallow_core.paths.lane_pool import LanePool
from tallow_core.paths.throughput import Throughput
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.lanes.lane_join import MAX_DATA_LANES
from tallow_core.protocol.lanes.record import FINAL, RecordType
from tallow_core.protocol.lanes.session_messages import Arrived, read_arrived, read_lost, write_lane
from tallow_core.session.lane import Lane

WIDE_AFTER = 2
"""The count of records at which the sender opens further lanes. A smaller transfer needs one lane
only."""
FIRST_WINDOW_BYTES, WINDOW_SECONDS = 4 << 20, 1.0
"""The in-flight window of the session's path while the ends look for a better one: a size in bytes
or, once the rate is known, a time in seconds at that rate. The window is small, because the
receiver reads all of it before the first record of the better path."""
WATCH_SECONDS = 0.05
ALIVE_SECONDS = 3.0
JUDGE_SECONDS = 0.25
LOST_SECONDS = 60.0
"""The time for which a sender whose lane broke waits for the receiver's Lost. It is longer than the
receiver's `SILENT_SECONDS`."""


class RecordSender:
    """Sends the data; only the host does. `lane` is the first lane on the session's own path."""

    def __init__(self, pool: LanePool, lane: Lane) -> None:
        self._pool = pool
        self._scope = pool.scope
        self._channel = pool.channel
        self._lane_set = pool.lanes
        self._reporter = pool.reporter
        self._backlog = Backlog()
        self._lost = False
        self._changed = asyncio.Event()
        self._spoke = 0.0
        self._onwards = 0
        self._reason = "broken"
        self._own_rate = 0.0
        self._former: dict[int, tuple[int, int]] = {}
        self._throughput = Throughput()
        self._lanes: list[Lane] = []
        self._buffers: dict[Lane, RecordBuffer] = {}
        self._going: dict[Lane, asyncio.Task[None]] = {}
        self._begin(lane)
        self._channel.handle(RecordType.ACK, self._on_ack)
        self._channel.handle(RecordType.LOST, self._on_lost)

    def _begin(self, lane: Lane) -> None:
        """Send the data by `lane` from here on."""
        if self._lanes:
            self._former[self._number] = self._backlog.acknowledged, self._backlog.sent
            if not self._aside:
                self._own_rate = max(self._own_rate, self._throughput.rate)
        self._lanes, self._turn = [lane], 0
        self._buffers.clear()
        self._going.clear()
        self._throughput = Throughput()
        self._backlog.begin()
        self._lost = False
        lane.carries = True

    @property
    def _aside(self) -> str:
        """The address of the path in use, if it is not the session's own."""
        return self._lanes[0].address

    @property
    def _number(self) -> int:
        """The id of the path in use: that of the lane that the data moved to."""
        return self._lanes[0].keys.lane

    async def transmit(self, buffer: RecordBuffer, size: int) -> None:
        """Seal and send `buffer.plain[:size]` by the best path there is; the buffer may be reused
        afterwards."""
        await self._choose()
        await self._spread()
        while self._aside and self._backlog.kept >= MAX_KEPT_RECORDS:
            await self._change()
        if self._aside:
            self._backlog.keep(buffer.plain[:size])
        try:
            await self._put_on_next(buffer, size)
        except TransportError:
            if not self._aside:
                raise
            await self._fall_back()

    async def _choose(self) -> None:
        """Move to a better path, if there is one. Wait while the in-flight window of the session's
        own is full."""
        while not self._aside:
            if (self._own_rate or self._throughput.settled) and (
                better := self._pool.best()
            ) is not None:
                await self._move(better)
            elif (
                self._backlog.in_flight
                <= max(FIRST_WINDOW_BYTES, WINDOW_SECONDS * self._throughput.best)
                or not self._hopes
            ):
                return
            else:
                self._changed.clear()
                with self._throughput.sending(), contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_SECONDS):
                        await self._changed.wait()

    @property
    def _hopes(self) -> bool:
        """Whether both ends look for a path that the data may move to. The receiver then
        acknowledges the records that arrive."""
        return self._pool.searches and self._pool.peer_searches and not self._pool.stay

    async def finish(self) -> None:
        """Wait until every record that was kept is acknowledged."""
        while self._aside and self._backlog.kept:
            await self._change()

    async def _put_on_next(self, buffer: RecordBuffer, size: int) -> None:
        """Send a record by the lane that is next. The final one ends that lane; the others are
        ended after it.

        Several lanes send at the same time, each from a copy of its own, so that a slow one does
        not hold up the others.
        """
        final = bool(buffer.plain[0] & FINAL)
        self._backlog.add(size)
        if self._backlog.sent == WIDE_AFTER:
            self._pool.widen(self._lanes[0])
        lane = self._lanes[self._turn]
        with self._throughput.sending():
            await self._free_to_send(lane)
            await (
                lane.put_filled(buffer, size)
                if len(self._lanes) == 1
                else self._go(lane, buffer, size)
            )
        self._spoke = time.monotonic()
        if final:
            await self._free_to_send(lane)
            with contextlib.suppress(
                *((TransportError,) if self._aside else ())
            ):  # there, acknowledgements count
                await self._end_others()
        self._turn = (self._turn + 1) % len(self._lanes)

    async def _go(self, lane: Lane, buffer: RecordBuffer, size: int) -> None:
        copy = self._buffers.get(lane) or self._buffers.setdefault(lane, RecordBuffer.for_data())
        copy.plain[:size] = buffer.plain[:size]
        self._going[lane] = task = self._scope.task(lane.put_filled(copy, size))
        task.add_done_callback(_seen)
        await asyncio.sleep(0)

    async def _free_to_send(self, lane: Lane) -> None:
        """Wait until the last record of a lane is sent; raise its error."""
        if (going := self._going.pop(lane, None)) is not None:
            await going

    async def _say(
        self, lane: Lane, kind: RecordType, body: bytes = b"", *, final: bool = False
    ) -> None:
        """Send a small record on a lane, after the record that is being sent on it."""
        await self._free_to_send(lane)
        await lane.put(kind, body, final=final)

    async def _end_others(self) -> None:
        for number, lane in enumerate(self._lanes):
            if number != self._turn:
                await self._say(lane, RecordType.CLOSE, final=True)

    async def _change(self) -> None:
        """Wait for an acknowledgement or for Lost. After Lost, send the rest again."""
        self._changed.clear()
        if not self._lost:
            with self._throughput.sending():
                await self._changed.wait()
        if self._lost:
            await self._fall_back()

    # -- further lanes, other paths --------------------------------------------------------------

    async def _spread(self) -> None:
        """Take in the lanes that have joined by the path in use."""
        while (
            len(self._lanes) < MAX_DATA_LANES
            and (further := self._pool.further(self._aside)) is not None
        ):
            try:
                await self._say(
                    self._lanes[self._turn], RecordType.SPREAD, write_lane(further.keys.lane)
                )
            except TransportError:
                if not self._aside:
                    raise
                self._lane_set.drop(further)
                return  # the next record will not get through either
            further.carries = True
            self._lanes.append(further)
            self._reporter.note(f"the data goes by {len(self._lanes)} connections", 2)

    async def _move(self, better: Lane) -> None:
        await self._say(
            self._lanes[self._turn], RecordType.MOVED, write_lane(better.keys.lane), final=True
        )
        await self._end_others()
        self._begin(better)
        self._spoke = time.monotonic()
        self._scope.spawn(self._keep_alive(better))
        self._scope.spawn(self._judge(better))
        self._pool.show_path(better, "found")

    async def _judge(self, lane: Lane) -> None:
        """Give up a path that is slower than the session's own was. The receiver answers as if it
        had broken."""
        while (
            not self._lost
            and self._lanes[0] is lane
            and not self._lanes[self._turn].sealer.finished
        ):
            await asyncio.sleep(JUDGE_SECONDS)
            if (
                self._lanes[0] is lane
                and not self._lost
                and self._throughput.slower_than(self._own_rate)
            ):
                self._reason, self._pool.stay = "slower", True
                better = (
                    f"less than the {self._own_rate / 1e6:.1f} MB/s by {self._pool.path.address}"
                )
                self._reporter.note(f"{lane.address} gives {better}; going back there")
                with contextlib.suppress(LocalProtocolError):  # our final word has gone out
                    await self._channel.post(RecordType.GIVEN_UP, write_lane(lane.keys.lane))
                return

    async def _keep_alive(self, lane: Lane) -> None:
        """Send a keep-alive where no record is sent, so that silence means a broken path."""
        with contextlib.suppress(TransportError, LocalProtocolError):
            while (
                not self._lost
                and self._lanes[0] is lane
                and not self._lanes[self._turn].sealer.finished
            ):
                await asyncio.sleep(ALIVE_SECONDS)
                heard = self._lanes[self._turn]  # where the receiver listens
                if (
                    time.monotonic() - self._spoke >= ALIVE_SECONDS
                    and self._lanes[0] is lane
                    and not heard.sealer.finished
                ):
                    await heard.put(RecordType.PING)

    async def _fall_back(self) -> None:
        """Go on, on a new lane of the session's own path, with the first record that the receiver
        does not have."""
        self._pool.forget(self._aside)
        for broken in self._lanes:
            self._lane_set.drop(broken)
        try:
            async with asyncio.timeout(LOST_SECONDS):
                while not self._lost:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise BrokenOffError(
                "the direct connection broke, and the other side did not come back by the relay;"
                " try again"
            ) from None
        self._begin(await self._lane_set.next_joined(self._onwards))
        self._pool.show_path(self._lanes[0], self._reason)
        self._reason = "broken"
        buffer = RecordBuffer.for_data()
        for copy in self._backlog.take_kept():
            buffer.plain[: len(copy)] = copy
            await self._put_on_next(buffer, len(copy))

    async def _on_ack(self, body: bytes) -> None:
        arrived = read_arrived(body)
        if (former := self._former.get(arrived.lane)) is not None:
            self._take_former(arrived, *former)
        else:
            self._take(arrived.lane, arrived.records, arrived.waited / 1000)

    def _take_former(self, arrived: Arrived, acknowledged: int, sent: int) -> None:
        """Take an acknowledgement of records that were in flight on a former lane when the data
        moved on."""
        if not acknowledged <= arrived.records <= sent:
            raise malformed("records that were acknowledged before, or that were never sent")
        self._former[arrived.lane] = arrived.records, sent
        if arrived.records == sent and arrived.lane == next(reversed(self._former)):
            self._throughput.begin()

    async def _on_lost(self, body: bytes) -> None:
        lost = read_lost(body)
        if not self._aside:
            raise malformed("a word on a lane that does not carry the data")
        self._take(lost.lane, lost.records, None)
        self._lost, self._onwards = True, lost.onwards
        for lane in self._lanes:
            await lane.stream.aclose()  # ends a send that waits there

    def _take(self, lane: int, records: int, starved: float | None) -> None:
        if self._lost or lane != self._number:
            raise malformed("a word on a lane that does not carry the data")
        size = self._backlog.acknowledge(records)
        if starved is not None:
            self._throughput.arrived(size, starved)
        self._changed.set()


def _seen(task: asyncio.Task[None]) -> None:
    """Retrieve a failed task's error, so that asyncio does not log it. The error is raised when the
    lane is used next, if it is."""
    if not task.cancelled():
        task.exception()
