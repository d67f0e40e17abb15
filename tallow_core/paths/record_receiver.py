"""The receiver's Data records, read from the lanes in use, one from each in turn.

The sender (`tallow_core.paths.record_sender`) deals them to the lanes in the same order, so nothing
is sorted here. One record of each lane is read ahead, into the lane's own buffer, so that a slow
lane does not stop the others. What follows it stays in the socket.
"""

from __future__ import annotations

import asyncio
import time

from tallow_core.errors import TallowError, TransportError
from tallow_core.paths.lane_pool import LanePool, Record
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.lanes.lane_join import MAX_DATA_LANES
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import Arrived, Lost, read_lane
from tallow_core.session.lane import Lane

ACK_EVERY, ACK_SECONDS = 8, 0.25
"""An acknowledgement is sent after so many records, or so many seconds if one has arrived."""
OWN_EVERY = 2
"""The same by the session's own path: the sender has little in flight there while a better one is
looked for."""
SILENT_SECONDS = 10.0
"""Silence after which a path beside the session's own counts as dead. The sender sends a keep-alive
every `ALIVE_SECONDS`."""


class RecordReceiver:
    """The receiver's end, at the guest. `lane` is the first of the session's own path."""

    def __init__(self, pool: LanePool, lane: Lane) -> None:
        self._pool = pool
        self._scope = pool.scope
        self._channel = pool.channel
        self._lane_set = pool.lanes
        self._reporter = pool.reporter
        self._lanes = [lane]
        self._turn = 0
        self._ahead: dict[Lane, asyncio.Task[Record | None]] = {}
        self._given: Lane | None = None
        self._count = 0
        self._told = 0
        self._told_at = 0.0
        self._since = 0.0
        self._waited = 0.0
        self._given_up = False
        self._former: set[int] = set()
        self._final = False
        self._channel.handle(RecordType.GIVEN_UP, self._on_given_up)

    @property
    def _aside(self) -> str:
        """The address of the path in use, if it is not the session's own."""
        return self._lanes[0].address

    @property
    def _number(self) -> int:
        return self._lanes[0].keys.lane

    async def record(self) -> memoryview | None:
        """The body of the next Data record, valid until the next call; None after the final one."""
        self._read_ahead()
        while not self._final:
            lane = self._lanes[self._turn]
            try:
                kind, body = await self._next(lane)
                if kind == RecordType.EPOCH:
                    await self._lane_set.epochs.received(lane, body)
                    continue
                if kind == RecordType.MOVED and not self._aside and lane.opener.finished:
                    await self._move(read_lane(body, "Moved"))
                    continue
            except TransportError as error:
                await self._fall_back(error)
                continue
            if kind == RecordType.DATA:
                self._given = lane
                await self._counted(lane)
                return body
            self._other(lane, kind, body)
        await self._ends()
        return None

    def _other(self, lane: Lane, kind: int, body: memoryview) -> None:
        if lane.opener.finished:
            raise malformed(
                f"record {kind:#04x} as the last on a data lane, before all data was there"
            )
        if kind == RecordType.SPREAD and len(self._lanes) < MAX_DATA_LANES:
            spare = self._pool.joining(read_lane(body, "Spread"), aside=bool(self._aside))
            self._ahead[spare.lane] = spare.reading
            self._lanes.append(spare.lane)
        elif kind != RecordType.PING or not self._aside:
            raise malformed(f"record {kind:#04x} on a data lane")

    async def _next(self, lane: Lane) -> Record:
        self._since = time.monotonic()
        try:
            ahead = self._ahead.pop(lane, None)
            if ahead is None:
                return await lane.next_record()
            return await asyncio.shield(ahead) or (RecordType.CLOSE, memoryview(b""))
        finally:
            self._waited += time.monotonic() - self._since
            self._since = 0.0

    def _read_ahead(self) -> None:
        """The last record is done with: read the next one of its lane while the others have their
        turns."""
        lane, self._given = self._given, None
        if (
            lane is not None
            and lane in self._lanes
            and len(self._lanes) > 1
            and not lane.opener.finished
        ):
            self._ahead[lane] = task = self._scope.task(_one(lane))
            task.add_done_callback(_seen)

    async def _counted(self, lane: Lane) -> None:
        self._final = lane.opener.finished
        if not self._final:
            self._turn = (self._turn + 1) % len(self._lanes)
        self._count += 1
        count, seconds = self._count - self._told, time.monotonic() - self._told_at
        if (
            self._final
            or count >= (ACK_EVERY if self._aside else OWN_EVERY)
            or seconds >= ACK_SECONDS
        ):
            await self._tell()

    async def _tell(self) -> None:
        """Acknowledge what has arrived, on a path that may break and on one beside which others are
        tried."""
        if self._aside or self._pool.searches:
            self._told, self._told_at = self._count, time.monotonic()
            arrived = Arrived(
                self._number, self._count, min(int(self._waited * 1000), (1 << 32) - 1)
            )
            await self._channel.post(RecordType.ACK, arrived.encoded())

    async def _ends(self) -> None:
        """Read the end of every other lane in use. A lane that was cut is an error, also when all
        data has come."""
        try:
            async with asyncio.timeout(SILENT_SECONDS if self._aside else None):
                for lane in self._lanes:
                    while lane in self._ahead or not lane.opener.finished:
                        await self._end(lane)
        except (TransportError, TimeoutError):
            if not self._aside:  # there, everything was acknowledged
                raise

    async def _end(self, lane: Lane) -> None:
        kind, body = await self._next(lane)
        if kind == RecordType.EPOCH:
            await self._lane_set.epochs.received(lane, body)
        elif kind != RecordType.PING if not lane.opener.finished else kind != RecordType.CLOSE:
            raise malformed(f"record {kind:#04x} where a data lane should end")

    # -- other paths -----------------------------------------------------------------------------

    async def _move(self, number: int) -> None:
        self._pool.stop_opening("")
        spare, old = self._pool.named(number), self._lanes
        await self._ends()
        await self._tell()
        for lane in old:
            if not lane.sealer.finished:
                await lane.put(RecordType.CLOSE, final=True)
            self._lane_set.drop(lane)
        self._use(spare.lane, "found")
        self._ahead[spare.lane] = spare.reading
        self._scope.spawn(self._watch(spare.lane))

    async def _watch(self, first: Lane) -> None:
        """Close a path that has fallen silent while a record is waited for."""
        while self._lanes[0] is first and not self._final:
            await asyncio.sleep(1)
            heard = max(lane.heard for lane in self._lanes)
            if (
                self._since
                and self._lanes[0] is first
                and time.monotonic() - max(self._since, heard) > SILENT_SECONDS
            ):
                for lane in self._lanes:
                    await lane.stream.aclose()
                return

    async def _fall_back(self, error: TransportError) -> None:
        if not self._aside:
            raise error
        number, count = self._number, self._count
        reason = "slower" if self._given_up else "broken"
        why = "is slower than the path of the session" if self._given_up else f"is lost ({error})"
        self._reporter.note(f"{self._aside} {why}; going on by the path of the session")
        self._pool.stay |= self._given_up
        self._pool.forget(self._aside)
        for broken in self._lanes:
            self._lane_set.drop(broken)
        lost = Lost(number, count, self._lane_set.next_number)
        await self._channel.post(RecordType.LOST, lost.encoded())
        self._use(await self._lane_set.dial(), reason)

    async def _on_given_up(self, body: bytes) -> None:
        """The sender has found the path slower than the session's own. It sends again what is in
        flight there."""
        number = read_lane(body, "GivenUp")
        if number in self._former:
            return  # it has broken already
        self._given_up = True
        if self._aside and number == self._number:
            for lane in self._lanes:
                self._scope.spawn(lane.stream.aclose())
        else:
            await self._pool.give_up(number)

    def _use(self, lane: Lane, reason: str) -> None:
        self._former.add(self._number)
        self._lanes, self._turn, self._count, self._told = [lane], 0, 0, 0
        self._told_at, self._waited = 0.0, 0.0
        self._ahead.clear()
        self._given = None
        self._pool.show_path(lane, reason)

    async def close(self) -> None:
        """End our direction, when all is there."""
        for lane in self._lanes:
            try:
                if not lane.sealer.finished:
                    await lane.put(RecordType.CLOSE, final=True)
            except TallowError:
                if not self._aside:
                    raise


async def _one(lane: Lane) -> Record | None:
    return await lane.next_record()


def _seen(task: asyncio.Task[Record | None]) -> None:
    """Mark the error as seen: it is raised when the lane's turn comes, if it comes."""
    if not task.cancelled():
        task.exception()
