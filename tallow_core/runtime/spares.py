"""Spare lanes: joined at a candidate, beside the path of the session, and idle until the host moves the data to one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from tallow_core.errors import LocalProtocolError, TransportError
from tallow_core.protocol.lanes import LaneHello
from tallow_core.protocol.records import RecordType
from tallow_core.protocol.wire import malformed
from tallow_core.runtime.lane import Lane
from tallow_core.spi.transport import ByteStream
from tallow_core.types import Role

if TYPE_CHECKING:
    from tallow_core.runtime.session import Session

MOST_SPARES = 4
"""Spare lanes that an end has at once."""
MOST_MOVES = 8
"""How often a session's data moves to a spare lane."""

Record = tuple[int, memoryview]


class Spare(NamedTuple):
    """A lane, and what reads it while it is idle: at the guest up to the first Data, which is the result."""

    lane: Lane
    reading: asyncio.Task[Record | None]

    @property
    def broken(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.reading.done() and (self.reading.cancelled() or self.reading.exception() is not None or self.reading.result() is None)


class Spares:
    """The spare lanes of one session. The host takes the `best`, the guest the one that the host names."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._idle: dict[int, Spare] = {}
        self._ready: list[int] = []
        self._moves = 0
        self.in_use: Lane | None = None
        """The lane beside the session's path that carries the data, if one does."""

    @property
    def wanted(self) -> bool:
        """Whether a further one would be of use."""
        return self.in_use is None and self._moves < MOST_MOVES and not self._alive()

    def _alive(self) -> int:
        return sum(not spare.broken for spare in self._idle.values())

    async def dial(self, stream: ByteStream, address: str) -> None:
        """Join by a stream that we opened. The host uses it once the guest has said on it that its side stands."""
        self._add(await self._session.dial_aside(stream, address))

    async def accept(self, stream: ByteStream, hello: LaneHello, address: str) -> None:
        """Join by a stream that the other end opened."""
        if self._alive() >= MOST_SPARES:
            raise malformed(f"more than {MOST_SPARES} lanes that carry nothing")
        lane = await self._session.accept_aside(stream, hello, address)
        self._add(lane)
        if self._session.role is Role.HOST:
            self._ready.append(lane.keys.lane)
        else:
            await lane.send(RecordType.PING)

    def _add(self, lane: Lane) -> None:
        number = lane.keys.lane
        reading = self._session.task(self._read(lane))
        self._idle[number] = Spare(lane, reading)
        reading.add_done_callback(lambda task: self._over(number, lane, task))

    def _over(self, number: int, lane: Lane, task: asyncio.Task[Record | None]) -> None:
        """Reading has ended: with the lane, or (at the guest) with the first Data. A lane that broke does not end the session."""
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, TransportError):
            self._session.fail(error)
        if error is not None or task.result() is None:
            self._ready = [each for each in self._ready if each != number]
            self._session.drop(lane)
            if self._session.role is Role.HOST:
                self._idle.pop(number, None)

    async def _read(self, lane: Lane) -> Record | None:
        host = self._session.role is Role.HOST
        while not lane.opener.finished:
            kind, body = await lane.receive()
            if kind == RecordType.EPOCH:
                await self._session.epoch(lane, body)
            elif kind == RecordType.DATA and not host:
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

    # -- moving ---------------------------------------------------------------------------------------------------------------

    def best(self) -> Lane | None:
        """At the host: take the lane that joined first, if there is one; the others are ended."""
        if not self._ready or self._moves >= MOST_MOVES:
            return None
        self._moves += 1
        number, *others = self._ready
        self._ready = []
        for other in others:
            self._session.spawn(_end(self._idle.pop(other).lane))
        return self._idle.pop(number).lane

    def named(self, number: int) -> Spare:
        """At the guest: the lane that the host has moved the data to. One that broke meanwhile tells so when it is read."""
        self._moves += 1
        if number not in self._idle or self._moves > MOST_MOVES:
            raise malformed(f"the data was moved to lane {number}, which is no lane that it could move to")
        return self._idle.pop(number)


async def _end(lane: Lane) -> None:
    try:
        await lane.send(RecordType.CLOSE, final=True)
    except (TransportError, LocalProtocolError):
        pass  # it has ended by itself
