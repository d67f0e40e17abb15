"""The Data records of a transfer, in order, over as many lanes as it takes: from relay to direct, and back if that path breaks.

The host decides. It ends its direction of the lane in use with Moved, which names the lane that the next record is on; so the order of all
records is exact whatever the two paths do. On a lane beside the session's own path the sender keeps what the receiver has not told it to
have, and sends it again, on a new lane of the session's own path, if that lane breaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque

from tallow_core.dataplane.buffers import RecordBuffer
from tallow_core.errors import BrokenOffError, LocalProtocolError, TallowError, TransportError
from tallow_core.protocol.messages import Arrived, read_arrived, read_moved, write_moved
from tallow_core.protocol.records import RecordType
from tallow_core.protocol.wire import malformed
from tallow_core.runtime.lane import Lane
from tallow_core.runtime.session import Session
from tallow_core.runtime.spares import Record, Spare

MOST_KEPT = 32
"""Records that a sender keeps: with those of 1 MiB, 32 MiB on the way."""
ACK_EVERY = 8
ALIVE_SECONDS = 3.0
SILENT_SECONDS = 10.0
"""After which a receiver takes a lane beside the session's path for dead; its sender says something every `ALIVE_SECONDS`."""
LOST_SECONDS = 60.0
"""How long a sender whose lane broke waits for the receiver to say so: longer than `SILENT_SECONDS`."""


class Outflow:
    """The sender's end, at the host."""

    def __init__(self, session: Session, lane: Lane) -> None:
        self._session = session
        self._lane = lane
        self._kept: deque[bytearray] = deque()
        self._free: list[bytearray] = []
        self._sent = 0
        self._acknowledged = 0
        self._lost = False
        self._changed = asyncio.Event()
        self._spoke = 0.0
        session.handlers[RecordType.ACK] = self._on_ack
        session.handlers[RecordType.LOST] = self._on_lost

    async def send(self, buffer: RecordBuffer, size: int) -> None:
        """Seal and send `buffer.plain[:size]` on the best lane there is; the buffer may be reused afterwards."""
        if not self._lane.address and (better := self._session.spares.best()) is not None:
            await self._move(better)
        while self._lane.address and len(self._kept) >= MOST_KEPT:
            await self._change()
        if self._lane.address:
            self._keep(buffer.plain[:size])
        await self._push(buffer, size)

    async def finish(self) -> None:
        """Wait until nothing can have to be sent again."""
        while self._lane.address and self._kept:
            await self._change()

    async def _push(self, buffer: RecordBuffer, size: int) -> None:
        try:
            await self._lane.send_filled(buffer, size)
            self._spoke = time.monotonic()
        except TransportError:
            if not self._lane.address:
                raise
            await self._fall_back()

    def _keep(self, plain: memoryview) -> None:
        copy = self._free.pop() if self._free else bytearray()
        copy[:] = plain
        self._kept.append(copy)
        self._sent += 1

    async def _change(self) -> None:
        """Wait for a word of the receiver's on what it has; one that has lost the lane is sent the rest again."""
        self._changed.clear()
        if not self._lost:
            await self._changed.wait()
        if self._lost:
            await self._fall_back()

    # -- there and back -------------------------------------------------------------------------------------------------------

    async def _move(self, better: Lane) -> None:
        await self._lane.send(RecordType.MOVED, write_moved(better.keys.lane), final=True)
        self._lane, self._sent, self._acknowledged, self._lost = better, 0, 0, False
        self._spoke = time.monotonic()
        self._session.spawn(self._keep_alive(better))
        self._session.tell_path(better)

    async def _keep_alive(self, lane: Lane) -> None:
        """Say something on a lane on which nothing else is said, so that silence means that it is broken."""
        with contextlib.suppress(TransportError, LocalProtocolError):
            while not self._lost and not lane.sealer.finished:
                await asyncio.sleep(ALIVE_SECONDS)
                if time.monotonic() - self._spoke >= ALIVE_SECONDS and not lane.sealer.finished:
                    await lane.send(RecordType.PING)

    async def _fall_back(self) -> None:
        """Go on, on a new lane of the session's own path, with the first record that the receiver does not have."""
        broken = self._lane
        self._session.drop(broken)
        try:
            async with asyncio.timeout(LOST_SECONDS):
                while not self._lost:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise BrokenOffError("the direct connection broke, and the other side did not come back by the relay; try again") from None
        self._lane = await self._session.next_lane()
        self._session.tell_path(self._lane)
        buffer = RecordBuffer.for_data()
        kept, self._kept = self._kept, deque()
        for copy in kept:
            buffer.plain[: len(copy)] = copy
            await self._lane.send_filled(buffer, len(copy))

    async def _on_ack(self, body: bytes) -> None:
        self._take(read_arrived(body))

    async def _on_lost(self, body: bytes) -> None:
        self._take(read_arrived(body))
        self._lost = True
        await self._lane.stream.aclose()  # whoever waits to send on it need not wait any longer

    def _take(self, arrived: Arrived) -> None:
        if self._lost or not self._lane.address or arrived.lane != self._lane.keys.lane:
            raise malformed("a word on a lane that does not carry the data")
        if not self._acknowledged <= arrived.records <= self._sent:
            raise malformed("records that were told of before, or that were never sent")
        for _ in range(arrived.records - self._acknowledged):
            self._free.append(self._kept.popleft())
        self._acknowledged = arrived.records
        self._changed.set()


class Inflow:
    """The receiver's end, at the guest."""

    def __init__(self, session: Session, lane: Lane) -> None:
        self._session = session
        self._lane = lane
        self._first: Spare | None = None
        self._count = 0
        self._told = 0
        self._since = 0.0
        self._final = False

    async def record(self) -> memoryview | None:
        """The body of the next Data record, valid until the next call; None after the final one."""
        while not self._final:
            try:
                kind, body = await self._next()
                if kind == RecordType.EPOCH:
                    await self._session.epoch(self._lane, body)
                    continue
            except TransportError as error:
                await self._fall_back(error)
                continue
            if kind == RecordType.DATA:
                await self._counted()
                return body
            await self._other(kind, body)
        return None

    async def _other(self, kind: int, body: memoryview) -> None:
        if kind == RecordType.MOVED and not self._lane.address and self._lane.opener.finished:
            await self._move(read_moved(body))
        elif kind != RecordType.PING or not self._lane.address or self._lane.opener.finished:
            raise malformed(f"record {kind:#04x} on a data lane")

    async def _next(self) -> Record:
        self._since = time.monotonic()
        try:
            if self._first is None:
                return await self._lane.receive()
            first, self._first = self._first, None
            record = await asyncio.shield(first.reading)
            if record is None:
                raise malformed("the data was moved to a lane that had ended")
            return record
        finally:
            self._since = 0.0

    async def _counted(self) -> None:
        self._final = self._lane.opener.finished
        self._count += 1
        if self._lane.address and (self._final or self._count - self._told >= ACK_EVERY):
            self._told = self._count
            await self._session.send(RecordType.ACK, Arrived(self._lane.keys.lane, self._count).encoded())

    async def _move(self, number: int) -> None:
        spare, old = self._session.spares.named(number), self._lane
        await old.send(RecordType.CLOSE, final=True)
        self._session.drop(old)
        self._use(spare.lane)
        self._first = spare
        self._session.spawn(self._watch(spare.lane))

    async def _watch(self, lane: Lane) -> None:
        """End a wait for a path that has fallen silent."""
        while self._lane is lane and not self._final:
            await asyncio.sleep(1)
            if self._since and time.monotonic() - max(self._since, lane.heard) > SILENT_SECONDS:
                await lane.stream.aclose()
                return

    async def _fall_back(self, error: TransportError) -> None:
        broken = self._lane
        if not broken.address:
            raise error
        self._session.context.reporter.note(f"lost {broken.address} ({error}); going on by the path of the session")
        self._session.drop(broken)
        await self._session.send(RecordType.LOST, Arrived(broken.keys.lane, self._count).encoded())
        self._use(await self._session.dial_lane())

    def _use(self, lane: Lane) -> None:
        self._lane, self._count, self._told = lane, 0, 0
        self._session.tell_path(lane)

    async def close(self) -> None:
        """End our direction, when all is there."""
        try:
            await self._lane.send(RecordType.CLOSE, final=True)
        except TallowError:
            if not self._lane.address:
                raise
